//! Whether the server is to run: it rests while it is switched off and from the end of its life on. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{between, parse};
use crate::crd::PostgresVdb;
use crate::reason::Reason;

/// Why the server is not to run; `None`: it is.
pub fn rests(cr: &PostgresVdb, now: Timestamp) -> Option<Reason> {
    if !cr.spec.enabled {
        return Some(Reason::Suspended);
    }
    end(cr)
        .is_some_and(|end| end <= now)
        .then_some(Reason::Expired)
}

/// Time left until the end of its life; `None`: it has none, or that is over.
pub fn until(cr: &PostgresVdb, now: Timestamp) -> Option<Duration> {
    let end = end(cr).filter(|end| *end > now)?;
    Some(between(now, end))
}

/// What people are told of a server that rests.
pub fn message(cr: &PostgresVdb, reason: Reason) -> String {
    match (reason, &cr.spec.expires_at) {
        (Reason::Expired, Some(end)) => {
            format!("the database expired at {end}; it is stopped and its data is kept")
        }
        _ => "the database is stopped and its data is kept".to_owned(),
    }
}

fn end(cr: &PostgresVdb) -> Option<Timestamp> {
    cr.spec.expires_at.as_deref().and_then(parse)
}
