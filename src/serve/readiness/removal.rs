//! How far the removal of an environment has come: retired is it when nothing of it is left.

use super::{Argo, Observation, OnBase, Readiness, Reason, State, of_condition, readiness};
use crate::argocd::Application;
use crate::web::one_line;

pub(super) fn retired(seen: &Observation<'_>) -> Readiness {
    let environment = seen.request.environment();
    if let OnBase::Request(_) = seen.base {
        return readiness(
            Reason::OrderedAgain,
            format!("environment {environment} was retired, and has been ordered again since"),
        );
    }
    if let Some((stuck, _)) = seen
        .databases
        .iter()
        .find_map(|d| d.status.stalled().filter(|(_, hinders)| *hinders))
    {
        return of_condition(State::Blocked, stuck);
    }
    match &seen.argo {
        Argo::Unknown { message, hint } => {
            readiness(Reason::ArgoCdUnknown, message.clone()).with_hint(hint.clone())
        }
        Argo::Present(application) => stuck(application).unwrap_or_else(|| {
            if application.metadata.deletion_timestamp.is_none() {
                readiness(
                    Reason::NotRemoved,
                    format!("merged; Argo CD has not removed Application {environment} yet"),
                )
            } else {
                what_is_left(seen)
            }
        }),
        _ => what_is_left(seen),
    }
}

/// What keeps Argo CD from deleting, in its own words.
fn stuck(application: &Application) -> Option<Readiness> {
    let condition = application
        .status
        .conditions
        .iter()
        .find(|c| c.kind == "DeletionError");
    if let Some(condition) = condition {
        return Some(readiness(
            Reason::DeletionError,
            one_line(&condition.message, 600),
        ));
    }
    let result = application
        .status
        .operation_state
        .as_ref()?
        .sync_result
        .as_ref()?;
    let skipped = result
        .resources
        .iter()
        .find(|r| r.status == "PruneSkipped")?;
    Some(readiness(
        Reason::PruneSkipped,
        format!(
            "{} {} was not removed: {}",
            skipped.kind,
            skipped.name,
            one_line(&skipped.message, 400)
        ),
    ))
}

fn what_is_left(seen: &Observation<'_>) -> Readiness {
    let environment = seen.request.environment();
    let (mut there, mut gone): (Vec<String>, Vec<String>) = Default::default();
    let mut sort = |is_there: bool, what: String| {
        let list = if is_there { &mut there } else { &mut gone };
        list.push(what);
    };
    sort(
        matches!(seen.argo, Argo::Present(_)),
        format!("Application {environment}"),
    );
    if seen.databases.is_empty() {
        sort(
            false,
            "its PostgresVDBs with their databases and volumes".to_owned(),
        );
    }
    for database in &seen.databases {
        sort(true, format!("PostgresVDB {}", database.name));
    }
    sort(
        seen.namespace.is_some(),
        format!("namespace {}", environment.namespace()),
    );
    if there.is_empty() {
        readiness(Reason::Gone, format!("gone: {}", gone.join(", ")))
    } else {
        readiness(
            Reason::Removing,
            format!("still there: {}", there.join(", ")),
        )
    }
}
