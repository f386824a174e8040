//! The steps of `up` inside the namespaces. Each looks at what is there and adds what is missing.

pub(crate) mod argocd;
pub(crate) mod context;
pub(crate) mod control_plane;
pub(crate) mod dns;
pub(crate) mod forge;
pub(crate) mod gitea;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod pki;
pub(crate) mod platform;
pub(crate) mod pool;
pub(crate) mod portal;
pub(crate) mod runtime;
pub(crate) mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::build::Built;
use crate::command::{feed, program};
use crate::console::Progress;
use crate::files;
use crate::instance::Instance;
use crate::supervisor::{self, Process, Request};

/// What is there when the instance is up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Seed {
    /// The checkout's environments in the repository.
    pub environments: bool,
    /// The product in the cluster and in Argo CD. Without it, its images wait on the node and nothing else is there.
    pub product: bool,
}

impl Seed {
    pub(crate) fn installed() -> Self {
        Self {
            environments: false,
            product: true,
        }
    }
}

/// What `up` was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub built: Built,
    pub checkout: PathBuf,
    pub seed: Seed,
    pub began: u64,
}

#[derive(Clone)]
pub(crate) struct Inside {
    pub instance: Instance,
    pub order: Order,
    pub progress: Progress,
}

impl Inside {
    pub(crate) fn kubectl(&self, args: &[&str]) -> Command {
        let mut kubectl = program(self.order.built.go.kube.join("kubectl"));
        kubectl
            .arg("--kubeconfig")
            .arg(self.instance.kubeconfig())
            .args(args)
            .env("HOME", &self.instance.state);
        kubectl
    }

    /// Server-side apply: some of the definitions are larger than an annotation may be.
    pub(crate) async fn apply(&self, manifests: &str) -> Result<()> {
        let mut kubectl = self.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename",
            "-",
        ]);
        feed(&mut kubectl, manifests.as_bytes()).await.map(drop)
    }

    /// Hands a program to the supervisor. True when it was started or restarted.
    pub(crate) async fn start(&self, service: Service<'_>) -> Result<bool> {
        let process = service.process(&self.instance);
        Ok(
            supervisor::ask(&self.instance, &Request::Start(Box::new(process)))
                .await?
                .started,
        )
    }
}

/// A supervised program, described.
pub(crate) struct Service<'a> {
    name: &'a str,
    program: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    folder: Option<PathBuf>,
    grace: u64,
}

impl<'a> Service<'a> {
    pub(crate) fn new(name: &'a str, program: impl Into<PathBuf>) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        Self {
            name,
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::from([("PATH".to_owned(), path)]),
            folder: None,
            grace: 5,
        }
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// A changed configuration file restarts the program, as a changed argument does.
    pub(crate) fn reads(self, config: &Path) -> Result<Self> {
        let digest = files::digest(config)?;
        Ok(self.env("VDB_STACK_CONFIGURATION", digest))
    }

    pub(crate) fn folder(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }

    pub(crate) fn grace(mut self, seconds: u64) -> Self {
        self.grace = seconds;
        self
    }

    fn process(self, instance: &Instance) -> Process {
        let mut env = self.env;
        env.entry("HOME".to_owned())
            .or_insert_with(|| instance.state.display().to_string());
        Process {
            name: self.name.to_owned(),
            program: self.program,
            args: self.args,
            env,
            folder: self.folder.unwrap_or_else(|| instance.state.clone()),
            log: instance.log(self.name),
            grace: self.grace,
        }
    }
}
