//! `spec` of a `PostgresVDB`, which is also the shape of `vdb` and of each of `vdbs` in a values file.
//!
//! Defaults stand on fields of objects only, never on fields of list items: Argo CD compares lists whole, and a
//! default that the API server fills into an item would keep the Application OutOfSync for ever.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// Owner of the data where nothing else is said: user and group `postgres` of the official image.
pub const DEFAULT_OWNERSHIP: &str = "999:999";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.ownershipSpec) || !has(self.OwnershipSpec) || self.ownershipSpec == self.OwnershipSpec",
        "message": "ownershipSpec and OwnershipSpec are two spellings of one field and differ; keep one of them"
    },
    {
        "rule": "!has(self.hooks) || self.hooks.all(h, self.hooks.exists_one(x, x.name == h.name))",
        "message": "two hooks have the same name; a hook's name is unique in its database"
    },
    {
        "rule": "!has(self.postgresConfig) || self.postgresConfig.all(s, self.postgresConfig.exists_one(x, x.name == s.name))",
        "message": "a setting stands twice in postgresConfig; keep one of them"
    }
]))]
pub struct PostgresVdbSpec {
    /// Where the data comes from.
    pub source: Source,
    /// The database and the role that the application uses.
    pub database: Database,
    /// The port of the Service.
    #[serde(default = "port")]
    #[schemars(range(min = 1024, max = 49151))]
    pub port: u16,
    /// The image; its major version must be that of the data.
    #[serde(default = "image")]
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$")
    )]
    pub image: String,
    /// Where the volume is mounted; the data directory is `<mountPath>/data`.
    #[serde(default = "mount_path")]
    #[schemars(length(max = 128), regex(pattern = r"^(/[a-zA-Z0-9._-]+)+$"))]
    pub mount_path: String,
    /// uid:gid that own the data; 999:999 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,8}:[1-9][0-9]{0,8}$"))]
    pub ownership_spec: Option<String>,
    /// The vendor's spelling of ownershipSpec.
    #[serde(
        default,
        rename = "OwnershipSpec",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,8}:[1-9][0-9]{0,8}$"))]
    pub vendor_ownership_spec: Option<String>,
    /// Primary: readable and writable. Standby is accepted and answered with `ModeUnsupported`.
    #[serde(default)]
    pub mode: Mode,
    /// false stops the database and keeps its data.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How long to wait before an order that failed is tried again.
    #[serde(default = "error_backoff_period")]
    #[schemars(regex(pattern = r"^[0-9]+(s|m|h)$"))]
    pub error_backoff_period: String,
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Settings of the server; those that the platform owns are reported as ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub postgres_config: Vec<Setting>,
    /// Jobs before and after the steps of the database's life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub hooks: Vec<Hook>,
    /// Accepted for compatibility: a thin copy's volume is static and has no class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The size shown on volume and claim; a thin copy takes what it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_size: Option<Quantity>,
    /// What becomes of the virtual database when the resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// While true the resource is not deleted: the check on pull requests and the cluster's admission policy refuse it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// When the database is no longer needed, RFC 3339. From then on it is stopped; its data is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 40))]
    pub expires_at: Option<String>,
    /// Fresh data from the same source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// What follows where the image's libraries sort text otherwise than those of the source: Warn says so, Reindex
    /// rebuilds the indexes concerned before the database is Ready, Refuse does not make it Ready.
    #[serde(default)]
    pub collations: CollationPolicy,
    /// How long sessions have, after they were told on the channel `vdb_platform`, before the server is stopped for other
    /// data or at the end of its life; at most 10m, and no time where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([1-5]?[0-9]s|[0-9]m|10m)$"))]
    pub session_grace: Option<String>,
}

impl PostgresVdbSpec {
    /// uid and gid that own the data, whichever spelling names them.
    pub fn ownership(&self) -> &str {
        self.ownership_spec
            .as_deref()
            .or(self.vendor_ownership_spec.as_deref())
            .unwrap_or(DEFAULT_OWNERSHIP)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.snapshotId) ? 1 : 0) + (has(self.timestamp) ? 1 : 0) + (has(self.bookmark) ? 1 : 0) <= 1",
    "message": "snapshotId, timestamp and bookmark exclude each other; keep one, or none for the latest snapshot"
}]))]
pub struct Source {
    #[serde(rename = "type")]
    pub kind: SourceType,
    /// For dct-source: `<host or engine>:<dataset>`, or a dataset's name or id.
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    )]
    pub reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$")
    )]
    pub snapshot_id: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 40))]
    pub timestamp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub bookmark: Option<String>,
}

