//! Where data comes from: a source is looked at, backed up, and its backup made into a template.

mod backup;
mod postgres;
mod progress;
pub(crate) mod psql;
pub(crate) mod servers;
mod stream;
pub(crate) mod superuser;
mod template;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;

pub use pgdata::wal::{Commit, Found, Location, Until};
pub use postgres::Postgres;
pub use progress::Progress;

use crate::process;
use crate::settings::SourceSettings;

/// What a source says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub major: u32,
    /// As the server prints it, for example 16.9.
    pub version: String,
    /// Its clock: all that was committed before is in a backup which begins now.
    pub now: String,
    /// Where its log stood just before.
    pub location: String,
    pub wal_level: String,
    pub max_wal_senders: u32,
    /// Replication slots that nobody has taken.
    pub free_slots: u32,
    /// The log that a slot may hold back, in MiB; -1 is all of it.
    pub slot_keeps: i64,
    pub may_replicate: bool,
    /// Tablespaces outside its data directory: id and path.
    pub tablespaces: Vec<(String, String)>,
    pub bytes: u64,
}

/// The moment whose data a template holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataPoint {
    /// The last commit that recovery replayed; none if nothing was committed during the backup.
    pub timestamp: Option<String>,
    pub location: String,
}

/// A replication slot of the engine's at a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// What the source holds back for it, in bytes.
    pub lag: u64,
    /// The source has given up what it held back.
    pub lost: bool,
}

/// Where a snapshot's backup lies, and the log that follows it.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    /// The root of the backup as it was taken.
    pub raw: &'a Path,
    /// The directory of segments.
    pub wal: &'a Path,
}

pub trait Origin: Send + Sync {
    fn inspect(&self, source: &SourceSettings, scratch: &Path) -> Result<Facts, Error>;
    /// A base backup into `<root>/data`.
    fn back_up(
        &self,
        source: &SourceSettings,
        facts: &Facts,
        root: &Path,
        scratch: &Path,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Error>;
    /// Recovers the copy of a backup in `<root>/data`, makes it harmless and leaves it cleanly shut down.
    fn make_template(
        &self,
        source: &SourceSettings,
        root: &Path,
        scratch: &Path,
    ) -> Result<DataPoint, Error>;
    /// The same, recovered further: up to and with the record at this place of the log.
    fn replay(
        &self,
        source: &SourceSettings,
        root: &Path,
        wal: &Path,
        to: Location,
        scratch: &Path,
    ) -> Result<DataPoint, Error>;
    /// The last commit up to a point, from a place in the log on; nothing if the log of that place is not there.
    fn find(
        &self,
        archive: Archive<'_>,
        from: Location,
        until: Until,
    ) -> Result<Option<Found>, Error>;
    /// Makes the copy of a VDB's directory harmless once more. Repeating it changes nothing.
    fn tidy(&self, root: &Path) -> Result<(), Error>;
    /// Whether a server stopped there cleanly, and where its log stands.
    fn look(&self, root: &Path) -> Result<(bool, DataPoint), Error>;
    /// The slot of this name; none if the source has none.
    fn slot(
        &self,
        source: &SourceSettings,
        name: &str,
        scratch: &Path,
    ) -> Result<Option<Slot>, Error>;
    /// From now on the source keeps its log for the slot.
    fn make_slot(&self, source: &SourceSettings, name: &str, scratch: &Path) -> Result<(), Error>;
    /// Nothing happens if there is none.
    fn drop_slot(&self, source: &SourceSettings, name: &str, scratch: &Path) -> Result<(), Error>;
    /// Begins to receive the log of a slot. Goes on where the directory's last segment ended.
    fn receive(
        &self,
        source: &SourceSettings,
        slot: &str,
        into: &Path,
        scratch: &Path,
    ) -> Result<Child, Error>;
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Command(#[from] process::Error),
    #[error("cannot {verb} {}", path.display())]
    Files {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Unfit(String),
    #[error("the base backup of {source_name} broke off")]
    BrokeOff {
        source_name: String,
        #[source]
        source: process::Error,
    },
    #[error("the base backup of {source_name} arrived damaged")]
    Damaged {
        source_name: String,
        #[source]
        source: process::Error,
    },
    #[error("the template's server did not start: {0}")]
    Server(String),
    #[error("the template is not usable")]
    Control(#[from] pgdata::control::Error),
}

pub(crate) fn files<T>(verb: &'static str, path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::Files {
        verb,
        path: path.to_owned(),
        source,
    })
}
