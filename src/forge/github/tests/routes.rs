//! The routes of the small GitHub, as far as the adapter calls them.

pub(super) mod app;
mod git;
mod pulls;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, patch, post};
use http::StatusCode;
use serde_json::{Value, json};

use super::standin::Standin;

type World = State<Arc<Standin>>;
type Answer = (StatusCode, Json<Value>);
type Asked = Query<std::collections::HashMap<String, String>>;

fn ok(body: Value) -> Answer {
    (StatusCode::OK, Json(body))
}

fn created(body: Value) -> Answer {
    (StatusCode::CREATED, Json(body))
}

fn not_found() -> Answer {
    (
        StatusCode::NOT_FOUND,
        Json(json!({"message": "Not Found", "status": "404"})),
    )
}

fn refused(message: &str) -> Answer {
    let body = json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": message}]});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body))
}

pub(super) fn router(standin: Arc<Standin>) -> Router {
    let repository = Router::new()
        .route("/git/ref/heads/{*branch}", get(git::branch))
        .route("/git/refs", post(git::new_branch))
        .route(
            "/git/refs/heads/{*branch}",
            patch(git::move_branch).delete(git::delete_branch),
        )
        .route("/contents/{*path}", get(git::contents))
        .route("/compare/{both}", get(git::compare))
        .route("/pulls", get(pulls::list).post(pulls::open))
        .route("/pulls/{number}", get(pulls::one).patch(pulls::change))
        .route("/pulls/{number}/files", get(pulls::files))
        .route("/pulls/{number}/reviews", get(pulls::reviews))
        .route(
            "/pulls/{number}/requested_reviewers",
            post(pulls::ask_reviewers),
        )
        .route(
            "/issues/{number}/comments",
            get(pulls::comments).post(pulls::comment),
        )
        .route("/issues/comments/{id}", patch(pulls::change_comment))
        .route("/issues/{number}/labels", post(pulls::label))
        .route("/labels/{name}", get(known_label))
        .route("/labels", post(new_label))
        .route("/commits/{sha}/status", get(statuses))
        .route("/statuses/{sha}", post(new_status))
        .route("/commits/{sha}/check-runs", get(app::check_runs))
        .route("/check-runs", post(app::new_check_run))
        .route("/check-runs/{id}", patch(app::change_check_run))
        .route("/collaborators/{name}", get(collaborator))
        .route("/rules/branches/{branch}", get(async || ok(json!([]))))
        .route("/installation", get(app::installation));
    Router::new()
        .nest("/api/v3/repos/acme/databases", repository)
        .route("/api/v3/users/{name}", get(user))
        .route("/api/v3/user", get(async || ok(json!({"login": "bot"}))))
        .route(
            "/api/v3/orgs/acme/teams/{team}/repos/acme/databases",
            get(team),
        )
        .route(
            "/api/v3/app/installations/{id}",
            get(app::named_installation),
        )
        .route(
            "/api/v3/app/installations/{id}/access_tokens",
            post(app::access_token),
        )
        .route("/api/graphql", post(git::graphql))
        .with_state(standin)
}

async fn user(Path(name): Path<String>) -> Answer {
    match name.as_str() {
        "bot" | "rita" | "stranger" => ok(json!({"login": name})),
        _ => not_found(),
    }
}

async fn collaborator(Path(name): Path<String>) -> Answer {
    match name.as_str() {
        "bot" | "rita" | "ursula" => (StatusCode::NO_CONTENT, Json(Value::Null)),
        _ => not_found(),
    }
}

async fn team(Path(team): Path<String>) -> Answer {
    match team.as_str() {
        "dba" => (StatusCode::NO_CONTENT, Json(Value::Null)),
        _ => not_found(),
    }
}

async fn known_label(State(standin): World, Path(name): Path<String>) -> Answer {
    if standin.world().labels.contains(&name) {
        ok(json!({"name": name}))
    } else {
        not_found()
    }
}

async fn new_label(State(standin): World, Json(body): Json<Value>) -> Answer {
    let name = body["name"].as_str().unwrap().to_owned();
    let mut world = standin.world();
    if world.labels_are_closed {
        let body = json!({"message": "Resource not accessible by integration"});
        return (StatusCode::FORBIDDEN, Json(body));
    }
    if world.labels.contains(&name) {
        return refused("already_exists");
    }
    world.labels.push(name);
    created(body)
}

async fn statuses(State(standin): World, Path(sha): Path<String>) -> Answer {
    let world = standin.world();
    // The latest of each name.
    let mut latest: Vec<&Value> = Vec::new();
    for status in world.statuses.iter().rev() {
        if status["sha"] == sha && !latest.iter().any(|s| s["context"] == status["context"]) {
            latest.push(status);
        }
    }
    ok(json!({"statuses": latest}))
}

async fn new_status(
    State(standin): World,
    Path(sha): Path<String>,
    Json(mut body): Json<Value>,
) -> Answer {
    assert!(body["description"].as_str().unwrap().chars().count() <= 140);
    body["sha"] = sha.into();
    standin.world().statuses.push(body.clone());
    created(body)
}
