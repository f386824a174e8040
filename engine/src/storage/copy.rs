//! Full copies, for file systems that share no blocks. Slow and as large as the source: it is said aloud.
//!
//! A copy grows under another name and is renamed when it is whole; a deletion begins with a rename.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, Storage, exists, files, private_directory};
use crate::process;

/// Endings of roots that are not whole; the sweep at the start removes them.
pub(crate) const PARTIAL: &str = ".partial";
pub(crate) const TRASH: &str = ".trash";

#[derive(Debug, Default)]
pub struct Copy;

impl Storage for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn warning(&self) -> Option<&'static str> {
        Some(
            "storage is \"copy\": every virtual database is a full copy, slow to make and as large as its source; use btrfs for thin ones",
        )
    }

    fn at_one_instant(&self) -> bool {
        false
    }

    fn needs(&self, bytes: u64) -> u64 {
        bytes
    }

    fn shares_blocks(&self) -> bool {
        false
    }

    fn create(&self, root: &Path) -> Result<(), Error> {
        private_directory(root)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        copy_files(from, to, "--reflink=auto")
    }

    fn seal(&self, _root: &Path) -> Result<(), Error> {
        Ok(())
    }

    fn delete(&self, root: &Path) -> Result<(), Error> {
        if !exists(root) {
            return Ok(());
        }
        let trash = with_ending(root, TRASH);
        if exists(&trash) {
            files("delete", &trash, fs::remove_dir_all(&trash))?;
        }
        files("rename", root, fs::rename(root, &trash))?;
        files("delete", &trash, fs::remove_dir_all(&trash))
    }

    fn own_bytes(&self, root: &Path) -> Result<u64, Error> {
        size(root)
    }

    fn flush(&self, pool: &Path) -> Result<(), Error> {
        let mut command = process::command(Path::new("sync"));
        command.arg("-f").arg(pool);
        Ok(process::run(&mut command).map(drop)?)
    }

    fn problems(&self, _pool: &Path) -> Vec<String> {
        Vec::new()
    }
}

pub(super) fn copy_files(from: &Path, to: &Path, reflink: &str) -> Result<(), Error> {
    if exists(to) {
        return Ok(());
    }
    let partial = with_ending(to, PARTIAL);
    Copy.delete(&partial)?;
    let mut command = process::command(Path::new("cp"));
    command.args(["-a", reflink, "--"]).args([from, &partial]);
    process::run(&mut command)?;
    Copy.flush(&partial)?;
    files("rename", &partial, fs::rename(&partial, to))
}

/// Sum of the files' lengths below a directory.
pub(crate) fn size(root: &Path) -> Result<u64, Error> {
    let mut total = 0;
    for entry in files("list", root, fs::read_dir(root))? {
        let entry = files("list", root, entry)?;
        let path = entry.path();
        let meta = files("look at", &path, entry.metadata())?;
        total += if meta.is_dir() {
            size(&path)?
        } else {
            meta.len()
        };
    }
    Ok(total)
}

fn with_ending(root: &Path, ending: &str) -> PathBuf {
    let mut name = root.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
