//! Time in ticks of five minutes: longer than what the operator waits for an order to come to light, and half of its
//! deadlines. The clock stands still; what is written down grows older instead, up to the age from which on nothing
//! depends on it. So the same situation an hour later is the same state.

use std::time::Duration;

use environment::PostgresVdbStatus;
use environment::status::RefreshState;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator::clock::{between, parse, precise, seconds};
use operator::crd::PostgresVdb;

const TICK: Duration = Duration::from_mins(5);
/// Past every grace and backoff.
pub(crate) const PAST_GRACES: u8 = 1;
/// Past every deadline.
pub(crate) const PAST_DEADLINES: u8 = 2;
/// Past the longest time between two proofs.
pub(crate) const PAST_PROBES: u8 = 3;
/// A state with hooks has their deadline on top.
const PAST_HOOKS: u8 = 3;

pub(crate) fn now() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

pub(crate) fn before(ticks: u8) -> Timestamp {
    now() - SignedDuration::try_from(TICK * u32::from(ticks)).unwrap()
}

pub(crate) fn age(at: Timestamp) -> u8 {
    let ticks = between(at, now()).as_secs() / TICK.as_secs();
    u8::try_from(ticks).unwrap_or(u8::MAX)
}

fn aged(at: &str, by: u8, cap: u8) -> Timestamp {
    before((parse(at).map_or(0, age) + by).min(cap))
}

/// What people alone read gets one time; what the operator decides on grows older.
pub(crate) fn pass(cr: &mut PostgresVdb, by: u8) {
    let hooks = !cr.spec.hooks.is_empty();
    let deleting = cr.is_deleting();
    if let Some(at) = &mut cr.metadata.deletion_timestamp {
        *at = Time(before((age(at.0) + by).min(PAST_DEADLINES)));
    }
    if let Some(status) = &mut cr.status {
        pass_status(status, by, hooks, deleting);
    }
}

fn pass_status(status: &mut PostgresVdbStatus, by: u8, hooks: bool, deleting: bool) {
    let still = now();
    for condition in &mut status.conditions {
        let waits = condition.kind == "Stalled" && condition.status == "True";
        let at = if waits {
            aged(&condition.last_transition_time, by, PAST_GRACES)
        } else {
            still
        };
        condition.last_transition_time = seconds(at);
    }
    // Nobody asks for the age of the order once the database was there.
    let by_order = if status.verified.is_some() {
        PAST_GRACES
    } else {
        by
    };
    if let Some(intent) = status.vdb.as_mut().and_then(|v| v.intent.as_mut()) {
        intent.at = precise(aged(&intent.at, by_order, PAST_GRACES));
    }
    if let Some(refresh) = &mut status.refresh {
        let over = deleting || refresh.state.is_none_or(RefreshState::is_over);
        let longest = if hooks { PAST_HOOKS } else { PAST_DEADLINES };
        let since = refresh.since.as_deref();
        refresh.since = since.map(|at| precise(if over { still } else { aged(at, by, longest) }));
        let constant = |at: &Option<String>| at.as_ref().map(|_| precise(still));
        refresh.started_at = constant(&refresh.started_at);
        refresh.finished_at = constant(&refresh.finished_at);
    }
}
