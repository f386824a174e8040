//! `PostgresRefresh` and `PostgresRewind`: they ask the database for an exchange of its data, and tell how it went.

use environment::actions::ActionStatus;
use environment::spec::Point;
use environment::status::{Exchange as Operation, RefreshState};

use super::reason::Reason;
use super::{Action, Spec, Step};
use crate::cluster;
use crate::controller::Context;
use crate::controller::refresh::{self, begin};
use crate::crd::PostgresVdb;

/// How the exchange that this action asked for stands: whether it succeeded, if it is over, and what it says.
pub(super) fn result(vdb: &PostgresVdb, own: &str) -> Option<(Option<bool>, String)> {
    let recorded = refresh::recorded(vdb)?;
    if recorded.action.as_deref() == Some(own) {
        let state = recorded.state?;
        let over = state.is_over().then_some(state == RefreshState::Succeeded);
        let said = recorded.message.clone();
        return Some((over, said.unwrap_or_else(|| format!("{state:?}"))));
    }
    // Another one has begun since.
    let ended = recorded.ended.iter().find(|e| e.action == own)?;
    Some((Some(ended.succeeded), ended.message.clone()))
}

pub(super) async fn step(
    ctx: &Context,
    action: &Action,
    vdb: &PostgresVdb,
) -> Result<Step, cluster::Error> {
    let running = |message: String| ActionStatus {
        message,
        ..action.status.clone()
    };
    let own = action.reference();
    if let Some((over, message)) = result(vdb, &own) {
        return Ok(match over {
            None => Step::Runs(Box::new(running(message))),
            Some(false) => Step::Failed(Reason::RefreshFailed, message),
            Some(true) => {
                let data_as_of = vdb.status.as_ref().and_then(|s| s.data_as_of.clone());
                Step::Succeeded(Box::new(ActionStatus {
                    data_as_of,
                    ..running("the data was exchanged and the database answered".to_owned())
                }))
            }
        });
    }
    if action.status.started_at.is_some() {
        // A read that is behind does not name it yet.
        ctx.confirm(vdb).await?;
        let why = "the database's status does not name it any more".to_owned();
        return Ok(Step::Failed(Reason::ResultUnknown, why));
    }
    if !begin::can_begin(vdb) {
        return Ok(Step::Waits("the database is not ready".to_owned()));
    }
    let ask = begin::Ask {
        token: None,
        action: Some(own),
        operation: operation(action),
        point: point(action),
    };
    let mut status = vdb.status.clone().unwrap_or_default();
    status.refresh = Some(begin::begun(vdb, &ask, ctx.clock.now()));
    // Refused if anything has changed since: then the next pass looks again.
    ctx.cluster.write_status(vdb, &status).await?;
    let (version, now) = (vdb.metadata.resource_version.as_deref(), ctx.clock.now());
    ctx.memory.with(&vdb.key(), |m| m.replaced(version, now));
    Ok(Step::Runs(Box::new(running("it has begun".to_owned()))))
}

fn operation(action: &Action) -> Operation {
    match action.spec {
        Spec::Rewind(_) => Operation::Rewind,
        _ => Operation::Refresh,
    }
}

fn point(action: &Action) -> Point {
    match &action.spec {
        Spec::Refresh(spec) => spec.point.clone(),
        Spec::Rewind(spec) => spec.point.clone(),
        Spec::Snapshot(_) | Spec::Task(_) => Point::default(),
    }
}
