//! A base backup: taken, and checked against what the source says that it sent, before anybody uses it.

use std::fs;
use std::path::Path;

use pgdata::wal::{self, Index, Location, Segments, Until};
use serde::Deserialize;

use crate::origin::postgres::connection;
use crate::origin::psql::{conninfo, passfile};
use crate::origin::{Error, Facts, Progress, files};
use crate::settings::SourceSettings;
use crate::{process, storage};

/// Compares every file with its checksum in the manifest, which has one of its own.
pub(super) const CHECK: &str = "pg_verifybackup";
const MANIFEST: &str = "backup_manifest";

pub(super) fn take(
    client_bin: &Path,
    source: &SourceSettings,
    facts: &Facts,
    root: &Path,
    scratch: &Path,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let data = root.join("data");
    storage::private_directory(&data).map_err(|e| Error::Unfit(crate::error_chain(&e)))?;
    let mut command = process::command(&client_bin.join("pg_basebackup"));
    // The WAL comes along in a second connection with a temporary slot, which ends with that connection.
    command.args([
        "-X",
        "stream",
        "-F",
        "plain",
        "--checkpoint=fast",
        "--manifest-checksums=CRC32C",
        "--no-password",
        "--progress",
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
    let mut keep = |line: &str| {
        let progress = Progress::parse(line);
        progress.into_iter().for_each(&mut *tell);
        progress.is_none()
    };
    process::run_told(&mut command, &mut keep).map_err(|error| Error::BrokeOff {
        source_name: source.name.clone(),
        source: error,
    })?;
    check(client_bin, &data).map_err(|error| Error::Damaged {
        source_name: source.name.clone(),
        source: error,
    })?;
    relative_tablespaces(&data, facts)
}

/// What came is what was sent. The pages were written moments ago: they are read from memory, mostly.
fn check(client_bin: &Path, data: &Path) -> Result<(), process::Error> {
    let mut command = process::command(&client_bin.join(CHECK));
    // The log is not in the manifest, and the program for it comes with servers alone.
    command.args(["--no-parse-wal", "--quiet"]).arg(data);
    process::run(&mut command)?;
    let failed = |said: String| process::Error::Failed {
        program: "the check of the log".to_owned(),
        said,
    };
    log_is_whole(data).map_err(failed)
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<Range>,
}

/// The log without which the backup is not whole.
#[derive(Deserialize)]
struct Range {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

/// Each of its records has a checksum.
fn log_is_whole(data: &Path) -> Result<(), String> {
    let (path, log) = (data.join(MANIFEST), data.join("pg_wal"));
    let file = fs::File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let manifest: Manifest = serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|e| format!("{}: {e}", path.display()))?;
    for range in &manifest.ranges {
        let place = |text: &str| {
            text.parse::<Location>()
                .map_err(|()| format!("{MANIFEST} names {text:?}, which is no place in the log"))
        };
        let (start, end) = (place(&range.start)?, place(&range.end)?);
        let read = Segments::open(&log, range.timeline).and_then(|segments| match segments {
            Some(mut segments) => wal::search(
                &mut segments,
                &mut Index::default(),
                start,
                Until::Location(end),
            ),
            None => Err(std::io::Error::other("there is no segment")),
        });
        let reached = read.map_err(|e| format!("{}: {e}", log.display()))?.end;
        if reached < end {
            return Err(format!(
                "the log cannot be read from {reached} on, and is needed to {end}"
            ));
        }
    }
    Ok(())
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
