//! Room in the pool.

use std::path::Path;

/// What the metadata of a thin copy takes at first.
pub(super) const THIN: u64 = 1 << 20;

/// Bytes of the file system in all, and free ones for the engine's user.
pub(crate) fn capacity(pool: &Path) -> Option<(u64, u64)> {
    let figures = rustix::fs::statvfs(pool).ok()?;
    Some((
        figures.f_blocks * figures.f_frsize,
        figures.f_bavail * figures.f_frsize,
    ))
}
