use rstest::rstest;
use wiremock::matchers::{path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const DATABASE: Object<'_> = Object {
    group: "core.delphix.com",
    version: "v1alpha1",
    kind: "PostgresVDB",
    namespace: "postgres-vdbs-feat-1",
    name: "feat-1-vdb",
};

/// What the client makes of an answer of Argo CD.
async fn asked(status: u16, body: &str) -> Result<Option<Value>, Error> {
    let (server, directory) = (MockServer::start().await, tempfile::tempdir().unwrap());
    Mock::given(path("/api/v1/applications/feat-1/resource"))
        .and(query_param("project", "postgres-vdb-platform"))
        .and(query_param("appNamespace", "argocd"))
        .and(query_param("resourceName", "feat-1-vdb"))
        .and(query_param("namespace", "postgres-vdbs-feat-1"))
        .and(query_param("group", "core.delphix.com"))
        .and(query_param("version", "v1alpha1"))
        .and(query_param("kind", "PostgresVDB"))
        .respond_with(ResponseTemplate::new(status).set_body_string(body))
        .mount(&server)
        .await;
    crate::argocd::tests::client(&server, &directory)
        .resource("feat-1", DATABASE)
        .await
}

#[rstest]
#[case(include_str!("../fixtures/resource-3.2.json"))]
#[case(include_str!("../fixtures/resource-3.5.json"))]
#[tokio::test]
async fn an_object_is_read_as_its_api_server_writes_it(#[case] body: &str) {
    let object = asked(200, body).await.unwrap().unwrap();
    assert_eq!(object["metadata"]["name"], "feat-1-vdb");
    assert_eq!(object["status"]["conditions"][0]["status"], "True");
}

#[rstest]
#[case(400, include_str!("../fixtures/not-seen-3.2.json"))]
#[case(400, include_str!("../fixtures/not-seen-3.5.json"))]
#[case(404, include_str!("../fixtures/gone.json"))]
#[tokio::test]
async fn an_object_that_is_not_there_is_no_error(#[case] status: u16, #[case] body: &str) {
    assert_eq!(asked(status, body).await.unwrap(), None);
}

#[tokio::test]
async fn a_missing_right_is_said() {
    let error = asked(403, include_str!("../fixtures/no-rights.json"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    assert!(error.hint().contains("applications, get"));
}

#[rstest]
#[case(400, r#"{"message":"another mistake"}"#)]
#[case(200, r#"{"manifest":"{"}"#)]
#[case(200, "{}")]
#[tokio::test]
async fn anything_else_is_an_error(#[case] status: u16, #[case] body: &str) {
    assert!(asked(status, body).await.is_err());
}
