//! The adapter's REST calls against `emulate`, an independent GitHub API with real Git objects. It has no GraphQL: the one
//! mutation is turned into its REST calls here. It knows neither collaborators by name nor commit statuses, so those are
//! left out. `.ci/emulate` starts it and runs these.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};

use crate::forge::tests::{draft, put};
use crate::forge::{Change, Check, CheckState, Forge, PullState, connect};

const REPOSITORY: &str = "repos/acme/databases";

async fn mutation(emulate: &str, body: &Value) -> Value {
    let input = &body["variables"]["input"];
    let additions = input["fileChanges"]["additions"].as_array().unwrap();
    let mut oid = Value::Null;
    for addition in additions {
        let path = addition["path"].as_str().unwrap();
        let change = json!({
            "message": input["message"]["headline"], "content": addition["contents"], "branch": input["branch"]["branchName"]
        });
        let answer: Value = reqwest::Client::new()
            .put(format!("{emulate}/{REPOSITORY}/contents/{path}"))
            .bearer_auth("ghp_bot")
            .json(&change)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        oid = answer["commit"]["sha"].clone();
    }
    assert!(oid.is_string(), "emulate made no commit");
    json!({"data": {"createCommitOnBranch": {"commit": {"oid": oid}}}})
}

/// Answers GraphQL's mutation with REST.
async fn graphql(emulate: String) -> String {
    let router = Router::new().route(
        "/graphql",
        post(async move |Json(body): Json<Value>| Json(mutation(&emulate, &body).await)),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/graphql")
}

async fn forge(emulate: &str, credentials: Value) -> Arc<dyn Forge> {
    let mut settings = json!({
        "kind": "github", "url": "https://github.com", "apiUrl": emulate, "graphqlUrl": graphql(emulate.to_owned()).await,
        "owner": "acme", "repository": "databases",
    });
    for (key, value) in credentials.as_object().unwrap() {
        settings[key] = value.clone();
    }
    connect(serde_json::from_value(settings).unwrap()).unwrap()
}

#[tokio::test]
#[ignore = "needs a running emulate: .ci/emulate"]
async fn emulate_agrees() {
    let emulate = std::env::var("VDB_TEST_EMULATE").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "ghp_bot").unwrap();
    let forge = forge(&emulate, json!({"tokenFile": token})).await;
    let base = forge.base().await.unwrap();
    let salt = jiff::Timestamp::now().as_millisecond();
    let branch = format!("vdb/suite-{salt}.create-0123456789");
    let file = format!("environments/suite-{salt}/values.yaml");
    assert_eq!(forge.branch(&branch).await.unwrap(), None);
    assert_eq!(forge.find(&branch).await.unwrap(), None);
    assert_eq!(forge.read(&base, &file).await.unwrap(), None);

    let mut wanted = draft(&base, &branch, vec![put(&file, "a: ä\n")]);
    wanted.changes.push(Change::Delete {
        path: "nothing.md".into(),
    });
    wanted.labels.push("vdb/create".into());
    let made = forge.propose(&wanted).await.unwrap();
    assert_eq!(
        (made.state, made.branch.as_str(), made.merge_sha.as_deref()),
        (PullState::Open, branch.as_str(), None)
    );
    let again = forge.propose(&wanted).await.unwrap();
    assert_eq!(
        (again.number, &again.head_sha),
        (made.number, &made.head_sha)
    );
    assert_eq!(
        forge.branch(&branch).await.unwrap().as_ref(),
        Some(&made.head_sha)
    );
    let read = forge.read(&made.head_sha, &file).await.unwrap();
    assert_eq!(read.as_deref(), Some("a: ä\n"));
    let entries = forge.list(&made.head_sha, "environments").await.unwrap();
    assert!(entries[0].is_directory, "{entries:?}");
    assert!(forge.contains(&made.head_sha, &base).await.unwrap());
    assert!(!forge.contains(&base, &made.head_sha).await.unwrap());
    assert_eq!(
        forge.pull(made.number).await.unwrap().unwrap().body,
        "Please."
    );
    assert_eq!(forge.pull(999_999).await.unwrap(), None);
    let open = forge.open_pulls().await.unwrap();
    assert!(open.iter().any(|pull| pull.number == made.number));

    for text in ["one", "two"] {
        forge
            .upsert_comment(made.number, "<!-- m -->", text)
            .await
            .unwrap();
        let comment = forge.comment(made.number, "<!-- m -->").await.unwrap();
        assert!(comment.unwrap().contains(text));
    }
    let error = forge
        .check_reviewers(&["nobody-of-this-name".into()])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");

    let files = forge.changed_between(&base, &made.head_sha).await.unwrap();
    assert_eq!(files, Some(vec![file]));
    let changed = forge.changed_pulls().await.unwrap();
    assert!(changed.iter().any(|pull| pull.number == made.number));
    let closed = forge.close(made.number, "Withdrawn.").await.unwrap();
    assert_eq!(
        (closed.state, closed.body.as_str()),
        (PullState::Closed, "Withdrawn.")
    );
    for _ in 0..2 {
        forge.delete_branch(&branch).await.unwrap();
        assert_eq!(forge.branch(&branch).await.unwrap(), None);
    }
    let finished = forge.finished_pulls(1).await.unwrap();
    assert!(finished.iter().any(|pull| pull.number == made.number));
}

#[tokio::test]
#[ignore = "needs a running emulate: .ci/emulate"]
async fn emulate_takes_the_apps_statement() {
    let emulate = std::env::var("VDB_TEST_EMULATE").unwrap();
    let key = std::env::var("VDB_TEST_EMULATE_KEY").unwrap();
    let app = json!({"app": {"appId": 4711, "privateKeyFile": key}});
    let forge = forge(&emulate, app).await;
    let base = forge.base().await.unwrap();
    for state in [CheckState::Pending, CheckState::Failure] {
        let check = Check {
            context: "vdb/validate".into(),
            state,
            description: "is looked at".into(),
        };
        forge.status(&base, &check).await.unwrap();
    }
}
