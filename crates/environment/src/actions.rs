//! What is done once to a database that exists: `PostgresRefresh`, `PostgresRewind`, `PostgresSnapshot` and
//! `PostgresTask`. One is carried out at a time, none is carried out twice.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{HookRole, Point};
use crate::status::Condition;

pub const GROUP: &str = "actions.delphix.com";
pub const VERSION: &str = "v1alpha1";

/// The kinds, with the plural of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    PostgresRefresh,
    PostgresRewind,
    PostgresSnapshot,
    PostgresTask,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::PostgresRefresh,
        Self::PostgresRewind,
        Self::PostgresSnapshot,
        Self::PostgresTask,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PostgresRefresh => "PostgresRefresh",
            Self::PostgresRewind => "PostgresRewind",
            Self::PostgresSnapshot => "PostgresSnapshot",
            Self::PostgresTask => "PostgresTask",
        }
    }

    pub fn singular(self) -> String {
        self.as_str().to_lowercase()
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::PostgresRefresh => "postgresrefreshes",
            Self::PostgresRewind => "postgresrewinds",
            Self::PostgresSnapshot => "postgressnapshots",
            Self::PostgresTask => "postgrestasks",
        }
    }
}

/// Data of the source takes the place of the copy's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.snapshotId) ? 1 : 0) + (has(self.timestamp) ? 1 : 0) + (has(self.bookmark) ? 1 : 0) <= 1",
    "message": "snapshotId, timestamp and bookmark exclude each other; keep one, or none for the latest snapshot"
}]))]
pub struct RefreshSpec {
    /// The name of a `PostgresVDB` in the same namespace.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub vdb: String,
    #[serde(flatten)]
    pub point: Point,
}

/// The copy goes back to an earlier moment of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.snapshotId) ? 1 : 0) + (has(self.timestamp) ? 1 : 0) + (has(self.bookmark) ? 1 : 0) == 1",
    "message": "name the moment to go back to: one of snapshotId, timestamp and bookmark"
}]))]
pub struct RewindSpec {
    /// The name of a `PostgresVDB` in the same namespace.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub vdb: String,
    #[serde(flatten)]
    pub point: Point,
}

/// A bookmark of the copy as it is; a rewind goes back to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// The name of a `PostgresVDB` in the same namespace.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub vdb: String,
    /// The bookmark's name; made from the resource's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
    )]
    pub name: Option<String>,
    /// Days until the bookmark goes by itself; 30 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub retention_days: Option<u16>,
}

/// SQL or a command, run once beside the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.sql) != has(self.command)",
    "message": "a task has either sql or command"
}]))]
pub struct TaskSpec {
    /// The name of a `PostgresVDB` in the same namespace.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub vdb: String,
    /// Run by psql in one transaction, as the application's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub sql: Option<String>,
    /// Run by sh in the database's image, with psql's variables set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub command: Option<String>,
    /// admin: as the platform's role.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<HookRole>,
    /// How long it may take; the operator's hookDeadline where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+(s|m|h)$"))]
    pub deadline: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ActionPhase {
    // It waits for its turn.
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl ActionPhase {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatus {
    #[serde(default)]
    pub phase: ActionPhase,
    /// One word of a closed list, where it failed or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// The job that is waited for: of Data Control Tower, or the name of a Kubernetes Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The moment of the data that the database has now, or that the bookmark holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_as_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<String>,
    /// The end of what a task printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Complete and Failed, as a Job has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
