use std::time::{Duration, Instant};

use axum::body::Body as Content;
use http::{Method, Request};
use rstest::rstest;

use super::*;
use crate::serve::fakes::Stage;
use crate::serve::router;
use crate::serve::tests::{Answer, order, send};

const GUEST: Option<&str> = Some("user:default/guest");

impl Stage {
    async fn post_as(
        &self,
        user: Option<&str>,
        path: &str,
        key: Option<&str>,
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/vdb{path}"))
            .body(Content::from(body.to_owned()))
            .unwrap();
        *request.headers_mut() = self.issuer.call(user);
        if let Some(key) = key {
            request.headers_mut().insert(KEY, key.parse().unwrap());
        }
        send(router::api(self.app.clone()), request).await
    }

    async fn ask(&self, key: &str, body: &Value) -> Answer {
        self.post_as(GUEST, "/v1/requests", Some(key), &body.to_string())
            .await
    }

    async fn ordered(&self, key: &str) -> Answer {
        self.ask(key, &creation(&json!({}))).await
    }
}

fn creation(change: &Value) -> Value {
    let mut order = order(change);
    order.as_object_mut().unwrap().shift_remove("requestId");
    json!({"operation": "create", "order": order})
}

fn positions(answer: &Answer) -> Vec<u64> {
    let events = answer.body["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn an_order_is_asked_for_once_and_answers_what_the_action_answers() {
    let stage = Stage::set().await;
    let made = stage.ordered("task-1:publish:abc").await;
    assert_eq!(
        (made.status, &made.body["state"]),
        (201, &json!("PROPOSED"))
    );
    let again = stage.ordered("task-1:publish:abc").await;
    assert_eq!((again.status, &again.body), (201, &made.body));
    assert_eq!(stage.forge.pulls().len(), 1);
    // The key is kept where every replica finds it, and both ways in give the same answer.
    assert!(stage.forge.pulls()[0].body.contains("task-1:publish:abc"));
    let action = stage
        .invoke(
            "publish",
            order(&json!({"requestId": "task-1:publish:abc"})),
        )
        .await;
    assert_eq!(action.body["output"], made.body);
    assert_eq!(stage.forge.pulls().len(), 1);
    stage.forge.merge(1);
    let merged = stage.ordered("task-1:publish:abc").await;
    assert_eq!(
        (merged.status, &merged.body["state"]),
        (200, &json!("MERGED"))
    );
}

#[tokio::test]
async fn a_retirement_is_asked_for_in_the_same_way() {
    let stage = Stage::set().await;
    stage.ordered("task-1").await;
    stage.forge.merge(1);
    let wanted = json!({"operation": "retire", "name": "feat-1", "reason": "done"});
    let made = stage.ask("task-2", &wanted).await;
    assert_eq!(
        (made.status, &made.body["state"]),
        (201, &json!("PROPOSED"))
    );
    assert_eq!(stage.ask("task-2", &wanted).await.body, made.body);
    let action = stage
        .invoke(
            "retire",
            json!({"name": "feat-1", "reason": "done", "requestId": "task-2"}),
        )
        .await;
    assert_eq!(action.body["output"], made.body);
    assert_eq!(stage.forge.pulls().len(), 2);
}

#[tokio::test]
async fn changes_are_asked_for_in_the_same_way() {
    for (operation, change) in [
        ("update", json!({"name": "feat-1", "memory": "1Gi"})),
        ("refresh", json!({"name": "feat-1", "reason": "stale"})),
        ("extend", json!({"name": "feat-1", "days": 3})),
    ] {
        let stage = Stage::set().await;
        stage.ordered("task-1").await;
        stage.forge.merge(1);
        let wanted = json!({"operation": operation, "change": change});
        let made = stage.ask("task-2", &wanted).await;
        assert_eq!(
            (made.status, &made.body["state"]),
            (201, &json!("PROPOSED")),
            "{operation}: {}",
            made.phrase
        );
        let id = made.body["requestId"].as_str().unwrap().to_owned();
        assert!(id.starts_with(&format!("feat-1.{operation}-")), "{id}");
        assert_eq!(stage.ask("task-2", &wanted).await.body, made.body);
        // The header is the key, whatever the change says.
        let mut keyed = change.clone();
        keyed["requestId"] = json!("task-2");
        let action = stage.invoke(operation, keyed).await;
        assert_eq!(action.body["output"], made.body);
        let path = format!("/v1/requests/{id}?wait=0&cursor=0");
        assert_eq!(positions(&stage.get(&path).await), [1]);
        stage.forge.merge(2);
        assert_eq!(positions(&stage.get(&path).await), [1, 3]);
        // The same call after the merge finds it done, and makes nothing.
        let merged = stage.ask("task-2", &wanted).await;
        assert_eq!(
            (merged.status, &merged.body["requestId"]),
            (200, &json!(id)),
            "{operation}: {}",
            merged.phrase
        );
        assert_eq!(stage.forge.pulls().len(), 2);
    }
}

#[rstest]
#[case::no_key(GUEST, None, creation(&json!({})), 400, "header Idempotency-Key is missing")]
#[case::empty_key(GUEST, Some(""), creation(&json!({})), 400, "header Idempotency-Key")]
#[case::strange_key(GUEST, Some("a b"), creation(&json!({})), 400, "a b")]
#[case::no_user(None, Some("k"), creation(&json!({})), 403, "signed-in user")]
#[case::stranger(Some("user:default/stranger"), Some("k"), creation(&json!({})), 403, "not a member of owner")]
#[case::wrong_order(GUEST, Some("k"), creation(&json!({"memory": "1GB"})), 400, "memory")]
#[case::no_order(GUEST, Some("k"), json!({"operation": "create", "order": "x"}), 400, "object")]
#[case::unknown_field(GUEST, Some("k"), json!({"operation": "retire", "name": "feat-1", "force": true}), 400, "force")]
#[case::unknown_operation(GUEST, Some("k"), json!({"operation": "drop", "name": "feat-1"}), 400, "unknown variant")]
#[case::update_without_user(None, Some("k"), json!({"operation": "update", "change": {"name": "feat-1", "cpu": "2"}}), 403, "signed-in user")]
#[case::nothing_to_change(GUEST, Some("k"), json!({"operation": "update", "change": {"name": "feat-1"}}), 400, "nothing to change")]
#[case::change_of_what_is_fixed(GUEST, Some("k"), json!({"operation": "update", "change": {"name": "feat-1", "source": "x"}}), 400, "order it again")]
#[case::change_that_is_none(GUEST, Some("k"), json!({"operation": "update", "change": "x"}), 400, "object")]
#[case::change_of_nothing(GUEST, Some("k"), json!({"operation": "update", "change": {"name": "feat-1", "cpu": "2"}}), 404, "there is no environment feat-1")]
#[case::bookmark(GUEST, Some("k"), json!({"operation": "bookmark", "name": "feat-1"}), 400, "unknown variant")]
#[case::retirement_without_user(None, Some("k"), json!({"operation": "retire", "name": "feat-1"}), 403, "signed-in user")]
#[case::nothing_to_retire(GUEST, Some("k"), json!({"operation": "retire", "name": "feat-1"}), 404, "there is no environment feat-1")]
#[tokio::test]
async fn each_wrong_request_is_refused_in_one_line_and_nothing_is_made(
    #[case] user: Option<&str>,
    #[case] key: Option<&str>,
    #[case] body: Value,
    #[case] status: u16,
    #[case] why: &str,
) {
    let stage = Stage::set().await;
    let answer = stage
        .post_as(user, "/v1/requests", key, &body.to_string())
        .await;
    assert_eq!(answer.status, status, "{}", answer.phrase);
    assert!(answer.phrase.contains(why), "{}", answer.phrase);
    assert!(answer.body["problems"].is_array());
    assert!(stage.forge.pulls().is_empty() && stage.forge.branches().is_empty());
}

#[tokio::test]
async fn a_closed_pull_request_is_not_opened_again_by_the_same_key() {
    let stage = Stage::set().await;
    stage.ordered("task-1").await;
    stage.forge.close(1);
    assert_eq!(stage.ordered("task-1").await.status, 409);
    assert_eq!(stage.ordered("task-2").await.status, 201);
    assert_eq!(stage.forge.pulls().len(), 2);
}

#[tokio::test]
async fn who_follows_a_request_gets_each_event_once() {
    let stage = Stage::set().await;
    let id = stage.ordered("k").await.body["requestId"].clone();
    let path = format!("/v1/requests/{}", id.as_str().unwrap());
    let first = stage.get(&format!("{path}?wait=0&cursor=0")).await;
    assert_eq!(
        (positions(&first), &first.body["cursor"]),
        (vec![1], &json!(1))
    );
    assert_eq!(first.body["state"], "PROPOSED");
    stage.forge.merge(1);
    let merged = stage.get(&format!("{path}?wait=25s&cursor=1")).await;
    assert_eq!(
        (positions(&merged), &merged.body["cursor"]),
        (vec![3], &json!(3))
    );
    stage.live(id.as_str().unwrap(), "True");
    let ready = stage.get(&format!("{path}?wait=25&cursor=3")).await;
    assert_eq!(positions(&ready), [5, 91]);
    assert_eq!(
        (&ready.body["state"], &ready.body["endpoint"]["secret"]),
        (&json!("READY"), &json!("feat-1-vdb-credentials"))
    );
    // At the end there is nothing to wait for; who asks anew is told all of it.
    let again = stage.get(&format!("{path}?wait=25s&cursor=91")).await;
    assert_eq!(
        (positions(&again), &again.body["cursor"]),
        (vec![], &json!(91))
    );
    assert_eq!(positions(&stage.get(&path).await), [1, 3, 5, 91]);
}

#[tokio::test]
async fn the_answer_is_held_back_until_there_is_news() {
    let stage = Stage::set().await;
    let id = stage.ordered("k").await.body["requestId"].clone();
    let path = format!("/v1/requests/{}", id.as_str().unwrap());
    let since = Instant::now();
    let nothing = stage.get(&format!("{path}?wait=1s&cursor=1")).await;
    assert!(since.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (positions(&nothing), &nothing.body["cursor"]),
        (vec![], &json!(1))
    );
    let url = format!("{path}?wait=20s&cursor=1");
    let since = Instant::now();
    let (news, ()) = tokio::join!(stage.get(&url), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stage.forge.merge(1);
        stage.app.wake().await;
    });
    assert_eq!(positions(&news), [3]);
    assert!(since.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_trouble_without_an_event_ends_the_wait_too() {
    let stage = Stage::set().await;
    let id = stage.ordered("k").await.body["requestId"].clone();
    stage.forge.merge(1);
    let url = format!("/v1/requests/{}?wait=20s&cursor=3", id.as_str().unwrap());
    let (news, ()) = tokio::join!(stage.get(&url), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let refuses = &stage.argocd.refuses;
        refuses.store(true, std::sync::atomic::Ordering::SeqCst);
        stage.app.wake().await;
    });
    assert_eq!(
        (positions(&news), &news.body["state"]),
        (vec![], &json!("BLOCKED"))
    );
}

#[rstest]
#[case("wait=soon", "wait \"soon\"")]
#[case("wait=-1", "wait \"-1\"")]
#[case("cursor=x", "cursor \"x\"")]
#[tokio::test]
async fn a_wait_that_cannot_be_read_is_refused(#[case] query: &str, #[case] why: &str) {
    let stage = Stage::set().await;
    let answer = stage
        .get(&format!("/v1/requests/feat-1.create-0123456789?{query}"))
        .await;
    assert_eq!(answer.status, 400);
    assert!(answer.phrase.contains(why), "{}", answer.phrase);
}

#[tokio::test]
async fn a_dry_run_finds_all_problems_and_makes_nothing() {
    let stage = Stage::set().await;
    let body = |change: Value| json!({"order": order(&change)}).to_string();
    let wrong = body(json!({"memory": "1GB", "name": "UP"}));
    let answer = stage.post_as(GUEST, "/v1/validate", None, &wrong).await;
    assert_eq!((answer.status, &answer.body["ok"]), (200, &json!(false)));
    assert_eq!(answer.body["problems"].as_array().unwrap().len(), 2);
    let right = body(json!({}));
    let answer = stage.post_as(GUEST, "/v1/validate", None, &right).await;
    assert_eq!((answer.status, &answer.body["ok"]), (200, &json!(true)));
    let answer = stage.post_as(GUEST, "/v1/render", None, &right).await;
    let values = answer.body["values"].as_str().unwrap();
    assert!(values.contains("10.0.1.54:largedb"));
    assert_eq!(
        stage
            .post_as(GUEST, "/v1/render", None, &wrong)
            .await
            .status,
        400
    );
    assert!(stage.forge.pulls().is_empty());
}

#[tokio::test]
async fn a_signed_in_user_orders_nothing_here() {
    let stage = Stage::set().await;
    for path in ["/v1/requests", "/v1/validate", "/v1/render"] {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/vdb{path}"))
            .body(Content::from("{}"))
            .unwrap();
        *request.headers_mut() = stage.issuer.browser("user:default/guest");
        let answer = send(router::api(stage.app.clone()), request).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.phrase.contains("only plugins"), "{}", answer.phrase);
    }
}

#[test]
fn the_description_of_an_input_is_its_own_schema() {
    use environment::schema;
    let document = serde_json::to_value(crate::serve::openapi::document()).unwrap();
    for (name, mut own) in [
        ("Order", schema::order()),
        ("Update", schema::update()),
        ("Refresh", schema::refresh()),
        ("Extend", schema::extend()),
    ] {
        own.as_object_mut().unwrap().shift_remove("$schema");
        assert_eq!(document["components"]["schemas"][name], own);
    }
}

#[tokio::test]
async fn an_order_that_is_too_large_is_refused_like_any_other() {
    let stage = Stage::set().await;
    let large = creation(&json!({"initSql": "x".repeat(300 << 10)})).to_string();
    for path in ["/v1/requests", "/v1/validate", "/v1/render"] {
        let answer = stage.post_as(GUEST, path, Some("large"), &large).await;
        let said = answer.body["error"]["message"].as_str().unwrap_or_default();
        assert!(
            answer.status == 413 && said.contains("shorten"),
            "{path}: {} {said}",
            answer.status
        );
    }
    assert!(stage.forge.pulls().is_empty());
}
