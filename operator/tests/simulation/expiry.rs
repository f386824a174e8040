//! The end of a database's life: the server stops at its time, and starts again when the life is extended.

use jiff::{SignedDuration, Timestamp};
use operator::cluster::Kind;
use serde_json::json;

use super::world::{State, World};

fn after(world: &World, minutes: i64) -> String {
    (world.state().now + SignedDuration::from_mins(minutes)).to_string()
}

fn expire_at(world: &World, at: &str) {
    let mut state = world.state();
    let cr = state.cr.as_mut().unwrap();
    cr.spec.expires_at = Some(at.to_owned());
    *cr.metadata.generation.get_or_insert_default() += 1;
}

fn pods(state: &State) -> usize {
    state.objects.keys().filter(|n| n.kind == Kind::Pod).count()
}

#[tokio::test]
async fn a_server_stops_when_its_life_is_over_and_starts_when_it_is_extended() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    let end = after(&world, 3);
    expire_at(&world, &end);
    world.drive(State::is_ready).await;
    world
        .drive(|s| pods(s) == 0 && s.condition("Ready").unwrap().2.contains("expired at"))
        .await;
    {
        let state = world.state();
        assert!(state.now >= end.parse::<Timestamp>().unwrap());
        let (ready, _, message) = state.condition("Ready").unwrap();
        assert_eq!(ready, "False");
        assert!(
            message.contains(&end) && message.contains("vdb:extend"),
            "{message}"
        );
        assert_eq!(state.condition("Suspended").unwrap().0, "True");
        assert_eq!(state.condition("Stalled").unwrap().0, "False");
        let status = state.cr.as_ref().unwrap().status.clone().unwrap();
        assert_eq!(json!(status.phase), "Suspended");
        assert_eq!(state.vdbs.len(), 1, "the data is kept");
    }
    let later = after(&world, 600);
    expire_at(&world, &later);
    world.drive(State::is_ready).await;
    assert_eq!(world.state().provisioned, 1);
}

/// The last words come so soon after the ones before them that they have to wait.
#[tokio::test]
async fn a_server_that_stopped_soon_is_not_said_to_be_stopping_for_ever() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    world.state().stuck_pod = true;
    let end = after(&world, 3);
    expire_at(&world, &end);
    let says = |s: &State, word: &str| s.condition("Ready").unwrap().2.contains(word);
    world.drive(|s| says(s, "is stopping")).await;
    world.state().stuck_pod = false;
    world.drive(|s| says(s, "expired at")).await;
}

/// Nobody has to look at it: the operator asks to be woken no later than at the end.
#[tokio::test]
async fn the_operator_wakes_at_the_end_of_a_life_and_not_with_the_next_probe() {
    use operator::controller::{Requeue, reconcile};
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    let end = after(&world, 2);
    expire_at(&world, &end);
    world.drive(State::is_ready).await;
    let process = world.process();
    let left = loop {
        match reconcile(&process, &super::world::key()).await.unwrap() {
            Requeue::After(left) => break left,
            Requeue::OnChange => {}
        }
    };
    let wakes = world.state().now + SignedDuration::try_from(left).unwrap();
    assert!(
        wakes <= end.parse::<Timestamp>().unwrap(),
        "{left:?} leads to {wakes}, after {end}"
    );
}

#[tokio::test]
async fn what_is_ordered_after_its_end_is_not_made() {
    let world = World::new(json!({ "expiresAt": "2020-01-01T00:00:00Z" }));
    world.drive(|s| s.reason() == "Expired").await;
    assert_eq!(world.state().provisioned, 0);
}

#[tokio::test]
async fn a_refresh_waits_until_an_expired_database_runs_again() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    let end = after(&world, 1);
    expire_at(&world, &end);
    world
        .drive(|s| s.reason() == "Expired" && pods(s) == 0)
        .await;
    let refresh = json!({ "token": "t1" });
    world.state().cr.as_mut().unwrap().spec.refresh = serde_json::from_value(refresh).ok();
    let later = after(&world, 1);
    world
        .drive(|s| s.now >= later.parse::<Timestamp>().unwrap())
        .await;
    assert!(world.state().exchanges.is_empty());
    let later = after(&world, 600);
    expire_at(&world, &later);
    world
        .drive(|s| s.is_ready() && s.exchanges.len() == 1)
        .await;
}

#[tokio::test]
async fn no_end_that_can_be_read_is_refused_with_how_to_write_it() {
    let world = World::new(json!({ "expiresAt": "at the end of the year" }));
    world.drive(|s| s.reason() == "InvalidSpec").await;
    let state = world.state();
    let message = state.condition("Ready").unwrap().2;
    assert!(
        message.contains("expiresAt") && message.contains("2030-01-31T12:00:00Z"),
        "{message}"
    );
}