impl Source {
    /// Which moment of the source is ordered.
    pub fn point(&self) -> Point {
        Point {
            snapshot_id: self.snapshot_id.clone(),
            timestamp: self.timestamp.clone(),
            bookmark: self.bookmark.clone(),
        }
    }
}

/// A moment of a source's or a copy's data; the latest snapshot where nothing is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$")
    )]
    pub snapshot_id: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 20, max = 40))]
    pub timestamp: Option<String>,
    /// Name or id of a bookmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub bookmark: Option<String>,
}

impl Point {
    pub fn is_latest(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.snapshot_id, &self.timestamp, &self.bookmark) {
            (Some(id), ..) => write!(f, "snapshot {id}"),
            (None, Some(at), _) => write!(f, "{at}"),
            (None, None, Some(name)) => write!(f, "bookmark {name}"),
            (None, None, None) => f.write_str("the latest snapshot"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum SourceType {
    DctSource,
    PvcClone,
    K8sSnapshot,
    PvcAdopt,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.password) && has(self.passwordSecretRef))",
    "message": "password and passwordSecretRef are two password sources; keep one, or none for a generated password"
}]))]
pub struct Database {
    /// The database that the application connects to.
    #[serde(default = "postgres")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_-]*$")
    )]
    pub name: String,
    /// The application's role.
    #[serde(default = "postgres")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_-]*$")
    )]
    pub user: String,
    /// Works, and is warned about: a password does not belong into a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 128))]
    pub password: Option<String>,
    /// The name of a Secret in the same namespace with the key `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub password_secret_ref: Option<String>,
    /// Creates the database when the copy lacks it.
    #[serde(default)]
    pub create_if_missing: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refresh {
    /// Another token than before asks for one refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9._-]*$"))]
    pub token: Option<String>,
    /// Asks for a refresh again and again: minute, hour, day, month, weekday as in cron, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100), regex(pattern = r"^[0-9*,/ -]+$"))]
    pub schedule: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Mode {
    #[default]
    Primary,
    Standby,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum CollationPolicy {
    #[default]
    Warn,
    Reindex,
    Refuse,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.limits) || !has(self.requests) || !has(self.limits.cpu) || !has(self.requests.cpu) || quantity(string(self.limits.cpu)).compareTo(quantity(string(self.requests.cpu))) >= 0",
        "message": "limits.cpu is below requests.cpu; raise the limit or lower the request"
    },
    {
        "rule": "!has(self.limits) || !has(self.requests) || !has(self.limits.memory) || !has(self.requests.memory) || quantity(string(self.limits.memory)).compareTo(quantity(string(self.requests.memory))) >= 0",
        "message": "limits.memory is below requests.memory; raise the limit or lower the request"
    }
]))]
pub struct Resources {
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub requests: ResourceList,
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub limits: ResourceList,
}

impl Resources {
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceList {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

impl ResourceList {
    pub fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setting {
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_.]*$")
    )]
    pub name: String,
    /// Bare or in one pair of single quotes.
    #[schemars(
        length(max = 256),
        regex(pattern = r#"^('[^'"\\\n\r]*'|[^'"\\\n\r]*)$"#)
    )]
    pub value: String,
}

impl Setting {
    /// The value without the one pair of single quotes that it may stand in.
    pub fn bare(&self) -> &str {
        self.value
            .strip_prefix('\'')
            .and_then(|v| v.strip_suffix('\''))
            .unwrap_or(&self.value)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    pub stage: HookStage,
    #[serde(rename = "type")]
    pub kind: HookType,
    #[schemars(length(min = 1, max = 65536))]
    pub script: String,
    /// The database that an SQL hook runs in; database.name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_-]*$")
    )]
    pub database: Option<String>,
    /// As whom an SQL hook runs; what the application's role makes belongs to it.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<HookRole>,
    /// Smaller runs first; 5 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub weight: Option<i32>,
    /// Retries of the Job; 3 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub backoff_limit: Option<i32>,
    /// How long the hook may take; the operator's hookDeadline where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+(s|m|h)$"))]
    pub deadline: Option<String>,
    /// false runs each statement of an SQL hook by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<bool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub env_from: Vec<EnvFrom>,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum HookStage {
    PreCreate,
    PostCreate,
    PreRefresh,
    PostRefresh,
    PreDelete,
    PostDelete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HookType {
    Sql,
    Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HookRole {
    Application,
    Admin,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvFrom {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<NameRef>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameRef {
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
}

fn port() -> u16 {
    5432
}
fn image() -> String {
    "postgres:16.9".into()
}
fn mount_path() -> String {
    "/mnt/postgres".into()
}
fn postgres() -> String {
    "postgres".into()
}
fn yes() -> bool {
    true
}
fn error_backoff_period() -> String {
    "5m".into()
}
