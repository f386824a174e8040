//! kubectl and helm, always with the context that was named: the current context is never used.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::NAMESPACE;

pub(super) const RELEASE: &str = "vdb";
pub(super) const CHART: &str = "charts/postgres-vdb-platform";
/// Ownership of the fields that an installation writes.
const MANAGER: &str = "--field-manager=vdb-install";
/// A look at one object.
const ASK: Duration = Duration::from_secs(30);
/// Helm waits for nothing here; it only sends some dozen objects.
const SEND: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) kubectl: PathBuf,
    pub(super) helm: PathBuf,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: String,
    pub(super) checkout: PathBuf,
}

impl Tools {
    fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        if let Some(file) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(file);
        }
        command
            .args(["--context", &self.context, "--request-timeout=20s"])
            .args(args);
        command
    }

    fn helm(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.helm);
        if let Some(file) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(file);
        }
        command
            .args(["--kube-context", &self.context, "--namespace", NAMESPACE])
            .args(args);
        command
    }

    /// What kubectl prints.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<String> {
        finished(self.kubectl(args), None, ASK).await
    }

    /// For commands that wait themselves.
    pub(super) async fn wait(&self, args: &[&str], deadline: Duration) -> Result<String> {
        finished(self.kubectl(args), None, deadline).await
    }

    pub(super) async fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.ask(&[args, &["--output=json"]].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {}: no JSON", args.join(" ")))
    }

    /// One object, or nothing. `kind` may hold its group.
    pub(super) async fn get(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>> {
        let args = [
            "get",
            kind,
            name,
            "--namespace",
            namespace,
            "--ignore-not-found",
            "--output=json",
        ];
        let text = self.ask(&args).await?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("kubectl get {kind} {name}: no JSON"))
    }

    /// By standard input, so that nothing of the object is an argument. Fields of others stay.
    pub(super) async fn apply(&self, manifest: &Value) -> Result<()> {
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            MANAGER,
            "--filename=-",
        ];
        finished(self.kubectl(&args), Some(&manifest.to_string()), SEND)
            .await
            .map(drop)
    }

    /// The release's state, or nothing.
    pub(super) async fn release(&self) -> Result<Option<Value>> {
        let done = output(self.helm(&["status", RELEASE, "--output=json"]), None, ASK).await?;
        if done.status.success() {
            return serde_json::from_slice(&done.stdout)
                .map(Some)
                .context("helm status: no JSON");
        }
        let said = String::from_utf8_lossy(&done.stderr);
        if said.contains("not found") {
            return Ok(None);
        }
        bail!("helm status: {}", said.trim())
    }

    /// The objects of the release as they were sent last.
    pub(super) async fn manifest(&self) -> Result<String> {
        finished(self.helm(&["get", "manifest", RELEASE]), None, ASK).await
    }

    /// Whether each object of the manifest exists.
    pub(super) async fn all_there(&self, manifest: &str) -> Result<bool> {
        let args = [
            "get",
            "--namespace",
            NAMESPACE,
            "--output=name",
            "--filename=-",
        ];
        let done = output(self.kubectl(&args), Some(manifest), ASK).await?;
        let said = String::from_utf8_lossy(&done.stderr);
        match done.status.success() {
            true => Ok(true),
            // The last: what has no definition any more cannot be there.
            false if said.contains("NotFound") || said.contains("no matches for kind") => Ok(false),
            false => bail!("kubectl get: {}", said.trim()),
        }
    }

    /// The chart with these values: `--dry-run=server` gives the manifest only.
    pub(super) async fn upgrade(&self, values: &Value, more: &[&str]) -> Result<String> {
        let chart = self.checkout.join(CHART).display().to_string();
        let args = [
            &["upgrade", "--install", RELEASE, &chart, "--values=-"],
            more,
        ]
        .concat();
        finished(self.helm(&args), Some(&values.to_string()), SEND).await
    }

    /// Forgets an installation that was interrupted: Helm would refuse every later one.
    pub(super) async fn forget_pending(&self) -> Result<()> {
        let pending = format!(
            "--selector=owner=helm,name={RELEASE},status in (pending-install,pending-upgrade,pending-rollback)"
        );
        let args = ["delete", "secret", "--namespace", NAMESPACE, &pending];
        self.ask(&args).await.map(drop)
    }
}

async fn finished(command: Command, input: Option<&str>, deadline: Duration) -> Result<String> {
    let program = command.as_std().get_program().display().to_string();
    let done = output(command, input, deadline).await?;
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        bail!("{program}: {}", stderr.trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

async fn output(mut command: Command, input: Option<&str>, deadline: Duration) -> Result<Output> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!("cannot run {name}: install it, or name it by VDB_KUBECTL or VDB_HELM")
        })?;
    let stdin = child.stdin.take();
    let work = async {
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A program that refuses its arguments reads nothing; what it says counts then.
                stdin.write_all(input.as_bytes()).await.ok();
            }
        };
        tokio::join!(feed, child.wait_with_output()).1
    };
    tokio::time::timeout(deadline, work)
        .await
        .with_context(|| format!("{name} did not end within {} s", deadline.as_secs()))?
        .with_context(|| format!("cannot run {name}"))
}
