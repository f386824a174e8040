//! Many orders at once, on one replica and on two, and replicas that end between any two calls of the forge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::forge::PullState;

/// Of each name there is one open pull request, whoever orders what of it where.
struct Wanted {
    identical: usize,
    other_content: usize,
    alone: usize,
}

const CROWD: Wanted = Wanted {
    identical: 50,
    other_content: 20,
    alone: 130,
};

/// 200 orders, mixed: 50 are one order sent again and again, 20 want one name for different contents.
fn crowd() -> Vec<Value> {
    let same = (0..CROWD.identical).map(|_| json!({"name": "crowd", "requestId": "task-1"}));
    let rivals = (0..CROWD.other_content)
        .map(|i| json!({"name": "rivals", "memory": format!("{}Mi", 512 + i), "requestId": format!("rival-{i}")}));
    let alone = (0..CROWD.alone)
        .map(|i| json!({"name": format!("alone-{i}"), "requestId": format!("alone-{i}")}));
    let mut orders: Vec<Value> = same
        .chain(rivals)
        .chain(alone)
        .map(|change| order(&change))
        .collect();
    // A fixed shuffle: 200 and 77 have no common divisor.
    let count = orders.len();
    for i in 0..count {
        orders.swap(i, i * 77 % count);
    }
    orders
}

/// Sends all orders at once, in turn to each replica; what each name's callers were answered.
async fn send_all(replicas: &[Arc<Stage>]) -> BTreeMap<String, Vec<Answer>> {
    let calls = crowd().into_iter().enumerate().map(|(i, order)| {
        let stage = Arc::clone(&replicas[i % replicas.len()]);
        tokio::spawn(async move {
            let name = order["name"].as_str().unwrap().to_owned();
            (name, stage.invoke("publish", order).await)
        })
    });
    let mut answers: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
    for call in calls.collect::<Vec<_>>() {
        let (name, answer) = call.await.unwrap();
        answers.entry(name).or_default().push(answer);
    }
    answers
}

/// The numbers of the pull requests that were answered.
fn numbers(answers: &[Answer]) -> BTreeSet<u64> {
    answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| answer.body["output"]["pullRequestNumber"].as_u64().unwrap())
        .collect()
}

/// Whoever was not first is told by whom the name is taken.
fn told_by_whom(refused: &Answer) -> bool {
    refused.status == 409
        && refused
            .phrase
            .contains("environment rivals has an open pull request: #")
}

fn each_order_has_one_pull_request(
    forge: &crate::serve::fakes::FakeForge,
    names: &BTreeMap<String, Vec<Answer>>,
) {
    assert_eq!(names["crowd"].len(), CROWD.identical);
    assert!(names["crowd"].iter().all(|answer| answer.status == 200));
    assert_eq!(numbers(&names["crowd"]).len(), 1);
    for i in 0..CROWD.alone {
        assert_eq!(numbers(&names[&format!("alone-{i}")]).len(), 1, "alone-{i}");
    }
    let pulls = forge.pulls().into_iter();
    let open = pulls.filter(|pull| pull.state == PullState::Open);
    let branches: Vec<String> = open.map(|pull| pull.branch).collect();
    let distinct: BTreeSet<&String> = branches.iter().collect();
    assert_eq!(
        distinct.len(),
        branches.len(),
        "one pull request of a branch"
    );
    assert_eq!(
        distinct.into_iter().cloned().collect::<Vec<_>>(),
        forge.branches(),
        "nothing is left of what was withdrawn"
    );
}

