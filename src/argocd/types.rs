//! Argo CD's objects, as far as readiness needs them.
//!
//! Every field has a default: Argo CD 3.2 and 3.5 leave different ones out, and an odd object must not stop the others.

use environment::names::{GROUP, KIND};
use serde::{Deserialize, Deserializer};

/// An Application, as far as readiness needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Application {
    pub metadata: Metadata,
    pub spec: Spec,
    pub status: Status,
}

impl Application {
    /// Whether Argo CD syncs without being asked: `automated` is there and not switched off (`enabled` since 3.1).
    pub fn syncs_by_itself(&self) -> bool {
        let automated = &self.spec.sync_policy.automated;
        automated
            .as_ref()
            .is_some_and(|automated| automated.enabled != Some(false))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    pub project: String,
    pub sync_policy: SyncPolicy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SyncPolicy {
    pub automated: Option<Automated>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Automated {
    pub enabled: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    pub resource_version: String,
    pub creation_timestamp: Option<String>,
    pub deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    pub sync: Sync,
    pub health: Health,
    pub operation_state: Option<OperationState>,
    pub conditions: Vec<Condition>,
    pub reconciled_at: Option<String>,
    pub source_hydrator: SourceHydrator,
    /// Of the objects that it has or should have, the names of our databases.
    #[serde(rename = "resources", deserialize_with = "databases")]
    pub databases: Vec<String>,
}

fn databases<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let resources = Option::<Vec<ResourceResult>>::deserialize(deserializer)?;
    Ok(resources
        .into_iter()
        .flatten()
        .filter(|resource| resource.group == GROUP && resource.kind == KIND)
        .map(|resource| resource.name)
        .collect())
}

/// Only with the source hydrator: what is synced is then a branch that Argo CD writes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SourceHydrator {
    pub current_operation: Option<HydrateOperation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HydrateOperation {
    /// Hydrating, Failed or Hydrated.
    pub phase: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sync {
    /// Synced, OutOfSync or Unknown.
    pub status: String,
    pub revision: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Health {
    pub status: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OperationState {
    /// Running, Succeeded, Failed, Error or Terminating.
    pub phase: String,
    pub message: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub retry_count: i64,
    pub sync_result: Option<SyncResult>,
}

impl OperationState {
    /// The commits that it applies: one, or one for each source.
    pub fn revisions(&self) -> Vec<&str> {
        let Some(result) = &self.sync_result else {
            return Vec::new();
        };
        std::iter::once(&result.revision)
            .chain(&result.revisions)
            .filter(|revision| !revision.is_empty())
            .map(String::as_str)
            .collect()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SyncResult {
    pub revision: String,
    /// Instead of `revision` where the Application has several sources.
    pub revisions: Vec<String>,
    pub resources: Vec<ResourceResult>,
}

/// What became of one object in a sync; refusals of the API server stand here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ResourceResult {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// Synced, SyncFailed, Pruned or PruneSkipped.
    pub status: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
    pub last_transition_time: Option<String>,
}

/// What makes the Applications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ApplicationSet {
    pub status: SetStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SetStatus {
    pub conditions: Vec<SetCondition>,
    /// Only with RollingSync: where each Application stands in its turn.
    pub application_status: Vec<SetApplication>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SetCondition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SetApplication {
    pub application: String,
    /// Waiting, Pending, Progressing or Healthy.
    pub status: String,
    pub message: String,
}
