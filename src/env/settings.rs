//! Where the tools find the environments repository, its cluster, forge and Argo CD: environment variables `VDB_…`.
//!
//! Neither KUBECONFIG nor `~/.kube/config` is ever looked at: a wrong cluster is worse than none.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use environment::names::PART_OF;

use crate::{argocd, forge};

/// What `vdb env` works on.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// A clone of the environments repository, with a remote `origin` that may be pushed to.
    pub(crate) repository: PathBuf,
    pub(crate) branch: String,
    kubeconfig: Option<PathBuf>,
    pub(crate) push: Option<Push>,
    pub(crate) forge: Option<forge::Settings>,
    /// The forge's address as browsers know it.
    pub(crate) forge_url: String,
    pub(crate) tower: Option<Tower>,
    pub(crate) argocd: Option<argocd::Settings>,
    pub(crate) helm: PathBuf,
    pub(crate) kubectl: PathBuf,
}

/// Whom a push is announced to.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) repo_url: String,
    pub(crate) endpoints: Vec<String>,
    pub(crate) secret_file: PathBuf,
    /// Certificate authorities of Argo CD beyond the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Data Control Tower, asked whether a virtual database is gone.
#[derive(Clone, Debug)]
pub(crate) struct Tower {
    pub(crate) url: String,
    pub(crate) key_file: PathBuf,
}

impl Settings {
    pub(crate) fn read() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    /// The same from any table of variables; an empty one counts as absent.
    pub(crate) fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        let branch = text("VDB_BRANCH").unwrap_or_else(|| "main".into());
        Self {
            repository: path("VDB_REPO").unwrap_or_else(|| ".".into()),
            kubeconfig: path("VDB_KUBECONFIG"),
            push: push(&text),
            forge: forge_settings(&text, &branch),
            forge_url: text("VDB_FORGE_URL").unwrap_or_default(),
            tower: text("VDB_DCT_URL")
                .zip(path("VDB_DCT_API_KEY_FILE"))
                .map(|(url, key_file)| Tower { url, key_file }),
            argocd: argocd_settings(&text),
            helm: path("VDB_HELM").unwrap_or_else(|| "helm".into()),
            kubectl: path("VDB_KUBECTL").unwrap_or_else(|| "kubectl".into()),
            branch,
        }
    }

    pub(crate) fn kubeconfig(&self) -> Result<&Path> {
        self.kubeconfig.as_deref().context(
            "VDB_KUBECONFIG is not set: name the kubeconfig file of the cluster that runs the environments \
             (a running stack writes it into its context.env)",
        )
    }
}

fn push(text: &impl Fn(&str) -> Option<String>) -> Option<Push> {
    let repo_url = text("VDB_ARGOCD_REPO_URL").or_else(|| {
        let (url, owner, repository) = (
            text("VDB_FORGE_URL")?,
            text("VDB_FORGE_OWNER")?,
            text("VDB_FORGE_REPOSITORY")?,
        );
        Some(format!(
            "{}/{owner}/{repository}.git",
            url.trim_end_matches('/')
        ))
    })?;
    let endpoints = text("VDB_ARGOCD_WEBHOOKS")?;
    let endpoints = endpoints
        .split([',', ' '])
        .filter(|e| !e.is_empty())
        .map(str::to_owned)
        .collect();
    Some(Push {
        repo_url,
        endpoints,
        secret_file: text("VDB_ARGOCD_WEBHOOK_SECRET_FILE")?.into(),
        ca_file: text("VDB_ARGOCD_CA_FILE").map(PathBuf::from),
    })
}

fn argocd_settings(text: &impl Fn(&str) -> Option<String>) -> Option<argocd::Settings> {
    Some(argocd::Settings {
        url: reachable(&text("VDB_ARGOCD_URL")?),
        token_file: text("VDB_ARGOCD_TOKEN_FILE")?.into(),
        ca_file: text("VDB_ARGOCD_CA_FILE").map(PathBuf::from),
        project: text("VDB_ARGOCD_PROJECT").unwrap_or_else(|| PART_OF.into()),
        namespace: text("VDB_ARGOCD_NAMESPACE").unwrap_or_else(|| "argocd".into()),
        application_set: PART_OF.into(),
        webhooks: Vec::new(),
        webhook_secret_file: None,
        repo_url: text("VDB_ARGOCD_REPO_URL").unwrap_or_default(),
        read_resources: text("VDB_ARGOCD_READ_RESOURCES").as_deref() == Some("true"),
    })
}

fn forge_settings(text: &impl Fn(&str) -> Option<String>, branch: &str) -> Option<forge::Settings> {
    Some(forge::Settings {
        kind: kind(text("VDB_FORGE_KIND").as_deref())?,
        url: reachable(&text("VDB_FORGE_URL")?),
        owner: text("VDB_FORGE_OWNER")?,
        repository: text("VDB_FORGE_REPOSITORY")?,
        branch: branch.to_owned(),
        token_file: Some(text("VDB_FORGE_TOKEN_FILE")?.into()),
        app: None,
        api_url: None,
        graphql_url: None,
        ca_file: text("VDB_FORGE_CA_FILE").map(PathBuf::from),
        reviewers: Vec::new(),
        webhook_secret_file: None,
    })
}

/// Gitea where nothing is said; a kind that is not known is no forge.
fn kind(said: Option<&str>) -> Option<forge::Kind> {
    match said {
        None | Some("gitea") => Some(forge::Kind::Gitea),
        Some("github") => Some(forge::Kind::GitHub),
        Some(_) => None,
    }
}

/// `*.localhost` is this machine by definition (RFC 6761), though not every resolver knows it.
pub(crate) fn reachable(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    let host = if host == "localhost" || host.ends_with(".localhost") {
        "127.0.0.1"
    } else {
        host
    };
    format!("{scheme}://{host}{port}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::from(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_variables_nothing_but_the_working_directory_is_used() {
        let settings = settings(&[("KUBECONFIG", "/root/.kube/config")]);
        assert_eq!(settings.repository, PathBuf::from("."));
        assert_eq!(settings.branch, "main");
        assert!(settings.forge.is_none() && settings.push.is_none() && settings.tower.is_none());
        assert!(
            settings
                .kubeconfig()
                .unwrap_err()
                .to_string()
                .contains("VDB_KUBECONFIG")
        );
    }

    #[test]
    fn a_name_below_localhost_is_this_machine() {
        assert_eq!(
            reachable("http://gitea.localhost:3000/x"),
            "http://127.0.0.1:3000/x"
        );
        assert_eq!(
            reachable("https://git.example.com"),
            "https://git.example.com"
        );
    }

    #[test]
    fn the_repository_that_argo_cd_knows_derives_from_the_forge() {
        let settings = settings(&[
            ("VDB_FORGE_URL", "http://gitea.localhost:3000/"),
            ("VDB_FORGE_OWNER", "acme"),
            ("VDB_FORGE_REPOSITORY", "databases"),
            ("VDB_FORGE_TOKEN_FILE", "/t"),
            (
                "VDB_ARGOCD_WEBHOOKS",
                "http://a/api/webhook,http://b/api/webhook",
            ),
            ("VDB_ARGOCD_WEBHOOK_SECRET_FILE", "/s"),
        ]);
        let push = settings.push.unwrap();
        assert_eq!(
            push.repo_url,
            "http://gitea.localhost:3000/acme/databases.git"
        );
        assert_eq!(
            push.endpoints,
            ["http://a/api/webhook", "http://b/api/webhook"]
        );
        assert_eq!(settings.forge.unwrap().branch, "main");
    }
}
