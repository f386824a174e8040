//! `global/pg_control` of PostgreSQL 13 to 17, read as the server wrote it on a 64-bit little-endian machine.
//!
//! The layout is the same in all five versions: version 17 put a field where padding had been.

use std::path::Path;
use std::{fmt, fs, io};

use crate::crc32c::crc32c;

const CRC_AT: usize = 288;
/// `PG_CONTROL_VERSION` of 13 to 16, and of 17.
const KNOWN: [u32; 2] = [1300, 1700];

/// What the server was doing when it last wrote the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Startup,
    ShutDown,
    ShutDownInRecovery,
    ShuttingDown,
    InCrashRecovery,
    InArchiveRecovery,
    InProduction,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Startup => "starting up",
            Self::ShutDown => "shut down",
            Self::ShutDownInRecovery => "shut down in recovery",
            Self::ShuttingDown => "shutting down",
            Self::InCrashRecovery => "in crash recovery",
            Self::InArchiveRecovery => "in archive recovery",
            Self::InProduction => "in production",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    pub system_identifier: u64,
    pub catalog_version: u32,
    pub state: State,
    /// Location of the latest checkpoint.
    pub checkpoint: u64,
    pub timeline: u32,
    /// Seconds since 1970.
    pub checkpoint_time: i64,
    /// 0 minimal, 1 replica, 2 logical.
    pub wal_level: i32,
    /// The five limits that a server which recovers these files must not go below.
    pub limits: Limits,
    pub data_checksums: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_connections: i32,
    pub max_worker_processes: i32,
    pub max_wal_senders: i32,
    pub max_prepared_transactions: i32,
    pub max_locks_per_transaction: i32,
}

impl Limits {
    /// As settings of a configuration file.
    pub fn settings(&self) -> [(&'static str, i32); 5] {
        [
            ("max_connections", self.max_connections),
            ("max_worker_processes", self.max_worker_processes),
            ("max_wal_senders", self.max_wal_senders),
            ("max_prepared_transactions", self.max_prepared_transactions),
            ("max_locks_per_transaction", self.max_locks_per_transaction),
        ]
    }
}

#[derive(Debug)]
pub enum Error {
    Unreadable(io::Error),
    /// Too short, or the checksum does not fit.
    Damaged,
    /// Written by a version that is not known here.
    Unsupported(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(_) => f.write_str("cannot read global/pg_control"),
            Self::Damaged => f.write_str("global/pg_control is damaged"),
            Self::Unsupported(version) => {
                write!(
                    f,
                    "global/pg_control has version {version}; PostgreSQL 13 to 17 are known"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(source) => Some(source),
            Self::Damaged | Self::Unsupported(_) => None,
        }
    }
}

impl Control {
    pub fn read(pgdata: &Path) -> Result<Self, Error> {
        Self::parse(&fs::read(pgdata.join("global/pg_control")).map_err(Error::Unreadable)?)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let file = Words(bytes);
        let version = file.u32(8)?;
        if !KNOWN.contains(&version) {
            return Err(Error::Unsupported(version));
        }
        if crc32c(bytes.get(..CRC_AT).ok_or(Error::Damaged)?) != file.u32(CRC_AT)? {
            return Err(Error::Damaged);
        }
        Ok(Self {
            system_identifier: file.u64(0)?,
            catalog_version: file.u32(12)?,
            state: state(file.u32(16)?)?,
            checkpoint: file.u64(32)?,
            timeline: file.u32(48)?,
            checkpoint_time: file.u64(104)?.cast_signed(),
            wal_level: file.i32(172)?,
            limits: Limits {
                max_connections: file.i32(180)?,
                max_worker_processes: file.i32(184)?,
                max_wal_senders: file.i32(188)?,
                max_prepared_transactions: file.i32(192)?,
                max_locks_per_transaction: file.i32(196)?,
            },
            data_checksums: file.u32(252)? != 0,
        })
    }
}

fn state(number: u32) -> Result<State, Error> {
    Ok(match number {
        0 => State::Startup,
        1 => State::ShutDown,
        2 => State::ShutDownInRecovery,
        3 => State::ShuttingDown,
        4 => State::InCrashRecovery,
        5 => State::InArchiveRecovery,
        6 => State::InProduction,
        _ => return Err(Error::Damaged),
    })
}

struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], Error> {
        self.0
            .get(at..at + N)
            .and_then(|part| part.try_into().ok())
            .ok_or(Error::Damaged)
    }

    fn u32(&self, at: usize) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.bytes(at)?))
    }

    fn i32(&self, at: usize) -> Result<i32, Error> {
        Ok(i32::from_le_bytes(self.bytes(at)?))
    }

    fn u64(&self, at: usize) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.bytes(at)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by initdb of 15 and of 16; cut after the part that is not zero.
    const FIFTEEN: &[u8] = include_bytes!("../tests/fixtures/pg_control-15");
    const SIXTEEN: &[u8] = include_bytes!("../tests/fixtures/pg_control-16");

    #[test]
    fn a_fresh_cluster_reads_as_initdb_left_it() {
        for (file, catalog) in [(FIFTEEN, 202_209_061), (SIXTEEN, 202_307_071)] {
            let control = Control::parse(file).unwrap();
            assert_eq!(control.state, State::ShutDown);
            assert_eq!(
                (control.catalog_version, control.timeline, control.wal_level),
                (catalog, 1, 1)
            );
            assert_eq!(
                control.limits.settings().map(|(_, n)| n),
                [100, 8, 10, 0, 64]
            );
            assert!(!control.data_checksums);
            assert!(control.system_identifier > 7_700_000_000_000_000_000);
            assert!(control.checkpoint_time > 1_700_000_000);
        }
    }

    #[test]
    fn a_flipped_bit_or_a_short_file_is_damage() {
        let mut file = SIXTEEN.to_vec();
        file[16] ^= 1;
        assert!(matches!(Control::parse(&file), Err(Error::Damaged)));
        assert!(matches!(
            Control::parse(&SIXTEEN[..200]),
            Err(Error::Damaged)
        ));
        assert!(matches!(Control::parse(b""), Err(Error::Damaged)));
    }

    #[test]
    fn seventeen_is_known_and_eighteen_is_not() {
        let mut file = SIXTEEN.to_vec();
        file[8..12].copy_from_slice(&1700u32.to_le_bytes());
        let crc = crc32c(&file[..CRC_AT]).to_le_bytes();
        file[CRC_AT..CRC_AT + 4].copy_from_slice(&crc);
        assert_eq!(Control::parse(&file).unwrap().state, State::ShutDown);
        file[8..12].copy_from_slice(&1800u32.to_le_bytes());
        assert!(matches!(
            Control::parse(&file),
            Err(Error::Unsupported(1800))
        ));
    }
}
