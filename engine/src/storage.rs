//! Where copies are made. Roots are directories of the pool; every operation is whole or has not happened, so that a
//! crash leaves either the old or the new state.

mod btrfs;
mod copy;
mod extents;
mod reflink;
mod room;

use std::io;
use std::path::{Path, PathBuf};

pub use btrfs::Btrfs;
pub use copy::Copy;
pub(crate) use copy::{PARTIAL, TRASH, size};
pub use reflink::Reflink;
pub(crate) use room::capacity;

use crate::process;
use crate::settings::StorageKind;

/// The storage of the settings, or what the pool's file system allows.
pub fn of(kind: StorageKind, pool: &Path) -> Box<dyn Storage> {
    match kind {
        StorageKind::Btrfs => Box::new(Btrfs),
        StorageKind::Xfs => Box::new(Reflink::default()),
        StorageKind::Auto if btrfs::is_below(pool) => Box::new(Btrfs),
        StorageKind::Auto if reflink::shares_blocks(pool) => Box::new(Reflink::default()),
        StorageKind::Copy | StorageKind::Auto => Box::new(Copy),
    }
}

pub trait Storage: Send + Sync {
    fn name(&self) -> &'static str;
    /// What whoever orders a copy should know.
    fn warning(&self) -> Option<&'static str>;
    /// Whether a copy holds all files as they were at one moment, even while somebody writes.
    fn at_one_instant(&self) -> bool;
    /// Room that a copy of this many bytes takes at once.
    fn needs(&self, bytes: u64) -> u64;
    /// Whether a copy takes room for what is written to it alone.
    fn shares_blocks(&self) -> bool {
        true
    }
    /// Bytes of the pool's file system in all, and free ones for the engine's user.
    fn capacity(&self, pool: &Path) -> Option<(u64, u64)> {
        room::capacity(pool)
    }
    /// A new, empty, writable root.
    fn create(&self, root: &Path) -> Result<(), Error>;
    /// A writable copy of a root. Nothing happens if `to` exists: it is whole.
    fn copy(&self, from: &Path, to: &Path) -> Result<(), Error>;
    /// Nothing changes this root from now on.
    fn seal(&self, root: &Path) -> Result<(), Error>;
    /// Nothing happens if it does not exist.
    fn delete(&self, root: &Path) -> Result<(), Error>;
    /// Bytes that no other root shares.
    fn own_bytes(&self, root: &Path) -> Result<u64, Error>;
    /// What lies below a root. A storage that cannot tell what is shared takes everything for its own.
    fn bytes(&self, root: &Path) -> Result<Bytes, Error> {
        let (whole, own) = (size(root)?, self.own_bytes(root)?);
        Ok(Bytes {
            whole,
            own,
            held: whole,
        })
    }
    /// What was written survives a power failure.
    fn flush(&self, pool: &Path) -> Result<(), Error>;
    /// What is wrong with the pool, in words that say what to do.
    fn problems(&self, pool: &Path) -> Vec<String>;
}

/// What lies below a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// As if nothing were shared.
    pub whole: u64,
    /// That nothing outside shares.
    pub own: u64,
    /// On the disk, shared with others or not.
    pub held: u64,
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
    Unexpected(String),
}

pub(crate) fn files<T>(verb: &'static str, path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::Files {
        verb,
        path: path.to_owned(),
        source,
    })
}

/// Whoever comes second to a deletion finds nothing there, and that is what was wanted.
fn gone<T>(path: &Path, deleted: Result<T, Error>) -> Result<(), Error> {
    match deleted {
        Err(_) if !exists(path) => Ok(()),
        other => other.map(drop),
    }
}

/// Private to the engine's user from the first moment.
pub(crate) fn private_directory(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt as _;
    files(
        "create",
        path,
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(path),
    )
}

pub(crate) fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
