//! How far the removal of an environment has come: retired is it when nothing of it is left.

use super::{Argo, Observation, OnBase, Readiness, State, of_condition, readiness};

pub(super) fn retired(seen: &Observation<'_>) -> Readiness {
    let environment = seen.request.environment();
    if let OnBase::Request(_) = seen.base {
        return readiness(
            State::Retired,
            "OrderedAgain",
            format!("environment {environment} was retired, and has been ordered again since"),
        );
    }
    if let Some(stuck) = seen
        .databases
        .iter()
        .find_map(|d| d.status.condition("Stalled").filter(|c| c.status == "True"))
    {
        return of_condition(State::Blocked, stuck);
    }
    let mut there: Vec<String> = Vec::new();
    let mut gone: Vec<String> = Vec::new();
    let mut sort = |is_there: bool, what: String| {
        if is_there {
            there.push(what);
        } else {
            gone.push(what);
        }
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
    match &seen.argo {
        Argo::Unknown { message, hint } => {
            readiness(State::Blocked, "ArgoCdUnknown", message.clone()).with_hint(hint.clone())
        }
        Argo::Present(application) if application.metadata.deletion_timestamp.is_none() => {
            readiness(
                State::Merged,
                "NotRemoved",
                format!("merged; Argo CD has not removed Application {environment} yet"),
            )
        }
        _ if there.is_empty() => {
            readiness(State::Retired, "Gone", format!("gone: {}", gone.join(", ")))
        }
        _ => readiness(
            State::Syncing,
            "Removing",
            format!("still there: {}", there.join(", ")),
        ),
    }
}
