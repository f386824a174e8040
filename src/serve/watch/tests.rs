mod through_argocd;
mod waiting;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use environment::names::REQUEST_ID;
use rstest::rstest;

use super::*;
use crate::argocd::Application;
use crate::forge::{Pull, PullState};
use crate::serve::app::App;
use crate::serve::cluster::{Change, Error, LiveDatabase};
use crate::serve::fakes::{self, Stage};
use crate::serve::progress;
use crate::serve::readiness::State;
use crate::serve::request::RequestId;

/// As in life, in a hundredth of the time.
const FAST: Pace = Pace {
    forge: Duration::from_millis(100),
    every_pull: Duration::from_secs(2),
    list: Duration::from_millis(100),
    beside_stream: Duration::from_millis(400),
    doubt: Duration::from_millis(400),
    linger: Duration::from_secs(2),
    streams: true,
};

fn id(n: usize) -> String {
    format!("feat-{n}.create-0123456789")
}

fn merged(n: usize) -> Pull {
    Pull {
        state: PullState::Merged,
        merge_sha: Some("1".into()),
        finished_at: Some(jiff::Timestamp::now().to_string()),
        ..fakes::pull(n as u64, &format!("vdb/{}", id(n)), "")
    }
}

fn application(n: usize) -> Application {
    let object = serde_json::json!({
        "metadata": {"name": format!("feat-{n}"), "resourceVersion": n.to_string()},
        "spec": {"syncPolicy": {"automated": {}}}, "status": {"sync": {"status": "OutOfSync"}},
    });
    serde_json::from_value(object).unwrap()
}

fn values(n: usize) -> String {
    format!(
        "owner: group:default/a\nrequest: {{id: {}, by: 'user:default/a'}}\nvdb: {{source: {{type: dct-source, reference: 'h:d'}}, database: {{name: d, user: a}}}}\n",
        id(n)
    )
}

#[test]
fn the_values_of_these_tests_are_values() {
    let name = EnvironmentName::parse("feat-1").unwrap();
    environment::values::Values::parse(&name, &values(1)).unwrap();
}

/// So many orders are merged; Argo CD has every second Application.
async fn stage(orders: usize, pace: Pace) -> Stage {
    let stage = Stage::set_at(Arc::default(), pace, |_, _| {}).await;
    stage.forge.push(|files| {
        for n in 1..=orders {
            files.insert(format!("environments/feat-{n}/values.yaml"), values(n));
        }
    });
    for n in 1..=orders {
        stage.forge.add(merged(n));
    }
    *stage.argocd.applications.lock().unwrap() = (1..=orders).step_by(2).map(application).collect();
    stage
}

/// Calls of forge, Argo CD and cluster so far.
fn calls(stage: &Stage) -> [usize; 3] {
    [
        stage.forge.calls(),
        stage.argocd.calls.load(Ordering::SeqCst),
        stage.cluster.calls.load(Ordering::SeqCst),
    ]
}

fn wait_all(app: &Arc<App>, orders: usize, time: Duration) -> Vec<tokio::task::JoinHandle<State>> {
    (1..=orders)
        .map(|n| {
            let app = Arc::clone(app);
            tokio::spawn(async move {
                let request = RequestId::parse(&id(n)).unwrap();
                let seen = progress::wait(&app, &request, time, progress::Until::End)
                    .await
                    .unwrap();
                seen.readiness.state
            })
        })
        .collect()
}

/// Calls that so many waiting orders cause in two seconds, after the first look.
async fn calls_while_waiting(orders: usize, streamless: bool) -> [usize; 3] {
    let stage = stage(orders, FAST).await;
    stage.argocd.streamless.store(streamless, Ordering::SeqCst);
    let waiting = wait_all(&stage.app, orders, Duration::from_secs(4));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let before = calls(&stage);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = calls(&stage);
    for task in waiting {
        assert!(!task.is_finished(), "all wait");
        task.abort();
    }
    std::array::from_fn(|i| after[i] - before[i])
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiting_orders_cause_as_many_calls_as_one(
    #[values(false, true)] streamless: bool,
) {
    let (one, thousand) = tokio::join!(
        calls_while_waiting(1, streamless),
        calls_while_waiting(1000, streamless)
    );
    println!(
        "calls of forge, Argo CD, cluster in 2 s: {one:?} for one order, {thousand:?} for 1,000"
    );
    assert!(one[0] > 0 && one[1] > 0, "one order looks: {one:?}");
    for i in 0..3 {
        assert!(thousand[i] <= one[i] + 25, "{one:?} {thousand:?}");
        assert!(thousand[i] <= 80, "{thousand:?}");
    }
}

/// Prints what a waiting order costs in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_order_is_small() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    };
    let stage = stage(1000, FAST).await;
    let before = resident();
    let waiting = wait_all(&stage.app, 1000, Duration::from_millis(1500));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let bytes = resident().saturating_sub(before) / 1000;
    let request = RequestId::parse(&id(1)).unwrap();
    let future = size_of_val(&progress::wait(
        &stage.app,
        &request,
        Duration::ZERO,
        progress::Until::End,
    ));
    println!("about {bytes} bytes for each waiting order, {future} of them its future");
    assert!(future < 8 << 10, "{future}");
    assert!(bytes < 24 << 10, "{bytes}");
    for task in waiting {
        assert!(!task.await.unwrap().is_final());
    }
}

