use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::serve::fakes::Stage;

const GUEST: &str = "user:default/guest";
const PATH: &str = "environments/feat-1/values.yaml";
const FILE: &str = "\
# Ours: ask in #orders before you touch it.
owner: group:default/team-orders
request: {id: feat-1.create-0123456789, by: 'user:default/guest'}
vdb:
  source: {type: dct-source, reference: '10.0.1.54:largedb'}   # production
  database: {name: largedb, user: app}
  image: postgres:16.9
  resources:
    limits:
      memory: 512Mi     # enough for now
";

/// With an environment that somebody wrote by hand, and an operator that can do everything.
async fn stage() -> Stage {
    let stage = Stage::set().await;
    push(&stage, FILE);
    stage
}

fn push(stage: &Stage, text: &str) {
    stage.forge.push(|files| {
        files.insert(PATH.into(), text.into());
        files.insert(
            "environments/feat-1/catalog-info.yaml".into(),
            "spec: {owner: group:default/team-orders}".into(),
        );
        files.insert("environments/dev/values.yaml".into(), "owner: a".into());
    });
}

fn input(change: &Value) -> Value {
    let mut input = json!({"name": "feat-1", "requestId": "task-1"});
    for (key, value) in change.as_object().unwrap() {
        input[key] = value.clone();
    }
    input
}

async fn update(stage: &Stage, fields: Value) -> Result<Proposal, ApiError> {
    change(
        &stage.app,
        &Change::update(&input(&fields)).unwrap(),
        GUEST.into(),
    )
    .await
}

async fn refresh(stage: &Stage, key: Option<&str>) -> Result<Proposal, ApiError> {
    let input = json!({"name": "feat-1", "requestId": key.unwrap_or_default()});
    change(&stage.app, &Change::refresh(&input).unwrap(), GUEST.into()).await
}

async fn extend(stage: &Stage, fields: Value) -> Result<Proposal, ApiError> {
    change(
        &stage.app,
        &Change::extend(&input(&fields)).unwrap(),
        GUEST.into(),
    )
    .await
}

fn number(proposal: &Proposal) -> u64 {
    proposal.pull.as_ref().unwrap().number
}

fn written(stage: &Stage, proposal: &Proposal) -> String {
    stage.forge.branch_files(&proposal.request.branch())[PATH].clone()
}

fn parsed(text: &str) -> Value {
    yaml::read(text).unwrap()
}

#[tokio::test]
async fn an_update_changes_one_file_and_in_it_what_was_asked_for() {
    let stage = stage().await;
    let proposal = update(&stage, json!({"memory": "1Gi", "reason": "big sorts"}))
        .await
        .unwrap();
    let branch = proposal.request.branch();
    assert!(branch.starts_with("vdb/feat-1.update-"), "{branch}");
    let (before, after) = (stage.forge.base_files(), stage.forge.branch_files(&branch));
    let differ: Vec<_> = after
        .keys()
        .filter(|path| before.get(*path) != after.get(*path))
        .collect();
    assert_eq!(
        (differ, before.len()),
        (vec![&PATH.to_owned()], after.len())
    );
    let expected = FILE.replace("memory: 512Mi ", "memory: \"1Gi\" ").replace(
        "request: {id: feat-1.create-0123456789, by: 'user:default/guest'}",
        &format!(
            "request:\n  id: \"{}\"\n  by: \"user:default/guest\"",
            proposal.request
        ),
    );
    assert_eq!(after[PATH], expected);
    let pull = proposal.pull.unwrap();
    for part in [
        "resources.limits.memory | 512Mi | 1Gi",
        "big sorts",
        "restarts",
    ] {
        assert!(pull.body.contains(part), "{part}: {}", pull.body);
    }
    let marker = Marker::of(&pull);
    assert_eq!(
        (marker.key.as_deref(), marker.owner.as_str()),
        (Some("task-1"), "group:default/team-orders")
    );
}

#[tokio::test]
async fn after_a_failure_of_any_call_the_next_run_ends_with_exactly_one_pull_request() {
    let whole = stage().await;
    update(&whole, json!({"memory": "1Gi"})).await.unwrap();
    let calls = whole.forge.calls();
    assert!(calls >= 5, "{calls}");
    for call in 1..=calls {
        for lost in [true, false] {
            let stage = stage().await;
            let fault = if lost {
                &stage.forge.lose_answer_of
            } else {
                &stage.forge.fail_at
            };
            fault.store(call, Ordering::SeqCst);
            assert_eq!(
                update(&stage, json!({"memory": "1Gi"}))
                    .await
                    .unwrap_err()
                    .status,
                503
            );
            let proposal = update(&stage, json!({"memory": "1Gi"})).await.unwrap();
            let again = update(&stage, json!({"memory": "1Gi"})).await.unwrap();
            assert_eq!(proposal, again);
            let made = (stage.forge.pulls().len(), stage.forge.branches().len());
            assert_eq!(made, (1, 1), "call {call}, lost {lost}");
        }
    }
}

