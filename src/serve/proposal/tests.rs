use std::sync::atomic::Ordering;

use environment::Order;
use serde_json::{Value, json};

use super::*;
use crate::serve::fakes::Stage;

const GUEST: &str = "user:default/guest";

fn order(change: &Value) -> Order {
    let mut input = json!({
        "name": "feat-1", "owner": "group:default/team-orders", "source": "10.0.1.54:largedb", "database": "largedb", "user": "app",
        "requestId": "task-1",
    });
    for (key, value) in change.as_object().unwrap() {
        input[key] = value.clone();
    }
    Order::parse(&input).unwrap()
}

async fn publish(stage: &Stage, change: Value) -> Result<Proposal, ApiError> {
    create(&stage.app, &order(&change), GUEST.into()).await
}

async fn retired(stage: &Stage, key: &str) -> Result<Proposal, ApiError> {
    let environment = EnvironmentName::parse("feat-1").unwrap();
    retire(
        &stage.app,
        &Retirement {
            environment: &environment,
            reason: Some("done"),
            key: Some(key),
            asker: GUEST.into(),
            expired: None,
        },
    )
    .await
}

fn number(proposal: &Proposal) -> u64 {
    proposal.pull.as_ref().unwrap().number
}

#[tokio::test]
async fn an_order_becomes_one_commit_with_two_files_and_one_pull_request() {
    let stage = Stage::set().await;
    let proposal = publish(&stage, json!({})).await.unwrap();
    let branch = proposal.request.branch();
    assert!(branch.starts_with("vdb/feat-1.create-"), "{branch}");
    let files = stage.forge.branch_files(&branch);
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [
            "environments/feat-1/catalog-info.yaml",
            "environments/feat-1/values.yaml"
        ]
    );
    assert!(
        files["environments/feat-1/values.yaml"].contains(proposal.request.as_str()),
        "the values carry the request's id"
    );
    let asked = stage.forge.asked.lock().unwrap().clone();
    assert_eq!(asked, [["rita"]], "the settings' reviewers are asked");
    let marker = Marker::of(proposal.pull.as_ref().unwrap());
    assert_eq!(
        (
            marker.key.as_deref(),
            marker.requested_by.as_str(),
            marker.owner.as_str()
        ),
        (Some("task-1"), GUEST, "group:default/team-orders")
    );
}

#[tokio::test]
async fn after_a_failure_of_any_call_the_next_run_ends_with_exactly_one_pull_request() {
    let whole = Stage::set().await;
    publish(&whole, json!({})).await.unwrap();
    let calls = whole.forge.calls();
    assert!(calls >= 5, "{calls}");
    for call in 1..=calls {
        for lost in [true, false] {
            let stage = Stage::set().await;
            let fault = if lost {
                &stage.forge.lose_answer_of
            } else {
                &stage.forge.fail_at
            };
            fault.store(call, Ordering::SeqCst);
            let error = publish(&stage, json!({})).await.unwrap_err();
            assert_eq!(error.status, 503, "{}", error.message);
            let proposal = publish(&stage, json!({})).await.unwrap();
            let again = publish(&stage, json!({})).await.unwrap();
            assert_eq!(proposal, again);
            assert_eq!(
                (stage.forge.pulls().len(), stage.forge.branches().len()),
                (1, 1),
                "call {call}, lost {lost}"
            );
        }
    }
}

#[tokio::test]
async fn the_same_holds_for_a_retirement() {
    async fn ready() -> Stage {
        let stage = Stage::set().await;
        let created = publish(&stage, json!({})).await.unwrap();
        stage.forge.merge(number(&created));
        stage
    }
    let whole = ready().await;
    let before = whole.forge.calls();
    retired(&whole, "task-2").await.unwrap();
    let calls = whole.forge.calls() - before;
    for call in 1..=calls {
        for lost in [true, false] {
            let stage = ready().await;
            let fault = if lost {
                &stage.forge.lose_answer_of
            } else {
                &stage.forge.fail_at
            };
            fault.store(stage.forge.calls() + call, Ordering::SeqCst);
            retired(&stage, "task-2").await.unwrap_err();
            let proposal = retired(&stage, "task-2").await.unwrap();
            assert_eq!(stage.forge.pulls().len(), 2, "call {call}, lost {lost}");
            assert!(
                stage
                    .forge
                    .branch_files(&proposal.request.branch())
                    .is_empty()
            );
        }
    }
}

