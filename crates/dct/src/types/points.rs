//! Lines of data and marks on them: timeflows, bookmarks, and virtual databases that belong together.

use super::{dataset::Tag, wire};
use crate::lenient;

wire! {
    /// One life of a dataset's data: a refresh or a rewind begins the next one.
    Timeflow {
        id: String,
        |
        engine_id: String,
        name: String,
        dataset_id: String,
        /// INITIAL, REFRESH or ROLLBACK, among others.
        creation_type: String,
        parent_snapshot_id: String,
        parent_point_timestamp: String,
        parent_point_location: String,
        parent_point_timeflow_id: String,
        parent_vdb_id: String,
        parent_dsource_id: String,
        source_dsource_id: String,
        /// The time of the source whose data it began with.
        source_data_timestamp: String,
        is_active: bool,
        creation_timestamp: String,
        activation_timestamp: String,
        tags: Vec<Tag>,
    }
}

wire! {
    /// A named point of one or more virtual databases.
    Bookmark {
        id: String,
        |
        name: String,
        creation_date: String,
        data_timestamp: String,
        timeflow_id: String,
        location: String,
        vdb_ids: Vec<String>,
        vdb_group_id: String,
        vdb_group_name: String,
        vdbs: Vec<BookmarkVdb>,
        /// Days; -1 keeps it for ever.
        #[serde(deserialize_with = "lenient::integer")]
        retention: i64,
        /// A date: it goes when this day is over.
        expiration: String,
        status: String,
        bookmark_source: String,
        bookmark_status: String,
        bookmark_type: String,
        tags: Vec<Tag>,
    }
}

wire! {
    BookmarkVdb {
        |
        vdb_id: String,
        vdb_name: String,
        snapshot_id: String,
        source_data_timestamp: String,
        root_parent_id: String,
        timeflow_id: String,
        data_timestamp: String,
    }
}

wire! {
    /// Some clients decode this strictly: no other fields.
    VdbGroup {
        id: String,
        name: String,
        |
        vdb_ids: Vec<String>,
        is_locked: bool,
        vdb_group_source: String,
        vdbs: Vec<VdbGroupMember>,
        database_type: String,
        status: String,
        tags: Vec<Tag>,
    }
}

wire! {
    VdbGroupMember {
        |
        vdb_id: String,
        #[serde(deserialize_with = "lenient::integer")]
        order: i64,
        vdb_name: String,
    }
}
