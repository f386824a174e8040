//! What the tower itself is made of: engines, hosts, groups, plugins.

use super::{dataset::Tag, wire};
use crate::lenient;

wire! {
    ProductInfo {
        |
        api_version: String,
        product_version: String,
        product_name: String,
        system_uuid: String,
        supported_api_versions: Vec<String>,
        deployment_mode: String,
    }
}

impl ProductInfo {
    /// Major and minor number of the API document, if it can be read.
    pub fn api(&self) -> Option<(u32, u32)> {
        let mut parts = self.api_version.as_deref()?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

wire! {
    Engine {
        id: String,
        |
        uuid: String,
        name: String,
        hostname: String,
        #[serde(rename = "type")]
        kind: String,
        version: String,
        status: String,
        connection_status: String,
        engine_connection_status: String,
        #[serde(deserialize_with = "lenient::integer")]
        data_storage_capacity: i64,
        #[serde(deserialize_with = "lenient::integer")]
        data_storage_used: i64,
        #[serde(deserialize_with = "lenient::integer")]
        memory_size: i64,
        #[serde(deserialize_with = "lenient::integer")]
        cpu_core_count: i64,
        tags: Vec<Tag>,
    }
}

wire! {
    Environment {
        id: String,
        |
        name: String,
        engine_id: String,
        engine_name: String,
        enabled: bool,
        os_type: String,
        hosts: Vec<Host>,
        repositories: Vec<Repository>,
        tags: Vec<Tag>,
    }
}

wire! {
    Host {
        |
        id: String,
        hostname: String,
        os_name: String,
        #[serde(deserialize_with = "lenient::integer")]
        memory_size: i64,
        available: bool,
        nfs_addresses: Vec<String>,
    }
}

wire! {
    Repository {
        |
        id: String,
        name: String,
        database_type: String,
        version: String,
        allow_provisioning: bool,
        is_staging: bool,
        toolkit_id: String,
    }
}

wire! {
    Group {
        id: String,
        |
        name: String,
        engine_id: String,
        engine_name: String,
    }
}

wire! {
    Toolkit {
        id: String,
        |
        name: String,
        version: String,
        engine_id: String,
    }
}
