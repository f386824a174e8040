//! Bodies of requests and the answers that carry a job.

use serde_json::Value;

use super::{dataset::Tag, job::Job, wire};
use crate::lenient;

wire! {
    /// Ids may be names. Without `snapshot_id` the latest snapshot of `source_data_id` is taken.
    ProvisionBySnapshot {
        |
        name: String,
        description: String,
        target_group_id: String,
        source_data_id: String,
        snapshot_id: String,
        engine_id: String,
        environment_id: String,
        environment_user_id: String,
        repository_id: String,
        auto_select_repository: bool,
        appdata_source_params: Value,
        appdata_config_params: Value,
        #[serde(deserialize_with = "lenient::integer")]
        postgres_port: i64,
        mount_point: String,
        container_mode: bool,
        vdb_restart: bool,
        masked: bool,
        make_current_account_owner: bool,
        tags: Vec<Tag>,
    }
}

wire! {
    EnableVdb {
        |
        attempt_start: bool,
        container_mode: bool,
        /// `uid:gid` of the files.
        ownership_spec: String,
    }
}

wire! {
    DisableVdb {
        |
        attempt_cleanup: bool,
        container_mode: bool,
    }
}

wire! {
    DeleteVdb {
        |
        force: bool,
        delete_all_dependent_vdbs: bool,
    }
}

wire! {
    UpdateVdb {
        |
        name: String,
        description: String,
        appdata_source_params: Value,
        appdata_config_params: Value,
        auto_restart: bool,
    }
}

wire! {
    LinkAppdata {
        |
        name: String,
        source_id: String,
        group_id: String,
        link_type: String,
        description: String,
        parameters: Value,
        sync_parameters: Value,
        tags: Vec<Tag>,
    }
}

wire! {
    TagsBody {
        |
        tags: Vec<Tag>,
    }
}

wire! {
    /// Nothing set means every tag.
    DeleteTags {
        |
        key: String,
        value: String,
        tags: Vec<Tag>,
    }
}

wire! {
    JobAnswer {
        |
        job: Job,
    }
}

wire! {
    ProvisionAnswer {
        |
        job: Job,
        vdb_id: String,
    }
}

wire! {
    LinkAnswer {
        |
        job: Job,
        dsource_id: String,
    }
}
