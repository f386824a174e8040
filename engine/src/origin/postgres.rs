//! A real PostgreSQL as origin: `psql` to look, `pg_basebackup` to copy, the server's own programs for the template.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, PoisonError};

use pgdata::wal::{self, Index, Segments};

use crate::origin::backup;
use crate::origin::psql::{Psql, conninfo, passfile};
use crate::origin::stream::{self, STANDS};
use crate::origin::template::{self, Stop};
use crate::origin::{
    Archive, DataPoint, Error, Facts, Found, Location, Origin, Progress, Slot, Until, files,
    servers,
};
use crate::process;
use crate::settings::{ServerPrograms, Settings, SourceSettings};

/// In the order of [`Facts`]' fields. The log's place is read before the clock.
fn look() -> String {
    format!(
        "select current_setting('server_version_num'), current_setting('server_version'), {STANDS}, \
         to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), current_setting('wal_level'), \
         current_setting('max_wal_senders'), current_setting('max_replication_slots')::int - (select count(*) from pg_replication_slots), \
         (select setting from pg_settings where name = 'max_slot_wal_keep_size'), \
         (select rolreplication or rolsuper from pg_roles where rolname = current_user), \
         (select coalesce(sum(pg_database_size(oid)), 0)::bigint from pg_database where has_database_privilege(oid, 'connect'))"
    )
}

const TABLESPACES: &str = "select oid, pg_tablespace_location(oid) from pg_tablespace where pg_tablespace_location(oid) like '/%'";

pub struct Postgres {
    servers: ServerPrograms,
    client_bin: PathBuf,
    pool: PathBuf,
    /// What was read of the logs so far, by directory.
    index: Mutex<HashMap<PathBuf, Index>>,
}

impl Postgres {
    pub fn new(settings: &Settings) -> Self {
        Self {
            servers: settings.postgres_bin.clone(),
            client_bin: settings.client_bin.clone(),
            pool: settings.pool.clone(),
            index: Mutex::default(),
        }
    }

    /// The server's programs for sources of a major version.
    pub fn server_of(&self, major: u32, whose: &str) -> Result<PathBuf, Error> {
        servers::of(&self.servers, major, whose)
    }

    /// The major version of the server in a folder.
    pub fn version_of(folder: &Path) -> Result<u32, Error> {
        servers::version(&folder.join("postgres"))
    }

    /// The major version of the program that takes base backups.
    pub fn client_major(&self) -> Result<u32, Error> {
        servers::version(&self.client_bin.join("pg_basebackup"))
    }

    /// The major version of the program that checks them.
    pub fn check_major(&self) -> Result<u32, Error> {
        servers::version(&self.client_bin.join(backup::CHECK))
    }

    /// Whether the role may open a replication connection from here.
    pub fn try_replication(&self, source: &SourceSettings, scratch: &Path) -> Result<(), Error> {
        let mut pairs = connection(source);
        pairs.push(("replication", "true".to_owned()));
        let mut command = process::command(&self.client_bin.join("psql"));
        command.args([
            "-X",
            "-A",
            "-t",
            "-w",
            "-d",
            &conninfo(&pairs),
            "-c",
            "IDENTIFY_SYSTEM",
        ]);
        command.env("PGPASSFILE", passfile(source, scratch)?);
        Ok(process::run(&mut command).map(drop)?)
    }

