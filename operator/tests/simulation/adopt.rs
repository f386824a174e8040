//! A resource whose status was lost, as after a backup of the cluster was put back: what was ordered for it is found by its
//! name and its tags, and taken over as it is. Nothing is ordered anew, whatever breaks on the way.

use environment::names::FINALIZER;
use operator::cluster::Kind;
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{State, World, faults};

/// How far the order was when its status was lost.
#[derive(Clone, Copy, Debug)]
enum Lost {
    /// Nothing was ordered.
    Before,
    /// The job that makes the virtual database runs.
    Ordered,
    Ready,
    /// The data was exchanged once: everything is named after another generation.
    Refreshed,
    /// With everything around it but the server's data.
    Alone,
}

async fn base(lost: Lost, spec: Value) -> State {
    let world = World::new(spec);
    match lost {
        Lost::Before => {
            let mut state = world.state();
            state.change(|cr| cr.metadata.finalizers = Some(vec![FINALIZER.to_owned()]));
        }
        Lost::Ordered => world.drive(|s| s.provisioned == 1).await,
        Lost::Ready | Lost::Alone => world.drive(State::is_ready).await,
        Lost::Refreshed => {
            world.drive(State::is_ready).await;
            let wish = json!({ "token": "t-1" });
            world
                .state()
                .change(|cr| cr.spec.refresh = serde_json::from_value(wish).unwrap());
            let over = |s: &State| {
                let refresh = s.refresh().and_then(|r| r.state);
                s.is_ready() && refresh.is_some_and(environment::status::RefreshState::is_over)
            };
            world.drive(over).await;
        }
    }
    let mut state = world.state().clone();
    state.change(|cr| cr.status = None);
    if matches!(lost, Lost::Alone) {
        state.objects.clear();
    }
    state.log.clear();
    state.calls = 0;
    state
}

fn count(state: &State, kind: Kind) -> usize {
    state.objects.keys().filter(|n| n.kind == kind).count()
}

fn assert_one(state: &State, origin: &str) {
    let about = format!("{:?}: {:?}", state.fault, state.log);
    assert!(state.is_ready() && !state.ready_without_query, "{about}");
    assert_eq!(state.provisioned, 1, "{about}");
    assert_eq!(state.duplicates, 0, "{about}");
    let id = state.cr.as_ref().and_then(|cr| {
        let vdb = cr.status.as_ref()?.vdb.as_ref()?;
        vdb.id.clone()
    });
    assert_eq!(id.as_deref(), Some("vdb-1"), "{about}");
    assert_eq!(state.vdbs["vdb-1"].data().origin, origin, "{about}");
    for kind in [
        Kind::StatefulSet,
        Kind::PersistentVolume,
        Kind::PersistentVolumeClaim,
    ] {
        assert_eq!(count(state, kind), 1, "{kind:?}, {about}");
    }
}

fn assert_gone(state: &State) {
    let about = format!("{:?}: {:?}", state.fault, state.log);
    assert!(state.vdbs.is_empty(), "a virtual database is left, {about}");
    assert_eq!(count(state, Kind::PersistentVolume), 0, "{about}");
    assert!(state.orphans.is_empty(), "{about}");
}

/// Once without a fault and once for each fault at each call.
async fn every_fault(base: &State, done: fn(&State) -> bool, check: impl Fn(&State)) {
    let run = async |fault| {
        let world = World::of(base.clone());
        world.state().fault = fault;
        world.drive(done).await;
        world.state().advance(std::time::Duration::from_secs(5));
        check(&world.state());
        world.state().log.clone()
    };
    let calls = run(None).await;
    for (at, call) in (1..).zip(&calls) {
        for fault in faults(call) {
            run(Some((at, *fault))).await;
        }
    }
}

#[rstest]
#[case(Lost::Before, "the latest snapshot")]
#[case(Lost::Ordered, "the latest snapshot")]
#[case(Lost::Ready, "the latest snapshot")]
#[case(Lost::Refreshed, "refreshed")]
#[case(Lost::Alone, "the latest snapshot")]
#[tokio::test]
async fn a_fault_at_any_call_of_an_adoption_orders_nothing_anew(
    #[case] lost: Lost,
    #[case] origin: &str,
    #[values(true, false)] unique_names: bool,
) {
    let mut base = base(lost, json!({})).await;
    base.unique_names = unique_names;
    every_fault(&base, State::is_ready, |state| assert_one(state, origin)).await;
}

#[rstest]
#[case(Lost::Before)]
#[case(Lost::Ordered)]
#[case(Lost::Ready)]
#[case(Lost::Refreshed)]
#[case(Lost::Alone)]
#[tokio::test]
async fn a_deletion_after_the_status_was_lost_leaves_nothing(#[case] lost: Lost) {
    let world = World::of(base(lost, json!({})).await);
    world.delete();
    let base = world.state().clone();
    every_fault(&base, |s| s.cr.is_none(), assert_gone).await;
}

/// A virtual database of this name whose tag names another resource is not taken over.
#[tokio::test]
async fn what_bears_the_name_and_the_tag_of_another_is_left_alone() {
    let mut base = base(Lost::Ready, json!({})).await;
    let found = base.vdbs.get_mut("vdb-1").unwrap();
    for tag in found.vdb.tags.iter_mut().flatten() {
        if tag.key == "cr-uid" {
            "another".clone_into(&mut tag.value);
        }
    }
    let world = World::of(base);
    world.drive(|s| s.reason() == "ForeignObject").await;
    world.delete();
    world.drive(|s| s.cr.is_none()).await;
    assert_eq!(world.state().vdbs.len(), 1);
}

/// A tower that cannot be asked gets an entry in the ledger, because only it could tell whether there is something.
#[tokio::test]
async fn a_dead_tower_leaves_a_lost_order_to_the_ledger() {
    let world = World::of(base(Lost::Ready, json!({})).await);
    world.delete();
    world.state().tower_answers = Err((dct::Class::Unreachable, "connection refused"));
    world.drive(|s| s.reason() == "EngineUnreachable").await;
    world.state().advance(std::time::Duration::from_mins(10));
    world.drive(|s| s.cr.is_none()).await;
    let state = world.state();
    let named = state.orphans.iter().map(|o| o.vdb_name.clone());
    let there = state.vdbs.values().map(|v| v.vdb.name.clone());
    assert!(named.eq(there));
}
