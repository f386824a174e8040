//! What Argo CD says about a request that the resource does not carry yet.
//!
//! A statement counts only if it is about our merge: conditions that are older than it, and operations of another
//! revision, say nothing about the order. Argo CD's health is not read at all.

use jiff::{SignedDuration, Timestamp};

use super::refusal::{failed, refused};
use super::{Argo, Observation, Readiness, Reason, State, readiness};
use crate::argocd::{Application, ApplicationSet, OperationState};
use crate::web::one_line;

/// Argo CD polls every three minutes where a push event is lost; two polls later something is wrong.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What Argo CD says while the resource does not carry the order.
pub(super) fn of_argo(seen: &Observation<'_>, name: &str) -> Readiness {
    let answer = match &seen.argo {
        Argo::NotAsked => readiness(Reason::NotApplied, "merged; not in the cluster yet"),
        Argo::Absent => absent(seen.set.as_ref()),
        Argo::Unknown { message, hint } => {
            return readiness(Reason::ArgoCdUnknown, message.clone()).with_hint(hint.clone());
        }
        Argo::Present(application) => present(seen, application, name),
    };
    overdue(seen, answer)
}

fn absent(set: Option<&ApplicationSet>) -> Readiness {
    let failed = set.and_then(|set| {
        let mut conditions = set.status.conditions.iter();
        conditions.find(|c| c.kind == "ErrorOccurred" && c.status == "True")
    });
    match failed {
        Some(condition) => readiness(
            Reason::ApplicationSetError,
            one_line(&condition.message, 600),
        ),
        None => readiness(
            Reason::NoApplication,
            "merged; Argo CD has not made the Application yet",
        ),
    }
}

/// Every wait has an end: what should take seconds and takes minutes needs somebody to look.
fn overdue(seen: &Observation<'_>, answer: Readiness) -> Readiness {
    let Some(since) = seen.merged_at().filter(|_| {
        matches!(answer.state, State::Merged | State::Syncing) && answer.hint.is_empty()
    }) else {
        return answer;
    };
    let waited = seen.now.duration_since(since);
    if waited < PATIENCE {
        return answer;
    }
    let minutes = waited.as_mins();
    readiness(
        Reason::Overdue,
        format!("{} (for {minutes} minutes)", answer.message),
    )
}

fn present(seen: &Observation<'_>, application: &Application, name: &str) -> Readiness {
    if application.metadata.deletion_timestamp.is_some() {
        return readiness(
            Reason::ApplicationDeleting,
            "an earlier environment of this name is still being removed",
        );
    }
    if let Some(answer) = of_conditions(seen, application).or_else(|| of_hydrator(application)) {
        return answer;
    }
    let Some(operation) = &application.status.operation_state else {
        return not_begun(seen, application).unwrap_or_else(|| {
            readiness(
                Reason::NotSynced,
                "Argo CD has not synced the Application yet",
            )
        });
    };
    match operation.phase.as_str() {
        "Failed" | "Error" if !is_older(seen, operation) => failed(operation, name),
        "Succeeded" | "Failed" | "Error" => after_sync(seen, application, operation, name),
        _ => running(operation, name),
    }
}

fn running(operation: &OperationState, name: &str) -> Readiness {
    let message = one_line(&operation.message, 600);
    if message.to_lowercase().contains("blocked by sync window") {
        return readiness(Reason::SyncWindowClosed, message);
    }
    match refused(operation, name) {
        Some(refusal) if operation.retry_count > 0 => readiness(
            Reason::SyncRetrying,
            format!(
                "{refusal} (Argo CD has tried {} times again)",
                operation.retry_count
            ),
        ),
        _ => readiness(Reason::Syncing, format!("Argo CD syncs: {message}")),
    }
}

/// No sync is under way, and the last one did not bring the order.
fn after_sync(
    seen: &Observation<'_>,
    application: &Application,
    operation: &OperationState,
    name: &str,
) -> Readiness {
    if application.status.sync.status == "OutOfSync" {
        return not_begun(seen, application).unwrap_or_else(|| {
            readiness(
                Reason::OutOfSync,
                "Argo CD knows the change and has not synced it yet",
            )
        });
    }
    if is_older(seen, operation) {
        return readiness(
            Reason::SyncedOlder,
            format!(
                "Argo CD's last sync ({}) is of a commit before the merge",
                operation.phase
            ),
        );
    }
    readiness(
        Reason::NotInResource,
        format!("Argo CD has synced; {name} does not carry the order yet"),
    )
}

/// What keeps a sync from beginning, where that can be seen.
fn not_begun(seen: &Observation<'_>, application: &Application) -> Option<Readiness> {
    if application.syncs_by_itself() {
        return None;
    }
    let waits = seen.set.as_ref().and_then(|set| {
        set.status
            .application_status
            .iter()
            .find(|a| a.application == application.metadata.name && a.status != "Healthy")
    });
    Some(match waits {
        Some(step) => readiness(
            Reason::RollingSync,
            format!("{}: {}", step.status, one_line(&step.message, 500)),
        ),
        None => readiness(
            Reason::AutoSyncOff,
            "the Application is out of sync and automatic sync is off",
        ),
    })
}

/// Whether an operation applied a commit that does not contain our merge.
fn is_older(seen: &Observation<'_>, operation: &OperationState) -> bool {
    if let Some(holds) = seen.holds_merge {
        return !holds;
    }
    // The hydrator's and other repositories' commits cannot be compared with ours: then the time decides.
    let started = operation.started_at.as_deref().and_then(time);
    started
        .zip(seen.merged_at())
        .is_some_and(|(started, merged)| started < merged)
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Errors that keep Argo CD from syncing at all. Those that come from the files need a change in Git; others pass.
fn of_conditions(seen: &Observation<'_>, application: &Application) -> Option<Readiness> {
    let reconciled = application.status.reconciled_at.as_deref().and_then(time);
    // What was found before the merge is about other files.
    if reconciled
        .zip(seen.merged_at())
        .is_some_and(|(reconciled, merged)| reconciled < merged)
    {
        return None;
    }
    let condition = application
        .status
        .conditions
        .iter()
        .find(|c| c.kind.ends_with("Error"))?;
    // A sync that failed says it better in its result.
    if condition.kind == "SyncError" && application.status.operation_state.is_some() {
        return None;
    }
    let message = one_line(&condition.message, 600);
    let text = condition.message.to_lowercase();
    let in_files = [
        "manifest generation error",
        "failed to generate manifest",
        "helm template",
        "values don't meet",
    ]
    .iter()
    .any(|sign| text.contains(sign));
    let reason = match condition.kind.as_str() {
        "InvalidSpecError" => Reason::InvalidSpecError,
        _ if in_files => Reason::ManifestError,
        "ComparisonError" => Reason::ComparisonError,
        "DeletionError" => Reason::DeletionError,
        _ => Reason::ApplicationError,
    };
    Some(readiness(reason, message))
}

fn of_hydrator(application: &Application) -> Option<Readiness> {
    let operation = application
        .status
        .source_hydrator
        .current_operation
        .as_ref()?;
    (operation.phase == "Failed")
        .then(|| readiness(Reason::HydrationFailed, one_line(&operation.message, 600)))
}
