//! Branches, files, commits.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Asked, World, created, not_found, ok, refused};
use crate::forge::github::tests::standin::Files;

fn reference(branch: &str, sha: &str) -> Value {
    json!({"ref": format!("refs/heads/{branch}"), "object": {"type": "commit", "sha": sha}})
}

pub(super) async fn branch(
    State(standin): World,
    Path(branch): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(sha) = standin.world().branches.get(&branch).cloned() else {
        return not_found().into_response();
    };
    let etag = format!("\"{sha}\"");
    if headers.get("if-none-match").is_some_and(|had| *had == etag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([("etag", etag)], Json(reference(&branch, &sha))).into_response()
}

pub(super) async fn new_branch(State(standin): World, Json(body): Json<Value>) -> Answer {
    let branch = body["ref"]
        .as_str()
        .unwrap()
        .trim_start_matches("refs/heads/");
    let sha = body["sha"].as_str().unwrap();
    let mut world = standin.world();
    if world.branches.contains_key(branch) {
        return refused("Reference already exists");
    }
    if !world.commits.contains_key(sha) {
        return refused("Object does not exist");
    }
    world.branches.insert(branch.into(), sha.into());
    created(reference(branch, sha))
}

pub(super) async fn move_branch(
    State(standin): World,
    Path(branch): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    assert_eq!(body["force"], false, "nothing is forced");
    let sha = body["sha"].as_str().unwrap();
    let mut world = standin.world();
    if !world.history(sha).contains(&world.branches[&branch]) {
        return refused("Update is not a fast forward");
    }
    world.branches.insert(branch.clone(), sha.into());
    ok(reference(&branch, sha))
}

/// An open pull request of the branch ends with it.
pub(super) async fn delete_branch(State(standin): World, Path(branch): Path<String>) -> Response {
    let mut world = standin.world();
    let Some(sha) = world.branches.remove(&branch) else {
        return refused("Reference does not exist").into_response();
    };
    for pull in world.pulls.iter_mut().filter(|pull| pull.branch == branch) {
        pull.state = "closed";
        pull.last_head = Some(sha.clone());
    }
    StatusCode::NO_CONTENT.into_response()
}

pub(super) async fn contents(
    State(standin): World,
    Path(path): Path<String>,
    Query(asked): Asked,
) -> Answer {
    let world = standin.world();
    let Some(at) = world.resolve(&asked["ref"]) else {
        return not_found();
    };
    let files = &world.commits[&at].files;
    if let Some(text) = files.get(&path) {
        let mut content = STANDARD.encode(text);
        content.push('\n');
        return ok(json!({"type": "file", "path": path, "encoding": "base64", "content": content}));
    }
    let below = files
        .keys()
        .filter_map(|known| known.strip_prefix(&format!("{path}/")));
    let names: BTreeSet<(&str, &str)> = below
        .map(|rest| match rest.split_once('/') {
            Some((name, _)) => (name, "dir"),
            None => (rest, "file"),
        })
        .collect();
    if names.is_empty() {
        return not_found();
    }
    let entries: Vec<Value> = names
        .into_iter()
        .take(1000)
        .map(|(name, kind)| json!({"type": kind, "path": format!("{path}/{name}"), "download_url": (kind == "file").then_some("http://raw.test")}))
        .collect();
    ok(entries.into())
}

pub(super) async fn compare(State(standin): World, Path(both): Path<String>) -> Answer {
    let world = standin.world();
    let (base, head) = both.split_once("...").unwrap();
    match (world.resolve(base), world.resolve(head)) {
        (Some(base), Some(head)) => {
            let (ahead, behind) = (world.ahead(&base, &head), world.ahead(&head, &base));
            let status = match (ahead, behind) {
                (0, 0) => "identical",
                (_, 0) => "ahead",
                (0, _) => "behind",
                _ => "diverged",
            };
            let (old, new) = (&world.commits[&base].files, &world.commits[&head].files);
            let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let differ = paths
                .into_iter()
                .filter(|path| old.get(*path) != new.get(*path));
            let files: Vec<Value> = differ
                .take(300)
                .map(|path| json!({"filename": path, "status": if new.contains_key(path) { "modified" } else { "removed" }}))
                .collect();
            ok(json!({"ahead_by": ahead, "behind_by": behind, "status": status, "files": files}))
        }
        _ => not_found(),
    }
}

pub(super) async fn graphql(State(standin): World, Json(body): Json<Value>) -> Answer {
    let query = body["query"].as_str().unwrap();
    let variables = &body["variables"];
    if query.contains("refUpdateRule") {
        let rule = json!({"requiredApprovingReviewCount": 1, "requiredStatusCheckContexts": ["vdb/validate"], "viewerCanPush": true});
        return ok(json!({"data": {"repository": {"ref": {"refUpdateRule": rule}}}}));
    }
    if query.contains("on Tree") {
        return ok(tree(
            &standin.world(),
            variables["expression"].as_str().unwrap(),
        ));
    }
    assert!(query.contains("createCommitOnBranch"), "{query}");
    let mut world = standin.world();
    ok(match commit(&mut world, &variables["input"]) {
        Ok(sha) => json!({"data": {"createCommitOnBranch": {"commit": {"oid": sha}}}}),
        Err((kind, message)) => json!({
            "data": {"createCommitOnBranch": null},
            "errors": [{"type": kind, "path": ["createCommitOnBranch"], "message": message}],
        }),
    })
}

fn tree(world: &crate::forge::github::tests::standin::World, expression: &str) -> Value {
    let (at, directory) = expression.split_once(':').unwrap();
    let prefix = format!("{directory}/");
    let names: BTreeSet<&str> = world.commits[at]
        .files
        .keys()
        .filter_map(|path| path.strip_prefix(&prefix)?.split('/').next())
        .collect();
    let entries: Vec<Value> = names
        .into_iter()
        .map(|name| json!({"path": format!("{prefix}{name}"), "type": "tree", "mode": 16384}))
        .collect();
    json!({"data": {"repository": {"object": {"entries": entries}}}})
}

/// Changes nothing unless the branch points where the caller thinks it does.
fn commit(
    world: &mut crate::forge::github::tests::standin::World,
    input: &Value,
) -> Result<String, (&'static str, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert_eq!(input["branch"]["repositoryNameWithOwner"], "acme/databases");
    let branch = text(&input["branch"]["branchName"]);
    let expected = text(&input["expectedHeadOid"]);
    let Some(head) = world.branches.get(&branch).cloned() else {
        return Err((
            "NOT_FOUND",
            format!("A branch named {branch} was not found"),
        ));
    };
    if head != expected {
        let message = format!(
            "Expected branch to point to \"{expected}\" but it did not.  Pull and try again."
        );
        return Err(("STALE_DATA", message));
    }
    let mut files: Files = world.commits[&head].files.clone();
    for addition in input["fileChanges"]["additions"].as_array().unwrap() {
        let content = STANDARD.decode(text(&addition["contents"])).unwrap();
        files.insert(text(&addition["path"]), String::from_utf8(content).unwrap());
    }
    for deletion in input["fileChanges"]["deletions"].as_array().unwrap() {
        if files.remove(&text(&deletion["path"])).is_none() {
            let message = "A path was requested for deletion which does not exist".to_owned();
            return Err(("UNPROCESSABLE", message));
        }
    }
    let message = format!(
        "{}\n\n{}",
        text(&input["message"]["headline"]),
        text(&input["message"]["body"])
    );
    let sha = world.add(Some(head), files, &message);
    world.branches.insert(branch, sha.clone());
    Ok(sha)
}
