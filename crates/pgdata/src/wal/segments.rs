//! Files of an archive: 24 hexadecimal digits, and `.partial` behind the one that is being received.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Location;

/// One timeline's segments in a directory. One of them is in memory at a time, with the beginning of the next behind it.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    timeline: u32,
    size: u64,
    loaded: Option<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    number: u64,
    bytes: Vec<u8>,
}

impl Segments {
    /// None if the directory holds no segment of the timeline.
    pub fn open(directory: &Path, timeline: u32) -> io::Result<Option<Self>> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let ours = name.to_str().and_then(parse_name);
            if ours.is_some_and(|(of, ..)| of == timeline) {
                let size = entry.metadata()?.len();
                if is_size(size) {
                    let directory = directory.to_owned();
                    return Ok(Some(Self {
                        directory,
                        timeline,
                        size,
                        loaded: None,
                    }));
                }
            }
        }
        Ok(None)
    }

    pub fn timeline(&self) -> u32 {
        self.timeline
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file that holds a place.
    pub fn name(&self, location: Location) -> String {
        self.name_of(location.0 / self.size)
    }

    /// Whether the file that holds a place is there, received to its end or not.
    pub fn holds(&self, location: Location) -> bool {
        let name = self.name(location);
        self.directory.join(&name).exists()
            || self.directory.join(format!("{name}.partial")).exists()
    }

    pub(super) fn is_whole(&self, number: u64) -> bool {
        self.directory.join(self.name_of(number)).exists()
    }

    fn name_of(&self, number: u64) -> String {
        let per_log = (1 << 32) / self.size;
        format!(
            "{:08X}{:08X}{:08X}",
            self.timeline,
            number / per_log,
            number % per_log
        )
    }

    /// Bytes of one page; none where there is no file yet.
    pub(super) fn bytes(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let number = at / self.size;
        if self.loaded.as_ref().is_none_or(|l| l.number != number) {
            let Some(bytes) = self.load(number)? else {
                return Ok(None);
            };
            self.loaded = Some(Loaded { number, bytes });
        }
        let start = usize::try_from(at % self.size).unwrap_or(usize::MAX);
        let loaded = self.loaded.as_ref().map(|l| l.bytes.as_slice());
        Ok(loaded.and_then(|bytes| bytes.get(start..start.checked_add(length)?)))
    }

    fn load(&self, number: u64) -> io::Result<Option<Vec<u8>>> {
        let whole = self.directory.join(self.name_of(number));
        let partial = self
            .directory
            .join(format!("{}.partial", self.name_of(number)));
        // The receiver renames the one to the other at any moment.
        for path in [&whole, &partial, &whole] {
            match File::open(path) {
                Ok(mut file) => {
                    let mut bytes = Vec::new();
                    file.read_to_end(&mut bytes)?;
                    return Ok(Some(bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Where the oldest segment of a directory begins, on whatever timeline.
pub fn first(directory: &Path) -> io::Result<Option<Location>> {
    let starts = starts(directory)?;
    Ok(starts.into_iter().map(|(start, ..)| start).min())
}

/// The files of whole segments that end before a place.
pub fn before(directory: &Path, location: Location) -> io::Result<Vec<PathBuf>> {
    let whole = starts(directory)?.into_iter();
    let whole = whole.filter(|(start, size, whole, _)| *whole && start.0 + size <= location.0);
    Ok(whole.map(|(.., path)| path).collect())
}

fn starts(directory: &Path) -> io::Result<Vec<(Location, u64, bool, PathBuf)>> {
    let mut starts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((_, number, whole)) = name.to_str().and_then(parse_name) else {
            continue;
        };
        let size = match entry.metadata() {
            Ok(meta) => meta.len(),
            // Renamed or removed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if is_size(size) {
            let start = (number >> 32 << 32) + (number & 0xffff_ffff) * size;
            starts.push((Location(start), size, whole, entry.path()));
        }
    }
    Ok(starts)
}

/// A receiver makes each file at its full length.
fn is_size(size: u64) -> bool {
    size.is_power_of_two() && (1 << 20..=1 << 30).contains(&size)
}

/// Timeline, the two halves of the number, and whether the file was received to its end.
pub(super) fn parse_name(name: &str) -> Option<(u32, u64, bool)> {
    let (digits, whole) = match name.strip_suffix(".partial") {
        Some(digits) => (digits, false),
        None => (name, true),
    };
    let plain = digits.len() == 24 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !plain {
        return None;
    }
    let part = |range| u64::from_str_radix(digits.get(range)?, 16).ok();
    let timeline = u32::try_from(part(0..8)?).ok()?;
    Some((timeline, (part(8..16)? << 32) | part(16..24)?, whole))
}
