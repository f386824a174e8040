//! `status` and `exec`.

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result};

use crate::console;
use crate::host;
use crate::instance::Instance;
use crate::supervisor::{self, Request};

pub(crate) async fn status(instance: &Instance) -> Result<ExitCode> {
    if host::running(instance).is_none() {
        console::line(&format!("instance {} is not running", instance.name.text()));
        return Ok(ExitCode::FAILURE);
    }
    let answer = supervisor::ask(instance, &Request::List).await?;
    console::line(&format!(
        "{:34} {:>8} {:>9} {:>9}",
        "PROGRAM", "PID", "RESTARTS", "UP"
    ));
    for state in answer.states {
        let pid = state
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        console::line(&format!(
            "{:34} {pid:>8} {:>9} {:>8}s",
            state.name, state.restarts, state.seconds
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command inside, with the stack's programs on PATH and its kubeconfig.
pub(crate) async fn exec(instance: &Instance, command: &[OsString]) -> Result<ExitCode> {
    let running = host::running(instance)
        .with_context(|| format!("instance {} is not running", instance.name.text()))?;
    let order = std::fs::read_to_string(instance.path("order.json"))
        .context("the instance was never completed")?;
    let order: crate::steps::Order = serde_json::from_str(&order)?;
    let path = std::env::var("PATH").unwrap_or_default();
    let go = &order.built.go;
    let path = format!("{}:{}:{path}", go.kube.display(), go.helm.display());
    let status = running
        .enter(&std::env::current_dir()?)
        .args(command)
        .env("PATH", path)
        .env("KUBECONFIG", instance.kubeconfig())
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .status()
        .await?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
