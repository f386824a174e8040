//! The host's half of an instance: listens on 127.0.0.1, holds the supervisor's lifeline, knows whether it is alive.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;

use crate::command::{log_tail, program};
use crate::files;
use crate::instance::{Forward, Instance};
use crate::supervisor;

/// A process, told apart from a later one with the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pid: i32,
    started: u64,
}

impl Identity {
    fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self {
            pid,
            started: start_time(&stat)?,
        })
    }

    fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Field 22 of /proc/<pid>/stat; the command's name before it may hold spaces and brackets.
fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// What `up` left for the commands after it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    host: Identity,
    init: Identity,
}

/// The instance's processes, when its supervisor lives.
pub(crate) fn running(instance: &Instance) -> Option<Running> {
    let text = fs::read_to_string(instance.path("running.json")).ok()?;
    let running: Running = serde_json::from_str(&text).ok()?;
    running.init.is_alive().then_some(running)
}

impl Running {
    /// A command inside the instance's namespaces. It starts in `folder`, as the namespaces see it.
    pub(crate) fn enter(&self, folder: &Path) -> Command {
        let mut command = program("nsenter");
        command
            .arg(format!("--target={}", self.init.pid))
            .args(["--mount", "--pid", "--net", "--ipc", "--", "env", "-C"])
            .arg(folder);
        command
    }

    /// Ends both halves; the kernel ends the rest with the namespace's process 1.
    pub(crate) async fn end(&self) {
        for process in [self.init, self.host] {
            if process.is_alive() {
                // It may have ended between the two looks.
                let _ = Pid::from_raw(process.pid).map(|pid| kill_process(pid, Signal::KILL));
            }
        }
        while self.init.is_alive() || self.host.is_alive() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// Starts the host's half in the background and waits for the supervisor.
pub(crate) async fn start(instance: &Instance) -> Result<Running> {
    for folder in ["logs", "sockets", "secrets"] {
        files::make_dir(
            &instance.path(folder),
            if folder == "logs" { 0o755 } else { 0o700 },
        )?;
    }
    let log = fs::File::create(instance.log("supervisor"))?;
    let mut background = program("setsid");
    background
        .arg(std::env::current_exe()?)
        .args(["host", "--instance", instance.name.text()]);
    background
        .stdout(log.try_clone()?)
        .stderr(log)
        .current_dir("/")
        .kill_on_drop(false);
    let mut host = background.spawn().context("cannot start setsid")?;
    tokio::select! {
        ready = supervisor::wait_ready(instance) => ready?,
        _ = host.wait() => bail!("the supervisor ended: {}", log_tail(&instance.log("supervisor"))),
    }
    running(instance).context("the supervisor ended at once")
}

/// The background process itself.
pub(crate) async fn serve(instance: Instance) -> Result<()> {
    for Forward { what, port, .. } in instance.ports().forwarded() {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("port {port} for {what} is taken"))?;
        tokio::spawn(forward(listener, instance.socket(&port.to_string())));
    }
    let mut child = Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount",
            "--mount-proc",
            "--net",
            "--ipc",
        ])
        .args(["--propagation", "private", "--"])
        .arg(std::env::current_exe()?)
        .args(["supervise", "--instance", instance.name.text()])
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start unshare")?;
    // Kept apart, because waiting for a child closes its standard input.
    let lifeline = child.stdin.take();
    let unshare = i32::try_from(child.id().context("unshare ended at once")?)?;
    let init = child_of(unshare).await?;
    let host = Identity::of(i32::try_from(std::process::id())?).context("no /proc")?;
    files::put_private(
        &instance.path("running.json"),
        &serde_json::to_string(&Running { host, init })?,
    )?;
    let status = child.wait().await?;
    drop(lifeline);
    bail!("the supervisor ended ({status})")
}

/// The supervisor as the host numbers it: unshare's only child.
async fn child_of(parent: i32) -> Result<Identity> {
    for _ in 0..200 {
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                continue;
            };
            if parent_of(&stat) == Some(parent) {
                return Identity::of(pid).context("the supervisor ended at once");
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    bail!("unshare started nothing")
}

async fn forward(listener: TcpListener, socket: std::path::PathBuf) {
    while let Ok((mut outer, _)) = listener.accept().await {
        let socket = socket.clone();
        tokio::spawn(async move {
            let Ok(mut inner) = UnixStream::connect(&socket).await else {
                return;
            };
            let _ = outer.set_nodelay(true);
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name_even_with_brackets_in_it() {
        let stat = "42 (a (b) c) S 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        assert_eq!(parent_of(stat), Some(7));
        assert_eq!(start_time(stat), Some(98765));
    }

    #[test]
    fn this_process_is_alive_and_one_with_another_start_time_is_not() {
        let me = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.is_alive());
        assert!(
            !Identity {
                started: me.started + 1,
                ..me
            }
            .is_alive()
        );
    }
}
