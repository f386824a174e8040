//! Pull requests and what hangs on them.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Answer, Asked, World, created, not_found, ok, refused};
use crate::forge::github::tests::standin::{self, PullRequest, USER_TOKEN};

fn shown(world: &standin::World, number: usize) -> Value {
    let pull = &world.pulls[number - 1];
    let repository = json!({"full_name": "acme/databases"});
    let labels: Vec<Value> = pull.labels.iter().map(|n| json!({"name": n})).collect();
    json!({
        "number": number, "state": pull.state, "title": pull.title, "body": pull.body, "labels": labels,
        "html_url": format!("http://github.test/acme/databases/pull/{number}"), "created_at": "2026-11-23T10:00:00Z",
        "merged_at": pull.merged.then_some("2026-11-23T11:00:00Z"), "closed_at": null,
        // Also while it is open: the trial merge.
        "merge_commit_sha": "7e57ab1e",
        "user": {"login": pull.author}, "requested_reviewers": pull.reviewers, "requested_teams": [],
        "head": {"label": format!("acme:{}", pull.branch), "ref": pull.branch, "sha": world.branches.get(&pull.branch).or(pull.last_head.as_ref()), "repo": repository},
        "base": {"label": "acme:main", "ref": "main", "sha": pull.base_sha, "repo": repository},
    })
}

/// Also pages, and 304 to who knows the list already.
pub(super) async fn list(
    State(standin): World,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Response {
    let mut world = standin.world();
    let is_wanted = |pull: &PullRequest| {
        let head = asked
            .get("head")
            .map(|head| head.trim_start_matches("acme:"));
        (asked["state"] == "all" || asked["state"] == pull.state)
            && head.is_none_or(|head| head == pull.branch)
    };
    let number = |name: &str, or: usize| asked.get(name).map_or(or, |n| n.parse().unwrap());
    let (page, size) = (number("page", 1), number("per_page", 30));
    let mut numbers: Vec<usize> = (1..=world.pulls.len()).rev().collect();
    if asked.get("sort").is_some_and(|sort| sort == "updated") {
        assert_eq!(asked["direction"], "desc");
        numbers.sort_by_key(|n| std::cmp::Reverse(world.pulls[n - 1].updated));
    }
    let found: Vec<Value> = numbers
        .into_iter()
        .filter(|n| is_wanted(&world.pulls[n - 1]))
        .skip((page - 1) * size)
        .take(size)
        .map(|n| shown(&world, n))
        .collect();
    let etag = hex::encode(Sha256::digest(Value::from(found.clone()).to_string()));
    if headers.get("if-none-match").is_some_and(|had| *had == etag) {
        world.not_modified += 1;
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([("etag", etag)], Json(found)).into_response()
}

pub(super) async fn open(
    State(standin): World,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    let mut world = standin.world();
    let branch = body["head"].as_str().unwrap().to_owned();
    let (base, Some(head)) = (world.branches["main"].clone(), world.branches.get(&branch)) else {
        return refused("head is invalid");
    };
    if world.ahead(&base, head) == 0 {
        return refused(&format!("No commits between main and {branch}"));
    }
    let exists = |pull: &PullRequest| pull.branch == branch && pull.state == "open";
    if world.pulls.iter().any(exists) {
        return refused(&format!("A pull request already exists for acme:{branch}."));
    }
    let updated = world.tick();
    world.pulls.push(PullRequest {
        updated,
        branch,
        last_head: None,
        author: if headers["authorization"]
            .as_bytes()
            .ends_with(USER_TOKEN.as_bytes())
        {
            "ursula"
        } else {
            "bot"
        },
        base_sha: base,
        state: "open",
        merged: false,
        title: body["title"].clone(),
        body: body["body"].clone(),
        labels: vec![],
        reviewers: vec![],
        reviews: vec![],
    });
    let number = world.pulls.len();
    created(shown(&world, number))
}

pub(super) async fn one(State(standin): World, Path(number): Path<usize>) -> Answer {
    let world = standin.world();
    if number == 0 || number > world.pulls.len() {
        return not_found();
    }
    ok(shown(&world, number))
}

pub(super) async fn change(
    State(standin): World,
    Path(number): Path<usize>,
    Json(body): Json<Value>,
) -> Answer {
    let mut world = standin.world();
    assert_eq!(body["state"], "closed");
    let updated = world.tick();
    let pull = &mut world.pulls[number - 1];
    pull.updated = updated;
    pull.state = "closed";
    pull.body = body["body"].clone();
    ok(shown(&world, number))
}

pub(super) async fn files(
    State(standin): World,
    Path(number): Path<usize>,
    Query(asked): Asked,
) -> Answer {
    let world = standin.world();
    let pull = &world.pulls[number - 1];
    let (old, new) = (
        &world.commits[&pull.base_sha].files,
        &world.commits[&world.branches[&pull.branch]].files,
    );
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = paths
        .into_iter()
        .filter(|path| old.get(*path) != new.get(*path));
    let page: usize = asked["page"].parse().unwrap();
    let size: usize = asked["per_page"].parse().unwrap();
    let files = changed.skip((page - 1) * size).take(size).map(|path| {
        let status = match (old.get(path), new.get(path)) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "modified",
        };
        json!({"filename": path, "status": status})
    });
    ok(files.collect::<Vec<_>>().into())
}

pub(super) async fn reviews(State(standin): World, Path(number): Path<usize>) -> Answer {
    ok(standin.world().pulls[number - 1].reviews.clone().into())
}

pub(super) async fn ask_reviewers(
    State(standin): World,
    Path(number): Path<usize>,
    Json(body): Json<Value>,
) -> Answer {
    let mut world = standin.world();
    let logins = body["reviewers"].as_array().unwrap().iter();
    let asked: Vec<Value> = logins.map(|login| json!({"login": login})).collect();
    world.reviews_asked += 1;
    world.pulls[number - 1].reviewers = asked;
    created(shown(&world, number))
}

pub(super) async fn comments(
    State(standin): World,
    Path(number): Path<u64>,
    Query(asked): Asked,
) -> Answer {
    let world = standin.world();
    let (page, size): (usize, usize) = (
        asked["page"].parse().unwrap(),
        asked["per_page"].parse().unwrap(),
    );
    let all = world.comments.iter().enumerate();
    let comments = all
        .filter(|(_, comment)| comment.0 == number)
        .skip((page - 1) * size)
        .take(size)
        .map(|(id, (_, by, text))| json!({"id": id, "user": {"login": by}, "body": text}));
    ok(comments.collect::<Vec<_>>().into())
}

pub(super) async fn comment(
    State(standin): World,
    Path(number): Path<u64>,
    Json(body): Json<Value>,
) -> Answer {
    let text = body["body"].as_str().unwrap().to_owned();
    standin.world().comments.push((number, "bot".into(), text));
    created(body)
}

pub(super) async fn change_comment(
    State(standin): World,
    Path(id): Path<usize>,
    Json(body): Json<Value>,
) -> Answer {
    standin.world().comments[id].2 = body["body"].as_str().unwrap().to_owned();
    ok(body)
}

pub(super) async fn label(
    State(standin): World,
    Path(number): Path<usize>,
    Json(body): Json<Value>,
) -> Answer {
    let mut world = standin.world();
    for name in body["labels"].as_array().unwrap() {
        let name = name.as_str().unwrap().to_owned();
        assert!(world.labels.contains(&name), "labels are made before");
        let labels = &mut world.pulls[number - 1].labels;
        if !labels.contains(&name) {
            labels.push(name);
        }
    }
    ok(json!([]))
}
