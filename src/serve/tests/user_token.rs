//! A person's own token for the forge: it gets there, and nowhere else.

use crate::forge::PullState;
use crate::serve::fakes::Log;
use crate::serve::review;

use super::*;

const TOKEN: &str = "gho_swordfish";

impl Stage {
    async fn ask_with(&self, key: &str, body: Value) -> Answer {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/api/vdb/v1/requests")
            .body(Body::from(body.to_string()))
            .unwrap();
        *request.headers_mut() = self.issuer.call(Some("user:default/guest"));
        let key = key.parse().unwrap();
        request.headers_mut().insert("Idempotency-Key", key);
        send(router::api(self.app.clone()), request).await
    }

    fn written_as(&self) -> Vec<Option<String>> {
        std::mem::take(&mut *self.forge.written_as.lock().unwrap())
    }

    /// Everything that is kept of an order, and everything that anybody can read of it.
    async fn kept(&self) -> String {
        let mut kept = vec![
            format!("{:?} {:?}", self.forge.pulls(), self.forge.base_files()),
            self.get("/v1/environments").await.body.to_string(),
            format!("{:?}", self.portal.told.lock().unwrap()),
            self.app.metrics.text(),
        ];
        for pull in self.forge.pulls() {
            let id = pull.branch.trim_start_matches("vdb/");
            kept.push(format!("{:?}", self.forge.branch_files(&pull.branch)));
            let request = self.get(&format!("/v1/requests/{id}")).await;
            kept.push(request.body.to_string());
            for marker in ["review", "progress", "audit"] {
                let marker = format!("<!-- postgres-vdb-platform: {marker} -->");
                kept.extend(self.forge.comment_of(pull.number, &marker));
            }
        }
        kept.join(" ")
    }
}

/// The steps of a life, each of which opens a pull request with the token; what was answered.
async fn life(stage: &Stage, token: Option<&str>) -> Vec<Answer> {
    let with = |mut input: Value| {
        input["userToken"] = json!(token);
        input
    };
    let mut answers = Vec::new();
    let mut input = order(&json!({}));
    answers.push(stage.invoke("publish", with(input.clone())).await);
    // The other way in, for the same order.
    input.as_object_mut().unwrap().shift_remove("requestId");
    let wanted = with(json!({"operation": "create", "order": input}));
    answers.push(stage.ask_with("task-1", wanted).await);
    stage.forge.merge(1);
    stage.app.wake().await;
    let day_two = [
        (
            "update",
            json!({"name": "feat-1", "memory": "1Gi", "requestId": "task-2"}),
        ),
        ("refresh", json!({"name": "feat-1", "requestId": "task-3"})),
        (
            "extend",
            json!({"name": "feat-1", "days": 3, "requestId": "task-4"}),
        ),
    ];
    for (number, (action, input)) in (2..).zip(day_two) {
        answers.push(stage.invoke(action, with(input)).await);
        stage.forge.merge(number);
        stage.app.wake().await;
    }
    let wanted = with(json!({"operation": "retire", "name": "feat-1", "reason": "done"}));
    answers.push(stage.ask_with("task-5", wanted).await);
    review::sweep(&stage.app).await;
    answers
}

#[tokio::test]
async fn a_token_is_used_for_what_is_written_and_found_nowhere() {
    let (log, _logging) = Log::everything();
    let (with, without) = (Stage::set().await, Stage::set().await);
    let answers = life(&with, Some(TOKEN)).await;
    let plain = life(&without, None).await;
    for (answer, plain) in answers.iter().zip(&plain) {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.phrase);
        // No part of a request's name comes from the token.
        let id = |answer: &Answer| {
            let output = answer.body.get("output").unwrap_or(&answer.body);
            output["requestId"].clone()
        };
        assert!(id(answer).is_string() && id(answer) == id(plain));
    }
    // Five pull requests, each with one commit.
    assert_eq!(with.written_as(), vec![Some(TOKEN.to_owned()); 10]);
    assert_eq!(without.written_as(), vec![None; 10]);
    let log = log.text();
    let audit = |field: &str| log.lines().filter(|line| line.contains(field)).count();
    assert_eq!(
        audit(
            r#""event":"proposed","by":"user:default/guest","as":"user","author":"guest-at-forge""#
        ),
        5,
        "{log}"
    );
    assert_eq!(audit(r#""as":"platform","author":"vdb-bot""#), 5);
    let bodies: String = answers
        .iter()
        .map(|answer| answer.body.to_string())
        .collect();
    for text in [log, with.kept().await, bodies] {
        assert!(text.len() > 1000 && !text.contains("swordfish"), "{text}");
    }
}

#[tokio::test]
async fn a_token_that_lacks_rights_is_one_refusal_that_says_what_it_lacks() {
    let (log, _logging) = Log::everything();
    let stage = Stage::set().await;
    let weak = order(&json!({"userToken": "weak_swordfish"}));
    let refused = stage.invoke("publish", weak).await;
    assert_eq!(refused.status, 403, "{}", refused.phrase);
    assert!(
        refused
            .phrase
            .starts_with("userToken: it lacks the scope repo; it has read:user"),
        "{}",
        refused.phrase
    );
    assert_eq!(refused.body["problems"][0]["field"], "userToken");
    assert!(!format!("{}{}", refused.body, log.text()).contains("swordfish"));
    assert!(stage.forge.pulls().is_empty() && stage.forge.branches().is_empty());
    // The same call with a better one goes on.
    let good = order(&json!({"userToken": TOKEN}));
    assert_eq!(stage.invoke("publish", good).await.status, 200);
    assert_eq!(stage.forge.pulls()[0].state, PullState::Open);
}

#[rstest]
#[case::two_words("publish", json!("gho swordfish"), 400, "characters that no token has")]
#[case::a_number("publish", json!(5), 400, "it is no text")]
#[case::an_object("retire", json!({"swordfish": "swordfish"}), 400, "it is no text")]
#[case::where_nothing_is_written("validate", json!("swordfish"), 400, "opens no pull request")]
#[case::render("render", json!("swordfish"), 400, "opens no pull request")]
#[case::left_empty("publish", json!(""), 200, "")]
#[case::left_out("validate", Value::Null, 200, "")]
#[tokio::test]
async fn what_is_no_token_is_told_without_it(
    #[case] action: &str,
    #[case] token: Value,
    #[case] status: u16,
    #[case] says: &str,
) {
    let (log, _logging) = Log::everything();
    let stage = Stage::set().await;
    let answer = stage
        .invoke(action, order(&json!({"userToken": token})))
        .await;
    assert_eq!(answer.status, status, "{}", answer.phrase);
    assert!(answer.phrase.contains(says), "{}", answer.phrase);
    assert!(!format!("{}{}", answer.body, log.text()).contains("swordfish"));
}

#[tokio::test]
async fn every_action_that_opens_a_pull_request_offers_the_field_and_no_other() {
    let stage = Stage::set().await;
    let listed = stage.get("/.backstage/actions/v1/actions").await.body;
    let with: Vec<&str> = listed["actions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|action| {
            action["schema"]["input"]["properties"]["userToken"]["format"] == "password"
        })
        .map(|action| action["name"].as_str().unwrap())
        .collect();
    assert_eq!(with, ["publish", "retire", "update", "refresh", "extend"]);
}
