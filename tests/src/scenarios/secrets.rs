//! No secret that was in play shows anywhere it must not: logs, events, resources, pull requests, Git, argument lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::context::Context;
use crate::gitea::Gitea;
use crate::kubernetes::Kubernetes;
use crate::process;

/// Shorter values are words that stand everywhere: user names, ports.
const SHORTEST: usize = 12;
/// Keys of a credentials Secret that are no secret.
const PUBLIC: [&str; 8] = [
    "host",
    "port",
    "dbname",
    "username",
    "sslmode",
    "ca.crt",
    "database-name",
    "jdbc-host",
];
const NAMESPACES: [&str; 2] = ["vdb-system", "postgres-vdbs-"];

const KINDS: [&str; 3] = [
    "events",
    "postgresvdbs,configmaps,statefulsets,pods,jobs,services,persistentvolumes,networkpolicies",
    "applications.argoproj.io,applicationsets.argoproj.io",
];

/// The secrets that were seen so far, each with the place that it comes from.
#[derive(Default)]
pub(crate) struct Secrets {
    known: BTreeMap<String, String>,
    shown: BTreeSet<String>,
}

impl Secrets {
    /// The stack's own, from their files.
    pub(crate) fn of_the_stack(context: &Context) -> anyhow::Result<Self> {
        let mut all = Self::default();
        let folder = Path::new(context.get("VDB_STATE_DIR")?).join("secrets");
        for file in std::fs::read_dir(&folder)?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.ends_with(".credentials") {
                continue;
            }
            all.add(&std::fs::read_to_string(file.path())?, &name);
        }
        Ok(all)
    }

    /// Those of the environments that exist now, and whether their pods' logs show any; both go with the environments.
    pub(crate) async fn look(&mut self, context: &Context) -> anyhow::Result<()> {
        self.collect(context).await?;
        let state = Path::new(context.get("VDB_STATE_DIR")?);
        self.read(&state.join("pod-logs"));
        Ok(())
    }

    fn read(&mut self, folder: &Path) {
        for file in files(folder) {
            // A log that is rotated or removed meanwhile is no finding.
            let text = std::fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            self.search(&file.display().to_string(), &text);
        }
    }

    async fn collect(&mut self, context: &Context) -> anyhow::Result<()> {
        let kubernetes = Kubernetes::new(context);
        let found = kubernetes.json(&["get", "secrets", "-A"]).await?;
        for secret in found["items"].as_array().into_iter().flatten() {
            let namespace = secret["metadata"]["namespace"].as_str().unwrap_or_default();
            // Helm keeps what it rendered in a Secret of its own.
            let ours = NAMESPACES.iter().any(|n| namespace.starts_with(n))
                && secret["type"] != "helm.sh/release.v1";
            let data = secret["data"].as_object().filter(|_| ours);
            for (key, value) in data.into_iter().flatten() {
                if PUBLIC.contains(&key.as_str()) {
                    continue;
                }
                let text = decode(value.as_str().unwrap_or_default())?;
                let name = secret["metadata"]["name"].as_str().unwrap_or_default();
                self.add(&text, &format!("Secret {namespace}/{name}, key {key}"));
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str, from: &str) {
        // A key in PEM: each of its lines, without the frame.
        for line in text.lines().map(str::trim) {
            if line.len() >= SHORTEST && !line.starts_with("-----") {
                self.known.insert(line.to_owned(), from.to_owned());
            }
        }
    }

    /// Notes where which secret shows; never the secret itself.
    fn search(&mut self, place: &str, text: &str) {
        let found = self
            .known
            .iter()
            .filter(|(secret, _)| text.contains(secret.as_str()))
            .map(|(_, from)| format!("{place} shows {from}"));
        self.shown.extend(found);
    }
}

fn decode(base64: &str) -> anyhow::Result<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) async fn nowhere(context: &Context, mut secrets: Secrets) -> anyhow::Result<()> {
    let count = secrets.known.len();
    anyhow::ensure!(count > 20, "only {count} secrets were seen");
    secrets.look(context).await?;
    let state = Path::new(context.get("VDB_STATE_DIR")?);
    secrets.read(&state.join("logs"));
    let kubernetes = Kubernetes::new(context);
    for kinds in KINDS {
        let text = kubernetes.json(&["get", kinds, "-A"]).await?.to_string();
        secrets.search(kinds, &text);
    }
    secrets.search("a pull request", &pull_requests(context).await?);
    secrets.search("Git's history", &history(context).await?);
    secrets.search("an argument list", &arguments().await?);
    let shown: Vec<_> = secrets.shown.into_iter().collect();
    anyhow::ensure!(shown.is_empty(), "{}", shown.join("; "));
    Ok(())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// All of them with their comments.
async fn pull_requests(context: &Context) -> anyhow::Result<String> {
    let forge = Gitea::new(context)?;
    let mut text = String::new();
    for page in 1.. {
        let pulls = forge
            .get(&format!("/pulls?state=all&limit=50&page={page}"))
            .await?;
        let comments = forge
            .get(&format!("/issues/comments?limit=50&page={page}"))
            .await?;
        let empty = |v: &Value| v.as_array().is_none_or(Vec::is_empty);
        if empty(&pulls) && empty(&comments) {
            break;
        }
        text += &pulls.to_string();
        text += &comments.to_string();
    }
    Ok(text)
}

async fn history(context: &Context) -> anyhow::Result<String> {
    let clone = context.get("VDB_REPO")?;
    let git = |args: &[&str]| {
        let mut git = tokio::process::Command::new("git");
        git.current_dir(clone)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .args(args);
        git
    };
    let fetched = process::run(&mut git(&[
        "fetch",
        "--quiet",
        "origin",
        "+refs/heads/*:refs/remotes/origin/*",
    ]))
    .await?;
    anyhow::ensure!(fetched.ok, "git fetch: {}", fetched.text());
    let log = process::run(&mut git(&["log", "--all", "--patch", "--format=%B"])).await?;
    anyhow::ensure!(log.ok, "git log: {}", log.text());
    Ok(log.stdout)
}

/// Of every process that runs now.
async fn arguments() -> anyhow::Result<String> {
    let listed =
        process::run(tokio::process::Command::new("ps").args(["-eww", "-o", "args"])).await?;
    anyhow::ensure!(listed.ok, "ps: {}", listed.text());
    Some(listed.stdout).context("ps printed nothing")
}
