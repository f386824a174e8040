//! A real PostgreSQL as origin: `psql` to look, `pg_basebackup` to copy, the server's own programs for the template.

use std::fs;
use std::path::{Path, PathBuf};

use crate::origin::psql::{Psql, conninfo, passfile};
use crate::origin::{DataPoint, Error, Facts, Origin, files, template};
use crate::process;
use crate::settings::{Settings, SourceSettings};
use crate::storage;

const LOOK: &str = "select current_setting('server_version_num'), current_setting('server_version'), \
    to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), current_setting('wal_level'), \
    current_setting('max_wal_senders'), (select rolreplication or rolsuper from pg_roles where rolname = current_user), \
    (select coalesce(sum(pg_database_size(oid)), 0)::bigint from pg_database where has_database_privilege(oid, 'connect'))";
const TABLESPACES: &str = "select oid, pg_tablespace_location(oid) from pg_tablespace where pg_tablespace_location(oid) like '/%'";

pub struct Postgres {
    server_bin: PathBuf,
    client_bin: PathBuf,
    pool: PathBuf,
}

impl Postgres {
    pub fn new(settings: &Settings) -> Self {
        Self {
            server_bin: settings.postgres_bin.clone(),
            client_bin: settings.client_bin.clone(),
            pool: settings.pool.clone(),
        }
    }

    /// The major version of the server that makes templates.
    pub fn server_major(&self) -> Result<u32, Error> {
        let text =
            process::run(process::command(&self.server_bin.join("postgres")).arg("--version"))?;
        major(&text)
            .ok_or_else(|| Error::Unfit(format!("cannot read the version from {:?}", text.trim())))
    }

    /// The major version of the program that takes base backups.
    pub fn client_major(&self) -> Result<u32, Error> {
        let text = process::run(
            process::command(&self.client_bin.join("pg_basebackup")).arg("--version"),
        )?;
        major(&text)
            .ok_or_else(|| Error::Unfit(format!("cannot read the version from {:?}", text.trim())))
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
        let (name, ours) = (&source.name, self.server_major()?);
        if facts.major != ours {
            return Err(Error::Unfit(format!(
                "source {name} is PostgreSQL {} and the engine's server is {ours}: both need the same major version",
                facts.version
            )));
        }
        let client = self.client_major()?;
        if client < facts.major {
            return Err(Error::Unfit(format!(
                "pg_basebackup {client} cannot back up PostgreSQL {}: clientBin must be {} or newer",
                facts.version, facts.major
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
        let rows = psql.rows(LOOK)?;
        let unexpected = || {
            Error::Unfit(format!(
                "source {} answered in an unexpected form",
                source.name
            ))
        };
        let [
            version_number,
            version,
            now,
            wal_level,
            senders,
            replicates,
            bytes,
        ] = <[String; 7]>::try_from(rows.into_iter().next().unwrap_or_default())
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
            wal_level,
            max_wal_senders: senders.parse().map_err(|_| unexpected())?,
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
    ) -> Result<(), Error> {
        self.check(source, facts)?;
        let data = root.join("data");
        storage::private_directory(&data).map_err(|e| Error::Unfit(crate::error_chain(&e)))?;
        let mut command = process::command(&self.client_bin.join("pg_basebackup"));
        // The WAL comes along in a second connection with a temporary slot, which ends with that connection.
        command.args([
            "-X",
            "stream",
            "-F",
            "plain",
            "--checkpoint=fast",
            "--no-manifest",
            "--no-password",
        ]);
        command
            .args(["-d", &conninfo(&connection(source))])
            .arg("-D")
            .arg(&data);
        if let Some(rate) = &source.max_rate {
            command.arg(format!("--max-rate={rate}"));
        }
        for (id, path) in &facts.tablespaces {
            let new = root.join("tablespaces").join(id);
            command.arg(format!(
                "--tablespace-mapping={}={}",
                path.replace('=', "\\="),
                new.to_string_lossy().replace('=', "\\=")
            ));
        }
        command.env("PGPASSFILE", passfile(source, scratch)?);
        process::run(&mut command)?;
        relative_tablespaces(&data, facts)
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
        let programs = template::Programs {
            server_bin: &self.server_bin,
            client_bin: &self.client_bin,
        };
        template::make(&programs, &source.user, &root.join("data"), scratch)
    }
}

fn connection(source: &SourceSettings) -> Vec<(&'static str, String)> {
    vec![
        ("host", source.host.clone()),
        ("port", source.port.to_string()),
        ("user", source.user.clone()),
        ("connect_timeout", "10".to_owned()),
        ("application_name", "vdb-engine".to_owned()),
    ]
}

/// Links that lead out of a copy would make all copies share one tablespace.
fn relative_tablespaces(data: &Path, facts: &Facts) -> Result<(), Error> {
    for (id, _) in &facts.tablespaces {
        let link = data.join("pg_tblspc").join(id);
        files("remove", &link, fs::remove_file(&link))?;
        files(
            "link",
            &link,
            std::os::unix::fs::symlink(format!("../../tablespaces/{id}"), &link),
        )?;
    }
    Ok(())
}

/// `pg_basebackup (PostgreSQL) 17.2 (Debian 17.2-1)` is 17.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_distribution_read() {
        assert_eq!(
            major("pg_basebackup (PostgreSQL) 17.2 (Debian 17.2-1.pgdg120+1)"),
            Some(17)
        );
        assert_eq!(major("postgres (PostgreSQL) 16.9\n"), Some(16));
        assert_eq!(major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(major("mysqld 8"), None);
    }
}
