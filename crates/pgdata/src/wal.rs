//! The write-ahead log of PostgreSQL 13 to 17, as far as one must read it to say which moments it holds: where each
//! record begins, and when a transaction was committed.
//!
//! Segments come from an archive that a receiver still writes to: the last one is cut off anywhere, and what follows a
//! cut is zeros or older bytes. Records there count only with a right checksum.

mod segments;

use std::collections::HashMap;
use std::{fmt, io};

use crate::crc32c::crc32c_of;

#[cfg(test)]
use segments::parse_name;
pub use segments::{Segments, before, first};

const PAGE: u64 = 8192;
const SHORT_HEADER: u64 = 24;
const LONG_HEADER: u64 = 40;
const RECORD_HEADER: usize = 24;
/// Seconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800;
/// Resource managers of the log itself and of transactions.
const RM_XLOG: u8 = 0;
const RM_XACT: u8 = 1;
const XLOG_SWITCH: u8 = 0x40;
const COMMIT: u8 = 0x00;
const COMMIT_PREPARED: u8 = 0x30;
/// Of a page: its first record began on the page before; that record was never finished.
const CONTINUED: u16 = 0x0001;
const OVERWRITTEN: u16 = 0x0008;

/// A place in the log, printed and read as PostgreSQL does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(pub u64);

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl std::str::FromStr for Location {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let half = |text: &str| {
            let plain =
                (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
            plain
                .then(|| u64::from_str_radix(text, 16).ok())
                .flatten()
                .ok_or(())
        };
        let (high, low) = text.split_once('/').ok_or(())?;
        Ok(Self((half(high)? << 32) | half(low)?))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Where its record begins.
    pub location: Location,
    /// Microseconds since 1970.
    pub time: i64,
}

/// How far somebody wants to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Microseconds since 1970: all commits up to then, and none after.
    Time(i64),
    Location(Location),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The last commit that belongs to it; none if nothing was committed between the start and there.
    pub last: Option<Commit>,
    /// Whether the log goes on behind it, so that nothing which belongs to it can still come.
    pub passed: bool,
    /// Where the log ended, or where the search did.
    pub end: Location,
}

/// What was found in whole segments of one directory, so that nobody reads them twice.
#[derive(Debug, Default)]
pub struct Index(HashMap<(u32, u64), Summary>);

#[derive(Clone, Copy, Debug)]
struct Summary {
    newest: Option<i64>,
    last: Option<Commit>,
    /// The first record behind the segment.
    next: u64,
}

/// Goes through the log from the beginning of a record, or the end of one.
pub fn search(
    segments: &mut Segments,
    index: &mut Index,
    from: Location,
    until: Until,
) -> io::Result<Found> {
    let size = segments.size();
    let mut walk = Walk {
        segments,
        at: from.0,
        previous: None,
    };
    let mut last = None;
    loop {
        let (entry, number) = (walk.at, walk.at / size);
        let key = (walk.segments.timeline(), entry);
        if let Some(known) = index.0.get(&key).filter(|known| within(known, until)) {
            last = known.last.or(last);
            (walk.at, walk.previous) = (known.next, None);
            continue;
        }
        let mut summary = Summary {
            newest: None,
            last: None,
            next: 0,
        };
        while walk.at / size == number {
            let Some(record) = walk.next()? else {
                let end = Location(walk.at);
                let passed = matches!(until, Until::Location(wanted) if end >= wanted);
                let last = summary.last.or(last);
                return Ok(Found { last, passed, end });
            };
            let passed = match until {
                Until::Location(wanted) => record.location > wanted,
                Until::Time(wanted) => record.committed.is_some_and(|time| time > wanted),
            };
            if passed {
                let (last, end) = (summary.last.or(last), record.location);
                return Ok(Found { last, passed, end });
            }
            if let Some(time) = record.committed {
                summary.newest = summary.newest.max(Some(time));
                summary.last = Some(Commit {
                    location: record.location,
                    time,
                });
            }
        }
        last = summary.last.or(last);
        summary.next = walk.at;
        if walk.segments.is_whole(number) {
            index.0.insert(key, summary);
        }
    }
}

fn within(known: &Summary, until: Until) -> bool {
    match until {
        Until::Time(wanted) => known.newest.is_none_or(|newest| newest <= wanted),
        Until::Location(wanted) => known.next <= wanted.0,
    }
}

