//! Virtual databases, what they are copied from, and the points in time they can be copied at.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{hook::Hooks, wire};
use crate::lenient;

/// A label. Some clients decode this strictly: it has these two fields and never another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

impl Tag {
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// Where a copy made for a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerizationState {
    NotContainerized,
    ReadyForContainer,
    RunningInContainer,
    /// A word of a later version.
    #[serde(other)]
    Unknown,
}

wire! {
    /// A virtual database: a thin copy.
    Vdb {
        id: String,
        |
        name: String,
        description: String,
        database_type: String,
        database_name: String,
        database_version: String,
        /// Free text, no enumeration: rely on `enabled` and on jobs.
        status: String,
        enabled: bool,
        engine_id: String,
        engine_name: String,
        group_name: String,
        environment_id: String,
        environment_name: String,
        repository_id: String,
        ip_address: String,
        fqdn: String,
        parent_id: String,
        parent_name: String,
        parent_dsource_id: String,
        parent_dsource_name: String,
        root_parent_id: String,
        /// The time whose data the copy holds.
        parent_timeflow_timestamp: String,
        parent_timeflow_timezone: String,
        current_timeflow_id: String,
        previous_timeflow_id: String,
        creation_date: String,
        last_refreshed_date: String,
        #[serde(deserialize_with = "lenient::integer")]
        size: i64,
        /// What the copy takes by itself.
        #[serde(deserialize_with = "lenient::integer")]
        storage_size: i64,
        /// What it would take if it shared nothing.
        #[serde(deserialize_with = "lenient::integer")]
        unvirtualized_space: i64,
        is_appdata: bool,
        masked: bool,
        is_replica: bool,
        is_locked: bool,
        #[serde(deserialize_with = "lenient::integer")]
        locked_by: i64,
        locked_by_name: String,
        vdb_restart: bool,
        containerization_state: ContainerizationState,
        /// Where the files are offered, once the copy is enabled for a container.
        exported_data_directory: String,
        mount_point: String,
        appdata_source_params: Value,
        appdata_config_params: Value,
        config_params: Value,
        jdbc_connection_string: String,
        toolkit_id: String,
        plugin_version: String,
        hooks: Hooks,
        tags: Vec<Tag>,
    }
}

impl Vdb {
    /// Value of the first tag with this key.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .as_deref()
            .unwrap_or_default()
            .iter()
            .find(|tag| tag.key == key)
            .map(|tag| tag.value.as_str())
    }
}

wire! {
    /// A point in time from which copies are made.
    Snapshot {
        id: String,
        |
        name: String,
        engine_id: String,
        engine_name: String,
        dataset_id: String,
        dataset_name: String,
        timeflow_id: String,
        consistency: String,
        /// When it was taken.
        creation_time: String,
        /// The time of the data: order by this.
        timestamp: String,
        start_timestamp: String,
        location: String,
        timezone: String,
        version: String,
        /// A date: it goes when this day is over.
        expiration: String,
        retain_forever: bool,
        temporary: bool,
        appdata_toolkit: String,
        /// JSON inside a string.
        appdata_metadata: String,
        tags: Vec<Tag>,
    }
}

wire! {
    /// A linked source: what virtual databases are copied from.
    DSource {
        id: String,
        |
        name: String,
        description: String,
        database_type: String,
        database_version: String,
        status: String,
        enabled: bool,
        is_detached: bool,
        is_appdata: bool,
        source_id: String,
        staging_source_id: String,
        current_timeflow_id: String,
        creation_date: String,
        #[serde(deserialize_with = "lenient::integer")]
        size: i64,
        /// What its snapshots take.
        #[serde(deserialize_with = "lenient::integer")]
        storage_size: i64,
        /// What its snapshots and the copies of them would take if they shared nothing.
        #[serde(deserialize_with = "lenient::integer")]
        unvirtualized_space: i64,
        #[serde(deserialize_with = "lenient::integer")]
        dependant_vdbs: i64,
        group_name: String,
        engine_id: String,
        engine_name: String,
        toolkit_id: String,
        plugin_version: String,
        tags: Vec<Tag>,
    }
}

wire! {
    /// A database that can be linked.
    Source {
        id: String,
        |
        name: String,
        database_type: String,
        database_version: String,
        environment_id: String,
        environment_name: String,
        ip_address: String,
        fqdn: String,
        #[serde(deserialize_with = "lenient::integer")]
        size: i64,
        jdbc_connection_string: String,
        is_dsource: bool,
        repository: String,
        repository_id: String,
        toolkit_id: String,
        plugin_version: String,
        /// False: it is not linked again by itself.
        linking_enabled: bool,
        engine_id: String,
        engine_name: String,
        tags: Vec<Tag>,
    }
}
