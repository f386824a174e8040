//! What Argo CD says about a request that the resource does not carry yet.

use super::{Argo, Readiness, State, readiness};
use crate::argocd::Application;
use crate::web::one_line;

/// What Argo CD says while the resource does not carry the order.
pub(super) fn of_argo(argo: &Argo, name: &str) -> Readiness {
    let application = match argo {
        Argo::NotAsked => {
            return readiness(
                State::Merged,
                "NotApplied",
                "merged; not in the cluster yet",
            );
        }
        Argo::Absent => {
            return readiness(
                State::Merged,
                "NoApplication",
                "merged; Argo CD has not made the Application yet",
            );
        }
        Argo::Unknown { message, hint } => {
            return readiness(State::Blocked, "ArgoCdUnknown", message.clone())
                .with_hint(hint.clone());
        }
        Argo::Present(application) => application,
    };
    if let Some(answer) = of_conditions(application) {
        return answer;
    }
    let Some(operation) = &application.status.operation_state else {
        return readiness(
            State::Syncing,
            "NotSynced",
            "Argo CD has not synced the Application yet",
        );
    };
    let refused = operation.sync_result.as_ref().and_then(|result| {
        result
            .resources
            .iter()
            .find(|r| r.kind == "PostgresVDB" && r.name == name && r.status == "SyncFailed")
    });
    match operation.phase.as_str() {
        "Failed" | "Error" => {
            let message = refused.map_or(&operation.message, |resource| &resource.message);
            readiness(State::Failed, "SyncFailed", one_line(message, 600))
                .with_hint("correct the environment's values.yaml by a pull request")
        }
        "Succeeded" if application.status.sync.status == "OutOfSync" => readiness(
            State::Syncing,
            "OutOfSync",
            "Argo CD knows the change and has not synced it yet",
        )
        .with_hint("if it stays so, automatic sync is off or a sync window is closed"),
        "Succeeded" => readiness(
            State::Syncing,
            "NotApplied",
            format!("Argo CD has synced; {name} does not carry the order yet"),
        ),
        _ => readiness(
            State::Syncing,
            "Syncing",
            one_line(&format!("Argo CD syncs: {}", operation.message), 600),
        ),
    }
}

/// Errors that keep Argo CD from syncing at all. Those that come from the files need a change in Git; others pass.
fn of_conditions(application: &Application) -> Option<Readiness> {
    let condition = application
        .status
        .conditions
        .iter()
        .find(|c| c.kind.ends_with("Error"))?;
    let message = one_line(&condition.message, 600);
    let in_files = condition.kind == "InvalidSpecError"
        || [
            "manifest generation error",
            "failed to generate manifest",
            "helm template",
            "values don't meet",
        ]
        .iter()
        .any(|sign| condition.message.to_lowercase().contains(sign));
    Some(if in_files {
        readiness(State::Failed, &condition.kind, message)
            .with_hint("correct the environment's values.yaml by a pull request")
    } else {
        readiness(State::Blocked, &condition.kind, message)
            .with_hint("Argo CD tries again by itself; if it stays so, look into its log")
    })
}
