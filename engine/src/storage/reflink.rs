//! Thin copies file by file, for file systems on which files share blocks: XFS. A copy takes time by the number of
//! files, none by their size, and no room; it is not of one instant.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::copy::copy_files;
use super::{Bytes, Copy, Error, Storage, btrfs, extents, files, room};
use crate::process;

#[derive(Debug, Default)]
pub struct Reflink {
    /// The file system on which files were seen to share blocks.
    proven: Mutex<Option<u64>>,
}

impl Storage for Reflink {
    fn name(&self) -> &'static str {
        "xfs"
    }

    fn warning(&self) -> Option<&'static str> {
        None
    }

    fn at_one_instant(&self) -> bool {
        false
    }

    fn needs(&self, _bytes: u64) -> u64 {
        room::THIN
    }

    fn create(&self, root: &Path) -> Result<(), Error> {
        Copy.create(root)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        copy_files(from, to, "--reflink=always")
    }

    fn seal(&self, root: &Path) -> Result<(), Error> {
        Copy.seal(root)
    }

    fn delete(&self, root: &Path) -> Result<(), Error> {
        Copy.delete(root)
    }

    fn own_bytes(&self, root: &Path) -> Result<u64, Error> {
        Ok(extents::bytes(root)?.own)
    }

    fn bytes(&self, root: &Path) -> Result<Bytes, Error> {
        extents::bytes(root)
    }

    fn flush(&self, pool: &Path) -> Result<(), Error> {
        Copy.flush(pool)
    }

    /// Tried once on a file system: the trial writes, which a full one refuses, and every order asks.
    fn problems(&self, pool: &Path) -> Vec<String> {
        let here = rustix::fs::statvfs(pool).ok().map(|found| found.f_fsid);
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if here.is_some() && *proven == here {
            return Vec::new();
        }
        if shares_blocks(pool) {
            *proven = here;
            return Vec::new();
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let kind =
            btrfs::mount_of(&mounts, pool).map_or("an unknown file system", |(kind, _)| kind);
        vec![format!(
            "{} lies on {kind} without reflinks: make it by mkfs.xfs -m reflink=1, or set storage: copy",
            pool.display()
        )]
    }
}

/// Tries it with a file of its own, in the pool or in what it will be made in.
pub(super) fn shares_blocks(pool: &Path) -> bool {
    let Some(existing) = pool.ancestors().find(|path| path.is_dir()) else {
        return false;
    };
    let probe =
        |end: &str| -> PathBuf { existing.join(format!(".reflink-{}-{end}", std::process::id())) };
    let (from, to) = (probe("from"), probe("to"));
    // An empty file would be shared anywhere.
    let shared = files("write", &from, std::fs::write(&from, [1; 8192])).is_ok() && {
        let mut command = process::command(Path::new("cp"));
        command.args(["--reflink=always", "--"]).args([&from, &to]);
        process::run(&mut command).is_ok()
    };
    let _ = std::fs::remove_file(from);
    let _ = std::fs::remove_file(to);
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_was_tried_is_not_written_to_again_and_another_is() {
        let dir = tempfile::tempdir().unwrap();
        let here = rustix::fs::statvfs(dir.path()).unwrap().f_fsid;
        let of = |proven| Reflink {
            proven: Mutex::new(Some(proven)),
        };
        let touched = || std::fs::metadata(dir.path()).unwrap().modified().unwrap();
        let before = touched();
        assert!(of(here).problems(dir.path()).is_empty());
        assert_eq!(touched(), before);
        let other = of(!here);
        let found = other.problems(dir.path());
        assert_ne!(touched(), before);
        assert_eq!(
            found.is_empty(),
            *other.proven.lock().unwrap() == Some(here)
        );
    }
}
