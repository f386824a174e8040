//! Argo CD's view of one environment: its Application, read through the API server of Argo CD.
//!
//! `project=` is always sent: without it the server answers 403 where an Application does not exist.

mod objects;
mod resource;
mod stream;
mod types;

use std::path::PathBuf;

use serde::Deserialize;

use crate::web::{self, Answer};
pub use resource::Object;
pub use stream::{Event, Events};
pub use types::{Application, ApplicationSet, OperationState};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Address of argocd-server.
    pub url: String,
    pub token_file: PathBuf,
    /// Certificate authorities beyond the system's, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    pub project: String,
    #[serde(default = "namespace")]
    pub namespace: String,
    /// The ApplicationSet that makes the environments' Applications.
    #[serde(default = "application_set")]
    pub application_set: String,
    /// Where push events go: `/api/webhook` of argocd-server and of the ApplicationSet controller.
    #[serde(default)]
    pub webhooks: Vec<String>,
    #[serde(default)]
    pub webhook_secret_file: Option<PathBuf>,
    /// The ApplicationSet's repoURL, letter by letter.
    pub repo_url: String,
    /// Databases are read through Argo CD: the environments run in another cluster than the sidecar.
    #[serde(default)]
    pub read_resources: bool,
}

fn namespace() -> String {
    "argocd".into()
}

fn application_set() -> String {
    "postgres-vdb-platform".into()
}

#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// Without a limit on the whole answer: a stream has none.
    endless: reqwest::Client,
    settings: Settings,
}

impl Client {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            http: web::client_with(settings.ca_file.as_deref())?,
            endless: web::endless_client_with(settings.ca_file.as_deref())?,
            settings,
        })
    }

    /// Argo CD's version, which it tells everybody.
    pub async fn version(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "Version", default)]
            version: String,
        }
        let url = format!("{}/api/version", self.settings.url.trim_end_matches('/'));
        let answer = web::send(&self.http, "argo cd", self.http.get(url)).await?;
        if !answer.is_success() {
            return Err(Error::Refused {
                status: answer.status,
                call: answer.call.clone(),
                message: answer.said(),
            });
        }
        Ok(web::one_line(&answer.json::<Version>()?.version, 60))
    }

    /// `None`: there is no such Application in the project (yet, or any more).
    pub async fn application(&self, name: &str) -> Result<Option<Application>, Error> {
        let path = format!("applications/{}", web::segment(name));
        let query = [
            ("project", self.settings.project.as_str()),
            ("appNamespace", &self.settings.namespace),
        ];
        let Some(answer) = self.get(&path, &query).await? else {
            return Ok(None);
        };
        Ok(Some(answer.json()?))
    }

    /// What the ApplicationSet says about itself. `None`: there is none of this name, or the token may not read it.
    pub async fn application_set(&self) -> Result<Option<ApplicationSet>, Error> {
        let path = format!(
            "applicationsets/{}",
            web::segment(&self.settings.application_set)
        );
        let query = [("appsetNamespace", self.settings.namespace.as_str())];
        match self.get(&path, &query).await {
            Ok(answer) => Ok(answer.map(|answer| answer.json()).transpose()?),
            // A role of an older installation lacks this right; what the set says is a help, not a need.
            Err(Error::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<Answer>, Error> {
        let token = web::token(&self.settings.token_file).await?;
        let request = self.http.get(self.url(path)).query(query);
        let answer = web::send(&self.http, "argo cd", request.bearer_auth(&token)).await?;
        match answer.status {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            401 | 403 => Err(Error::Denied {
                status: answer.status,
                message: answer.said().replace(&token, "…"),
            }),
            status => Err(Error::Refused {
                status,
                call: answer.call.clone(),
                message: answer.said(),
            }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.settings.url.trim_end_matches('/'))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Http(#[from] web::Error),
    #[error("argo cd refuses the token ({status}): {message}")]
    Denied { status: u16, message: String },
    #[error("argo cd answered {status} to {call}: {message}")]
    Refused {
        status: u16,
        call: String,
        message: String,
    },
}

impl Error {
    /// What somebody has to change, or that waiting helps.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Http(web::Error::Token { .. }) => {
                "put a valid token into Secret vdb-argocd, key token"
            }
            Self::Http(web::Error::Authorities { .. }) => {
                "put certificates in PEM into the file that argocd.caFile names, or remove argocd.caFile"
            }
            Self::Http(_) => {
                "check that argocd-server is up and argocd.url is right; the order itself is safe in Git"
            }
            Self::Denied { .. } => {
                "renew the token in Secret vdb-argocd; its role needs applications, get on the project"
            }
            Self::Refused { .. } => {
                "look into the log of argocd-server; the order itself is safe in Git"
            }
        }
    }
}

#[cfg(test)]
mod tests;
