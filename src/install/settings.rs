//! `install.yaml`: what an installation needs to know. A closed file; all its problems are said at once.
//!
//! Passwords and tokens stand in files that it names, relative to its own folder.

mod parse;

use std::path::PathBuf;

use serde_json::{Map, Value};

/// The commented example, which is also the list of all keys.
pub(super) const EXAMPLE: &str = include_str!("example.yaml");

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) images: Images,
    pub(super) forge: Forge,
    pub(super) argocd: Argo,
    pub(super) portal: Portal,
    pub(super) tower: Tower,
    pub(super) allowed_sources: Vec<String>,
    pub(super) allowed_images: Vec<String>,
    /// Further keys of the programs' own settings files, laid over what is written for them.
    pub(super) extra: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Images {
    pub(super) registry: String,
    pub(super) tag: String,
    pub(super) pull_policy: &'static str,
    /// Existing Secrets with a registry's login.
    pub(super) pull_secrets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forge {
    pub(super) kind: &'static str,
    pub(super) url: String,
    pub(super) owner: String,
    pub(super) repository: String,
    pub(super) branch: String,
    pub(super) login: Login,
    /// GitHub's APIs, where they do not follow from `url`.
    pub(super) api_url: Option<String>,
    pub(super) graphql_url: Option<String>,
    pub(super) reviewers: Vec<String>,
    pub(super) webhook_secret_file: Option<PathBuf>,
    /// Certificate authorities of a server with a private one.
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Token(PathBuf),
    /// A GitHub App; its installation is found by the repository where none is named.
    App {
        id: u64,
        installation: Option<u64>,
        key_file: PathBuf,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argo {
    pub(super) url: String,
    pub(super) namespace: String,
    pub(super) token_file: PathBuf,
    pub(super) webhook_secret_file: Option<PathBuf>,
    /// Certificate authorities of a server with a private one.
    pub(super) ca_file: Option<PathBuf>,
    pub(super) webhooks: Vec<String>,
    pub(super) repo_url: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Portal {
    pub(super) url: String,
    pub(super) public_url: Option<String>,
    pub(super) register_catalog: bool,
}

/// Who makes the copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tower {
    Dct {
        url: String,
        key_file: PathBuf,
        group: String,
        /// The Delphix engine that exports the copies by NFS.
        server: String,
        prefix: String,
    },
    Engine {
        storage: &'static str,
        /// Made up where none is named.
        key_file: Option<PathBuf>,
        node: String,
        path: String,
        size: String,
        sources: Vec<Source>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) port: u64,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password_file: PathBuf,
    pub(super) max_rate: Option<String>,
}