#[tokio::test]
async fn what_the_base_branch_says_already_is_done_whatever_any_pull_request_says() {
    let stage = stage().await;
    let same = update(&stage, json!({"memory": "512Mi", "image": "postgres:16.9"}))
        .await
        .unwrap();
    assert_eq!(same.request.as_str(), "feat-1.create-0123456789");
    assert!(stage.forge.pulls().is_empty() && stage.forge.branches().is_empty());
    let first = update(&stage, json!({"memory": "1Gi"})).await.unwrap();
    // Somebody merges by hand and closes the pull request.
    let text = written(&stage, &first);
    push(&stage, &text);
    stage.forge.close(number(&first));
    let again = update(&stage, json!({"memory": "1Gi"})).await.unwrap();
    assert_eq!(again.request, first.request);
    assert_eq!(stage.forge.pulls().len(), 1);
}

#[tokio::test]
async fn what_was_undone_since_is_a_new_wish_and_the_same_call_is_not() {
    let stage = stage().await;
    let first = update(&stage, json!({"memory": "1Gi"})).await.unwrap();
    stage.forge.merge(number(&first));
    let back = update(&stage, json!({"memory": "512Mi", "requestId": "task-2"}))
        .await
        .unwrap();
    stage.forge.merge(number(&back));
    assert_eq!(
        update(&stage, json!({"memory": "1Gi"}))
            .await
            .unwrap()
            .request,
        first.request
    );
    let again = update(&stage, json!({"memory": "1Gi", "requestId": "task-3"}))
        .await
        .unwrap();
    assert_ne!(again.request, first.request);
    assert_eq!(stage.forge.pulls().len(), 3);
}

#[tokio::test]
async fn a_closed_pull_request_is_a_refusal_for_its_call_and_none_for_a_new_one() {
    let stage = stage().await;
    let first = update(&stage, json!({"memory": "1Gi"})).await.unwrap();
    stage.forge.close(number(&first));
    let error = update(&stage, json!({"memory": "1Gi"})).await.unwrap_err();
    assert!(
        error.status == 409 && error.message.contains("closed without a merge"),
        "{error:?}"
    );
    let second = update(&stage, json!({"memory": "1Gi", "requestId": "task-2"}))
        .await
        .unwrap();
    assert_ne!(second.request, first.request);
}

#[tokio::test]
async fn another_open_pull_request_of_the_environment_is_named() {
    let stage = stage().await;
    update(&stage, json!({"memory": "1Gi"})).await.unwrap();
    let error = update(&stage, json!({"memory": "2Gi", "requestId": "task-2"}))
        .await
        .unwrap_err();
    assert!(
        error.status == 409 && error.message.contains("open pull request: #1"),
        "{error:?}"
    );
    // The same wish of somebody else is the same pull request.
    let same = update(&stage, json!({"memory": "1Gi", "requestId": "task-2"}))
        .await
        .unwrap();
    assert_eq!((number(&same), stage.forge.pulls().len()), (1, 1));
}

#[tokio::test]
async fn only_members_of_the_owner_on_the_base_branch_change_what_is_there() {
    let stage = stage().await;
    let wanted = Change::update(&input(&json!({"memory": "1Gi"}))).unwrap();
    let error = change(&stage.app, &wanted, "user:default/other".into())
        .await
        .unwrap_err();
    assert!(
        error.status == 403 && error.message.contains("not a member"),
        "{error:?}"
    );
    let elsewhere = Change::update(&json!({"name": "feat-2", "memory": "1Gi"})).unwrap();
    assert_eq!(
        change(&stage.app, &elsewhere, GUEST.into())
            .await
            .unwrap_err()
            .status,
        404
    );
    assert!(stage.forge.pulls().is_empty());
}

