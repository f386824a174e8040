//! The push event that tells Argo CD at once what changed on the base branch, so that nobody waits for its poll.
//!
//! It has GitHub's shape whatever the forge is: argocd-server and the ApplicationSet controller both parse it.
//! `before` and `after` are left out, because with them Argo CD would carry cached manifests over to the new commit.

use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;

use crate::web;

/// What changed on the base branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushEvent {
    /// The ApplicationSet's repoURL, letter by letter; a trailing `.git` is taken off here.
    pub repo_url: String,
    pub branch: String,
    pub added: Vec<String>,
    pub modified: Vec<String>,
    pub removed: Vec<String>,
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "ref")]
    reference: String,
    repository: Repository<'a>,
    commits: [Commit<'a>; 1],
}

#[derive(Serialize)]
struct Repository<'a> {
    html_url: &'a str,
    default_branch: &'a str,
}

#[derive(Serialize)]
struct Commit<'a> {
    added: &'a [String],
    modified: &'a [String],
    removed: &'a [String],
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Http(#[from] web::Error),
    #[error("argo cd answered {status} to the push event at {endpoint}: {message}")]
    Refused {
        endpoint: String,
        status: u16,
        message: String,
    },
}

impl PushEvent {
    /// The event as it is sent and signed.
    pub fn body(&self) -> Vec<u8> {
        let payload = Payload {
            reference: format!("refs/heads/{}", self.branch),
            repository: Repository {
                html_url: self.repo_url.strip_suffix(".git").unwrap_or(&self.repo_url),
                default_branch: &self.branch,
            },
            commits: [Commit {
                added: &self.added,
                modified: &self.modified,
                removed: &self.removed,
            }],
        };
        serde_json::to_vec(&payload).expect("plain structs with text keys")
    }

    /// Sends the event to every endpoint; one that fails does not keep it from the others.
    pub async fn send(
        &self,
        http: &reqwest::Client,
        endpoints: &[String],
        secret: &str,
    ) -> Vec<Error> {
        let body = self.body();
        let signature = signature(secret.as_bytes(), &body);
        let sends = endpoints
            .iter()
            .map(|endpoint| deliver(http, endpoint, body.clone(), &signature));
        futures::future::join_all(sends)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect()
    }
}

async fn deliver(
    http: &reqwest::Client,
    endpoint: &str,
    body: Vec<u8>,
    signature: &str,
) -> Result<(), Error> {
    let request = http
        .post(endpoint)
        // Argo CD answers 400 to any other content type.
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-hub-signature-256", signature)
        .body(body);
    let answer = web::send(http, "argo cd", request).await?;
    if answer.is_success() {
        return Ok(());
    }
    Err(Error::Refused {
        endpoint: endpoint.to_owned(),
        status: answer.status,
        message: answer.said(),
    })
}

/// `sha256=<hex>`, as GitHub signs.
pub fn signature(secret: &[u8], body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(secret, body)))
}

/// HMAC-SHA256.
pub(crate) fn mac(secret: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{header, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn event() -> PushEvent {
        PushEvent {
            repo_url: "http://gitea.localhost:3000/acme/databases.git".into(),
            branch: "main".into(),
            added: vec!["environments/feat-1/values.yaml".into()],
            ..PushEvent::default()
        }
    }

    #[test]
    fn the_event_is_small_and_has_neither_before_nor_after() {
        let expected = concat!(
            r#"{"ref":"refs/heads/main","repository":{"html_url":"http://gitea.localhost:3000/acme/databases","#,
            r#""default_branch":"main"},"commits":[{"added":["environments/feat-1/values.yaml"],"modified":[],"removed":[]}]}"#
        );
        assert_eq!(String::from_utf8(event().body()).unwrap(), expected);
    }

    #[test]
    fn the_signature_is_githubs() {
        // The example of GitHub's documentation on validating webhook deliveries.
        let secret = b"It's a Secret to Everybody";
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature(secret, b"Hello, World!"), expected);
    }

    #[tokio::test]
    async fn an_endpoint_that_refuses_does_not_keep_the_event_from_the_others() {
        let server = MockServer::start().await;
        let signed = signature(b"secret", &event().body());
        Mock::given(method("POST"))
            .and(path("/good"))
            .and(header("x-github-event", "push"))
            .and(header("x-hub-signature-256", signed.as_str()))
            .and(header("content-type", "application/json"))
            .respond_with(ResponseTemplate::new(200))
            .expect(1)
            .mount(&server)
            .await;
        Mock::given(path("/bad"))
            .respond_with(ResponseTemplate::new(400).set_body_string("bad"))
            .mount(&server)
            .await;
        let endpoints = [
            format!("{}/bad", server.uri()),
            format!("{}/good", server.uri()),
        ];
        let errors = event()
            .send(&web::client().unwrap(), &endpoints, "secret")
            .await;
        assert_eq!(errors.len(), 1);
        assert!(
            errors[0].to_string().contains("answered 400"),
            "{}",
            errors[0]
        );
    }
}
