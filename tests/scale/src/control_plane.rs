//! etcd and the API server, with an audit log of what the two measured users ask, and nothing else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::operate::NAMESPACE;
use crate::process;

/// Set by `.ci/scale`: the API server advertises no loopback address.
const ADDRESS: &str = "10.201.0.1";
const ETCD: &str = "http://127.0.0.1:2379";
/// Who writes without an operator. Not an administrator, who would pass by the API server's queues.
pub(crate) const REPLAY: &str = "replay";
pub(crate) const OPERATOR: &str = "vdb-operator";
pub(crate) const ADMIN: &str = "admin";

pub(crate) struct ControlPlane {
    folder: PathBuf,
    kube: PathBuf,
    // Dropped, they are killed.
    etcd: Child,
    api: Child,
}

impl ControlPlane {
    pub(crate) async fn start(kube: &Path, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let key = folder.join("sa.key");
        let made = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(&key)
            .arg("2048")
            .stderr(Stdio::null())
            .status()
            .await?;
        anyhow::ensure!(made.success(), "openssl made no key");
        let account = |name: &str| {
            format!(
                "{name},system:serviceaccount:{NAMESPACE}:{name},{name},\"system:serviceaccounts,system:serviceaccounts:{NAMESPACE}\"\n"
            )
        };
        let tokens = format!(
            "{ADMIN},{ADMIN},{ADMIN},system:masters\n{}{}",
            account(OPERATOR),
            account(REPLAY)
        );
        fs::write(folder.join("tokens.csv"), tokens)?;
        let users = [OPERATOR, REPLAY].map(|n| format!("system:serviceaccount:{NAMESPACE}:{n}"));
        fs::write(
            folder.join("audit.yaml"),
            json!({
                "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
                "rules": [
                    { "level": "None", "verbs": ["watch"] },
                    { "level": "Metadata", "users": users },
                    { "level": "None" },
                ],
            })
            .to_string(),
        )?;
        let etcd = start(kube, "etcd", folder, &etcd(folder))?;
        let api = start(kube, "kube-apiserver", folder, &api_server(folder))?;
        for user in [ADMIN, OPERATOR, REPLAY] {
            fs::write(kubeconfig(folder, user), config(user))?;
        }
        let plane = Self {
            folder: folder.to_owned(),
            kube: kube.to_owned(),
            etcd,
            api,
        };
        plane.wait().await?;
        Ok(plane)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let answer = self.kubectl(&["get", "--raw", "/readyz"], "").await;
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    let log = self.folder.join("kube-apiserver.log");
                    return Err(error.context(format!("no API server; see {}", log.display())));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// What etcd and the API server have used of the processors so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let ids = [self.etcd.id(), self.api.id()];
        ids.into_iter().flatten().map(process::cpu_seconds).sum()
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig(&self.folder, user)
    }

    /// As an administrator.
    pub(crate) async fn kubectl(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(self.kube.join("kubectl"))
            .env("KUBECONFIG", self.kubeconfig(ADMIN))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            bail!(
                "kubectl {args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Every definition that was applied is served.
    pub(crate) async fn established(&self) -> anyhow::Result<()> {
        let wait = [
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=60s",
        ];
        self.kubectl(&wait, "").await.map(drop)
    }

    pub(crate) async fn client(&self, user: &str) -> anyhow::Result<Client> {
        let file = Kubeconfig::read_from(self.kubeconfig(user))?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}

fn kubeconfig(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{user}.kubeconfig"))
}

/// The server's certificate is its own, made at start; nothing leaves this network namespace.
fn config(user: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "scale",
        "clusters": [{ "name": "scale", "cluster": { "server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": true } }],
        "users": [{ "name": "scale", "user": { "token": user } }],
        "contexts": [{ "name": "scale", "context": { "cluster": "scale", "user": "scale" } }],
    })
    .to_string()
}

fn start(kube: &Path, name: &str, folder: &Path, args: &[String]) -> anyhow::Result<Child> {
    let log = File::create(folder.join(format!("{name}.log")))?;
    Command::new(kube.join(name))
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}

fn etcd(folder: &Path) -> Vec<String> {
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        // As the local stack does: no write waits for the disk of a machine that others use, too.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
        "--quota-backend-bytes=8589934592".into(),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
    ]
}

fn api_server(folder: &Path) -> Vec<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    vec![
        "--bind-address=127.0.0.1".into(),
        format!("--advertise-address={ADDRESS}"),
        "--secure-port=6443".into(),
        format!("--etcd-servers={ETCD}"),
        "--service-cluster-ip-range=10.96.0.0/14".into(),
        "--authorization-mode=RBAC".into(),
        // Its controller is not there to make accounts for the pods.
        "--disable-admission-plugins=ServiceAccount".into(),
        format!("--token-auth-file={}", path("tokens.csv")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-key-file={}", path("sa.key")),
        format!("--service-account-signing-key-file={}", path("sa.key")),
        format!("--audit-policy-file={}", path("audit.yaml")),
        format!("--audit-log-path={}", path("audit.log")),
        "--audit-log-maxsize=100000".into(),
        "--profiling=false".into(),
        format!("--cert-dir={}", path("certificates")),
    ]
}
