#![expect(
    clippy::cast_possible_truncation,
    reason = "lengths of a test are small"
)]

use super::*;

const SIZE: u64 = 1 << 20;

/// Writes a log as a server does, record by record.
struct Writer {
    bytes: Vec<u8>,
    start: u64,
    previous: u64,
}

impl Writer {
    fn new(start: u64) -> Self {
        Self {
            bytes: Vec::new(),
            start,
            previous: 0,
        }
    }

    fn at(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn page(&mut self, rest: usize) {
        let at = self.at();
        let long = at.is_multiple_of(SIZE);
        let flags = if rest > 0 { CONTINUED } else { 0 } | if long { 2 } else { 0 };
        let mut header = vec![0; if long { LONG_HEADER } else { SHORT_HEADER } as usize];
        header[..2].copy_from_slice(&0xD113u16.to_le_bytes());
        header[2..4].copy_from_slice(&flags.to_le_bytes());
        header[4..8].copy_from_slice(&1u32.to_le_bytes());
        header[8..16].copy_from_slice(&at.to_le_bytes());
        header[16..20].copy_from_slice(&(rest as u32).to_le_bytes());
        self.bytes.extend(header);
    }

    fn record(&mut self, manager: u8, info: u8, data: &[u8]) -> Location {
        if self.at().is_multiple_of(PAGE) {
            self.page(0);
        }
        let mut record = vec![0; RECORD_HEADER];
        if data.len() < 256 {
            record.extend([255, data.len() as u8]);
        } else {
            record.push(254);
            record.extend((data.len() as u32).to_le_bytes());
        }
        record.extend(data);
        let length = record.len() as u32;
        record[..4].copy_from_slice(&length.to_le_bytes());
        record[8..16].copy_from_slice(&self.previous.to_le_bytes());
        (record[16], record[17]) = (info, manager);
        let crc = crc32c_of([&record[RECORD_HEADER..], &record[..20]]);
        record[20..24].copy_from_slice(&crc.to_le_bytes());
        let at = self.at();
        self.previous = at;
        let mut rest = record.as_slice();
        while !rest.is_empty() {
            if self.at().is_multiple_of(PAGE) {
                self.page(rest.len());
            }
            let room = (PAGE - self.at() % PAGE) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.bytes.extend(now);
            rest = later;
        }
        while !self.at().is_multiple_of(8) {
            self.bytes.push(0);
        }
        Location(at)
    }

    fn commit(&mut self, second: i64) -> Location {
        let time = (second - EPOCH) * 1_000_000;
        self.record(RM_XACT, 0x80, &time.to_le_bytes())
    }

    fn switch(&mut self) {
        self.record(RM_XLOG, XLOG_SWITCH, &[]);
        while !self.at().is_multiple_of(SIZE) {
            self.bytes.push(0);
        }
    }

    /// Files as a receiver leaves them: the last one is being received.
    fn receive(&self, directory: &std::path::Path) {
        for (index, part) in self.bytes.chunks(SIZE as usize).enumerate() {
            let number = self.start / SIZE + index as u64;
            let mut part = part.to_vec();
            let ending = if part.len() == SIZE as usize {
                ""
            } else {
                ".partial"
            };
            part.resize(SIZE as usize, 0);
            let name = format!("{:08X}{:08X}{number:08X}{ending}", 1, 0);
            std::fs::write(directory.join(name), part).unwrap();
        }
    }
}

/// Second 100, then large records over pages and segments, seconds 200 to 209 in between, a switch, second 300.
fn log(directory: &std::path::Path) -> (Vec<Location>, Location) {
    let mut writer = Writer::new(3 * SIZE);
    let mut commits = vec![writer.commit(100)];
    for second in 200..210 {
        writer.record(10, 0, &vec![7; 300_000]);
        commits.push(writer.commit(second));
    }
    writer.switch();
    commits.push(writer.commit(300));
    writer.record(10, 0, &[1; 100]);
    writer.receive(directory);
    (commits, Location(writer.at()))
}

fn found(directory: &std::path::Path, index: &mut Index, until: Until) -> Found {
    let mut segments = Segments::open(directory, 1).unwrap().unwrap();
    search(&mut segments, index, Location(3 * SIZE), until).unwrap()
}

#[test]
fn the_last_commit_before_a_moment_is_found_across_pages_segments_and_a_switch() {
    let directory = tempfile::tempdir().unwrap();
    let (commits, end) = log(directory.path());
    let mut index = Index::default();
    // Twice: the second time most is known already.
    for _ in 0..2 {
        let at = |micros| found(directory.path(), &mut Index::default(), Until::Time(micros));
        assert_eq!((at(99_999_999).last, at(99_999_999).passed), (None, true));
        for (second, commit) in [(100, 0), (205, 6), (208, 9), (250, 10)] {
            let found = found(
                directory.path(),
                &mut index,
                Until::Time(second * 1_000_000 + 999_999),
            );
            assert_eq!(found.last.unwrap().location, commits[commit], "{second}");
            assert!(found.passed);
        }
        let after = found(directory.path(), &mut index, Until::Time(300_000_000));
        assert_eq!((after.passed, after.end), (false, end));
        assert_eq!(after.last.unwrap().time, 300_000_000);
        assert_eq!(after.last.unwrap().location, commits[11]);
    }
    assert!(index.0.len() >= 3, "{index:?}");
}

#[test]
fn a_place_is_reached_when_all_before_it_was_received() {
    let directory = tempfile::tempdir().unwrap();
    let (commits, end) = log(directory.path());
    let at = |location| {
        found(
            directory.path(),
            &mut Index::default(),
            Until::Location(location),
        )
    };
    assert_eq!(at(commits[5]).last.unwrap().location, commits[5]);
    assert_eq!(
        at(Location(commits[5].0 - 1)).last.unwrap().location,
        commits[4]
    );
    assert!(at(end).passed && !at(Location(end.0 + 1)).passed);
}

#[test]
fn what_was_cut_off_or_is_missing_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let (commits, _) = log(directory.path());
    let everything = Until::Time(i64::MAX);
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    names.sort();
    let partial = names.pop().unwrap();
    let mut bytes = std::fs::read(&partial).unwrap();
    let start = usize::try_from(commits[11].0 % SIZE).unwrap();
    bytes[start + 30] ^= 1;
    std::fs::write(&partial, &bytes).unwrap();
    let cut = found(directory.path(), &mut Index::default(), everything);
    assert_eq!(cut.last.unwrap().time, 209_000_000);
    assert_eq!(first(directory.path()).unwrap(), Some(Location(3 * SIZE)));
    let old = before(directory.path(), Location(5 * SIZE + 100)).unwrap();
    assert_eq!(old.len(), 2, "{old:?}");
    std::fs::remove_file(&names[1]).unwrap();
    let gap = found(directory.path(), &mut Index::default(), everything);
    assert!(gap.last.unwrap().time < 205_000_000 && !gap.passed);
}

#[test]
fn locations_read_as_they_are_printed() {
    for text in ["0/3000138", "1A/FFFFFFFF", "0/0"] {
        assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
    }
    for wrong in ["", "/", "1", "0/-1", "0/+1", "0/123456789", "g/0"] {
        assert!(wrong.parse::<Location>().is_err(), "{wrong}");
    }
    assert_eq!(
        parse_name("00000001000000020000000A.partial"),
        Some((1, 0x2_0000_000A, false))
    );
    assert_eq!(parse_name("00000001.history"), None);
}
