//! Two leaders: one is held up after any of its calls, the other takes the lease and brings the work to its end, and
//! then the first wakes up in the middle of what it did.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use operator::cluster::Kind;
use serde_json::{Value, json};

use super::chaos::Random;
use super::hub::{Chance, Hub};
use super::run::Process;
use super::{CALM, Found, LEASE, drop_resource, judge, until};
use crate::world::{State, World};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Long enough for whatever a process that wakes up still does.
const AFTERWARDS: SignedDuration = SignedDuration::from_mins(2);

pub(super) fn world(spec: Value) -> State {
    let mut state = World::new(spec).state().clone();
    state.namespace = "ns0".into();
    state.prefix = "ns0:".into();
    let cr = state.cr.as_mut().unwrap();
    cr.metadata.namespace = Some("ns0".into());
    state
}

pub(super) fn hub(states: Vec<State>) -> Arc<Hub> {
    let worlds = states.into_iter().map(World::of).collect();
    let chance = Mutex::new(Chance::new(Random::new(1), CALM));
    Arc::new(Hub { worlds, chance })
}

fn hooks() -> Value {
    let hook =
        |stage: &str| json!({ "name": stage, "stage": stage, "type": "sql", "script": "select 1" });
    let hooks = ["post-create", "pre-refresh", "post-refresh", "pre-delete"].map(hook);
    json!({ "hooks": hooks })
}

fn ready(spec: Value) -> State {
    let hub = hub(vec![world(spec)]);
    let end = hub.now() + HOUR;
    let is_ready = |hub: &Hub| hub.worlds[0].state().is_ready();
    assert!(until(&mut [Process::new(&hub, 0)], &hub, end, is_ready));
    hub.worlds[0].state().clone()
}

/// The first process stands still after its call of this number; `None`: it makes no such call.
fn interrupted(base: &State, after: usize, lease: bool, done: fn(&State) -> bool) -> Option<State> {
    let hub = hub(vec![base.clone()]);
    let done = move |hub: &Hub| done(&hub.worlds[0].state());
    let end = hub.now() + HOUR;
    let mut processes = vec![Process::new(&hub, 0)];
    {
        let mut chance = hub.chance();
        chance.leader = lease.then_some(0);
        chance.holds = Some((0, after));
    }
    let stops = |hub: &Hub| hub.chance().is_held(0) || done(hub);
    assert!(until(&mut processes, &hub, end, stops));
    if !hub.chance().is_held(0) {
        return None;
    }
    until(&mut processes, &hub, hub.now() + LEASE, |_| false);
    processes.push(Process::new(&hub, 1));
    if lease {
        hub.chance().leader = Some(1);
    }
    assert!(
        until(&mut processes, &hub, end, done),
        "the second one does not end"
    );
    hub.chance().holds = None;
    until(&mut processes, &hub, hub.now() + AFTERWARDS, |_| false);
    assert!(!lease || processes[0].is_idle(), "the first one goes on");
    assert!(
        until(&mut processes, &hub, end, done),
        "what was done is undone"
    );
    let state = hub.worlds[0].state().clone();
    Some(state)
}

/// All moments of one piece of work, with a lease and without one.
fn everywhere(base: &State, done: fn(&State) -> bool, check: fn(&State, bool)) {
    for lease in [true, false] {
        let mut moments = 0;
        while let Some(state) = interrupted(base, moments + 1, lease, done) {
            moments += 1;
            println!("held after call {moments}, lease {lease}");
            assert_eq!(state.violations, Vec::<String>::new());
            assert_eq!(state.duplicates, 0);
            assert!(!state.ready_without_query, "Ready without a query");
            check(&state, lease);
        }
        assert!(moments > 5, "{moments} moments");
    }
}

#[test]
fn a_leader_that_wakes_up_in_a_creation_makes_no_second_database() {
    everywhere(&world(hooks()), State::is_ready, |state, _| {
        assert_eq!((state.provisioned, state.vdbs.len()), (1, 1));
        let one = |kind| state.objects.keys().filter(|n| n.kind == kind).count() == 1;
        assert!(one(Kind::StatefulSet) && one(Kind::PersistentVolume));
    });
}

#[test]
fn a_leader_that_wakes_up_in_a_refresh_exchanges_the_data_once() {
    let mut base = ready(hooks());
    let wish = json!({ "token": "t-1" });
    base.change(|cr| cr.spec.refresh = serde_json::from_value(wish).unwrap());
    let over = |state: &State| {
        let refresh = state.refresh().and_then(|r| r.state);
        state.is_ready() && refresh.is_some_and(environment::status::RefreshState::is_over)
    };
    everywhere(&base, over, |state, lease| {
        let data = state.vdbs.values().next().unwrap().data();
        assert_eq!((state.vdbs.len(), data.origin.as_str()), (1, "refreshed"));
        if lease {
            assert_eq!(state.exchanges, ["refresh"]);
            assert!(state.bookmarks.is_empty());
        }
        // Without a lease a late order may be one too many. Of it remains data that is just as new, and a bookmark
        // that ends by itself; but it may have met a server that ran already, so there is a lease.
        assert!(state.exchanges.iter().all(|order| *order == "refresh"));
    });
}

#[test]
fn a_leader_that_wakes_up_in_a_deletion_makes_nothing_anew() {
    let base = World::of(ready(hooks()));
    drop_resource(&base, false);
    let base = base.state().clone();
    everywhere(
        &base,
        |state| state.cr.is_none(),
        |state, _| {
            assert_eq!(judge(state), Found::default());
            assert!(state.orphans.is_empty());
        },
    );
}
