//! One running copy of the platform: its name, ports and folders. Two may run side by side.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// Addresses inside the namespaces; every instance has its own network, so all use the same.
pub(crate) const NODE: &str = "10.200.0.1";
pub(crate) const NODE_NAME: &str = "node1";
pub(crate) const SOURCE: &str = "10.0.1.54";
pub(crate) const DNS: &str = "10.96.0.10";
pub(crate) const API_SERVICE: &str = "10.96.0.1";
pub(crate) const SERVICES: &str = "10.96.0.0/16";
pub(crate) const PODS: &str = "10.244.0.0/24";

/// A Unix socket's path may have 107 bytes; the longest below the folder is `/<instance>/sockets/control`.
const LONGEST_STATE: usize = 70;

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    Demo,
    Test,
}

impl Name {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Test => "test",
        }
    }
}

/// Ports on 127.0.0.1 of the host; the programs inside listen on the same numbers, so that each address is one name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub gitea: u16,
    pub backstage: u16,
    pub argocd: u16,
    pub api: u16,
    pub argocd_webhook: u16,
    pub engine: u16,
}

/// A port of the host and what answers behind it.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    pub what: &'static str,
    pub port: u16,
    /// As the programs inside reach it.
    pub target: String,
}

impl Ports {
    pub(crate) fn forwarded(self) -> Vec<Forward> {
        let own = |what, port| Forward {
            what,
            port,
            target: format!("127.0.0.1:{port}"),
        };
        let engine = "vdb-engine.vdb-system.svc.cluster.local:8080".to_owned();
        vec![
            own("Gitea", self.gitea),
            own("Backstage", self.backstage),
            own("Argo CD", self.argocd),
            own("the API server", self.api),
            own("Argo CD's ApplicationSet webhook", self.argocd_webhook),
            Forward {
                what: "the engine",
                port: self.engine,
                target: engine,
            },
        ]
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub name: Name,
    pub state: PathBuf,
}

impl Instance {
    /// `${VDB_STATE:-/var/lib/postgres-vdb-platform}/<instance>`
    pub(crate) fn open(name: Name) -> Result<Self> {
        let root = std::env::var_os("VDB_STATE")
            .filter(|value| !value.is_empty())
            .map_or_else(
                || PathBuf::from("/var/lib/postgres-vdb-platform"),
                PathBuf::from,
            );
        if root.as_os_str().len() > LONGEST_STATE || !root.is_absolute() {
            bail!(
                "VDB_STATE must be an absolute path of at most {LONGEST_STATE} bytes: {}",
                root.display()
            );
        }
        Ok(Self {
            name,
            state: root.join(name.text()),
        })
    }

    /// The instances that may run beside this one.
    pub(crate) fn others(&self) -> Vec<Self> {
        let names = [Name::Demo, Name::Test]
            .into_iter()
            .filter(|name| *name != self.name);
        names.flat_map(Self::open).collect()
    }

    pub(crate) fn ports(&self) -> Ports {
        match self.name {
            Name::Demo => Ports {
                gitea: 3000,
                backstage: 7007,
                argocd: 8080,
                api: 6443,
                argocd_webhook: 7000,
                engine: 8090,
            },
            Name::Test => Ports {
                gitea: 13000,
                backstage: 17007,
                argocd: 18080,
                api: 16443,
                argocd_webhook: 17000,
                engine: 18090,
            },
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.state.join("sockets").join(name)
    }

    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        self.state.join("secrets").join(name)
    }

    /// The cgroup below which the kubelet puts its pods.
    pub(crate) fn cgroup(&self) -> String {
        format!("/vdb-{}", self.name.text())
    }

    pub(crate) fn gitea_url(&self) -> String {
        format!("http://gitea.localhost:{}", self.ports().gitea)
    }

    pub(crate) fn repository_url(&self) -> String {
        format!("{}/acme/databases.git", self.gitea_url())
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }
}

/// The checkout that holds charts, applications, templates and this package.
pub(crate) fn checkout() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().context("the package has no parent folder")?;
    if !root.join("stack/build-go.sh").is_file() {
        bail!(
            "the checkout moved: {} has no stack/build-go.sh; build vdb-stack again",
            root.display()
        );
    }
    Ok(root.to_owned())
}