#[tokio::test]
async fn a_broken_stream_falls_back_to_lists_and_the_truth_stays_fresh() {
    let stage = stage(1, FAST).await;
    stage.argocd.streamless.store(true, Ordering::SeqCst);
    stage.argocd.applications.lock().unwrap().clear();
    let look = async || {
        let request = RequestId::parse(&id(1)).unwrap();
        let seen = progress::observe(&stage.app, &request, None).await.unwrap();
        seen.readiness.reason
    };
    assert_eq!(look().await, "NoApplication");
    stage
        .argocd
        .applications
        .lock()
        .unwrap()
        .push(application(1));
    tokio::time::sleep(FAST.list * 2).await;
    assert_eq!(look().await, "NotSynced");
}

fn ready(n: usize) -> LiveDatabase {
    let mut database = LiveDatabase {
        name: format!("feat-{n}-vdb"),
        namespace: format!("postgres-vdbs-feat-{n}"),
        generation: 1,
        ..LiveDatabase::default()
    };
    database.annotations = BTreeMap::from([(REQUEST_ID.to_owned(), id(n))]);
    database.status.observed_generation = Some(1);
    database.status.conditions = vec![environment::status::Condition {
        kind: "Ready".into(),
        status: "True".into(),
        reason: "Verified".into(),
        message: "answered".into(),
        observed_generation: Some(1),
        last_transition_time: "2026-11-23T10:00:00Z".into(),
    }];
    database
}

#[tokio::test]
async fn what_the_watch_says_wakes_the_order_that_waits_for_it_and_no_other() {
    // Lists are too seldom to help.
    let slow = Pace {
        list: Duration::from_secs(60),
        beside_stream: Duration::from_secs(60),
        ..FAST
    };
    let stage = stage(2, slow).await;
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    *stage.cluster.changes.lock().unwrap() = Some(told);
    let mut waiting = wait_all(&stage.app, 2, Duration::from_secs(3));
    tokio::time::sleep(Duration::from_millis(300)).await;
    tell.send(Ok(Change::Is(Box::new(ready(2))))).unwrap();
    let second = tokio::time::timeout(Duration::from_millis(500), waiting.remove(1));
    assert_eq!(second.await.unwrap().unwrap(), State::Ready);
    assert!(!waiting.remove(0).await.unwrap().is_final());
}

#[tokio::test]
async fn a_watch_that_broke_is_not_believed_until_it_speaks_again() {
    let stage = stage(1, FAST).await;
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    *stage.cluster.changes.lock().unwrap() = Some(told);
    let environment = EnvironmentName::parse("feat-1").unwrap();
    let look = async || {
        tokio::time::sleep(FAST.list * 2).await;
        let databases = stage.app.watch.cluster.databases(&environment).await;
        databases.unwrap().len()
    };
    look().await;
    tell.send(Ok(Change::Is(Box::new(ready(1))))).unwrap();
    assert_eq!(look().await, 1, "the watch says so, the list does not");
    let broke = Error::Key {
        name: "x",
        key: "y",
    };
    tell.send(Err(broke)).unwrap();
    assert_eq!(look().await, 0, "the list counts");
    tell.send(Ok(Change::Is(Box::new(ready(1))))).unwrap();
    assert_eq!(look().await, 1);
    tell.send(Ok(Change::Begin)).unwrap();
    assert_eq!(look().await, 0, "what is listed anew is not complete yet");
    tell.send(Ok(Change::Complete)).unwrap();
    let gone = Change::Gone {
        namespace: "postgres-vdbs-feat-1".into(),
        name: "feat-1-vdb".into(),
    };
    tell.send(Ok(gone)).unwrap();
    assert_eq!(look().await, 0);
}

#[tokio::test]
async fn streams_end_when_nobody_has_waited_for_a_while_and_begin_again() {
    let pace = Pace {
        linger: Duration::from_millis(200),
        ..FAST
    };
    let stage = stage(1, pace).await;
    let streams = || stage.cluster.calls.load(Ordering::SeqCst);
    let request = RequestId::parse(&id(1)).unwrap();
    let look = async || {
        progress::observe(&stage.app, &request, None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    look().await;
    let begun = streams();
    look().await;
    assert_eq!(streams(), begun, "the watch serves");
    tokio::time::sleep(Duration::from_millis(500)).await;
    look().await;
    assert!(streams() > begun, "a new watch");
}

#[tokio::test]
async fn a_branch_without_a_pull_request_is_a_request_already() {
    let stage = Stage::set().await;
    let request = RequestId::parse(&id(1)).unwrap();
    stage.forge.push(|_| {});
    stage.forge.make_branch(&request.branch());
    let seen = progress::observe(&stage.app, &request, None).await.unwrap();
    assert_eq!(
        (seen.readiness.state, seen.readiness.reason.as_str()),
        (State::Requested, "NoPullRequest")
    );
    assert!(seen.readiness.hint.contains("order again"));
}

#[tokio::test]
async fn after_a_push_only_the_environments_that_it_touched_are_read_again() {
    let stage = stage(20, FAST).await;
    stage.forge.tells_changes.store(true, Ordering::SeqCst);
    let look = async |n: usize| {
        let environment = EnvironmentName::parse(&format!("feat-{n}")).unwrap();
        stage.app.watch.forge.on_base(&environment).await.unwrap()
    };
    for n in 1..=20 {
        look(n).await;
    }
    stage.forge.push(|files| {
        files.remove("environments/feat-7/values.yaml");
    });
    stage.app.wake().await;
    let before = stage.forge.calls();
    assert_eq!(look(7).await, crate::serve::readiness::OnBase::Absent);
    for n in (1..=20).filter(|n| *n != 7) {
        look(n).await;
    }
    // The head, the comparison, one file.
    assert_eq!(stage.forge.calls() - before, 3);
}