#[rstest]
#[case::image_not_allowed(FILE, json!({"image": "evil:16"}), "NotAllowed")]
#[case::another_major_version(FILE, json!({"image": "postgres:17.1"}), "PostgreSQL 17")]
#[case::below_the_request("vdb:\n  source: {type: dct-source, reference: x}\n  resources: {requests: {memory: 1Gi}}\n", json!({"memory": "512Mi"}), "below the request")]
#[case::the_file_was_wrong_before("vdb:\n  sorce: 1\n  source: {type: dct-source, reference: x}\n", json!({"memory": "512Mi"}), "sorce")]
#[case::no_database_of_this_name("vdbs: {a: {source: {type: dct-source, reference: x}}}\n", json!({"memory": "512Mi"}), "no database at vdb")]
#[case::anchor("vdb:\n  source: {type: dct-source, reference: x}\n  resources: &y {limits: {memory: 1Gi}}\n", json!({"memory": "512Mi"}), "line 4: /vdb/resources/limits/memory")]
#[case::not_yaml("vdb: [\n", json!({"memory": "512Mi"}), "not readable as YAML")]
#[tokio::test]
async fn a_result_that_is_not_right_is_refused_and_nothing_is_made(
    #[case] file: &str,
    #[case] fields: Value,
    #[case] why: &str,
) {
    let stage = Stage::set().await;
    let owner = if file.contains("owner:") {
        ""
    } else {
        "owner: group:default/team-orders\n"
    };
    push(&stage, &format!("{owner}{file}"));
    let error = update(&stage, fields).await.unwrap_err();
    assert!((400..500).contains(&error.status.as_u16()), "{error:?}");
    assert!(error.message.contains(why), "{error:?}");
    assert!(stage.forge.pulls().is_empty() && stage.forge.branches().is_empty());
}

#[tokio::test]
async fn a_refresh_is_one_for_each_call() {
    let stage = stage().await;
    let first = refresh(&stage, Some("task-1")).await.unwrap();
    let values = parsed(&written(&stage, &first));
    assert_eq!(values["vdb"]["refresh"]["token"], first.request.as_str());
    assert_eq!(values["request"]["id"], first.request.as_str());
    assert_eq!(refresh(&stage, Some("task-1")).await.unwrap(), first);
    stage.forge.merge(number(&first));
    assert_eq!(
        refresh(&stage, Some("task-1")).await.unwrap().request,
        first.request
    );
    let second = refresh(&stage, Some("task-2")).await.unwrap();
    assert_ne!(second.request, first.request);
    stage.forge.merge(number(&second));
    // Without a key a call is the same as long as its pull request is open.
    let third = refresh(&stage, None).await.unwrap();
    assert_eq!(refresh(&stage, None).await.unwrap(), third);
    stage.forge.merge(number(&third));
    assert_ne!(refresh(&stage, None).await.unwrap().request, third.request);
}

#[tokio::test]
async fn an_extension_by_days_is_made_once_for_each_call() {
    let stage = stage().await;
    let first = extend(&stage, json!({"days": 10})).await.unwrap();
    assert_eq!(extend(&stage, json!({"days": 10})).await.unwrap(), first);
    stage.forge.merge(number(&first));
    assert_eq!(
        extend(&stage, json!({"days": 10})).await.unwrap().request,
        first.request
    );
    let second = extend(&stage, json!({"days": 10, "requestId": "task-2"}))
        .await
        .unwrap();
    let expiry = |proposal| {
        parsed(&written(&stage, proposal))["vdb"]["expiresAt"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    assert_eq!(
        expiry(&second).duration_since(expiry(&first)).as_hours(),
        240
    );
    let error = extend(&stage, json!({"days": 1000, "requestId": "task-3"}))
        .await
        .unwrap_err();
    assert!(
        error.status == 409,
        "the open pull request comes first: {error:?}"
    );
    stage.forge.close(number(&second));
    let error = extend(&stage, json!({"days": 1000, "requestId": "task-3"}))
        .await
        .unwrap_err();
    assert!(error.message.contains("at most 90 days"), "{error:?}");
}

#[tokio::test]
async fn what_the_operator_cannot_do_is_refused_with_the_way_out_and_nothing_is_made() {
    let stage = Stage::unable().await;
    push(&stage, FILE);
    let calls = stage.forge.calls();
    let error = extend(&stage, json!({"days": 1})).await.unwrap_err();
    assert!(
        error.status == 409 && error.message.contains("do not expire yet"),
        "{error:?}"
    );
    assert_eq!(stage.forge.calls(), calls);
    update(&stage, json!({"memory": "1Gi"})).await.unwrap();
}