/// The numbers of the open pull requests of a name.
fn open_of(forge: &crate::serve::fakes::FakeForge, name: &str) -> Vec<u64> {
    let prefix = format!("vdb/{name}.");
    let pulls = forge.pulls().into_iter();
    pulls
        .filter(|pull| pull.state == PullState::Open && pull.branch.starts_with(&prefix))
        .map(|pull| pull.number)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn two_hundred_orders_at_once_lead_to_one_pull_request_each() {
    let stage = Arc::new(replica(Arc::default()).await);
    let answers = send_all(std::slice::from_ref(&stage)).await;
    each_order_has_one_pull_request(&stage.forge, &answers);
    let rivals = &answers["rivals"];
    assert_eq!(numbers(rivals).len(), 1, "one content has the name");
    let refused = rivals.iter().filter(|answer| told_by_whom(answer)).count();
    assert_eq!(refused, CROWD.other_content - 1);
    assert_eq!(stage.forge.pulls().len(), CROWD.alone + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn two_replicas_do_not_double_an_order() {
    let one = Arc::new(replica(Arc::default()).await);
    let other = Arc::new(replica(one.forge.clone()).await);
    one.forge.slow.store(true, Ordering::SeqCst);
    let answers = send_all(&[one.clone(), other]).await;
    each_order_has_one_pull_request(&one.forge, &answers);
    let rivals = &answers["rivals"];
    assert_eq!(
        numbers(rivals).into_iter().collect::<Vec<_>>(),
        open_of(&one.forge, "rivals")
    );
    let refused = rivals.iter().filter(|answer| told_by_whom(answer)).count();
    assert_eq!(refused, CROWD.other_content - 1);
}

/// 200 orders of one name, each with another content, over two replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn one_name_for_two_hundred_contents_on_two_replicas_is_one_open_pull_request() {
    let one = Arc::new(replica(Arc::default()).await);
    let replicas = [one.clone(), Arc::new(replica(one.forge.clone()).await)];
    one.forge.slow.store(true, Ordering::SeqCst);
    let calls: Vec<_> = (0..200)
        .map(|i| {
            let stage = Arc::clone(&replicas[i % 2]);
            let change = json!({"name": "rivals", "memory": format!("{}Mi", 512 + i), "requestId": format!("rival-{i}")});
            tokio::spawn(async move { stage.invoke("publish", order(&change)).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    let open = open_of(&one.forge, "rivals");
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(numbers(&answers).into_iter().collect::<Vec<_>>(), open);
    let refused = answers.iter().filter(|answer| told_by_whom(answer)).count();
    assert_eq!(refused, 199);
    assert_eq!(one.forge.branches().len(), 1);
    // What was withdrawn says for whom.
    for pull in one.forge.pulls() {
        let marker = crate::serve::request::Marker::of(&pull);
        let first = (pull.state == PullState::Closed).then_some(open[0]);
        assert_eq!(marker.withdrawn_for, first, "#{}", pull.number);
    }
}

/// A replica that lets one owner order as much as it likes.
async fn replica(forge: Arc<crate::serve::fakes::FakeForge>) -> Stage {
    Stage::set_on(forge, |settings, _| {
        settings.orders.max_environments_per_owner = 1_000;
        settings.orders.max_open_orders_per_owner = 1_000;
        settings.orders.max_orders_per_hour = 1_000;
    })
    .await
}

/// How many calls of the forge an order takes, and a retirement after it.
async fn calls(retire: bool) -> usize {
    let stage = Stage::set().await;
    let before = before(&stage, retire).await;
    act(&stage, retire).await;
    stage.forge.calls() - before
}

async fn before(stage: &Stage, retire: bool) -> usize {
    if retire {
        stage.invoke("publish", order(&json!({}))).await;
        stage.forge.merge(1);
    }
    stage.forge.calls()
}

async fn act(stage: &Stage, retire: bool) -> Answer {
    if retire {
        let input = json!({"name": "feat-1", "reason": "done", "requestId": "task-2"});
        stage.invoke("retire", input).await
    } else {
        stage.invoke("publish", order(&json!({}))).await
    }
}

#[rstest]
#[case::create(false)]
#[case::retire(true)]
#[tokio::test]
async fn what_a_replica_leaves_behind_after_any_call_another_one_finishes(#[case] retire: bool) {
    let calls = calls(retire).await;
    assert!(calls >= 5, "{calls}");
    for call in 1..=calls {
        let one = Stage::set().await;
        let made = before(&one, retire).await;
        one.forge.die_at.store(made + call, Ordering::SeqCst);
        let broken = act(&one, retire).await;
        assert_eq!(broken.status, 503, "call {call}: {}", broken.phrase);
        let other = Stage::set_on(one.forge.clone(), |_, _| {}).await;
        let answer = act(&other, retire).await;
        assert_eq!(answer.status, 200, "call {call}: {}", answer.phrase);
        let again = act(&other, retire).await;
        assert_eq!(answer.body, again.body, "call {call}");
        let wanted = 1 + usize::from(retire);
        assert_eq!(
            (one.forge.pulls().len(), one.forge.branches().len()),
            (wanted, wanted),
            "call {call}"
        );
    }
}
