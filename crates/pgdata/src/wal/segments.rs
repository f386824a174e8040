//! Files of an archive: 24 hexadecimal digits, and `.partial` behind the one that is being received.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::Location;

/// Bytes in memory at a time: whoever reads gigabytes of a log needs no more.
const WINDOW: u64 = 256 << 10;

/// One timeline's segments in a directory, of which a window is in memory.
#[derive(Debug)]
pub struct Segments {
    directory: PathBuf,
    timeline: u32,
    size: u64,
    loaded: Option<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    /// Of its first byte, from the beginning of the log.
    start: u64,
    bytes: Vec<u8>,
}

impl Loaded {
    fn get(&self, at: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(length)?)
    }
}

impl Segments {
    /// None if the directory holds no segment of the timeline.
    pub fn open(directory: &Path, timeline: u32) -> io::Result<Option<Self>> {
        let files = list(directory)?;
        let ours = files.iter().any(|file| file.timeline == timeline);
        Ok(size_of(&files).filter(|_| ours).map(|size| Self {
            directory: directory.to_owned(),
            timeline,
            size,
            loaded: None,
        }))
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
        let holds = |loaded: &Loaded| loaded.get(at, length).is_some();
        if !self.loaded.as_ref().is_some_and(holds) {
            let start = at - at % super::PAGE;
            let Some(bytes) = self.load(start)? else {
                return Ok(None);
            };
            self.loaded = Some(Loaded { start, bytes });
        }
        Ok(self.loaded.as_ref().and_then(|l| l.get(at, length)))
    }

    /// The window from a place on, at most to the end of its file.
    fn load(&self, start: u64) -> io::Result<Option<Vec<u8>>> {
        let (number, offset) = (start / self.size, start % self.size);
        let whole = self.directory.join(self.name_of(number));
        let partial = self
            .directory
            .join(format!("{}.partial", self.name_of(number)));
        // The receiver renames the one to the other at any moment.
        for path in [&whole, &partial, &whole] {
            match File::open(path) {
                Ok(mut file) => {
                    let mut bytes = Vec::new();
                    file.seek(SeekFrom::Start(offset))?;
                    file.take(WINDOW).read_to_end(&mut bytes)?;
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
    let files = list(directory)?;
    let size = size_of(&files);
    Ok(size.and_then(|size| files.iter().map(|file| file.start(size)).min()))
}

/// The files of whole segments that end before a place.
pub fn before(directory: &Path, location: Location) -> io::Result<Vec<PathBuf>> {
    let files = list(directory)?;
    let Some(size) = size_of(&files) else {
        return Ok(Vec::new());
    };
    let files = files.into_iter();
    let old = files.filter(|file| file.whole && file.start(size).0 + size <= location.0);
    Ok(old.map(|file| file.path).collect())
}

struct Listed {
    timeline: u32,
    number: u64,
    whole: bool,
    length: u64,
    path: PathBuf,
}

impl Listed {
    fn start(&self, size: u64) -> Location {
        Location((self.number >> 32 << 32) + (self.number & 0xffff_ffff) * size)
    }
}

/// A receiver makes each file at its full length, unless it is killed meanwhile.
fn size_of(files: &[Listed]) -> Option<u64> {
    let sizes = files.iter().map(|file| file.length);
    sizes
        .filter(|size| size.is_power_of_two() && (1 << 20..=1 << 30).contains(size))
        .max()
}

fn list(directory: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((timeline, number, whole)) = name.to_str().and_then(parse_name) else {
            continue;
        };
        match entry.metadata() {
            Ok(meta) => files.push(Listed {
                timeline,
                number,
                whole,
                length: meta.len(),
                path: entry.path(),
            }),
            // Renamed or removed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
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
