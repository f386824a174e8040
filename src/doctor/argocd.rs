//! Argo CD's API: whether it answers, and whether the token may read the environments' Applications.

use super::Check;
use crate::argocd::{Client, Error};
use crate::env::settings::Settings;
use crate::web;

const ANSWERS: &str = "argo cd";
const TOKEN: &str = "argo cd token";
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
    vec![answers, token]
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
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "right").unwrap();
        let settings = Settings::from(|name| match name {
            "VDB_ARGOCD_URL" => server.map(MockServer::uri),
            "VDB_ARGOCD_TOKEN_FILE" => Some(file.display().to_string()),
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
}
