//! The end of an order: nothing is left, and it always comes.

use operator::cluster::{Kind, Object};
use serde_json::json;

use super::world::{State, World, faults};

fn assert_gone(state: &State) {
    assert!(
        state.vdbs.is_empty(),
        "{:?} left {} VDBs: {:?}",
        state.fault,
        state.vdbs.len(),
        state.log
    );
    let left: Vec<_> = state
        .objects
        .keys()
        .filter(|n| !n.name.starts_with("vdb-init-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(state.orphans.is_empty());
}

fn gone(state: &State) -> bool {
    state.cr.is_none()
}

async fn settle(world: &World) {
    world.drive(gone).await;
    world.state().advance(std::time::Duration::from_secs(5));
}

#[rstest::rstest]
#[case::hooks_succeed(false)]
#[case::hooks_fail(true)]
#[tokio::test]
async fn a_fault_at_any_call_of_a_deletion_leaves_nothing(#[case] hook_fails: bool) {
    let ready = World::new(
        json!({ "hooks": [{ "name": "dump", "stage": "pre-delete", "type": "command", "script": "true" }] }),
    );
    ready.drive(State::is_ready).await;
    ready.state().hook_fails = hook_fails;
    ready.delete();
    let base = ready.state().clone();
    let clean = World::of(base.clone());
    settle(&clean).await;
    assert_gone(&clean.state());
    assert!(
        clean.state().log.iter().any(|c| c.starts_with("apply Job")),
        "the pre-delete hook ran"
    );
    let calls = clean.state().log.clone();
    for (at, call) in (1..).zip(&calls).skip(base.calls) {
        for fault in faults(call) {
            let world = World::of(base.clone());
            world.state().fault = Some((at, *fault));
            settle(&world).await;
            assert_gone(&world.state());
        }
    }
}

#[tokio::test]
async fn a_deletion_at_any_moment_of_a_creation_leaves_nothing() {
    let clean = World::new(json!({}));
    clean.drive(State::is_ready).await;
    let calls = clean.state().log.clone();
    for (at, call) in (1..).zip(&calls) {
        for fault in faults(call) {
            let world = World::new(json!({}));
            world.state().fault = Some((at, *fault));
            world.drive(|s| s.calls >= at).await;
            world.delete();
            settle(&world).await;
            assert_gone(&world.state());
        }
    }
}

/// `kubectl delete namespace` takes the operator's role away before the resource: what it may still do is enough.
#[tokio::test]
async fn a_namespace_that_took_its_role_away_leaves_neither_database_nor_volume() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    world.delete();
    {
        let mut state = world.state();
        state.namespace_ends = true;
        state.objects.retain(|name, _| name.namespace.is_empty());
        assert!(!state.objects.is_empty(), "there is a volume");
    }
    settle(&world).await;
    assert_gone(&world.state());
}

#[tokio::test]
async fn past_the_deadline_a_dead_engine_costs_a_ledger_entry_and_no_more() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    world.delete();
    world.state().tower_answers = Err((dct::Class::Unreachable, "connection refused"));
    world.drive(|s| s.reason() == "EngineUnreachable").await;
    assert!(world.state().cr.is_some());
    world.state().advance(std::time::Duration::from_mins(10));
    settle(&world).await;
    let state = world.state();
    assert_eq!(state.orphans.len(), 1);
    assert_eq!(state.orphans[0].vdb_id.as_deref(), Some("vdb-1"));
    assert!(
        !state
            .objects
            .keys()
            .any(|n| n.kind == Kind::PersistentVolume)
    );
}

#[tokio::test]
async fn a_pod_that_never_ends_is_forced_only_after_the_deadline() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    world.state().stuck_pod = true;
    world.delete();
    world.drive(|s| s.reason() == "Deleting").await;
    assert!(world.state().objects.keys().any(|n| n.kind == Kind::Pod));
    assert_eq!(
        world.state().vdbs.len(),
        1,
        "the engine is not touched while the pod uses the data"
    );
    world.state().advance(std::time::Duration::from_mins(10));
    settle(&world).await;
    assert!(!world.state().objects.keys().any(|n| n.kind == Kind::Pod));
    assert_eq!(world.state().orphans.len(), 1);
}

/// What the cluster says of the pods of a node that is gone.
fn lose_the_node(state: &mut State) {
    state.stuck_pod = true;
    let conditions = json!([{ "type": "ContainersReady", "status": "True" }, { "type": "Ready", "status": "False" }]);
    for object in state.objects.values_mut() {
        if let Object::Pod(pod) = object {
            let status = std::sync::Arc::make_mut(pod).status.get_or_insert_default();
            status.conditions = serde_json::from_value(conditions.clone()).unwrap();
        }
    }
}

#[tokio::test]
async fn on_a_node_that_is_lost_the_server_is_given_up_in_time_and_nothing_is_left() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    lose_the_node(&mut world.state());
    world.drive(|s| s.reason() == "NodeLost").await;
    let message = world.state().condition("Ready").unwrap().2;
    assert!(message.contains("node1 does not report"), "{message}");
    world.delete();
    world.drive(|s| s.reason() == "Deleting").await;
    let message = world.state().condition("Ready").unwrap().2;
    assert!(message.contains("node1 does not report"), "{message}");
    assert_eq!(world.state().vdbs.len(), 1, "the node may come back");
    let began = world.state().now;
    world.drive(gone).await;
    let state = world.state();
    assert_gone(&state);
    // Half of the world's ten minutes, and then in order.
    let took = state.now.duration_since(began);
    assert!(took < jiff::SignedDuration::from_mins(6), "{took}");
}

