//! Writing with a person's own token: which calls carry it, and what is said where it lacks something.

use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::json;

use super::answers::{github, said};
use super::standin::{Running, USER_TOKEN, start};
use super::{BRANCH, is_whole, wanted};
use crate::forge::tests::{draft, put};
use crate::forge::{Draft, Error, UserToken};

fn as_user(draft: &Draft) -> Draft {
    Draft {
        as_user: Some(UserToken::parse(USER_TOKEN).unwrap()),
        ..draft.clone()
    }
}

/// The calls that carried a token, without the repository's address.
fn calls(running: &Running, token: &str) -> Vec<String> {
    let world = running.standin.world();
    let of_token = world.seen.iter().filter(|(_, _, used)| used == token);
    of_token
        .map(|(method, path, _)| {
            let path = path.replace("/api/v3/repos/acme/databases", "");
            format!("{method} {path}")
        })
        .collect()
}

#[tokio::test]
async fn commit_and_pull_request_are_the_persons_and_all_else_is_the_platforms() {
    let running = start().await;
    let mut draft = as_user(&wanted(&running));
    // Nobody may review what is one's own.
    draft.reviewers.push("ursula".into());
    let pull = running.forge().propose(&draft).await.unwrap();
    assert_eq!(pull.author, "ursula");
    is_whole(&running, &draft, &pull);
    let theirs = calls(&running, USER_TOKEN);
    assert_eq!(
        theirs,
        ["POST /git/refs", "POST /api/graphql", "POST /pulls"]
    );
    let ours = calls(&running, "secret-token");
    for call in [
        "GET /pulls",
        "POST /issues/1/labels",
        "POST /pulls/1/requested_reviewers",
    ] {
        assert!(ours.iter().any(|made| made == call), "{call}: {ours:?}");
    }
    assert_eq!(ours.len() + theirs.len(), running.standin.calls());
}

#[tokio::test]
async fn what_was_begun_with_a_token_is_finished_without_it_and_the_other_way_round() {
    let whole = start().await;
    let draft = as_user(&wanted(&whole));
    whole.forge().propose(&draft).await.unwrap();
    for n in 1..=whole.standin.calls() {
        for first_as_user in [true, false] {
            let running = start().await;
            running.standin.lose_answer_of.store(n, Ordering::SeqCst);
            let plain = wanted(&running);
            let theirs = as_user(&plain);
            let (first, second) = if first_as_user {
                (&theirs, &plain)
            } else {
                (&plain, &theirs)
            };
            let _cut_off = running.forge().propose(first).await;
            let pull = running.forge().propose(second).await.unwrap();
            is_whole(&running, &plain, &pull);
        }
    }
}

#[rstest]
#[case::ended(401, "x-none", "", "it has ended or was revoked")]
#[case::no_scope(
    404,
    "x-oauth-scopes",
    "read:user, gist",
    "lacks the scope repo; it has read:user, gist"
)]
#[case::no_scope_at_all(403, "x-oauth-scopes", "", "lacks the scope repo; it has none")]
#[case::no_right(403, "x-oauth-scopes", "repo", "may not write to acme/databases")]
#[case::no_permission(
    403,
    "x-accepted-github-permissions",
    "contents=write",
    "lacks contents=write on acme/databases"
)]
#[case::no_access(404, "x-none", "", "may not write to acme/databases")]
#[tokio::test]
async fn what_a_token_lacks_is_named_and_the_token_is_not(
    #[case] status: u16,
    #[case] header: &str,
    #[case] value: &str,
    #[case] says: &str,
) {
    let github = github().await;
    let reference = "/git/ref/heads/vdb/feat-1.create-0123456789";
    github.answer("GET", reference, said(404, "{}")).await;
    let body = json!({"message": format!("no, {USER_TOKEN}")}).to_string();
    let refused = said(status, &body).insert_header(header, value);
    github.answer("POST", "/git/refs", refused).await;
    let draft = as_user(&draft("9fccf387", BRANCH, vec![put("a", "b")]));
    let error = github.forge.propose(&draft).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, Error::UserToken { .. }), "{text}");
    assert!(text.contains(says), "{text}");
    assert!(!text.contains("swordfish"), "{text}");
    assert!(!error.is_transient() && error.hint().contains("userToken"));
}

#[tokio::test]
async fn what_graphql_refuses_a_person_is_the_persons_matter() {
    let github = github().await;
    let reference = "/git/ref/heads/vdb/feat-1.create-0123456789";
    let bare = said(200, r#"{"object":{"sha":"9fccf387"}}"#);
    github.answer("GET", reference, bare).await;
    let body = r#"{"data":null,"errors":[{"type":"INSUFFICIENT_SCOPES","message":"Your token has not been granted the required scopes: ['repo']."}]}"#;
    github.answer("POST", "/graphql", said(200, body)).await;
    let draft = as_user(&draft("9fccf387", BRANCH, vec![put("a", "b")]));
    let error = github.forge.commit(&draft).await.unwrap_err();
    assert!(matches!(error, Error::UserToken { .. }), "{error}");
    assert!(
        error.to_string().contains("required scopes: ['repo']"),
        "{error}"
    );
}

#[tokio::test]
async fn a_persons_limit_does_not_stop_the_platform() {
    let github = github().await;
    let reference = "/git/ref/heads/vdb/feat-1.create-0123456789";
    github.answer("GET", reference, said(404, "{}")).await;
    let limited =
        said(403, r#"{"message":"API rate limit exceeded"}"#).insert_header("retry-after", "120");
    github.answer("POST", "/git/refs", limited).await;
    let draft = as_user(&draft("9fccf387", BRANCH, vec![put("a", "b")]));
    let error = github.forge.commit(&draft).await.unwrap_err();
    assert!(matches!(error, Error::Limited { .. }), "{error}");
    assert_eq!(github.forge.branch(BRANCH).await.unwrap(), None);
}
