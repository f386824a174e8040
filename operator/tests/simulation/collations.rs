//! Text that sorts otherwise than where the data comes from: said, repaired or refused, as the order wants it.

use std::time::Duration;

use operator::cluster::Kind;
use operator::controller::reconcile;
use operator::sql::{Collation, Collations};
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{State, World, faults, key};

const FOUND: &str = "database orders has recorded version 2.31 of collation default en_US.utf8, the server has 2.36";

fn differ() -> Collations {
    let collation = Collation {
        database: "orders".into(),
        name: "default en_US.utf8".into(),
        recorded: Some("2.31".into()),
        actual: Some("2.36".into()),
    };
    Collations {
        differ: vec![collation],
        ..Collations::default()
    }
}

fn world(spec: Value) -> World {
    let world = World::new(spec);
    world.state().collations = differ();
    world
}

fn says(state: &State, status: &str, reason: &str, message: &str) {
    let (is, why, said) = state.condition("CollationsMatch").unwrap();
    assert_eq!((is.as_str(), why.as_str()), (status, reason), "{said}");
    assert!(said.contains(message), "{said}");
}

#[tokio::test]
async fn what_sorts_alike_is_said_to() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    says(&world.state(), "True", "Match", "");
}

#[tokio::test]
async fn a_database_that_sorts_otherwise_is_ready_and_says_so() {
    let world = world(json!({}));
    world.drive(State::is_ready).await;
    let state = world.state();
    says(&state, "False", "CollationMismatch", FOUND);
    let (_, _, ready) = state.condition("Ready").unwrap();
    assert!(ready.contains("warning: text may sort otherwise") && ready.contains(FOUND));
    assert!(
        state.status_writes <= 4 && state.writes <= 13,
        "{:?}",
        state.log
    );
}

#[tokio::test]
async fn versions_that_nobody_recorded_are_unknown_and_no_warning() {
    let world = world(json!({ "collations": "Refuse" }));
    let mut found = differ();
    found.unrecorded = std::mem::take(&mut found.differ);
    found.unrecorded[0].recorded = None;
    world.state().collations = found;
    world.drive(State::is_ready).await;
    let state = world.state();
    says(&state, "Unknown", "NotRecorded", "recorded version none");
    assert!(!state.condition("Ready").unwrap().2.contains("warning"));
}

#[tokio::test]
async fn what_is_refused_is_not_ready_and_runs_no_hook_until_the_order_allows_it() {
    let hook =
        json!({ "name": "seed", "stage": "post-create", "type": "sql", "script": "select 1" });
    let world = world(json!({ "collations": "Refuse", "hooks": [hook] }));
    world.drive(|s| s.reason() == "CollationMismatch").await;
    {
        let mut state = world.state();
        says(&state, "False", "CollationMismatch", FOUND);
        assert_eq!(state.condition("Stalled").unwrap().0, "True");
        assert!(
            state
                .condition("Ready")
                .unwrap()
                .2
                .contains("set spec.collations")
        );
        assert!(!state.objects.keys().any(|name| name.kind == Kind::Job));
        state.change(|cr| cr.spec.collations = environment::spec::CollationPolicy::Warn);
    }
    world.drive(State::is_ready).await;
}

