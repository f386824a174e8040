//! What the engine keeps: objects as they go over the wire, jobs, and what an unfinished job is about to do.

use std::sync::Arc;

use dct::types::Job;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Kinds of stored objects; each with the word in its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Vdb,
    DSource,
    Snapshot,
    Source,
    Environment,
    Group,
}

impl Kind {
    pub fn key(self) -> &'static str {
        match self {
            Self::Vdb => "vdb",
            Self::DSource => "dsource",
            Self::Snapshot => "snapshot",
            Self::Source => "source",
            Self::Environment => "environment",
            Self::Group => "group",
        }
    }

    pub fn parse(key: &str) -> Option<Self> {
        [
            Self::Vdb,
            Self::DSource,
            Self::Snapshot,
            Self::Source,
            Self::Environment,
            Self::Group,
        ]
        .into_iter()
        .find(|k| k.key() == key)
    }

    /// The id of the object with this number: engine, kind, number.
    pub fn id(self, number: u64) -> String {
        let word = match self {
            Self::Vdb | Self::DSource => "APPDATA_CONTAINER",
            Self::Snapshot => "APPDATA_SNAPSHOT",
            Self::Source => "APPDATA_STAGED_SOURCE_CONFIG",
            Self::Environment => "UNIX_HOST_ENVIRONMENT",
            Self::Group => "GROUP",
        };
        format!("{ENGINE_ID}-{word}-{number}")
    }

    pub fn timeflow(number: u64) -> String {
        format!("{ENGINE_ID}-APPDATA_TIMEFLOW-{number}")
    }
}

/// The tower has one engine: itself.
pub const ENGINE_ID: &str = "1";
pub const TOOLKIT_ID: &str = "postgres-vsdk";

/// Number at the end of an id.
pub(crate) fn number(id: &str) -> Option<u64> {
    id.rsplit('-').next()?.parse().ok()
}

/// Callers see live objects alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its job is not over; the name is taken already.
    Creating,
    Live,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub number: u64,
    pub kind: Kind,
    pub id: String,
    pub name: String,
    /// Names are unique in their scope: the group of a VDB.
    pub scope: String,
    pub phase: Phase,
    /// What it was made from: the snapshot of a VDB, the dSource of a snapshot, the source of a dSource.
    pub parent: Option<String>,
    /// The object as callers see it.
    pub doc: Arc<Value>,
}

/// What a job is about to do, written down before the first effect: enough to complete or to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Intent {
    Provision {
        vdb: String,
        snapshot: String,
    },
    Enable {
        vdb: String,
    },
    Disable {
        vdb: String,
    },
    Delete {
        vdb: String,
    },
    /// A base backup becomes the snapshot; the first of a dSource makes that live too.
    Snapshot {
        dsource: String,
        snapshot: String,
        source: String,
    },
    /// Nothing but metadata, which was changed together with the job.
    Nothing,
}

#[derive(Clone, Debug)]
pub struct JobRecord {
    /// Order of creation.
    pub number: u64,
    pub job: Job,
    /// Absent once the job is over.
    pub intent: Option<Intent>,
}
