//! Where data comes from: a source is looked at, backed up, and its backup made into a template.

mod postgres;
mod psql;
mod template;

use std::io;
use std::path::{Path, PathBuf};

pub use postgres::Postgres;

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
    pub wal_level: String,
    pub max_wal_senders: u32,
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

pub trait Origin: Send + Sync {
    fn inspect(&self, source: &SourceSettings, scratch: &Path) -> Result<Facts, Error>;
    /// A base backup into `<root>/data`.
    fn back_up(
        &self,
        source: &SourceSettings,
        facts: &Facts,
        root: &Path,
        scratch: &Path,
    ) -> Result<(), Error>;
    /// Recovers the copy of a backup in `<root>/data`, makes it harmless and leaves it cleanly shut down.
    fn make_template(
        &self,
        source: &SourceSettings,
        root: &Path,
        scratch: &Path,
    ) -> Result<DataPoint, Error>;
    /// Makes the copy of a VDB's directory harmless once more. Repeating it changes nothing.
    fn tidy(&self, root: &Path) -> Result<(), Error>;
    /// Whether a server stopped there cleanly, and where its log stands.
    fn look(&self, root: &Path) -> Result<(bool, DataPoint), Error>;
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
