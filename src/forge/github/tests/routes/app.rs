//! What only an App does: its tokens and its check runs.

use axum::Json;
use axum::extract::{Path, Query, State};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{Answer, Asked, World, created, not_found, ok, refused};

pub(in super::super) const APP: u64 = 4711;

/// Whether it is a statement of the App, signed with its key and valid for at most ten minutes.
pub(in super::super) fn is_signed(key: &[u8], statement: &str) -> bool {
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_issuer(&[APP.to_string()]);
    rules.set_required_spec_claims(&["exp", "iss"]);
    let claims = jsonwebtoken::decode::<Value>(statement, &DecodingKey::from_rsa_der(key), &rules);
    claims.is_ok_and(|claims| {
        let number = |name: &str| claims.claims[name].as_u64().unwrap();
        number("exp") - number("iat") <= 600
    })
}

pub(super) async fn installation(State(standin): World) -> Answer {
    ok(json!({"id": 99, "app_id": APP, "permissions": standin.world().permissions}))
}

pub(super) async fn named_installation(world: World, Path(id): Path<u64>) -> Answer {
    match id {
        99 => installation(world).await,
        _ => not_found(),
    }
}

pub(super) async fn access_token(
    State(standin): World,
    Path(id): Path<u64>,
    Json(body): Json<Value>,
) -> Answer {
    if id != 99 {
        return not_found();
    }
    let mut world = standin.world();
    let granted = world.permissions.clone();
    let asked = body["permissions"].as_object().unwrap();
    if asked.iter().any(|(name, _)| granted[name].is_null()) {
        return refused("The permissions requested are not granted to this installation.");
    }
    world.granted.push(body);
    let token = format!("installation-{}", world.granted.len());
    world.tokens.push(token.clone());
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    created(json!({"token": token, "expires_at": end.to_string()}))
}

pub(super) async fn check_runs(
    State(standin): World,
    Path(sha): Path<String>,
    Query(asked): Asked,
) -> Answer {
    let world = standin.world();
    assert_eq!(asked["app_id"], APP.to_string());
    let of_commit = |run: &&Value| run["head_sha"] == sha && run["name"] == asked["check_name"];
    let found: Vec<&Value> = world.check_runs.iter().filter(of_commit).collect();
    ok(json!({"check_runs": found}))
}

pub(super) async fn new_check_run(State(standin): World, Json(mut body): Json<Value>) -> Answer {
    let mut world = standin.world();
    body["id"] = world.check_runs.len().into();
    world.check_runs.push(body.clone());
    created(body)
}

pub(super) async fn change_check_run(
    State(standin): World,
    Path(id): Path<usize>,
    Json(mut body): Json<Value>,
) -> Answer {
    body["id"] = id.into();
    standin.world().check_runs[id] = body.clone();
    ok(body)
}
