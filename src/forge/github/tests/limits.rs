//! GitHub's limits and its own trouble, as its answers tell them.

use super::answers::{github, said};
use crate::forge::Error;

#[tokio::test]
async fn a_secondary_limit_is_told_with_its_time_and_then_nothing_is_sent() {
    let github = github().await;
    let body = r#"{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}"#;
    let limited = said(403, body).insert_header("retry-after", "120");
    github
        .answer_times("POST", "/issues/1/comments", limited, 1)
        .await;
    github
        .answer_times("GET", "/issues/1/comments", said(200, "[]"), 1)
        .await;
    let error = github
        .forge
        .upsert_comment(1, "<!-- m -->", "x")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Limited { wait, .. } if wait.as_secs() == 120),
        "{error}"
    );
    assert!(error.is_transient());
    assert!(
        error.to_string().contains("takes calls again in 120 s"),
        "{error}"
    );
    let error = github.forge.comment(1, "<!-- m -->").await.unwrap_err();
    assert!(
        matches!(&error, Error::Limited { wait, .. } if wait.as_secs() >= 115),
        "{error}"
    );
}

#[tokio::test]
async fn graphqls_limit_is_one_too() {
    let github = github().await;
    let body = r#"{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded for user ID 1."}]}"#;
    github
        .answer_times("POST", "/graphql", said(200, body), 1)
        .await;
    let error = github.forge.protection().await.unwrap_err();
    assert!(matches!(error, Error::Limited { .. }), "{error}");
}

#[tokio::test]
async fn reading_is_repeated_once_and_making_never() {
    let github = github().await;
    github
        .answer_times("GET", "/git/ref/heads/main", said(502, ""), 2)
        .await;
    github.forge.base().await.unwrap_err();
    github
        .answer_times("GET", "/issues/1/comments", said(200, "[]"), 1)
        .await;
    github
        .answer_times("POST", "/issues/1/comments", said(502, ""), 1)
        .await;
    let error = github
        .forge
        .upsert_comment(1, "<!-- m -->", "x")
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn githubs_own_trouble_passes() {
    let github = github().await;
    let body = r#"{"data":null,"errors":[{"message":"Something went wrong while executing your query."}]}"#;
    github.answer("POST", "/graphql", said(200, body)).await;
    let error = github.forge.protection().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}
