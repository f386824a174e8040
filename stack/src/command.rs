//! External programs: run to the end, with a failure that names the program and shows the end of what it said.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Lines of a failed program's output that its error shows.
const TAIL: usize = 15;
const WIDTH: usize = 300;

pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs to the end and gives what it wrote to its standard output.
pub(crate) async fn output(command: &mut Command) -> Result<String> {
    let name = name(command);
    let done = command
        .output()
        .await
        .with_context(|| format!("cannot start {name}"))?;
    if !done.status.success() {
        bail!(
            "{name} failed ({}): {}",
            done.status,
            tail(&[&done.stderr[..], &done.stdout[..]].concat())
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

pub(crate) async fn run(command: &mut Command) -> Result<()> {
    output(command).await.map(drop)
}

/// Runs to the end with `input` on its standard input.
pub(crate) async fn feed(command: &mut Command, input: &[u8]) -> Result<String> {
    let name = name(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let write = async move {
        // A program that ends early closes the pipe; its exit status says why.
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    };
    let ((), done) = tokio::join!(write, child.wait_with_output());
    let done = done?;
    if !done.status.success() {
        bail!(
            "{name} failed ({}): {}",
            done.status,
            tail(&[&done.stderr[..], &done.stdout[..]].concat())
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

/// Runs something long with its output in a log file.
pub(crate) async fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let name = name(command);
    if let Some(parent) = log.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let file =
        std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = command
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .await
        .with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!(
            "{name} failed ({status}), log {}: {}",
            log.display(),
            log_tail(log)
        );
    }
    Ok(())
}

/// The last lines of a log file, for an error message.
pub(crate) fn log_tail(log: &Path) -> String {
    std::fs::read(log).map_or_else(|_| String::from("(no log)"), |text| tail(&text))
}

fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.chars().take(WIDTH).collect())
        .collect();
    let from = lines.len().saturating_sub(TAIL);
    let separator = if lines.len() > 1 { "\n  " } else { "" };
    format!("{separator}{}", lines[from..].join("\n  "))
}

fn name(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match command.get_args().next() {
        Some(first) => format!("{program} {}", first.to_string_lossy()),
        None => program,
    }
}