struct Record {
    location: Location,
    committed: Option<i64>,
}

struct Walk<'a> {
    segments: &'a mut Segments,
    at: u64,
    previous: Option<u64>,
}

/// A record's bytes, or why there are none.
enum Read {
    Bytes(Vec<u8>, u64),
    End,
    /// The server went down in the middle of it; the log goes on with this page.
    GivenUp(u64),
}

impl Walk<'_> {
    fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some((at, _)) = self.behind_header(self.at)? else {
                return Ok(None);
            };
            let length = match self.read(at, 4)? {
                Read::Bytes(bytes, _) => u32_at(&bytes, 0) as usize,
                _ => return Ok(None),
            };
            if length < RECORD_HEADER {
                return Ok(None);
            }
            let head = match self.read(at, RECORD_HEADER)? {
                Read::Bytes(bytes, _) => bytes,
                Read::End => return Ok(None),
                Read::GivenUp(page) => {
                    (self.at, self.previous) = (page, None);
                    continue;
                }
            };
            let (info, manager) = (head[16], head[17]);
            if self.previous.is_some_and(|p| p != u64_at(&head, 8)) {
                return Ok(None);
            }
            let commits = manager == RM_XACT && [COMMIT, COMMIT_PREPARED].contains(&(info & 0x70));
            let (bytes, end) = match self.read(at, length)? {
                Read::Bytes(bytes, end) => (bytes, end),
                Read::End => return Ok(None),
                Read::GivenUp(page) => {
                    (self.at, self.previous) = (page, None);
                    continue;
                }
            };
            let size = self.segments.size();
            let whole = self.segments.is_whole((end - 1) / size);
            if (commits || !whole || self.previous.is_none())
                && crc32c_of([&bytes[RECORD_HEADER..], &bytes[..20]]) != u32_at(&bytes, 20)
            {
                return Ok(None);
            }
            self.previous = Some(at);
            let switches = manager == RM_XLOG && info & 0xf0 == XLOG_SWITCH;
            let after = if switches { size } else { 8 };
            self.at = end.next_multiple_of(after);
            return Ok(Some(Record {
                location: Location(at),
                committed: commits.then(|| commit_time(&bytes)).flatten(),
            }));
        }
    }

    /// A place where bytes of records can lie, and the flags of its page; none where the log has no valid page.
    fn behind_header(&mut self, at: u64) -> io::Result<Option<(u64, u16)>> {
        let page = at - at % PAGE;
        let Some(header) = self.segments.bytes(page, 20)? else {
            return Ok(None);
        };
        // The first byte counts the versions up.
        let valid = header[1] == 0xD1 && u64_at(header, 8) == page;
        let flags = u16::from_le_bytes([header[2], header[3]]);
        let long = page.is_multiple_of(self.segments.size());
        let behind = page + if long { LONG_HEADER } else { SHORT_HEADER };
        Ok(valid.then_some((at.max(behind), flags)))
    }

    fn read(&mut self, mut at: u64, length: usize) -> io::Result<Read> {
        let mut bytes = Vec::with_capacity(length.min(1 << 20));
        loop {
            let on_page = usize::try_from(PAGE - at % PAGE).unwrap_or_default();
            let wanted = on_page.min(length - bytes.len());
            let Some(part) = self.segments.bytes(at, wanted)? else {
                return Ok(Read::End);
            };
            bytes.extend_from_slice(part);
            at += wanted as u64;
            if bytes.len() == length {
                return Ok(Read::Bytes(bytes, at));
            }
            let page = at;
            match self.behind_header(page)? {
                Some((behind, flags)) if flags & CONTINUED != 0 => at = behind,
                Some((_, flags)) if flags & OVERWRITTEN != 0 => return Ok(Read::GivenUp(page)),
                _ => return Ok(Read::End),
            }
        }
    }
}

/// The first field of what a commit's record is about.
fn commit_time(record: &[u8]) -> Option<i64> {
    let mut at = RECORD_HEADER;
    loop {
        at += match record.get(at)? {
            // Replication origin, top transaction, and the length of what follows: short or long.
            253 => 3,
            252 => 5,
            255 => {
                at += 2;
                break;
            }
            254 => {
                at += 5;
                break;
            }
            _ => return None,
        };
    }
    let field = record.get(at..at + 8)?.try_into().ok()?;
    i64::from_le_bytes(field).checked_add(EPOCH * 1_000_000)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests;
