//! Sessions hear that their server is going to stop, and have the time that the order gives them.

use jiff::{SignedDuration, Timestamp};
use operator::cluster::Kind;
use operator::sql::Why;
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{State, World, faults};

async fn ready(spec: Value) -> State {
    World::new(spec).ready().await
}

fn refresh(state: &mut State) {
    state.change(|cr| {
        cr.spec.refresh = Some(serde_json::from_value(json!({ "token": "t-1" })).unwrap());
    });
}

fn over(state: &State) -> bool {
    let refresh = state.refresh().and_then(|r| r.state);
    refresh.is_some_and(environment::status::RefreshState::is_over) && state.is_ready()
}

fn runs(state: &State) -> bool {
    state.object(Kind::Pod, "dev-vdb-0").is_some()
}

fn place(state: &State, what: &str) -> usize {
    let found = state.log.iter().position(|c| c.starts_with(what));
    found.unwrap_or_else(|| panic!("{what}: {:?}", state.log))
}

#[tokio::test]
async fn a_refresh_tells_them_once_after_it_is_written_down_and_before_the_server_goes() {
    let mut base = ready(json!({})).await;
    refresh(&mut base);
    let world = World::of(base);
    world.drive(over).await;
    let state = world.state();
    assert_eq!(state.told.len(), 1, "{:?}", state.log);
    let told = &state.told[0];
    assert_eq!((told.why, told.database.as_str()), (Why::Refresh, "orders"));
    assert!(place(&state, "status Refreshing") < place(&state, "tell"));
    assert!(place(&state, "tell") < place(&state, "apply StatefulSet"));
}

#[tokio::test]
async fn the_server_runs_until_the_time_that_they_were_told() {
    let mut base = ready(json!({ "sessionGrace": "30s" })).await;
    refresh(&mut base);
    let world = World::of(base);
    world
        .drive(|s| {
            if let Some(told) = s.told.first() {
                assert!(runs(s) || s.now >= told.deadline, "it went at {}", s.now);
                assert_eq!(s.condition("Ready").unwrap().0, "False");
            }
            !runs(s)
        })
        .await;
    {
        let state = world.state();
        let since = state.refresh().unwrap().since.as_ref().unwrap();
        let since: Timestamp = since.parse().unwrap();
        let [told] = state.told.as_slice() else {
            panic!("{:?}", state.told);
        };
        assert_eq!(told.deadline, since + SignedDuration::from_secs(30));
        assert!(state.now >= told.deadline);
    }
    world.drive(over).await;
    assert_eq!(world.state().told.len(), 1);
}

/// A process that dies may tell them again; one that cannot tell them goes on.
#[rstest]
#[case(json!({}))]
#[case(json!({ "sessionGrace": "5s" }))]
#[tokio::test]
async fn a_fault_at_any_call_tells_them_at_most_twice_and_keeps_nothing_up(#[case] spec: Value) {
    let mut base = ready(spec).await;
    refresh(&mut base);
    let clean = World::of(base.clone());
    clean.drive(over).await;
    let calls = clean.state().log.clone();
    let mut most = 0;
    for (at, call) in (1..).zip(&calls) {
        for fault in faults(call) {
            let world = World::of(base.clone());
            world.state().fault = Some((at, *fault));
            world.drive(over).await;
            let state = world.state();
            let told = state.told.len();
            let heard = !call.starts_with("tell");
            assert!(
                told <= 2 && (told > 0 || !heard),
                "{told}: {fault:?} at {call}"
            );
            assert_eq!(state.exchanges, ["refresh"]);
            most = most.max(told);
        }
    }
    assert_eq!(most, 2, "a process died after it had told them");
}

#[tokio::test]
async fn the_end_of_a_life_is_told_and_waits_as_long() {
    let mut base = ready(json!({ "sessionGrace": "20s" })).await;
    let end = base.now + SignedDuration::from_mins(1);
    base.change(|cr| cr.spec.expires_at = Some(end.to_string()));
    let world = World::of(base);
    world.drive(|s| !runs(s)).await;
    let state = world.state();
    assert_eq!(state.told.len(), 1, "{:?}", state.told);
    assert_eq!(state.told[0].why, Why::Expired);
    let deadline: Timestamp = end + SignedDuration::from_secs(20);
    assert_eq!(state.told[0].deadline, deadline);
    assert!(state.now >= deadline);
}

#[tokio::test]
async fn switching_a_server_off_is_told_and_waits_for_nobody() {
    let mut base = ready(json!({ "sessionGrace": "10m" })).await;
    base.change(|cr| cr.spec.enabled = false);
    let since = base.now;
    let world = World::of(base);
    world.drive(|s| !runs(s)).await;
    let state = world.state();
    assert_eq!(state.told.len(), 1);
    assert_eq!(state.told[0].why, Why::Suspended);
    assert!(state.now.duration_since(since) < SignedDuration::from_secs(30));
}

#[tokio::test]
async fn a_server_that_nobody_was_let_in_to_is_stopped_without_a_word() {
    let world = World::new(json!({ "database": { "name": "nothere" } }));
    world.drive(|s| s.reason() == "DatabaseNotFound").await;
    world.state().change(|cr| cr.spec.enabled = false);
    world.drive(|s| !runs(s)).await;
    assert!(world.state().told.is_empty());
}
