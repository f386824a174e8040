//! `status` of a `PostgresVDB`. Absent fields are not written: server-side apply would own nulls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::Point;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresVdbStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// For people only; programs read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<String>,
    /// The Secret with the application's credentials, once they are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vdb: Option<Vdb>,
    /// The point in time whose data the copy holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_as_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// The last exchange of the data: what asked for it, how far it is, how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// How long each stage took, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Phase {
    Pending,
    Provisioning,
    Running,
    Refreshing,
    Suspended,
    Failed,
    Deleting,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    pub reason: String,
    #[serde(default)]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    pub last_transition_time: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// The virtual database behind the resource, and the write-ahead intent that makes it exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vdb {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Written before the order is sent: who finds it without ids looks before sending again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The job that is being waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Directory or export that holds the data, once enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// Data generation: volume and claim are named `<name>-g<N>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Where the server runs, decided when the order is sent: in a pod where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Delivery {
    TargetHost,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    pub name: String,
    pub at: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: String,
    /// What the job does: provision, enable, disable, delete, bookmark, refresh, rewind, undo or rollback.
    pub operation: String,
}

/// What was proved when Ready was last set, so that a restarted operator can trust it without a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    pub restarts: i32,
    pub secret_hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    pub name: String,
    pub started_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

/// One exchange of the data, a refresh or a rewind, as a transaction: it ends in the new data or in the old.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refresh {
    /// The token of the spec that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The action that asked for it, as `<kind>/<name>/<uid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Exchange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RefreshState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// When the state was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The moment whose data is wanted; the latest snapshot where nothing is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// Name of the bookmark of the data before, kept until the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<String>,
    /// Timeflow of the data before, and the one that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeflow: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// Data generation before, and the highest that was given to it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// The data before can only be had from the bookmark.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// How the exchanges that actions asked for ended, until these have heard of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
    /// The schedule that `next` was worked out from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Tokens that are not carried out again, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    pub action: String,
    pub succeeded: bool,
    #[serde(default)]
    pub message: String,
}

/// What kind of data takes the place of the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Exchange {
    // That of the source.
    Refresh,
    // That of the copy itself at an earlier moment.
    Rewind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RefreshState {
    // The data as it is gets a bookmark.
    Keeping,
    // Hooks of the stage pre-refresh.
    Preparing,
    // It failed before anything was touched: what was made for it goes.
    Aborting,
    // The server is down, its data is exchanged.
    Replacing,
    // The server starts on the new data and is proved.
    Starting,
    // It answered; the old generation goes.
    Committing,
    // It failed: the data before comes back.
    Undoing,
    // The server starts on the data before.
    Restoring,
    Succeeded,
    // The database has the data that it had before.
    Failed,
    // Neither the new data nor the data before is in use; both are kept.
    UndoFailed,
}

impl RefreshState {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::UndoFailed)
    }
}

impl PostgresVdbStatus {
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.kind == kind)
    }

    /// Why somebody has to act, and whether the order waits for it: a refresh that failed is the business of whoever set
    /// its token. The database of one that a schedule asked for serves on, with older data.
    pub fn stalled(&self) -> Option<(&Condition, bool)> {
        let stalled = self.condition("Stalled").filter(|c| c.status == "True")?;
        let scheduled = self.refresh.as_ref().is_some_and(|r| r.token.is_none());
        Some((stalled, stalled.reason != "RefreshFailed" || !scheduled))
    }

    /// Ready and assessed for this generation of the resource.
    pub fn is_ready(&self, generation: i64) -> bool {
        self.condition("Ready").is_some_and(|c| {
            c.status == "True" && c.observed_generation.is_none_or(|g| g >= generation)
        })
    }
}
