//! What people are told once a status is written: events, and the count of what failed beside the way to Ready.

use environment::PostgresVdbStatus;
use environment::status::RefreshState;

use super::observe::Observed;
use super::plan::{Outcome, Record};
use super::{Context, status};
use crate::cluster::Notice;
use crate::reason::{Kind, Reason};

/// Events are for people: one that cannot be written stops nothing.
pub async fn tell(
    ctx: &Context,
    observed: &Observed,
    before: &PostgresVdbStatus,
    shown: &PostgresVdbStatus,
    outcome: &Outcome,
) {
    let change = changed(before, shown);
    let failures = failures(before, shown, outcome);
    for failure in &failures {
        ctx.metrics.failed(failure.reason);
    }
    for notice in change.into_iter().chain(failures) {
        let Notice { reason, note, .. } = &notice;
        tracing::info!(key = %observed.cr.key(), %reason, message = note, "told");
        if let Err(error) = ctx.cluster.notify(&observed.cr, &notice).await {
            tracing::debug!(%error, "event not written");
        }
    }
}

/// Ready has another reason.
fn changed(before: &PostgresVdbStatus, shown: &PostgresVdbStatus) -> Option<Notice> {
    let ready = shown.condition("Ready")?;
    if before
        .condition("Ready")
        .is_some_and(|c| c.reason == ready.reason)
    {
        return None;
    }
    let reason = Reason::named(&ready.reason)?;
    let warning = reason.kind() != Kind::Progress;
    Some(Notice {
        warning,
        counted: warning,
        reason,
        note: ready.message.clone(),
    })
}

/// What has failed with this write, and does not show in Ready.
fn failures(
    before: &PostgresVdbStatus,
    shown: &PostgresVdbStatus,
    outcome: &Outcome,
) -> Vec<Notice> {
    let failed = |status: &PostgresVdbStatus| {
        let refresh = status.refresh.clone();
        refresh.filter(|r| r.state == Some(RefreshState::Failed))
    };
    let exchange = failed(shown).filter(|_| failed(before).is_none());
    // Each has words of its own, which would be lost in a count.
    let warning = |reason, note| Notice {
        warning: true,
        counted: false,
        reason,
        note,
    };
    let exchange =
        exchange.map(|refresh| warning(Reason::RefreshFailed, status::failure_of(&refresh)));
    let hook = match outcome {
        Outcome::Recorded(Record::HookFailed(message)) => {
            Some(warning(Reason::HookFailed, message.clone()))
        }
        _ => None,
    };
    exchange.into_iter().chain(hook).collect()
}
