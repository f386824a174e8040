//! Writing with a person's own token, at Gitea.

use wiremock::matchers::header;

use super::*;

const TOKEN: &str = "token swordfish-of-ursula";

fn theirs() -> Draft {
    Draft {
        as_user: Some(UserToken::parse("swordfish-of-ursula").unwrap()),
        reviewers: vec!["ursula".into()],
        ..draft("538c360b", "vdb/x", vec![put("a.yaml", "a: 1\n")])
    }
}

#[tokio::test]
async fn commit_and_pull_request_are_the_persons_and_all_else_is_the_platforms() {
    let gitea = gitea().await;
    let made = |verb: &str, at: &str, token: &str, status: u16, body: &str| {
        Mock::given(method(verb))
            .and(path(format!("/api/v1/repos/acme/databases{at}")))
            .and(header("authorization", token))
            .respond_with(
                ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json"),
            )
            .expect(1)
    };
    let ours = "token secret-token";
    let pull = r#"{"number":1,"state":"open","user":{"login":"ursula"},"head":{"label":"vdb/x","sha":"0465b148"},"base":{"ref":"main"}}"#;
    for mock in [
        made("GET", "/branches/vdb/x", ours, 404, NOT_FOUND),
        made("GET", "/contents/a.yaml", ours, 404, NOT_FOUND),
        made("POST", "/contents", TOKEN, 201, "{}"),
        made("GET", "/pulls/main/vdb/x", ours, 404, NOT_FOUND),
        made("POST", "/pulls", TOKEN, 201, pull),
        made("GET", "/labels", ours, 200, r#"[{"id":7,"name":"vdb"}]"#),
        made("POST", "/issues/1/labels", ours, 200, "[]"),
    ] {
        mock.mount(&gitea.server).await;
    }
    let people = r#"[{"login":"ursula"}]"#;
    gitea.answers("GET", "/reviewers", 200, people).await;
    let bot = ResponseTemplate::new(200).set_body_json(serde_json::json!({"login": "vdb-bot"}));
    Mock::given(path("/api/v1/user"))
        .and(header("authorization", ours))
        .respond_with(bot)
        .mount(&gitea.server)
        .await;
    // Nobody is asked to review what is one's own: such a call would be answered 404 here.
    let made = gitea.forge.propose(&theirs()).await.unwrap();
    assert_eq!(made.author, "ursula");
}

#[rstest::rstest]
#[case::ended(401, "swordfish-of-ursula is invalid", "has ended or was revoked")]
#[case::scope(
    403,
    "token does not have at least one of required scope(s), required=[write:repository], token scope=read:user",
    "required=[write:repository]"
)]
#[case::right(
    403,
    "user should have a permission to write to the target branch",
    "permission to write"
)]
#[case::hidden(404, "not found", "does not reach acme/databases")]
#[tokio::test]
async fn what_a_token_lacks_is_named_and_the_token_is_not(
    #[case] status: u16,
    #[case] message: &str,
    #[case] says: &str,
) {
    let gitea = gitea().await;
    gitea
        .answers("GET", "/contents/a.yaml", 404, NOT_FOUND)
        .await;
    let body = serde_json::json!({"message": message}).to_string();
    gitea.answers("POST", "/contents", status, &body).await;
    let error = gitea.forge.commit(&theirs()).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(matches!(error, Error::UserToken { .. }), "{text}");
    assert!(text.contains(says) && !text.contains("swordfish"), "{text}");
    assert!(!error.is_transient() && error.hint().contains("userToken"));
}
