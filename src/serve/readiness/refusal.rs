//! What the cluster refused in a sync, read from the result of that object, and what kind of refusal it is.

use super::{Readiness, Reason, readiness};
use crate::argocd::OperationState;
use crate::web::one_line;

/// The refusal of our resource; without one, of any other, because a namespace that fails keeps ours from being tried.
pub(super) fn refused(operation: &OperationState, name: &str) -> Option<String> {
    let failed = |ours: bool| {
        let resources = &operation.sync_result.as_ref()?.resources;
        resources.iter().find(|r| {
            r.status == "SyncFailed" && (!ours || (r.kind == "PostgresVDB" && r.name == name))
        })
    };
    let resource = failed(true).or_else(|| failed(false))?;
    let message = one_line(&resource.message, 500);
    Some(format!("{} {}: {message}", resource.kind, resource.name))
}

/// A sync that failed for good.
pub(super) fn failed(operation: &OperationState, name: &str) -> Readiness {
    let message = refused(operation, name).unwrap_or_else(|| one_line(&operation.message, 600));
    readiness(kind(&message), message)
}

fn kind(message: &str) -> Reason {
    let text = message.to_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    if says(&["exceeded quota"]) {
        Reason::RefusedByQuota
    } else if says(&[
        "admission webhook",
        "validatingadmissionpolicy",
        "denied request",
    ]) {
        Reason::RefusedByAdmission
    } else if says(&["could not find", "crd is installed", "no matches for kind"]) {
        Reason::KindMissing
    } else if says(&[
        "is not permitted in project",
        "cannot create resource",
        "cannot patch resource",
    ]) {
        Reason::NotPermitted
    } else if says(&[
        "is invalid",
        "invalid value",
        "unknown field",
        "strict decoding",
    ]) {
        Reason::RefusedBySchema
    } else {
        Reason::SyncFailed
    }
}
