//! Whether another exchange is asked for, and what is written down first. Pure.

use environment::spec::Point;
use environment::status::{Ended, Exchange as Operation, Refresh, RefreshState};
use jiff::Timestamp;

use super::{recorded, schedule, under_way, write};
use crate::clock::precise;
use crate::controller::build::{Frame, Names, vdb_name};
use crate::controller::expiry;
use crate::controller::observe::{self, Observed};
use crate::controller::plan::Plan;
use crate::crd::PostgresVdb;

/// Tokens that are remembered: more than anybody goes back in Git.
const REMEMBERED: usize = 20;

/// Who asks for which data.
#[derive(Clone, Debug)]
pub struct Ask {
    pub token: Option<String>,
    pub action: Option<String>,
    pub operation: Operation,
    pub point: Point,
}

/// The spec's wish, if it is a new one and the database is one that was proved before.
pub fn plan(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    let cr = &observed.cr;
    if can_begin(cr)
        && let Some(noted) = schedule::noted(cr, observed.now)
    {
        return Some(write(noted, None));
    }
    let ask = by_token(cr).or_else(|| schedule::due(cr, observed.now).then(|| scheduled(cr)))?;
    let delivered = observe::copy(observed, &Names::of(frame)).is_some();
    let runs = expiry::rests(cr, observed.now).is_none();
    let ready = runs && delivered && can_begin(cr);
    ready.then(|| write(begun(cr, &ask, observed.now), None))
}

/// Whether the spec has a wish that was not written down yet.
pub fn asks(cr: &PostgresVdb, now: Timestamp) -> bool {
    by_token(cr).is_some() || schedule::due(cr, now) || schedule::noted(cr, now).is_some()
}

/// No exchange is under way, and there is a database whose data can be exchanged.
pub fn can_begin(cr: &PostgresVdb) -> bool {
    let status = cr.status.as_ref();
    under_way(cr).is_none() && status.is_some_and(|s| s.verified.is_some())
}

/// A token that was not seen before asks for the newest data of what the order was made from.
fn by_token(cr: &PostgresVdb) -> Option<Ask> {
    let token = cr.spec.refresh.as_ref()?.token.as_ref()?;
    let known = recorded(cr).is_some_and(|r| r.seen.contains(token));
    (!token.is_empty() && !known).then(|| Ask {
        token: Some(token.clone()),
        ..scheduled(cr)
    })
}

fn scheduled(cr: &PostgresVdb) -> Ask {
    Ask {
        token: None,
        action: None,
        operation: Operation::Refresh,
        // A bookmark stands for its data; a snapshot or a moment was only where the order began.
        point: Point {
            bookmark: cr.spec.source.bookmark.clone(),
            ..Point::default()
        },
    }
}

/// The token that an order comes with is no wish for other data.
pub fn at_creation(cr: &PostgresVdb) -> Option<Refresh> {
    let token = cr.spec.refresh.as_ref()?.token.clone()?;
    Some(Refresh {
        seen: vec![token],
        ..Refresh::default()
    })
}

/// What is written down before anything is done.
pub fn begun(cr: &PostgresVdb, ask: &Ask, now: Timestamp) -> Refresh {
    let before = recorded(cr).cloned().unwrap_or_default();
    let mut seen = before.seen.clone();
    seen.extend(ask.token.clone());
    seen.drain(..seen.len().saturating_sub(REMEMBERED));
    let mut ended = before.ended.clone();
    ended.extend(result(&before));
    ended.drain(..ended.len().saturating_sub(REMEMBERED));
    let at = Some(precise(now));
    if before.state == Some(RefreshState::UndoFailed) {
        // Before anything else the data before has to come back.
        return Refresh {
            token: ask.token.clone(),
            action: ask.action.clone(),
            state: Some(RefreshState::Undoing),
            since: at,
            finished_at: None,
            seen,
            ended,
            ..before
        };
    }
    let present = observe::recorded(cr).generation.unwrap_or(1);
    let to = present.max(before.to.unwrap_or(present)) + 1;
    Refresh {
        token: ask.token.clone(),
        action: ask.action.clone(),
        operation: Some(ask.operation),
        state: Some(RefreshState::Keeping),
        started_at: at.clone(),
        since: at,
        point: Some(ask.point.clone()).filter(|point| !point.is_latest()),
        bookmark: Some(format!("{}-before-g{to}", vdb_name(cr))),
        from: Some(present),
        to: Some(to),
        // A rewind cannot be undone by `undo_refresh`.
        rollback: ask.operation == Operation::Rewind,
        seen,
        ended,
        // Whatever asked for it: the next time is not before this one.
        next: schedule::next(before.schedule.as_deref(), now),
        schedule: before.schedule,
        ..Refresh::default()
    }
}

/// What an action may still want to know when another exchange takes the place of its own.
fn result(before: &Refresh) -> Option<Ended> {
    Some(Ended {
        action: before.action.clone()?,
        succeeded: before.state == Some(RefreshState::Succeeded),
        message: before.message.clone().unwrap_or_default(),
    })
}
