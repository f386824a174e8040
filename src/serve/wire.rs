//! What the portal's backend really sends where no package of the platform is installed, replayed call by call.
//!
//! The recordings are made by `backstage/wire`, one for each supported line of Backstage.

use axum::body::Body;
use http::Request;
use rstest::rstest;
use serde_json::{Value, json};

use crate::serve::fakes::Stage;
use crate::serve::router;
use crate::serve::tests::{Answer, send};

const BACKSTAGE_1_55: &str = include_str!("wire/backstage-1.55.json");
const BACKSTAGE_1_57: &str = include_str!("wire/backstage-1.57.json");

impl Stage {
    async fn replay(&self, call: &Value) -> Answer {
        let text = |field: &str| call[field].as_str().unwrap();
        let mut request = Request::builder()
            .method(text("method"))
            .uri(text("path"))
            .header(
                "authorization",
                format!("Bearer {}", self.issuer.recorded(&call["token"])),
            );
        for (name, value) in call["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let body = call
            .get("body")
            .map_or_else(Body::empty, |body| Body::from(body.to_string()));
        send(router::api(self.app.clone()), request.body(body).unwrap()).await
    }
}

fn calls(recording: &str) -> Vec<Value> {
    let recording: Value = serde_json::from_str(recording).unwrap();
    recording["calls"].as_array().unwrap().clone()
}

fn call<'a>(calls: &'a [Value], name: &str) -> &'a Value {
    calls
        .iter()
        .find(|call| call["name"] == name)
        .unwrap_or_else(|| panic!("{name} was not recorded"))
}

#[rstest]
#[case::backstage_1_55(BACKSTAGE_1_55)]
#[case::backstage_1_57(BACKSTAGE_1_57)]
#[tokio::test]
async fn the_portal_lists_the_actions(#[case] recording: &str) {
    let stage = Stage::set().await;
    let answer = stage.replay(call(&calls(recording), "list")).await;
    assert_eq!(answer.status, 200, "{}", answer.phrase);
    // The fields without which the portal's backend drops an action or cannot invoke it.
    for action in answer.body["actions"].as_array().unwrap() {
        let name = action["name"].as_str().unwrap();
        assert_eq!(action["id"], format!("vdb:{name}"));
        assert_eq!(action["pluginId"], "vdb");
        for attribute in ["readOnly", "destructive", "idempotent"] {
            assert!(action["attributes"][attribute].is_boolean(), "{name}");
        }
        assert_eq!(action["schema"]["input"]["type"], "object");
        assert_eq!(action["schema"]["output"]["type"], "object");
    }
}

#[rstest]
#[case::backstage_1_55(BACKSTAGE_1_55)]
#[case::backstage_1_57(BACKSTAGE_1_57)]
#[tokio::test]
async fn the_scaffolder_orders_for_the_user_who_started_the_task(#[case] recording: &str) {
    let stage = Stage::set().await;
    let calls = calls(recording);
    let checked = stage.replay(call(&calls, "validate, v1")).await;
    assert_eq!(checked.body["output"]["ok"], true, "{}", checked.phrase);
    let published = stage.replay(call(&calls, "publish, v1")).await;
    assert_eq!(published.status, 200, "{}", published.phrase);
    // The portal takes nothing but a plain object below `output` as the outputs of a step.
    assert_eq!(published.body["output"]["state"], "PROPOSED");
    let body = &stage.forge.pulls()[0].body;
    assert!(body.contains("user:default/guest"), "{body}");
    let mut wait = call(&calls, "wait, v1").clone();
    wait["body"] = json!({"requestId": published.body["output"]["requestId"], "timeoutSeconds": 0});
    let waited = stage.replay(&wait).await;
    assert_eq!(waited.body["output"]["state"], "PROPOSED");
}

#[rstest]
#[case::backstage_1_55(BACKSTAGE_1_55)]
#[case::backstage_1_57(BACKSTAGE_1_57)]
#[tokio::test]
async fn version_2_carries_the_input_and_secrets_that_stay_where_they_are(#[case] recording: &str) {
    let stage = Stage::set().await;
    let call = call(&calls(recording), "render with secrets, v2").clone();
    let answer = stage.replay(&call).await;
    assert_eq!(answer.status, 200, "{}", answer.phrase);
    let secret = call["body"]["secrets"]["example"].as_str().unwrap();
    assert!(!answer.body.to_string().contains(secret));
    let values = answer.body["output"]["values"].as_str().unwrap();
    assert!(values.contains("10.0.1.54:largedb"), "{values}");
}

#[rstest]
#[case::backstage_1_55(BACKSTAGE_1_55)]
#[case::backstage_1_57(BACKSTAGE_1_57)]
#[tokio::test]
async fn an_agent_s_tool_is_the_same_action_called_by_another_plugin(#[case] recording: &str) {
    let stage = Stage::set().await;
    let call = call(&calls(recording), "wait as a tool of an agent, v1").clone();
    assert_eq!(call["token"]["claims"]["sub"], "mcp-actions");
    // Allowed, but its keys are not published by the stage's portal: the sidecar asks for them before anything else.
    assert_eq!(stage.replay(&call).await.status, 503);
    let mut scaffolder = call;
    scaffolder["token"]["claims"]["sub"] = json!("scaffolder");
    let answer = stage.replay(&scaffolder).await;
    assert_eq!(answer.status, 404, "{}", answer.phrase);
    assert!(answer.phrase.contains("there is no request"));
}

#[rstest]
#[case::of_another_audience("aud", json!("catalog"), 401)]
#[case::of_another_plugin("sub", json!("techdocs"), 403)]
#[tokio::test]
async fn the_recorded_call_with_another_claim_is_refused(
    #[case] claim: &str,
    #[case] value: Value,
    #[case] status: u16,
) {
    let stage = Stage::set().await;
    let mut call = call(&calls(BACKSTAGE_1_55), "publish, v1").clone();
    call["token"]["claims"][claim] = value;
    assert_eq!(stage.replay(&call).await.status, status);
    assert!(stage.forge.pulls().is_empty());
}