#[tokio::test]
async fn an_order_that_is_in_git_already_is_done() {
    let stage = Stage::set().await;
    let first = publish(&stage, json!({})).await.unwrap();
    stage.forge.merge(number(&first));
    let again = publish(&stage, json!({"requestId": "another-task"}))
        .await
        .unwrap();
    assert_eq!(again.request, first.request);
    assert_eq!(stage.forge.pulls().len(), 1);
}

#[tokio::test]
async fn a_taken_name_is_refused_and_says_by_what() {
    let stage = Stage::set().await;
    let first = publish(&stage, json!({})).await.unwrap();
    let error = publish(&stage, json!({"memory": "1Gi", "requestId": "task-2"}))
        .await
        .unwrap_err();
    assert!(
        error.status == 409 && error.message.contains("open pull request: #1"),
        "{error:?}"
    );
    stage.forge.merge(number(&first));
    let error = publish(&stage, json!({"memory": "1Gi", "requestId": "task-2"}))
        .await
        .unwrap_err();
    assert!(
        error.status == 409 && error.message.contains("feat-1 is taken"),
        "{error:?}"
    );
    // A name that begins with it is another name.
    publish(&stage, json!({"name": "feat-12", "requestId": "task-3"}))
        .await
        .unwrap();
    assert_eq!(stage.forge.pulls().len(), 2);
}

#[tokio::test]
async fn a_directory_without_values_is_taken_too() {
    let stage = Stage::set().await;
    stage.forge.push(|files| {
        files.insert("environments/feat-1/README.md".into(), "mine".into());
    });
    assert_eq!(publish(&stage, json!({})).await.unwrap_err().status, 409);
}

#[tokio::test]
async fn a_closed_pull_request_is_a_refusal_for_its_call_and_none_for_a_new_one() {
    let stage = Stage::set().await;
    let first = publish(&stage, json!({})).await.unwrap();
    stage.forge.close(number(&first));
    let error = publish(&stage, json!({})).await.unwrap_err();
    assert!(
        error.status == 409 && error.message.contains("closed without a merge"),
        "{error:?}"
    );
    let second = publish(&stage, json!({"requestId": "task-2"}))
        .await
        .unwrap();
    assert_ne!(second.request, first.request);
    assert_eq!(stage.forge.pulls().len(), 2);
}

#[tokio::test]
async fn what_was_retired_can_be_ordered_again() {
    let stage = Stage::set().await;
    let first = publish(&stage, json!({})).await.unwrap();
    stage.forge.merge(number(&first));
    let retirement = retired(&stage, "task-2").await.unwrap();
    stage.forge.merge(number(&retirement));
    assert_eq!(
        retired(&stage, "task-2").await.unwrap().request,
        retirement.request,
        "done is done"
    );
    assert_eq!(
        publish(&stage, json!({})).await.unwrap().request,
        first.request,
        "the same call is not carried out twice"
    );
    let second = publish(&stage, json!({"requestId": "task-3"}))
        .await
        .unwrap();
    assert_ne!(second.request, first.request);
    stage.forge.merge(number(&second));
    let again = retired(&stage, "task-4").await.unwrap();
    assert_ne!(again.request, retirement.request);
    assert_eq!(stage.forge.pulls().len(), 4);
}

#[tokio::test]
async fn only_the_owner_retires_and_only_what_is_there() {
    let stage = Stage::set().await;
    assert_eq!(retired(&stage, "t").await.unwrap_err().status, 404);
    let created = publish(&stage, json!({})).await.unwrap();
    stage.forge.merge(number(&created));
    let environment = EnvironmentName::parse("feat-1").unwrap();
    let other = Retirement {
        environment: &environment,
        reason: None,
        key: None,
        asker: "user:default/other".into(),
        expired: None,
    };
    let error = retire(&stage.app, &other).await.unwrap_err();
    assert!(
        error.status == 403 && error.message.contains("not a member"),
        "{error:?}"
    );
    assert_eq!(stage.forge.pulls().len(), 1);
}

#[tokio::test]
async fn an_environment_that_is_still_being_removed_keeps_its_name() {
    let stage = Stage::set().await;
    stage.cluster.namespaces.lock().unwrap().insert(
        "feat-1".into(),
        crate::serve::cluster::NamespaceState::Terminating,
    );
    let error = publish(&stage, json!({})).await.unwrap_err();
    assert!(error.message.contains("still being removed"), "{error:?}");
    assert!(stage.forge.pulls().is_empty());
}
