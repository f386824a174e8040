use wiremock::matchers::{bearer_token, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

mod tls;

pub(super) fn client(server: &MockServer, directory: &tempfile::TempDir) -> Client {
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

#[tokio::test]
async fn a_missing_application_is_403_without_its_project_and_404_with_it() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let not_found =
        serde_json::json!({"error": "applications.argoproj.io \"feat-1\" not found", "code": 5});
    Mock::given(path("/api/v1/applications/feat-1"))
        .and(query_param("project", "postgres-vdb-platform"))
        .respond_with(ResponseTemplate::new(404).set_body_json(not_found))
        .with_priority(1)
        .expect(1)
        .mount(&server)
        .await;
    let denied = serde_json::json!({"error": "permission denied", "code": 7});
    Mock::given(path("/api/v1/applications/feat-1"))
        .respond_with(ResponseTemplate::new(403).set_body_json(denied))
        .with_priority(2)
        .expect(0)
        .mount(&server)
        .await;
    let found = client(&server, &directory).application("feat-1").await;
    assert!(found.unwrap().is_none());
}

fn named(name: &str) -> serde_json::Value {
    serde_json::json!({"metadata": {"name": name}, "status": {"operationState": {"syncResult": {"resources": [
        {"kind": "Namespace", "status": "Synced"}, {"kind": "PostgresVDB", "status": "SyncFailed", "message": "no"}]}}}})
}

#[tokio::test]
async fn a_list_is_of_the_project_and_keeps_only_results_that_tell_something() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    let list = serde_json::json!({"metadata": {"resourceVersion": "9"}, "items": [named("a"), {"metadata": 7}, named("b")]});
    Mock::given(path("/api/v1/applications"))
        .and(query_param("projects", "postgres-vdb-platform"))
        .respond_with(ResponseTemplate::new(200).set_body_json(list))
        .mount(&server)
        .await;
    let found = client(&server, &directory).applications().await.unwrap();
    let names: Vec<&str> = found.iter().map(|a| a.metadata.name.as_str()).collect();
    assert_eq!(names, ["a", "b"], "an odd one hides nothing");
    let operation = found[0].status.operation_state.as_ref().unwrap();
    let resources = &operation.sync_result.as_ref().unwrap().resources;
    assert_eq!(
        (resources.len(), resources[0].kind.as_str()),
        (1, "PostgresVDB")
    );
}

#[tokio::test]
async fn an_empty_project_has_no_items() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    Mock::given(path("/api/v1/applications"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"metadata":{},"items":null}"#))
        .mount(&server)
        .await;
    let found = client(&server, &directory).applications().await.unwrap();
    assert!(found.is_empty());
}

async fn events(body: String) -> Vec<Result<Event, Error>> {
    use futures::StreamExt as _;
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    Mock::given(path("/api/v1/stream/applications"))
        .and(query_param("projects", "postgres-vdb-platform"))
        .respond_with(ResponseTemplate::new(200).set_body_string(body))
        .mount(&server)
        .await;
    let stream = client(&server, &directory).stream().await.unwrap();
    stream.collect().await
}

#[rstest::rstest]
#[case::server_sent_events("data: ", " \n\n")]
#[case::lines_of_json("", "\n")]
#[tokio::test]
async fn a_stream_says_what_is_and_what_is_gone(#[case] before: &str, #[case] after: &str) {
    let line = |kind: &str, name: &str| {
        let object = serde_json::json!({"result": {"type": kind, "application": named(name)}});
        format!("{before}{object}{after}")
    };
    let body = line("ADDED", "a") + &line("MODIFIED", "b") + &line("DELETED", "a");
    let events: Vec<Event> = events(body).await.into_iter().map(Result::unwrap).collect();
    assert!(matches!(&events[0], Event::Is(a) if a.metadata.name == "a"));
    assert!(matches!(&events[1], Event::Is(b) if b.metadata.name == "b"));
    assert_eq!(events[2], Event::Gone("a".into()));
}

#[tokio::test]
async fn a_sign_of_life_and_an_error_within_the_stream_are_told_apart() {
    assert_eq!(events(":\n".into()).await.remove(0).unwrap(), Event::Alive);
    let error = r#"{"error":{"grpc_code":7,"http_code":403,"message":"permission denied"}}"#;
    let error = events(error.into()).await.remove(0).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[tokio::test]
async fn a_token_that_may_not_read_the_application_set_is_no_trouble() {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    Mock::given(path("/api/v1/applicationsets/postgres-vdb-platform"))
        .respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    let set = client(&server, &directory).application_set().await;
    assert_eq!(set.unwrap(), None);
}
