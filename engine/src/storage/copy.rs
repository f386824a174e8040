//! Full copies, for file systems that share no blocks. Slow and as large as the source: it is said aloud.
//!
//! A copy grows under another name and is renamed when it is whole; a deletion begins with a rename.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Error, Storage, exists, files, gone, private_directory};
use crate::process;

/// Endings of roots that are not whole; the sweep at the start removes them.
pub(crate) const PARTIAL: &str = ".partial";
pub(crate) const TRASH: &str = ".trash";

const TRIES: usize = 100;

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
        empty(&trash)?;
        gone(root, files("rename", root, fs::rename(root, &trash)))?;
        empty(&trash)
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

/// Others may be at it: each finds less than it has seen just before.
fn empty(trash: &Path) -> Result<(), Error> {
    let overtaken = [ErrorKind::NotFound, ErrorKind::DirectoryNotEmpty];
    for _ in 0..TRIES {
        match fs::remove_dir_all(trash) {
            Err(error) if overtaken.contains(&error.kind()) => {
                if !exists(trash) {
                    return Ok(());
                }
            }
            removed => return files("delete", trash, removed),
        }
    }
    files("delete", trash, fs::remove_dir_all(trash))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_several_delete_at_once_is_gone_for_each() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for _ in 0..20 {
            fs::create_dir_all(root.join("data/base/1")).unwrap();
            for number in 0..50 {
                fs::write(root.join(format!("data/base/1/{number}")), "").unwrap();
            }
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| Copy.delete(&root).unwrap());
                }
            });
            assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
        }
    }
}