/// The namespace takes the pods first, and deletes the resource only when they are gone.
#[tokio::test]
async fn a_namespace_that_ends_is_not_kept_by_the_server_on_a_lost_node() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    {
        let mut state = world.state();
        lose_the_node(&mut state);
        state.namespace_ends = true;
        let now = state.now;
        for object in state.objects.values_mut() {
            if let Object::Pod(pod) = object {
                let meta = &mut std::sync::Arc::make_mut(pod).metadata;
                let ends = now + jiff::SignedDuration::from_secs(120);
                meta.deletion_timestamp = serde_json::from_value(json!(ends)).unwrap();
                meta.deletion_grace_period_seconds = Some(120);
            }
        }
    }
    let pods = |state: &State| state.objects.keys().filter(|n| n.kind == Kind::Pod).count();
    world.drive(|s| s.reason() == "Deleting").await;
    assert_eq!(pods(&world.state()), 1, "the node may come back");
    world.drive(|s| pods(s) == 0).await;
    assert_eq!(
        world.state().vdbs.len(),
        1,
        "the resource is not deleted yet"
    );
    world.delete();
    settle(&world).await;
    assert_gone(&world.state());
}

#[tokio::test]
async fn a_node_that_comes_back_makes_its_database_ready_again() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    lose_the_node(&mut world.state());
    world.drive(|s| s.reason() == "NodeLost").await;
    for object in world.state().objects.values_mut() {
        if let Object::Pod(pod) = object {
            std::sync::Arc::make_mut(pod)
                .status
                .as_mut()
                .unwrap()
                .conditions = None;
        }
    }
    world.drive(State::is_ready).await;
    assert_eq!(world.state().provisioned, 1);
}

#[tokio::test]
async fn retain_keeps_the_virtual_database_and_says_so() {
    let world = World::new(json!({ "deletionPolicy": "Retain" }));
    world.drive(State::is_ready).await;
    world.delete();
    settle(&world).await;
    let state = world.state();
    assert_eq!(state.vdbs.len(), 1);
    assert_eq!(state.orphans.len(), 1);
    assert!(state.orphans[0].why.contains("Retain"));
    assert!(
        !state
            .objects
            .keys()
            .any(|n| n.kind == Kind::PersistentVolume)
    );
}

#[tokio::test]
async fn an_order_that_was_refused_is_deleted_at_once() {
    let world = World::new(json!({ "mode": "Standby" }));
    world.drive(|s| s.reason() == "ModeUnsupported").await;
    world.delete();
    settle(&world).await;
    assert_gone(&world.state());
}

/// The hooks of a resource that is deleted were perhaps never checked.
#[tokio::test]
async fn a_hook_with_an_impossible_deadline_does_not_keep_a_resource() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    let hook = json!([{ "name": "dump", "stage": "pre-delete", "type": "command", "script": "true", "deadline": "5124095576030431h" }]);
    let hooks = serde_json::from_value(hook).unwrap();
    world.state().change(|cr| cr.spec.hooks = hooks);
    world.delete();
    settle(&world).await;
    assert_gone(&world.state());
}

#[rstest::rstest]
#[case("Delete")]
#[case("Retain")]
#[tokio::test]
async fn the_deletion_of_an_order_that_failed_does_not_wait_for_its_deadline(#[case] policy: &str) {
    let world = World::new(json!({ "deletionPolicy": policy }));
    world.state().job_fails = Some("out of space");
    world.drive(|s| s.reason() == "ProvisionFailed").await;
    world.delete();
    let began = world.state().now;
    world.drive(gone).await;
    let state = world.state();
    // Neither in the ledger nor asked for again and again: there is no virtual database.
    assert_gone(&state);
    assert!(state.now.duration_since(began) < jiff::SignedDuration::from_mins(1));
}

#[tokio::test]
async fn a_deletion_that_is_refused_in_the_middle_of_a_refresh_says_so() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    world.state().change(|cr| {
        cr.spec.refresh = serde_json::from_value(json!({ "token": "t-1" })).unwrap();
    });
    world.drive(|s| s.exchanges.len() == 1).await;
    world.delete();
    world.state().refusing = vec!["delete"];
    world.drive(|s| s.reason() == "EngineRefused").await;
    let state = world.state().refresh().and_then(|r| r.state);
    assert_eq!(
        state,
        Some(environment::status::RefreshState::Replacing),
        "a deletion undoes no exchange"
    );
    world.state().refusing.clear();
    settle(&world).await;
    assert_gone(&world.state());
}

#[tokio::test]
async fn a_resource_that_is_deleted_while_its_server_is_made_loses_the_server_before_the_data() {
    let world = World::new(json!({}));
    // In the foreground: the cluster takes away what belongs to it, and the pod takes its time.
    world.state().meanwhile = Some((Kind::StatefulSet, |state| {
        state.stuck_pod = true;
        state.advance(std::time::Duration::from_secs(1));
        state.delete();
        state
            .objects
            .retain(|name, _| name.kind != Kind::StatefulSet);
    }));
    let asks = |call: &String| call == "delete Pod dev-vdb-0";
    world.drive(|state| state.log.iter().any(asks)).await;
    world.state().stuck_pod = false;
    settle(&world).await;
    assert_gone(&world.state());
}
