//! The node itself, where the API shows too little: processes to kill, and what lies in the engine's pool.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;

use crate::context::Context;
use crate::process;

pub(crate) struct Node {
    /// Process 1 of the instance's namespaces.
    init: u64,
    state: PathBuf,
}

impl Node {
    pub(crate) fn of(context: &Context) -> anyhow::Result<Self> {
        let state = PathBuf::from(context.get("VDB_STATE_DIR")?);
        let running: Value =
            serde_json::from_str(&std::fs::read_to_string(state.join("running.json"))?)?;
        let init = running["init"]["pid"]
            .as_u64()
            .context("running.json names no process")?;
        Ok(Self { init, state })
    }

    /// Runs a program of this machine in the instance's network.
    pub(crate) fn in_network(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.init))
            .arg("--")
            .arg(program)
            .kill_on_drop(true);
        command
    }

    /// Runs a program among the instance's mounts.
    pub(crate) fn in_mounts(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.init))
            .args(["--", program]);
        command
    }

    /// The engine's folders, one for each copy that it keeps.
    pub(crate) fn copies(&self) -> anyhow::Result<BTreeSet<String>> {
        let folder = self.pool().join("vdbs");
        let found =
            std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
        Ok(found
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect())
    }

    /// The pool as the instance's own mounts show it.
    pub(crate) fn pool(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.init));
        let pool = self.state.join("pool");
        root.join(pool.strip_prefix("/").unwrap_or(&pool))
    }

    /// Kills every process of a container. False when it has none (any more).
    pub(crate) async fn kill_container(&self, id: &str) -> anyhow::Result<bool> {
        let id = id.rsplit("//").next().unwrap_or(id);
        anyhow::ensure!(id.len() > 20, "{id:?} is no container's id");
        signal("-KILL", &of_container(id)?).await
    }

    /// What is mounted on the node.
    pub(crate) fn mounts(&self) -> anyhow::Result<String> {
        let table = format!("/proc/{}/mountinfo", self.init);
        std::fs::read_to_string(&table).with_context(|| format!("read {table}"))
    }

    /// Kills a program of this instance's own that its supervisor starts again.
    pub(crate) async fn kill_program(&self, name: &str) -> anyhow::Result<bool> {
        signal("-KILL", &self.of_program(name)?).await
    }

    /// Freezes a program of this instance's own: as of a machine that died, nothing is heard of it, and nobody starts it again.
    pub(crate) fn freeze(&self, name: &str) -> anyhow::Result<Frozen> {
        let frozen = Frozen(self.of_program(name)?);
        anyhow::ensure!(!frozen.0.is_empty(), "{name} does not run");
        anyhow::ensure!(frozen.signal("-STOP"), "{name} cannot be frozen");
        Ok(frozen)
    }

    fn of_program(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let (own, ending) = (self.state.display().to_string(), format!("/{name}"));
        processes(|folder| {
            let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            let program = line.split('\0').next().unwrap_or_default();
            program.ends_with(&ending) && line.contains(&own)
        })
    }
}

/// A program that goes on when this is dropped, whatever became of the scenario.
pub(crate) struct Frozen(Vec<String>);

impl Frozen {
    fn signal(&self, signal: &str) -> bool {
        let mut kill = std::process::Command::new("kill");
        kill.arg(signal).args(&self.0);
        kill.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// Whether a process of a container is there.
pub(crate) fn runs(id: &str) -> anyhow::Result<bool> {
    let id = id.rsplit("//").next().unwrap_or(id);
    Ok(!of_container(id)?.is_empty())
}

fn of_container(id: &str) -> anyhow::Result<Vec<String>> {
    processes(|folder| {
        std::fs::read_to_string(folder.join("cgroup")).is_ok_and(|text| text.contains(id))
    })
}

/// Numbers of the processes whose folder below /proc is meant.
fn processes(meant: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<String>> {
    let numbered = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    Ok(std::fs::read_dir("/proc")?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| numbered(name) && meant(&Path::new("/proc").join(name)))
        .collect())
}

/// False: there are none (any more).
async fn signal(signal: &str, found: &[String]) -> anyhow::Result<bool> {
    if found.is_empty() {
        return Ok(false);
    }
    // One that ended between the two looks is no failure.
    process::run(Command::new("kill").arg(signal).args(found)).await?;
    Ok(true)
}
