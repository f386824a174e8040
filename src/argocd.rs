//! Argo CD's view of one environment: its Application, read through the API server of Argo CD.
//!
//! `project=` is always sent: without it the server answers 403 where an Application does not exist.

use std::path::PathBuf;

use serde::Deserialize;

use crate::web;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// Address of argocd-server.
    pub url: String,
    pub token_file: PathBuf,
    pub project: String,
    #[serde(default = "namespace")]
    pub namespace: String,
    /// Where push events go: `/api/webhook` of argocd-server and of the ApplicationSet controller.
    #[serde(default)]
    pub webhooks: Vec<String>,
    #[serde(default)]
    pub webhook_secret_file: Option<PathBuf>,
    /// The ApplicationSet's repoURL, letter by letter.
    pub repo_url: String,
}

fn namespace() -> String {
    "argocd".into()
}

#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: Settings,
}

impl Client {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            http: web::client()?,
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
        let token = web::token(&self.settings.token_file).await?;
        let url = format!(
            "{}/api/v1/applications/{}",
            self.settings.url.trim_end_matches('/'),
            web::segment(name)
        );
        let query = [
            ("project", self.settings.project.as_str()),
            ("appNamespace", &self.settings.namespace),
        ];
        let request = self.http.get(url).query(&query).bearer_auth(&token);
        let answer = web::send(&self.http, "argo cd", request).await?;
        match answer.status {
            200 => Ok(Some(answer.json()?)),
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

/// An Application, as far as readiness needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Application {
    pub metadata: Metadata,
    pub status: Status,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    pub creation_timestamp: Option<String>,
    pub deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    pub sync: Sync,
    pub health: Health,
    pub operation_state: Option<OperationState>,
    pub conditions: Vec<Condition>,
    pub reconciled_at: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sync {
    /// Synced, OutOfSync or Unknown.
    pub status: String,
    pub revision: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Health {
    pub status: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OperationState {
    /// Running, Succeeded, Failed, Error or Terminating.
    pub phase: String,
    pub message: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub sync_result: Option<SyncResult>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SyncResult {
    pub revision: String,
    pub resources: Vec<ResourceResult>,
}

/// What became of one object in a sync; refusals of the API server stand here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ResourceResult {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// Synced, SyncFailed, Pruned or PruneSkipped.
    pub status: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{bearer_token, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn client(server: &MockServer, directory: &tempfile::TempDir) -> Client {
        let token_file = directory.path().join("token");
        std::fs::write(&token_file, "secret-token\n").unwrap();
        let settings = serde_json::json!({
            "url": server.uri(), "tokenFile": token_file, "project": "postgres-vdb-platform", "repoUrl": "http://x/y.git"
        });
        Client::new(serde_json::from_value(settings).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn an_application_is_asked_for_within_its_project() {
        let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
        let body = serde_json::json!({
            "metadata": {"name": "feat-1", "creationTimestamp": "2026-11-23T10:00:00Z"},
            "spec": {"project": "postgres-vdb-platform"},
            "status": {
                "sync": {"status": "Synced", "revision": "abc"}, "health": {"status": "Progressing"},
                "operationState": {"phase": "Succeeded", "syncResult": {"revision": "abc", "resources": [{"kind": "PostgresVDB", "status": "Synced"}]}}
            }
        });
        Mock::given(path("/api/v1/applications/feat-1"))
            .and(query_param("project", "postgres-vdb-platform"))
            .and(bearer_token("secret-token"))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
        let application = client(&server, &directory)
            .application("feat-1")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(application.status.sync.revision, "abc");
        assert_eq!(
            application
                .status
                .operation_state
                .unwrap()
                .sync_result
                .unwrap()
                .resources[0]
                .kind,
            "PostgresVDB"
        );
        assert!(
            client(&server, &directory)
                .application("feat-2")
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_refused_token_is_said_and_never_shown() {
        let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
        let answer = ResponseTemplate::new(403)
            .set_body_json(serde_json::json!({"error": "permission denied: secret-token"}));
        Mock::given(path("/api/v1/applications/feat-1"))
            .respond_with(answer)
            .mount(&server)
            .await;
        let error = client(&server, &directory)
            .application("feat-1")
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "argo cd refuses the token (403): permission denied: …"
        );
        assert!(error.hint().contains("vdb-argocd"));
    }
}
