//! Deliveries of the forge: signed, bounded, each handled once.
//!
//! The forge gives up after some seconds, so it is answered at once and the work is done afterwards.

mod merge_group;

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use crate::push_event::{PushEvent, mac};
use crate::serve::app::App;
use crate::serve::background::catalog;
use crate::serve::error::ApiError;
use crate::web;

/// A repeated delivery comes within minutes; this many are remembered for that long and forgotten at a restart, where
/// handling one twice does no harm.
const REMEMBERED: usize = 512;

static SEEN: LazyLock<Mutex<VecDeque<String>>> = LazyLock::new(Mutex::default);

/// A push, in the shape that Gitea, Forgejo and GitHub share.
#[derive(Debug, Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: String,
    /// The commit that the branch points at now.
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    commits: Option<Vec<Commit>>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    #[serde(default)]
    added: Option<Vec<String>>,
    #[serde(default)]
    modified: Option<Vec<String>>,
    #[serde(default)]
    removed: Option<Vec<String>>,
}

/// What the headers of a delivery say.
struct Delivery<'a> {
    id: &'a str,
    event: &'a str,
    /// Hexadecimal.
    signature: &'a str,
}

pub(crate) async fn gitea(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let delivery = Delivery {
        id: text(&headers, "x-gitea-delivery"),
        event: text(&headers, "x-gitea-event"),
        signature: text(&headers, "x-gitea-signature"),
    };
    take(app, &delivery, &body).await
}

pub(crate) async fn github(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let delivery = Delivery {
        id: text(&headers, "x-github-delivery"),
        event: text(&headers, "x-github-event"),
        signature: text(&headers, "x-hub-signature-256")
            .strip_prefix("sha256=")
            .unwrap_or_default(),
    };
    take(app, &delivery, &body).await
}

async fn take(app: Arc<App>, delivery: &Delivery<'_>, body: &[u8]) -> Result<StatusCode, ApiError> {
    let result = accept(&app, delivery, body).await;
    app.metrics.delivery(match &result {
        Ok(true) => "accepted",
        Ok(false) => "repeated",
        Err(_) => "refused",
    });
    // A ping only asks whether somebody is there who knows the secret.
    if !result? || delivery.event == "ping" {
        return Ok(StatusCode::OK);
    }
    app.wake().await;
    match delivery.event {
        "push" => {
            let push: Push = read(delivery.event, body)?;
            tokio::spawn(async move { pushed(&app, push).await });
        }
        "merge_group" => {
            let event: merge_group::Event = read(delivery.event, body)?;
            tokio::spawn(merge_group::judge(app, event));
        }
        _ => {}
    }
    Ok(StatusCode::ACCEPTED)
}

fn read<T: DeserializeOwned>(event: &str, body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::input(format!(
            "the {event} event cannot be read: {error}; set the webhook's content type to application/json"
        ))
    })
}

/// Whether the delivery is genuine and new.
async fn accept(app: &App, delivery: &Delivery<'_>, body: &[u8]) -> Result<bool, ApiError> {
    let file = app
        .settings
        .forge
        .webhook_secret_file
        .as_ref()
        .ok_or_else(|| ApiError::unavailable("forge.webhookSecretFile is not set"))?;
    let secret = web::token(file)
        .await
        .map_err(|error| ApiError::unavailable(web::error_chain(&error)))?;
    let signature = hex::decode(delivery.signature)
        .map_err(|_| ApiError::unauthenticated("the delivery has no signature"))?;
    let expected = mac(secret.as_bytes(), body);
    if !bool::from(expected.as_slice().ct_eq(&signature)) {
        return Err(ApiError::unauthenticated(
            "the delivery's signature is wrong; the webhook and the sidecar must share a secret",
        ));
    }
    Ok(is_new(delivery.id))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn is_new(delivery: &str) -> bool {
    if delivery.is_empty() {
        return true;
    }
    let mut seen = SEEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if seen.iter().any(|id| id == delivery) {
        return false;
    }
    if seen.len() == REMEMBERED {
        seen.pop_front();
    }
    seen.push_back(delivery.to_owned());
    true
}

async fn pushed(app: &App, push: Push) {
    if push.reference != format!("refs/heads/{}", app.settings.forge.branch) {
        return;
    }
    let head = push.after.clone();
    let argocd = &app.settings.argocd;
    let event = event(&argocd.repo_url, &app.settings.forge.branch, push);
    let paths: Vec<String> = [&event.added, &event.modified, &event.removed]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    if tell_argo_cd(app, &event).await {
        *app.told_head.lock().await = head;
    }
    catalog::follow(app, &paths).await;
}

/// What Argo CD is told of a delivery's body; None unless it is a push of this branch.
pub fn received(body: &[u8], repo_url: &str, branch: &str) -> Option<PushEvent> {
    let push: Push = serde_json::from_slice(body).ok()?;
    (push.reference == format!("refs/heads/{branch}")).then(|| event(repo_url, branch, push))
}

fn event(repo_url: &str, branch: &str, push: Push) -> PushEvent {
    let mut event = PushEvent {
        repo_url: repo_url.to_owned(),
        branch: branch.to_owned(),
        ..PushEvent::default()
    };
    for commit in push.commits.unwrap_or_default() {
        event.added.extend(commit.added.unwrap_or_default());
        event.modified.extend(commit.modified.unwrap_or_default());
        event.removed.extend(commit.removed.unwrap_or_default());
    }
    for list in [&mut event.added, &mut event.modified, &mut event.removed] {
        list.sort();
        list.dedup();
    }
    event
}

/// Whether Argo CD knows of the push now. It polls anyway: that an event is lost costs minutes, not the order.
pub(crate) async fn tell_argo_cd(app: &App, event: &PushEvent) -> bool {
    let Some(file) = &app.settings.argocd.webhook_secret_file else {
        return true;
    };
    let secret = match web::token(file).await {
        Ok(secret) => secret,
        Err(error) => {
            tracing::error!(
                error = web::error_chain(&error),
                "cannot sign push events for Argo CD"
            );
            return false;
        }
    };
    let errors = event
        .send(&app.to_argocd, &app.settings.argocd.webhooks, &secret)
        .await;
    for error in &errors {
        tracing::warn!(
            error = web::error_chain(error),
            "Argo CD did not take the push event; it is told again"
        );
    }
    errors.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_delivery_is_known() {
        assert!(is_new("2f1c"));
        assert!(!is_new("2f1c"));
        assert!(is_new(""), "without an id each one is new");
    }
}
