//! Bodies of requests and the answers that carry a job.

use serde_json::Value;

use super::{
    dataset::Tag,
    hook::Hooks,
    job::Job,
    points::{Bookmark, VdbGroup, VdbGroupMember},
    wire,
};
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
        /// A role that may log in, and its password: for a server that the engine runs. The vendor's own are set by `UpdateVdb`.
        db_username: String,
        db_password: String,
        config_params: Value,
        mount_point: String,
        container_mode: bool,
        vdb_restart: bool,
        masked: bool,
        make_current_account_owner: bool,
        tags: Vec<Tag>,
        & hooks: Hooks,
    }
}

/// The same with a point in time in place of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ProvisionByTimestamp {
    #[serde(flatten)]
    pub provision: ProvisionBySnapshot,
    #[serde(flatten)]
    pub point: PointInTime,
}

/// The same with a bookmark of one virtual database in place of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ProvisionFromBookmark {
    #[serde(flatten)]
    pub provision: ProvisionBySnapshot,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bookmark_id: Option<String>,
}

wire! {
    PointInTime {
        |
        timestamp: String,
        /// Without a zone, in that of the dataset.
        timestamp_in_database_timezone: String,
        /// A place in the log, for requests by location.
        location: String,
        timeflow_id: String,
        dataset_id: String,
    }
}

wire! {
    /// For a refresh or a rewind: without an id, the latest.
    BySnapshot {
        |
        snapshot_id: String,
    }
}

wire! {
    FromBookmark {
        |
        bookmark_id: String,
    }
}

wire! {
    CreateBookmark {
        |
        name: String,
        vdb_ids: Vec<String>,
        vdb_group_id: String,
        snapshot_ids: Vec<String>,
        timeflow_ids: Vec<String>,
        timestamp: String,
        location: String,
        #[serde(deserialize_with = "lenient::integer")]
        retention: i64,
        expiration: String,
        retain_forever: bool,
        bookmark_type: String,
        inherit_parent_tags: bool,
        inherit_parent_vdb_tags: bool,
        make_current_account_owner: bool,
        tags: Vec<Tag>,
    }
}

wire! {
    UpdateBookmark {
        |
        name: String,
        expiration: String,
        retain_forever: bool,
        bookmark_type: String,
    }
}

wire! {
    UpdateSnapshot {
        |
        expiration: String,
        retain_forever: bool,
    }
}

wire! {
    DeleteSnapshot {
        |
        delete_all_dependencies: bool,
    }
}

wire! {
    DeleteDSource {
        |
        dsource_id: String,
        force: bool,
        delete_all_dependent_vdbs: bool,
    }
}

wire! {
    LockVdb {
        |
        #[serde(deserialize_with = "lenient::integer")]
        account_id: i64,
    }
}

wire! {
    /// For a new group as for a change of one.
    VdbGroupBody {
        |
        name: String,
        vdb_ids: Vec<String>,
        vdbs: Vec<VdbGroupMember>,
        refresh_immediately: bool,
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
        mount_point: String,
        auto_restart: bool,
        /// A list that is absent stays as it is.
        hooks: Hooks,
        db_username: String,
        db_password: String,
        config_params: Value,
    }
}

wire! {
    StopVdb {
        |
        /// Without waiting for what is under way.
        abort: bool,
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
    UpdateDSource {
        |
        name: String,
        description: String,
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

wire! {
    BookmarkAnswer {
        |
        bookmark: Bookmark,
        job: Job,
    }
}

wire! {
    VdbGroupAnswer {
        |
        vdb_group: VdbGroup,
        job: Job,
    }
}