#[tokio::test]
async fn indexes_are_rebuilt_before_ready_once_and_that_stays_told() {
    let world = world(json!({ "collations": "Reindex" }));
    // One that takes no longer than other progress is not written down.
    world.state().rebuild = Ok(20);
    world.drive(|s| s.reason() == "Reindexing").await;
    {
        let state = world.state();
        says(&state, "False", "Reindexing", FOUND);
        let (ready, _, message) = state.condition("Ready").unwrap();
        assert!(
            ready == "False" && message.contains("at most 1800s (reindexDeadline)"),
            "{message}"
        );
        assert_eq!(state.condition("Stalled").unwrap().0, "False");
    }
    world.drive(State::is_ready).await;
    says(&world.state(), "True", "Reindexed", "2 indexes rebuilt");
    assert!(world.state().status_writes <= 5, "{:?}", world.state().log);
    // Another process compares once more, and finds what it finds now.
    let writes = world.state().writes;
    let restarted = world.process();
    world.state().log.clear();
    for _ in 0..2 {
        reconcile(&restarted, &key()).await.unwrap();
        world.state().advance(Duration::from_mins(30));
    }
    assert!(world.state().log.iter().any(|c| c == "prepare"));
    says(&world.state(), "True", "Reindexed", "2 indexes rebuilt");
    assert_eq!(world.state().writes, writes, "{:?}", world.state().log);
}

#[tokio::test]
async fn a_rebuild_that_fails_says_why_and_is_tried_again() {
    let world = world(json!({ "collations": "Reindex", "errorBackoffPeriod": "10s" }));
    world.state().rebuild = Err("database orders, index public.names: no space left");
    world.drive(|s| s.reason() == "ReindexFailed").await;
    says(&world.state(), "False", "ReindexFailed", "no space left");
    world.state().rebuild = Ok(1);
    world.drive(State::is_ready).await;
    says(&world.state(), "True", "Reindexed", "");
}

#[rstest]
#[case("Warn", "False")]
#[case("Reindex", "True")]
#[tokio::test]
async fn a_fault_at_any_call_changes_nothing_about_it(#[case] policy: &str, #[case] ends: &str) {
    let made = world(json!({ "collations": policy }));
    made.drive(State::is_ready).await;
    let calls = made.state().log.clone();
    for (at, call) in (1..).zip(&calls) {
        for fault in faults(call) {
            let world = world(json!({ "collations": policy }));
            world.state().fault = Some((at, *fault));
            world.drive(State::is_ready).await;
            let state = world.state();
            assert_eq!(state.condition("CollationsMatch").unwrap().0, ends);
            assert!(!state.ready_without_query);
        }
    }
}

#[rstest]
#[case("Warn", RefreshEnds::New)]
#[case("Refuse", RefreshEnds::Before)]
#[case("Reindex", RefreshEnds::New)]
#[tokio::test]
async fn new_data_that_sorts_otherwise_is_judged_as_at_the_first_order(
    #[case] policy: &str,
    #[case] ends: RefreshEnds,
) {
    let world = World::new(json!({ "collations": policy }));
    world.drive(State::is_ready).await;
    {
        let mut state = world.state();
        state.collations = differ();
        state.change(|cr| {
            cr.spec.refresh = Some(serde_json::from_value(json!({ "token": "t1" })).unwrap());
        });
    }
    let over = |s: &State| {
        let refresh = s.refresh().and_then(|r| r.state);
        refresh.is_some_and(environment::status::RefreshState::is_over)
    };
    if ends == RefreshEnds::Before {
        world
            .drive(|s| s.refresh().is_some_and(|r| r.reason.is_some()))
            .await;
        let mut state = world.state();
        let refresh = state.refresh().unwrap();
        assert_eq!(refresh.reason.as_deref(), Some("CollationMismatch"));
        assert!(refresh.message.as_ref().unwrap().contains(FOUND));
        // The data before sorts as this image does.
        state.collations = Collations::default();
    }
    world.drive(|s| over(s) && s.is_ready()).await;
    let state = world.state();
    let refresh = state.refresh().unwrap();
    let failed = refresh.state == Some(environment::status::RefreshState::Failed);
    assert_eq!(failed, ends == RefreshEnds::Before);
    match policy {
        "Warn" => says(&state, "False", "CollationMismatch", FOUND),
        "Reindex" => says(&state, "True", "Reindexed", ""),
        _ => says(&state, "True", "Match", ""),
    }
}

#[derive(Debug, PartialEq)]
enum RefreshEnds {
    New,
    Before,
}
