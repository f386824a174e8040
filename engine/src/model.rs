//! What the engine keeps: objects as they go over the wire, jobs, and what an unfinished job is about to do.

use dct::types::Job;
use serde::{Deserialize, Serialize};

use crate::doc::Doc;

/// Kinds of stored objects; each with the word in its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Vdb,
    DSource,
    Snapshot,
    Timeflow,
    Bookmark,
    VdbGroup,
    Source,
    Environment,
    Group,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Vdb,
        Self::DSource,
        Self::Snapshot,
        Self::Timeflow,
        Self::Bookmark,
        Self::VdbGroup,
        Self::Source,
        Self::Environment,
        Self::Group,
    ];

    pub fn key(self) -> &'static str {
        match self {
            Self::Vdb => "vdb",
            Self::DSource => "dsource",
            Self::Snapshot => "snapshot",
            Self::Timeflow => "timeflow",
            Self::Bookmark => "bookmark",
            Self::VdbGroup => "vdb_group",
            Self::Source => "source",
            Self::Environment => "environment",
            Self::Group => "group",
        }
    }

    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.key() == key)
    }

    /// The id of the object with this number: engine, kind, number. The tower's own objects have ids without any.
    pub fn id(self, number: u64) -> String {
        let word = match self {
            Self::Vdb | Self::DSource => "APPDATA_CONTAINER",
            Self::Snapshot => "APPDATA_SNAPSHOT",
            Self::Timeflow => "APPDATA_TIMEFLOW",
            Self::Source => "APPDATA_STAGED_SOURCE_CONFIG",
            Self::Environment => "UNIX_HOST_ENVIRONMENT",
            Self::Group => "GROUP",
            Self::Bookmark | Self::VdbGroup => return hex::encode(rand::random::<[u8; 16]>()),
        };
        format!("{ENGINE_ID}-{word}-{number}")
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
    pub doc: Doc,
}

/// What a job is about to do, written down before the first effect: enough to complete or to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Intent {
    Provision {
        vdb: String,
        snapshot: String,
        /// A place in the log behind the snapshot, which is replayed up to there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// A new cluster, without a source.
    Empty {
        vdb: String,
    },
    /// The server that the engine runs.
    Start {
        vdb: String,
    },
    Stop {
        vdb: String,
        abort: bool,
    },
    Enable {
        vdb: String,
        /// Whether a server that the engine runs starts, too.
        #[serde(default = "yes")]
        start: bool,
    },
    Disable {
        vdb: String,
        /// Whether its hooks run and it shuts down, or is ended at once.
        #[serde(default = "yes")]
        cleanup: bool,
    },
    Delete {
        vdb: String,
    },
    /// A snapshot's data under a new timeflow: a refresh, or a rewind if the snapshot is the VDB's own.
    Refresh {
        vdb: String,
        snapshot: String,
        timeflow: String,
        /// As for a new copy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// Back to a timeflow that is kept.
    Switch {
        vdb: String,
        timeflow: String,
    },
    SnapshotVdb {
        vdb: String,
        snapshot: String,
    },
    /// New snapshots of virtual databases, or none for a bookmark of known ones; all of them or nothing.
    Bookmark {
        bookmark: String,
        taken: Vec<TakenOf>,
    },
    /// With the snapshots that were taken for it and that nothing else needs.
    DeleteBookmark {
        bookmark: String,
        snapshots: Vec<String>,
    },
    DeleteSnapshot {
        snapshot: String,
    },
    DeleteDSource {
        dsource: String,
        /// Even if the source cannot be told.
        #[serde(default)]
        force: bool,
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

/// What was ordered before there was a choice.
fn yes() -> bool {
    true
}

/// A snapshot to be taken of a virtual database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOf {
    pub vdb: String,
    pub snapshot: String,
}

impl Intent {
    /// Whether it changes or needs this object besides its job's target.
    pub fn touches(&self, id: &str) -> bool {
        match self {
            Self::Bookmark { taken, .. } => taken.iter().any(|t| t.vdb == id),
            Self::DeleteBookmark { snapshots, .. } => snapshots.iter().any(|s| s == id),
            Self::DeleteSnapshot { snapshot } => snapshot == id,
            Self::DeleteDSource { dsource, .. } => dsource == id,
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
pub struct JobRecord {
    /// Order of creation.
    pub number: u64,
    pub job: Job,
    /// Absent once the job is over.
    pub intent: Option<Intent>,
}
