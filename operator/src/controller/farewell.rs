//! Sessions are told before a server that serves is stopped, and have the time that the order gives them. Nobody to tell,
//! or a notification that cannot be sent, stops nothing.

use std::time::Duration;

use environment::status::{Exchange, Refresh};
use jiff::Timestamp;

use super::act::server;
use super::build::Frame;
use super::observe::Observed;
use super::plan::{Plan, Step};
use super::{Context, desired, refresh};
use crate::clock::{between, parse, seconds};
use crate::crd::PostgresVdb;
use crate::reason::Reason;
use crate::rules::LONGEST_GRACE;
use crate::settings::parse_duration;
use crate::sql::{Farewell, Why};

/// One stop, which sessions are told of once.
#[derive(Clone, Debug)]
pub struct Stop {
    pub why: Why,
    pub deadline: Timestamp,
    /// Tells it from others.
    pub of: String,
}

/// How long sessions have.
pub fn grace(cr: &PostgresVdb) -> Duration {
    let asked = cr.spec.session_grace.as_deref().and_then(parse_duration);
    asked.unwrap_or_default().min(LONGEST_GRACE)
}

/// For other data: from the moment on at which that was written down.
pub fn exchange(observed: &Observed, refresh: &Refresh) -> Stop {
    let since = refresh.since.as_deref().and_then(parse);
    let why = match refresh.operation {
        Some(Exchange::Rewind) => Why::Rewind,
        _ => Why::Refresh,
    };
    Stop {
        why,
        deadline: since.unwrap_or(observed.now) + grace(&observed.cr),
        of: refresh.since.clone().unwrap_or_default(),
    }
}

/// For a server that rests. Whoever switches it off waits for nobody.
pub fn rest(observed: &Observed, reason: Reason) -> Stop {
    let end = observed.cr.spec.expires_at.as_deref().and_then(parse);
    match end.filter(|_| reason == Reason::Expired) {
        Some(end) => Stop {
            why: Why::Expired,
            deadline: end + grace(&observed.cr),
            of: seconds(end),
        },
        None => Stop {
            why: Why::Suspended,
            deadline: observed.now,
            of: observed.cr.generation().to_string(),
        },
    }
}

/// What comes before a step of the plan, as long as the server serves.
pub fn first(
    observed: &Observed,
    frame: &Frame<'_>,
    stop: Stop,
    reason: Reason,
    plan: Plan,
) -> Plan {
    let serves = matches!(plan, Plan::Act(_)) && refresh::still_serves(observed, frame);
    if !serves || frame.has_own_role() {
        return plan;
    }
    if observed.memory.told.as_ref() != Some(&stop.of) {
        return Plan::Act(Step::Tell(stop));
    }
    let left = between(observed.now, stop.deadline);
    // More is left than they were given: the clock that it was written down by went ahead, and nobody waits for that.
    if left.is_zero() || left > grace(&observed.cr) {
        return plan;
    }
    let message = format!("the server stops at {}", seconds(stop.deadline));
    Plan::wait(reason, message, left)
}

/// Told or not, it is not tried again.
pub async fn tell(ctx: &Context, observed: &Observed, frame: &Frame<'_>, stop: &Stop) {
    let key = observed.cr.key();
    let farewell = Farewell {
        database: frame.cr.spec.database.name.clone(),
        why: stop.why,
        // Not one that is over already.
        deadline: stop.deadline.max(observed.now),
    };
    let told = async {
        let server = server(ctx, observed, frame).await;
        let server = server.map_err(|error| error.to_string())?;
        let admin = desired::admin_password(observed, frame);
        let admin = admin.ok_or("the platform's Secret is missing")?;
        let told = ctx.sql.tell(&server, &admin, &farewell).await;
        told.map_err(|error| error.to_string())
    };
    if let Err(error) = told.await {
        tracing::warn!(%key, %error, "sessions were not told that their server stops");
    }
    ctx.memory.with(&key, |m| m.told = Some(stop.of.clone()));
}
