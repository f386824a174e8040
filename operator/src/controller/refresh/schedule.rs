//! Refreshes that come again and again. The next time stands in the status, so that none is lost or repeated. Pure.

use std::time::Duration;

use environment::schedule::Schedule;
use environment::status::Refresh;
use jiff::Timestamp;

use super::recorded;
use crate::clock::{between, parse, seconds};
use crate::crd::PostgresVdb;

/// The next time of a schedule.
pub fn next(schedule: Option<&str>, now: Timestamp) -> Option<String> {
    let schedule = Schedule::parse(schedule?).ok()?;
    schedule.after(now).map(seconds)
}

/// A schedule that is new, another or gone is noted first: no time before it was seen counts.
pub fn noted(cr: &PostgresVdb, now: Timestamp) -> Option<Refresh> {
    let wanted = cr.spec.refresh.as_ref().and_then(|r| r.schedule.clone());
    let before = recorded(cr).cloned().unwrap_or_default();
    (wanted != before.schedule).then(|| Refresh {
        next: next(wanted.as_deref(), now),
        schedule: wanted,
        ..before
    })
}

/// Times that were missed are made up for by one refresh.
pub fn due(cr: &PostgresVdb, now: Timestamp) -> bool {
    until_due(cr, now) == Some(Duration::ZERO)
}

pub fn until_due(cr: &PostgresVdb, now: Timestamp) -> Option<Duration> {
    let next = recorded(cr)?.next.as_deref().and_then(parse)?;
    Some(between(now, next))
}
