//! What a PostgreSQL data directory says about itself, and how a copy of one is made harmless.
//!
//! Standard library alone: the same code runs in the engine and in the small static helper inside the pod.
//! Nothing here starts a server or follows a symbolic link out of the directory.

pub mod conf;
pub mod control;
mod crc32c;
pub mod harmless;
#[cfg(feature = "scram")]
pub mod scram;
pub mod sql;
pub mod version;
pub mod wal;

pub use control::{Control, State};
