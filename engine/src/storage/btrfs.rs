//! Copy-on-write by btrfs subvolumes: a copy takes milliseconds at any size.
//!
//! The `btrfs` command needs no capability for this when the pool is mounted with `user_subvol_rm_allowed` and owned
//! by the engine's user. A read-only subvolume cannot be moved or deleted; it is made writable first.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Bytes, Error, Storage, exists, files, gone, room};
use crate::process;

#[derive(Debug, Default)]
pub struct Btrfs;

impl Btrfs {
    fn run(arguments: &[&str], paths: &[&Path], more: &[&str]) -> Result<String, Error> {
        let mut command = process::command(Path::new("btrfs"));
        command.args(arguments).args(paths).args(more);
        Ok(process::run(&mut command)?)
    }
}

impl Storage for Btrfs {
    fn name(&self) -> &'static str {
        "btrfs"
    }

    fn warning(&self) -> Option<&'static str> {
        None
    }

    fn at_one_instant(&self) -> bool {
        true
    }

    fn needs(&self, _bytes: u64) -> u64 {
        room::THIN
    }

    fn create(&self, root: &Path) -> Result<(), Error> {
        Self::run(&["subvolume", "create"], &[root], &[])?;
        files(
            "protect",
            root,
            std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700)),
        )
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Error> {
        // An existing directory would get the snapshot inside it.
        if exists(to) {
            return Ok(());
        }
        Self::run(&["subvolume", "snapshot"], &[from, to], &[]).map(drop)
    }

    fn seal(&self, root: &Path) -> Result<(), Error> {
        Self::run(&["property", "set", "-ts"], &[root], &["ro", "true"]).map(drop)
    }

    fn delete(&self, root: &Path) -> Result<(), Error> {
        if !exists(root) {
            return Ok(());
        }
        let writable = Self::run(&["property", "set", "-ts"], &[root], &["ro", "false"]);
        gone(root, writable)?;
        gone(root, Self::run(&["subvolume", "delete"], &[root], &[]))
    }

    fn own_bytes(&self, root: &Path) -> Result<u64, Error> {
        Ok(self.bytes(root)?.own)
    }

    fn bytes(&self, root: &Path) -> Result<Bytes, Error> {
        let table = Self::run(&["filesystem", "du", "-s", "--raw"], &[root], &[])?;
        usage(&table)
            .ok_or_else(|| Error::Unexpected("btrfs filesystem du printed no sizes".to_owned()))
    }

    fn flush(&self, pool: &Path) -> Result<(), Error> {
        Self::run(&["filesystem", "sync"], &[pool], &[]).map(drop)
    }

    fn problems(&self, pool: &Path) -> Vec<String> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        problems(&mounts, pool)
    }
}

/// Whether a pool lies on btrfs, as it is or will be made.
pub(super) fn is_below(pool: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mount_of(&mounts, pool).is_some_and(|(kind, _)| kind == "btrfs")
}

/// Columns: total, exclusive, set shared (each shared extent once), name. A dash stands for none.
fn usage(table: &str) -> Option<Bytes> {
    let mut row = table.lines().nth(1)?.split_whitespace();
    let mut next = || match row.next()? {
        "-" => Some(0),
        bytes => bytes.parse::<u64>().ok(),
    };
    let (whole, own, shared) = (next()?, next()?, next()?);
    Some(Bytes {
        whole,
        own,
        held: own + shared,
    })
}

fn problems(mountinfo: &str, pool: &Path) -> Vec<String> {
    let Some((kind, options)) = mount_of(mountinfo, pool) else {
        return vec![format!("no mount was found for {}", pool.display())];
    };
    let mut problems = Vec::new();
    if kind != "btrfs" {
        problems.push(format!("{} lies on {kind}, not on btrfs: mount a btrfs file system there, or set storage: copy", pool.display()));
    } else if !options.split(',').any(|o| o == "user_subvol_rm_allowed") {
        problems.push(format!(
            "{} is mounted without user_subvol_rm_allowed: copies could not be deleted",
            pool.display()
        ));
    }
    problems
}

/// File system type and super options of the deepest mount above a path; the last mounted wins.
pub(super) fn mount_of<'a>(mountinfo: &'a str, path: &Path) -> Option<(&'a str, &'a str)> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = Path::new(left.split(' ').nth(4)?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        path.starts_with(point)
            .then_some((point.components().count(), kind, options))
    });
    mounts
        .max_by_key(|(depth, ..)| *depth)
        .map(|(_, kind, options)| (kind, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_table_of_btrfs() {
        let table = "     Total   Exclusive  Set shared  Filename\n  40632320     4194304    36438016  /pool/vdbs/x\n";
        let bytes = Bytes {
            whole: 40_632_320,
            own: 4_194_304,
            held: 40_632_320,
        };
        assert_eq!(usage(table), Some(bytes));
        assert_eq!(usage("Total Exclusive Set shared Filename\n"), None);
    }

    #[test]
    fn a_pool_that_cannot_work_says_why() {
        let table = "21 1 254:0 / / rw - ext4 /dev/vda rw\n\
                     30 21 0:40 / /pool rw,relatime shared:1 - btrfs /dev/loop0 rw,user_subvol_rm_allowed,subvol=/\n\
                     31 21 0:41 / /strict rw - btrfs /dev/loop1 rw,subvol=/\n";
        assert!(problems(table, Path::new("/pool")).is_empty());
        assert!(problems(table, Path::new("/pool/below")).is_empty());
        assert!(problems(table, Path::new("/strict"))[0].contains("user_subvol_rm_allowed"));
        assert!(problems(table, Path::new("/poolx"))[0].contains("ext4"));
    }
}
