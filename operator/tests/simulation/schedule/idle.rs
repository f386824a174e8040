//! What databases cost that nobody touches: a query about every ten minutes, and what that reads; about once an hour a
//! whole pass. No write, no call of the tower; also after a restart.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;

use super::hub::Hub;
use super::leaders::{hub, world};
use super::run::Process;
use super::until;
use crate::world::State;

const COUNT: usize = 9;
/// Of a whole pass: the resource and the nine objects beside it, twice: to see that a query is due, and to see that
/// nothing else is.
const READS: usize = 20;
/// Of a query: the resource, its pod and its credentials.
const FEW: usize = 3;
/// Whole passes in six hours.
const WHOLE: usize = 7;

/// One resource of each namespace.
fn many() -> Vec<State> {
    let of = |index: usize| {
        let mut state = world(json!({}));
        state.namespace = format!("ns{index}");
        state.prefix = format!("ns{index}:");
        let cr = state.cr.as_mut().unwrap();
        cr.metadata.namespace = Some(format!("ns{index}"));
        cr.metadata.uid = Some(format!("{:08x}-{index}", index * 7919));
        state
    };
    (0..COUNT).map(of).collect()
}

fn settled() -> (Arc<Hub>, Process) {
    let hub = hub(many());
    let mut processes = [Process::new(&hub, 0)];
    let end = hub.now() + SignedDuration::from_hours(1);
    let ready = |hub: &Hub| hub.worlds.iter().all(|w| w.state().is_ready());
    assert!(until(&mut processes, &hub, end, ready));
    // What the last writes wake up.
    until(
        &mut processes,
        &hub,
        hub.now() + SignedDuration::from_mins(1),
        |_| false,
    );
    let [process] = processes;
    (hub, process)
}

/// Lets time pass; the calls about each resource meanwhile.
fn calls(hub: &Arc<Hub>, process: &mut Process, time: SignedDuration) -> Vec<Vec<String>> {
    for world in &hub.worlds {
        world.state().log.clear();
    }
    let end = hub.now() + time;
    until(std::slice::from_mut(process), hub, end, |_| false);
    let log = |world: &crate::world::World| std::mem::take(&mut world.state().log);
    hub.worlds.iter().map(log).collect()
}

fn counted(log: &[String]) -> (usize, usize) {
    let probes = log.iter().filter(|call| *call == "check").count();
    let reads = log.iter().filter(|call| call.starts_with("read ")).count();
    // A process that has just started makes sure of the roles once, before its first query.
    let known = ["check", "prepare"];
    let rest = log
        .iter()
        .filter(|call| !known.contains(&call.as_str()) && !call.starts_with("read "));
    assert_eq!(rest.collect::<Vec<_>>(), Vec::<&String>::new());
    (probes, reads)
}

#[test]
fn settled_databases_cost_a_query_every_ten_minutes_and_nothing_else() {
    let (hub, mut process) = settled();
    let hours = SignedDuration::from_hours(6);
    for log in calls(&hub, &mut process, hours) {
        let (probes, reads) = counted(&log);
        assert!((32..=41).contains(&probes), "{probes} queries in six hours");
        let most = (probes - WHOLE) * FEW + WHOLE * READS;
        assert!(reads <= most, "{reads} reads, {probes} queries");
    }
}

#[test]
fn a_restarted_operator_writes_nothing_asks_no_database_at_once_and_asks_them_all_again() {
    let (hub, _) = settled();
    let mut process = Process::new(&hub, 0);
    for log in calls(&hub, &mut process, SignedDuration::from_secs(55)) {
        let (probes, reads) = counted(&log);
        assert!(probes == 0 && reads <= READS / 2, "{probes}, {reads}");
    }
    let (mut firsts, hour) = (Vec::new(), SignedDuration::from_hours(1));
    let end = hub.now() + hour;
    while hub.now() < end {
        let minute = SignedDuration::from_mins(1);
        let asked = calls(&hub, &mut process, minute);
        let asked = asked.iter().filter(|log| counted(log).0 > 0).count();
        firsts.push(asked);
    }
    let probes: usize = firsts.iter().sum();
    assert!((COUNT * 5..=COUNT * 8).contains(&probes), "{firsts:?}");
    assert!(firsts.iter().all(|n| *n < COUNT), "all at once: {firsts:?}");
}
