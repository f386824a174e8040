//! An App's tokens: bought for one repository, kept, renewed.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::routes::app::APP;
use super::standin::{Running, start};
use crate::forge::{Check, CheckState, Error};

/// The App with a new key, known to the small GitHub.
async fn app() -> Running {
    let running = start().await;
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(key.as_der().unwrap().as_ref())
    );
    std::fs::write(running.file("app.pem"), pem).unwrap();
    let mut world = running.standin.world();
    world.app_key = key.public_key().as_ref().to_vec();
    world.tokens.clear();
    drop(world);
    running
}

fn settings(running: &Running) -> serde_json::Value {
    json!({"app": {"appId": APP, "privateKeyFile": running.file("app.pem")}})
}

#[tokio::test]
async fn a_token_covers_one_repository_and_what_is_needed_and_is_bought_once() {
    let running = app().await;
    let forge = running.forge_with(&settings(&running));
    forge.base().await.unwrap();
    forge.base().await.unwrap();
    let world = running.standin.world();
    let expected = json!({
        "repositories": ["databases"],
        "permissions": {"contents": "write", "pull_requests": "write", "checks": "write", "metadata": "read"},
    });
    assert_eq!(world.granted.len(), 1);
    assert_eq!(world.granted[0], expected);
}

#[tokio::test]
async fn an_installation_that_is_named_is_used_and_teams_need_one_right_more() {
    let running = app().await;
    let mut settings = settings(&running);
    settings["reviewers"] = json!(["acme/dba"]);
    settings["app"]["installationId"] = 99.into();
    let forge = running.forge_with(&settings);
    forge.check_reviewers(&forge.reviewers()).await.unwrap();
    assert_eq!(
        running.standin.world().granted[0]["permissions"]["members"],
        "read"
    );
    settings["app"]["installationId"] = 98.into();
    let error = running.forge_with(&settings).base().await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let running = app().await;
    let forge = running.forge_with(&settings(&running));
    forge.base().await.unwrap();
    running.standin.world().tokens.clear();
    forge.base().await.unwrap();
    assert_eq!(running.standin.world().granted.len(), 2);
}

#[tokio::test]
async fn all_missing_rights_are_named_at_once() {
    let running = app().await;
    running.standin.world().permissions = json!({"contents": "read", "metadata": "read"});
    let error = running
        .forge_with(&settings(&running))
        .base()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("lacks contents: write, pull_requests: write, checks: write;"),
        "{text}"
    );
}

#[tokio::test]
async fn a_wrong_key_is_told_without_showing_it() {
    let running = app().await;
    std::fs::write(running.file("app.pem"), "-----BEGIN NONSENSE-----").unwrap();
    let forge = running.forge_with(&settings(&running));
    let text = forge.base().await.unwrap_err().to_string();
    assert!(
        text.contains("app.privateKeyFile") && text.contains("no RSA private key"),
        "{text}"
    );
    assert!(!text.contains("NONSENSE"), "{text}");
    let other = app().await;
    std::fs::copy(other.file("app.pem"), running.file("app.pem")).unwrap();
    let error = forge.base().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(!error.to_string().contains("eyJ"), "{error}");
}

#[tokio::test]
async fn an_app_reports_one_check_run_and_changes_it() {
    let running = app().await;
    let sha = running.standin.world().branches["main"].clone();
    let forge = running.forge_with(&settings(&running));
    let mut check = Check {
        context: "vdb/validate".into(),
        state: CheckState::Pending,
        description: "is looked at".into(),
    };
    forge.status(&sha, &check).await.unwrap();
    check.state = CheckState::Failure;
    check.description = "memory: \"1GB\" is not allowed".into();
    forge.status(&sha, &check).await.unwrap();
    let calls = running.standin.calls();
    forge.status(&sha, &check).await.unwrap();
    assert_eq!(
        running.standin.calls() - calls,
        1,
        "the same is not written again"
    );
    let world = running.standin.world();
    assert_eq!(world.check_runs.len(), 1);
    let run = &world.check_runs[0];
    assert_eq!(
        (&run["status"], &run["conclusion"]),
        (&json!("completed"), &json!("failure"))
    );
    assert_eq!(run["output"]["title"], check.description);
    assert!(world.statuses.is_empty());
}