    fn check(&self, source: &SourceSettings, facts: &Facts) -> Result<(), Error> {
        let name = &source.name;
        self.server_of(facts.major, &format!("source {name}"))?;
        let client = self.client_major()?;
        if client < facts.major {
            return Err(Error::Unfit(format!(
                "pg_basebackup {client} cannot back up PostgreSQL {}: clientBin must be {} or newer",
                facts.version, facts.major
            )));
        }
        if self.check_major()? < facts.major {
            return Err(Error::Unfit(format!(
                "{} of clientBin cannot check backups of PostgreSQL {}: it must be of {} or newer",
                backup::CHECK,
                facts.version,
                facts.major
            )));
        }
        if !facts.may_replicate {
            return Err(Error::Unfit(format!(
                "role {} on source {name} lacks REPLICATION: run ALTER ROLE {0} REPLICATION there",
                source.user
            )));
        }
        if facts.wal_level == "minimal" || facts.max_wal_senders < 2 {
            let (level, senders) = (&facts.wal_level, facts.max_wal_senders);
            return Err(Error::Unfit(format!(
                "source {name} has wal_level={level} and max_wal_senders={senders}: a base backup needs replica and 2 or more"
            )));
        }
        match free_bytes(&self.pool) {
            // Recovery and the template's own pages come on top.
            Some(free) if free < facts.bytes + facts.bytes / 10 + (64 << 20) => {
                let (need, free) = (facts.bytes >> 20, free >> 20);
                Err(Error::Unfit(format!(
                    "source {name} holds {need} MiB and the pool has only {free} MiB free"
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Origin for Postgres {
    fn inspect(&self, source: &SourceSettings, scratch: &Path) -> Result<Facts, Error> {
        let psql = Psql::source(&self.client_bin, source, scratch)?;
        let rows = psql.rows(&look())?;
        let unexpected = || {
            Error::Unfit(format!(
                "source {} answered in an unexpected form",
                source.name
            ))
        };
        let [
            version_number,
            version,
            location,
            now,
            wal_level,
            senders,
            slots,
            slot_keeps,
            replicates,
            bytes,
        ] = <[String; 10]>::try_from(rows.into_iter().next().unwrap_or_default())
            .map_err(|_| unexpected())?;
        let tablespaces = psql
            .rows(TABLESPACES)?
            .into_iter()
            .map(|row| <[String; 2]>::try_from(row).map(|[id, path]| (id, path)));
        Ok(Facts {
            major: version_number.parse::<u32>().map_err(|_| unexpected())? / 10_000,
            // Distributions add words of their own.
            version: version.split(' ').next().unwrap_or_default().to_owned(),
            now,
            location,
            wal_level,
            max_wal_senders: senders.parse().map_err(|_| unexpected())?,
            free_slots: slots.parse().unwrap_or_default(),
            slot_keeps: slot_keeps.parse().map_err(|_| unexpected())?,
            may_replicate: replicates == "t",
            tablespaces: tablespaces
                .collect::<Result<_, _>>()
                .map_err(|_| unexpected())?,
            bytes: bytes.parse().map_err(|_| unexpected())?,
        })
    }

    fn back_up(
        &self,
        source: &SourceSettings,
        facts: &Facts,
        root: &Path,
        scratch: &Path,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        self.check(source, facts)?;
        backup::take(&self.client_bin, source, facts, root, scratch, tell)
    }

    fn tidy(&self, root: &Path) -> Result<(), Error> {
        let data = root.join("data");
        let gone = files("sweep", &data, pgdata::harmless::sweep(&data))?;
        tracing::debug!(data = %data.display(), ?gone, "swept");
        Ok(())
    }

    fn look(&self, root: &Path) -> Result<(bool, DataPoint), Error> {
        let control = pgdata::Control::read(&root.join("data"))?;
        let point = DataPoint {
            timestamp: None,
            location: format!(
                "{:X}/{:X}",
                control.checkpoint >> 32,
                control.checkpoint & 0xffff_ffff
            ),
        };
        Ok((control.state == pgdata::State::ShutDown, point))
    }

    fn make_template(
        &self,
        source: &SourceSettings,
        root: &Path,
        scratch: &Path,
    ) -> Result<DataPoint, Error> {
        self.recover(source, root, scratch, Stop::Consistent)
    }

    fn replay(
        &self,
        source: &SourceSettings,
        root: &Path,
        wal: &Path,
        to: Location,
        scratch: &Path,
    ) -> Result<DataPoint, Error> {
        let timeline = pgdata::Control::read(&root.join("data"))?.timeline;
        let segments = files("list", wal, Segments::open(wal, timeline))?;
        let size = segments.map(|segments| segments.size()).ok_or_else(|| {
            Error::Unfit(format!("{} holds no segment of the log", wal.display()))
        })?;
        self.recover(source, root, scratch, Stop::At { wal, size, to })
    }

    fn find(
        &self,
        archive: Archive<'_>,
        from: Location,
        until: Until,
    ) -> Result<Option<Found>, Error> {
        let timeline = pgdata::Control::read(&archive.raw.join("data"))?.timeline;
        let segments = Segments::open(archive.wal, timeline);
        let segments = files("list", archive.wal, segments)?;
        let Some(mut segments) = segments.filter(|segments| segments.holds(from)) else {
            return Ok(None);
        };
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let index = index.entry(archive.wal.to_owned()).or_default();
        let found = wal::search(&mut segments, index, from, until);
        files("read", archive.wal, found).map(Some)
    }

    fn slot(
        &self,
        source: &SourceSettings,
        name: &str,
        scratch: &Path,
    ) -> Result<Option<Slot>, Error> {
        stream::slot(&Psql::source(&self.client_bin, source, scratch)?, name)
    }

    fn make_slot(&self, source: &SourceSettings, name: &str, scratch: &Path) -> Result<(), Error> {
        stream::make(&Psql::source(&self.client_bin, source, scratch)?, name)
    }

    fn drop_slot(&self, source: &SourceSettings, name: &str, scratch: &Path) -> Result<(), Error> {
        stream::drop(&Psql::source(&self.client_bin, source, scratch)?, name)
    }

    fn receive(
        &self,
        source: &SourceSettings,
        slot: &str,
        into: &Path,
        scratch: &Path,
    ) -> Result<Child, Error> {
        stream::receive(&self.client_bin, source, slot, into, scratch)
    }
}

impl Postgres {
    fn recover(
        &self,
        source: &SourceSettings,
        root: &Path,
        scratch: &Path,
        stop: Stop<'_>,
    ) -> Result<DataPoint, Error> {
        let data = root.join("data");
        let major = pgdata::version::major(&data)
            .map_err(|error| Error::Unfit(format!("the backup of {}: {error}", source.name)))?;
        let programs = template::Programs {
            server_bin: &self.server_of(major, &format!("the backup of {}", source.name))?,
            client_bin: &self.client_bin,
        };
        template::make(&programs, source, &data, scratch, stop)
    }
}

pub(super) fn connection(source: &SourceSettings) -> Vec<(&'static str, String)> {
    vec![
        ("host", source.host.clone()),
        ("port", source.port.to_string()),
        ("user", source.user.clone()),
        ("connect_timeout", "10".to_owned()),
        ("application_name", "vdb-engine".to_owned()),
    ]
}

/// As `df` says; nothing if it cannot.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let table = process::run(
        process::command(Path::new("df"))
            .args(["--output=avail", "-B1"])
            .arg(path),
    )
    .ok()?;
    table.lines().nth(1)?.trim().parse().ok()
}
