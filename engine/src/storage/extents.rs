//! Which blocks files share with others, on a file system that tells it file by file: `filefrag` asks for each file's
//! extents, which needs no privileges, and names those that are shared.

use std::path::{Path, PathBuf};

use super::{Bytes, Error, files};
use crate::process;

/// Names on one command line.
const AT_ONCE: usize = 500;
/// A server removes files while they are looked at.
const TRIES: usize = 3;

/// Part of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    from: u64,
    bytes: u64,
    shared: bool,
}

/// What lies below a directory.
pub(super) fn bytes(root: &Path) -> Result<Bytes, Error> {
    let mut tried = 0;
    loop {
        tried += 1;
        match measure(root) {
            Err(_) if tried < TRIES => {}
            done => return done,
        }
    }
}

fn measure(root: &Path) -> Result<Bytes, Error> {
    let mut all = Vec::new();
    let mut whole = 0;
    list(root, &mut |path, bytes| {
        whole += bytes;
        all.push(path);
    })?;
    let mut extents = Vec::new();
    for some in all.chunks(AT_ONCE) {
        let mut command = process::command(Path::new("filefrag"));
        let table = process::run(command.arg("-v").args(some))?;
        extents.extend(parse(&table).ok_or_else(|| {
            Error::Unexpected("filefrag prints what this engine does not know".to_owned())
        })?);
    }
    let (shared, own): (Vec<Extent>, Vec<Extent>) =
        extents.into_iter().partition(|extent| extent.shared);
    let own = own.iter().map(|extent| extent.bytes).sum();
    Ok(Bytes {
        whole,
        own,
        held: own + once(shared),
    })
}

fn list(directory: &Path, each: &mut impl FnMut(PathBuf, u64)) -> Result<(), Error> {
    for entry in files("list", directory, std::fs::read_dir(directory))? {
        let entry = files("list", directory, entry)?;
        let path = entry.path();
        let meta = files("look at", &path, entry.metadata())?;
        if meta.is_dir() {
            list(&path, each)?;
        } else if meta.is_file() {
            each(path, meta.len());
        }
    }
    Ok(())
}

/// The table has each extent's number, its place in the file, its place on the disk, its length in blocks, the place that
/// would have been next, if it is another, and flags. A line above each file's says how large a block is.
fn parse(table: &str) -> Option<Vec<Extent>> {
    let mut extents = Vec::new();
    let mut block = None;
    for line in table.lines() {
        if line.starts_with("File size of ") {
            let words = line
                .rsplit_once(" blocks of ")
                .or_else(|| line.rsplit_once(" block of "))?;
            block = Some(words.1.strip_suffix(" bytes)")?.parse::<u64>().ok()?);
            continue;
        }
        let mut fields = line.split(':').map(str::trim);
        if !fields.next()?.bytes().all(|b| b.is_ascii_digit()) || !line.starts_with(' ') {
            continue;
        }
        let (_, place) = (fields.next()?, fields.next()?);
        let length: u64 = fields.next()?.parse().ok()?;
        let flags = fields.next_back()?;
        extents.push(Extent {
            from: place.split("..").next()?.trim().parse::<u64>().ok()? * block?,
            bytes: length * block?,
            shared: flags.split(',').any(|flag| flag == "shared"),
        });
    }
    Some(extents)
}

/// What extents take together, each block once: files below one directory may share among themselves.
fn once(mut extents: Vec<Extent>) -> u64 {
    extents.sort_by_key(|extent| extent.from);
    let (mut total, mut reached) = (0, 0);
    for Extent { from, bytes, .. } in extents {
        let end = from + bytes;
        total += end.saturating_sub(from.max(reached));
        reached = reached.max(end);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of filefrag 1.47 on XFS: a file, its copy of which two blocks were written anew, and an empty one.
    const TABLE: &str = "\
Filesystem type is: 58465342
File size of a is 4194304 (1024 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       5:         24..        29:      6:             shared
   1:        6..       9:         30..        33:      4:            
   2:       10..    1023:         34..      1047:   1014:             last,shared,eof
a: 1 extent found
File size of b: 3 is 4194304 (1024 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       5:         24..        29:      6:             shared
   1:        6..       9:       1054..      1057:      4:         30:
   2:       10..    1023:         34..      1047:   1014:       1058: last,shared,eof
b: 3 extents found
File size of one is 8 (1 block of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       0:       2000..      2000:      1:             last,eof
one: 1 extent found
File size of empty is 0 (0 blocks of 4096 bytes)
empty: 0 extents found
";

    #[test]
    fn extents_are_read_from_the_table_of_filefrag() {
        let extents = parse(TABLE).unwrap();
        assert_eq!(extents.len(), 7);
        let own = extents.iter().filter(|e| !e.shared).map(|e| e.bytes);
        assert_eq!(own.sum::<u64>(), 9 * 4096);
        assert_eq!(
            extents[4],
            Extent {
                from: 1054 * 4096,
                bytes: 4 * 4096,
                shared: false
            }
        );
        let shared = extents.into_iter().filter(|extent| extent.shared).collect();
        assert_eq!(once(shared), 1020 * 4096);
        assert_eq!(parse("   0: x"), None);
    }

    #[test]
    fn blocks_that_extents_have_in_common_count_once() {
        let extent = |from, bytes| Extent {
            from,
            bytes,
            shared: true,
        };
        assert_eq!(once(vec![extent(10, 5), extent(0, 12), extent(11, 2)]), 15);
        assert_eq!(once(Vec::new()), 0);
    }
}
