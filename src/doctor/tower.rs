//! Data Control Tower: whether it answers and takes the key.

use dct::{Class, Client, ClientSettings};

use super::Check;
use crate::env::settings::Settings;
use crate::web;

const ANSWERS: &str = "data control tower";

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let Some(tower) = &settings.tower else {
        return vec![Check::skipped(
            ANSWERS,
            "VDB_DCT_URL and VDB_DCT_API_KEY_FILE",
        )];
    };
    let client = ClientSettings::new(tower.url.clone(), tower.key_file.clone(), "vdb-doctor");
    let info = match Client::new(client) {
        Ok(client) => client.product_info().await,
        Err(error) => Err(error),
    };
    vec![match info {
        Ok(info) => {
            let parts = [info.product_name, info.product_version];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            Check::ok(ANSWERS, format!("{} takes the key", parts.join(" ")))
        }
        Err(error) => Check::problem(ANSWERS, web::error_chain(&error), remedy(error.class())),
    }]
}

fn remedy(class: Class) -> &'static str {
    match class {
        Class::Unauthorized => {
            "put a valid API key into the file, and into Secret vdb-dct, key api-key"
        }
        Class::Forbidden => {
            "give the key's account access to the sources and the group of the VDBs"
        }
        Class::Unreachable => "check that it is up and dct.url is right",
        Class::Unavailable => "wait until it works again, or look into its log",
        Class::NotFound | Class::Rejected | Class::Malformed => {
            "check that the address is Data Control Tower's, without /dct/v3"
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use wiremock::matchers::{header, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::super::Outcome;
    use super::*;

    #[rstest]
    #[case(
        200,
        r#"{"product_name":"DCT","product_version":"2025.3"}"#,
        Outcome::Ok,
        "DCT 2025.3 takes the key"
    )]
    #[case(401, "{}", Outcome::Problem, "valid API key")]
    #[case(503, "", Outcome::Problem, "wait until")]
    #[case(404, "", Outcome::Problem, "without /dct/v3")]
    #[tokio::test]
    async fn each_answer_has_its_remedy(
        #[case] status: u16,
        #[case] body: &str,
        #[case] outcome: Outcome,
        #[case] says: &str,
    ) {
        let server = MockServer::start().await;
        Mock::given(path("/dct/v3/reporting/product_info"))
            .and(header("authorization", "apk 1.key"))
            .respond_with(ResponseTemplate::new(status).set_body_raw(body, "application/json"))
            .mount(&server)
            .await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        std::fs::write(&file, "1.key").unwrap();
        let settings = Settings::from(|name| match name {
            "VDB_DCT_URL" => Some(server.uri()),
            "VDB_DCT_API_KEY_FILE" => Some(file.display().to_string()),
            _ => None,
        });
        let check = checks(&settings).await.remove(0);
        assert_eq!(check.outcome, outcome, "{check:?}");
        let text = format!("{}{}", check.detail, check.remedy);
        assert!(text.contains(says) && !text.contains("1.key"), "{text}");
    }
}
