//! Argo CD's API: whether it answers, and whether the token may read the environments' Applications.

use super::Check;
use environment::EnvironmentName;
use environment::names::{GROUP, KIND, VERSION};

use crate::argocd::{Client, Error, Object};
use crate::env::settings::Settings;
use crate::web;

const ANSWERS: &str = "argo cd";
const TOKEN: &str = "argo cd token";
const RESOURCES: &str = "argo cd resources";
/// No environment can have this name; asking for it tells whether asking is allowed.
const NOBODY: &str = "vdb-doctor.asks";

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let Some(settings) = settings.argocd.clone() else {
        return vec![Check::skipped(
            ANSWERS,
            "VDB_ARGOCD_URL and VDB_ARGOCD_TOKEN_FILE",
        )];
    };
    let failed = |name, error: &Error| Check::problem(name, web::error_chain(error), remedy(error));
    let read_resources = settings.read_resources;
    let client = match Client::new(settings) {
        Ok(client) => client,
        Err(error) => return vec![failed(ANSWERS, &error)],
    };
    let answers = match client.version().await {
        Ok(version) => Check::ok(ANSWERS, version),
        Err(error) => return vec![failed(ANSWERS, &error)],
    };
    let token = match client.application(NOBODY).await {
        Ok(_) => Check::ok(TOKEN, "reads the project's applications"),
        Err(error) => failed(TOKEN, &error),
    };
    let mut checks = vec![answers, token];
    if read_resources {
        let found = resources(&client).await;
        checks.push(found.unwrap_or_else(|error| failed(RESOURCES, &error)));
    }
    checks
}

/// Whether a database can be read through Argo CD: that of the first environment that has one.
async fn resources(client: &Client) -> Result<Check, Error> {
    let applications = client.applications().await?;
    let first = applications.iter().find_map(|application| {
        let environment = EnvironmentName::parse(&application.metadata.name).ok()?;
        Some((environment, application.status.databases.first()?))
    });
    let Some((environment, name)) = first else {
        return Ok(Check::ok(RESOURCES, "no environment has a database yet"));
    };
    let object = Object {
        group: GROUP,
        version: VERSION,
        kind: KIND,
        namespace: &environment.namespace(),
        name,
    };
    let found = client.resource(environment.as_str(), object).await?;
    Ok(match found {
        Some(_) => Check::ok(RESOURCES, format!("reads {KIND} {name} of its cluster")),
        None => Check::warning(
            RESOURCES,
            format!("{KIND} {name} is not in the cluster of Application {environment}"),
            "look at the Application in Argo CD: it has not been synced, or is being removed",
        ),
    })
}

fn remedy(error: &Error) -> &'static str {
    match error {
        Error::Denied { .. } | Error::Http(web::Error::Token { .. }) => {
            "put a valid token into the file that VDB_ARGOCD_TOKEN_FILE names; its role needs applications, get on the project"
        }
        error => error.hint(),
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::{header, path, query_param};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::super::Outcome::{self, Ok, Problem, Warning};
    use super::*;

    async fn outcomes(server: Option<&MockServer>) -> Vec<(Outcome, String)> {
        looked(server, false).await
    }

    async fn looked(server: Option<&MockServer>, read_resources: bool) -> Vec<(Outcome, String)> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "right").unwrap();
        let settings = Settings::from(|name| match name {
            "VDB_ARGOCD_URL" => server.map(MockServer::uri),
            "VDB_ARGOCD_TOKEN_FILE" => Some(file.display().to_string()),
            "VDB_ARGOCD_READ_RESOURCES" => read_resources.then(|| "true".to_owned()),
            _ => None,
        });
        let checks = checks(&settings).await;
        checks
            .into_iter()
            .map(|check| (check.outcome, check.detail + &check.remedy))
            .collect()
    }

    #[tokio::test]
    async fn a_refused_token_is_told_apart_from_a_server_that_is_down() {
        assert_eq!(outcomes(None).await[0].0, Warning);
        let server = MockServer::start().await;
        Mock::given(path("/api/version"))
            .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"Version":"v3.2.0+x"}"#))
            .mount(&server)
            .await;
        let found = outcomes(Some(&server)).await;
        assert_eq!((found[0].0, found[0].1.as_str()), (Ok, "v3.2.0+x"));
        // The right token for an Application that does not exist.
        Mock::given(path(format!("/api/v1/applications/{NOBODY}")))
            .and(header("authorization", "Bearer right"))
            .and(query_param("project", "postgres-vdb-platform"))
            .respond_with(ResponseTemplate::new(404))
            .mount(&server)
            .await;
        assert_eq!(outcomes(Some(&server)).await[1].0, Ok);
        server.reset().await;
        Mock::given(path("/api/version"))
            .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
            .mount(&server)
            .await;
        let refused = r#"{"message":"invalid session: right"}"#;
        Mock::given(path(format!("/api/v1/applications/{NOBODY}")))
            .respond_with(ResponseTemplate::new(401).set_body_string(refused))
            .mount(&server)
            .await;
        let found = outcomes(Some(&server)).await;
        assert_eq!(found[1].0, Problem);
        assert!(found[1].1.contains("valid token") && !found[1].1.contains("right"));
        server.reset().await;
        let found = outcomes(Some(&server)).await;
        assert_eq!((found.len(), found[0].0), (1, Problem));
    }

    #[tokio::test]
    async fn reading_databases_through_argo_cd_is_tried_where_it_is_switched_on() {
        let server = MockServer::start().await;
        let answer = |at: String, status: u16, body: &str| {
            Mock::given(path(at))
                .respond_with(ResponseTemplate::new(status).set_body_string(body))
                .mount(&server)
        };
        answer("/api/version".into(), 200, "{}").await;
        answer(format!("/api/v1/applications/{NOBODY}"), 404, "").await;
        let list = r#"{"items":[{"metadata":{"name":"feat-1"},"status":{"resources":[
            {"group":"core.delphix.com","kind":"PostgresVDB","name":"feat-1-vdb"}]}}]}"#;
        answer("/api/v1/applications".into(), 200, list).await;
        let of = "/api/v1/applications/feat-1/resource";
        let object = include_str!("../argocd/fixtures/resource-3.5.json");
        assert_eq!(looked(Some(&server), false).await.len(), 2);
        for (status, body, outcome) in [
            (200, object, Ok),
            (
                400,
                include_str!("../argocd/fixtures/not-seen-3.2.json"),
                Warning,
            ),
            (
                403,
                include_str!("../argocd/fixtures/no-rights.json"),
                Problem,
            ),
        ] {
            let one = Mock::given(path(of))
                .respond_with(ResponseTemplate::new(status).set_body_string(body))
                .mount_as_scoped(&server)
                .await;
            let found = looked(Some(&server), true).await;
            assert_eq!((found.len(), found[2].0), (3, outcome), "{found:?}");
            drop(one);
        }
    }
}
