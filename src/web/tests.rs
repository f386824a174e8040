use super::*;

#[test]
fn foreign_text_becomes_one_short_line() {
    assert_eq!(one_line(" a\r\n\tb\u{1b}[1m c ", 80), "a b [1m c");
    assert_eq!(one_line("abcdef", 4), "abc…");
}

#[test]
fn a_segment_cannot_leave_its_place() {
    assert_eq!(segment("a/../b?c#d"), "a%2F..%2Fb%3Fc%23d");
    assert_eq!(path("environments/ä b"), "environments/%C3%A4%20b");
}

/// Its key was thrown away.
pub(crate) const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----
MIIBkjCCATmgAwIBAgIURxLrBR0i1FkLmrwjg4RAbIYMK8gwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTQXV0aG9yaXR5IG9mIGEgdGVzdDAgFw0yNjExMjUxNjUwMTla
GA8yMTI2MTEwMTE2NTAxOVowHjEcMBoGA1UEAwwTQXV0aG9yaXR5IG9mIGEgdGVz
dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJxmBWySQys+TsjzGmG8lEqF9mPg
gkKHa5uOlZRgNdyBh0ylAIeedpq/rszEHOS7TANDygCCYFOAuC1TOmnKTM+jUzBR
MB0GA1UdDgQWBBQBhMUuZedp7qR4eKXz+GelmgJ/jjAfBgNVHSMEGDAWgBQBhMUu
Zedp7qR4eKXz+GelmgJ/jjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cA
MEQCIC7GbgTWnPA0lPchvrw18wzW5TsJsiCjTp6QakF2kyOnAiByJ9m/grRZxesr
f3FkaRhzMwJAp8Tq7sxVwO6i39vnbw==
-----END CERTIFICATE-----
";

#[test]
fn authorities_are_read_and_a_file_without_any_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let said = || client_with(Some(&file)).map_err(|e| error_chain(&e));
    let missing = said().unwrap_err();
    assert!(
        missing.contains("ca.pem") && missing.contains("No such file"),
        "{missing}"
    );
    std::fs::write(&file, AUTHORITY.repeat(2)).unwrap();
    said().unwrap();
    std::fs::write(&file, "nothing").unwrap();
    let empty = said().unwrap_err();
    assert!(empty.contains("no certificate in PEM"), "{empty}");
}

#[test]
fn a_refusal_that_repeats_a_secret_loses_it_before_it_is_cut() {
    let secret = "s".repeat(400);
    let mut answer = Answer {
        server: String::new(),
        call: String::new(),
        status: 401,
        headers: http::HeaderMap::new(),
        body: format!(r#"{{"message":"bad {secret}"}}"#).into_bytes(),
    };
    answer.hide(&secret);
    assert_eq!(answer.said(), "bad …");
}

#[test]
fn a_refusal_says_what_the_server_said() {
    let said = |body: &str| {
        Answer {
            server: String::new(),
            call: String::new(),
            status: 400,
            headers: http::HeaderMap::new(),
            body: body.into(),
        }
        .said()
    };
    assert_eq!(
        said(r#"{"message":"branch is\nprotected"}"#),
        "branch is protected"
    );
    assert_eq!(said(r#"{"error":{"message":"no"}}"#), "no");
    assert_eq!(said("<html>502</html>"), "");
    assert_eq!(said("plain"), "plain");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (first, second) = (
        wiremock::MockServer::start().await,
        wiremock::MockServer::start().await,
    );
    let elsewhere = wiremock::ResponseTemplate::new(302)
        .insert_header("location", format!("{}/secret", second.uri()));
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(elsewhere)
        .mount(&first)
        .await;
    for http in [client().unwrap(), endless_client_with(None).unwrap()] {
        let request = http.get(first.uri()).bearer_auth("token");
        let answer = send(&http, "the forge", request).await.unwrap();
        assert_eq!(answer.status, 302);
    }
    assert!(second.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_metadata_address_is_refused_before_anything_is_sent() {
    let http = client().unwrap();
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/x",
        "http://0xa9fea9fe/",
        "http://2852039166/",
    ] {
        let error = send(&http, "the portal", http.get(url)).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{url}: {error}");
    }
}
