//! Programs that scenarios run as people would: make, node, kubectl.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

pub(crate) struct Finished {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Both streams, for messages.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.stdout.trim(), self.stderr.trim())
            .trim()
            .to_owned()
    }
}

pub(crate) async fn run(command: &mut Command) -> anyhow::Result<Finished> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("run {command:?}"))?;
    Ok(finished(&output))
}

pub(crate) async fn run_with_input(command: &mut Command, input: &str) -> anyhow::Result<Finished> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    Ok(finished(&child.wait_with_output().await?))
}

fn finished(output: &std::process::Output) -> Finished {
    Finished {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
