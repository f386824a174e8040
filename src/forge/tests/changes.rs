//! What changed at the forge: pull requests by their last change, files between two commits, and a head that is asked for
//! again and again.

use wiremock::matchers::{header, query_param};

use super::*;

#[tokio::test]
async fn a_comparison_says_which_files_differ() {
    let gitea = gitea().await;
    let answer = serde_json::json!({"total_commits": 2, "commits": [
        {"sha": "b", "files": [{"filename": "environments/a/values.yaml", "status": "added"}]},
        {"sha": "m", "files": null},
    ]});
    Mock::given(path("/api/v1/repos/acme/databases/compare/old...new"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&gitea.server)
        .await;
    let files = gitea.forge.changed_between("old", "new").await.unwrap();
    assert_eq!(files.unwrap(), ["environments/a/values.yaml"]);
}

#[tokio::test]
async fn a_comparison_without_files_says_that_it_does_not_know() {
    let gitea = gitea().await;
    let answer = serde_json::json!({"total_commits": 1, "commits": [{"sha": "b"}]});
    Mock::given(path("/api/v1/repos/acme/databases/compare/old...new"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&gitea.server)
        .await;
    let files = gitea.forge.changed_between("old", "new").await.unwrap();
    assert_eq!(files, None);
}

#[tokio::test]
async fn the_pull_requests_that_changed_last_are_one_call() {
    let gitea = gitea().await;
    Mock::given(path("/api/v1/repos/acme/databases/pulls"))
        .and(query_param("state", "all"))
        .and(query_param("sort", "recentupdate"))
        .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!([])))
        .expect(1)
        .mount(&gitea.server)
        .await;
    assert!(gitea.forge.changed_pulls().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_head_is_read_conditionally_where_the_forge_sends_an_etag() {
    let gitea = gitea().await;
    let at = "/api/v1/repos/acme/databases/branches/main";
    Mock::given(path(at))
        .and(header("if-none-match", "W/\"1\""))
        .respond_with(ResponseTemplate::new(304))
        .with_priority(1)
        .expect(1)
        .mount(&gitea.server)
        .await;
    let whole = ResponseTemplate::new(200)
        .insert_header("etag", "W/\"1\"")
        .set_body_json(serde_json::json!({"commit": {"id": "abc"}}));
    Mock::given(path(at))
        .respond_with(whole)
        .with_priority(2)
        .expect(1)
        .mount(&gitea.server)
        .await;
    for _ in 0..2 {
        assert_eq!(gitea.forge.base().await.unwrap(), "abc");
    }
}
