//! The server's complete configuration, in memory: the copy's own files are never used.
//!
//! Later lines count: defaults, what queries see in the copy, what recovery needs, what was ordered, what the platform
//! owns.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use pgdata::conf;

/// Written by the operator.
const SOURCE: &str = "/etc/vdb";
/// A memory volume.
pub(crate) const RUN: &str = "/run/vdb";
pub(crate) const MAIN: &str = "/run/vdb/postgresql.conf";

/// Everybody proves a password. `all` does not mean replication, so nobody can take a copy of the copy.
const HBA: &str = "local all all scram-sha-256\nhost all all all scram-sha-256\n";
/// Two segments are the server's own minimum; a few more spare it a checkpoint each.
const WAL_SEGMENTS: (u64, u64) = (5, 16);

pub(crate) fn write(pgdata: &Path) -> io::Result<()> {
    let taken_over = conf::visible(&conf::read(pgdata)?);
    let control =
        pgdata::Control::read(pgdata).map_err(|error| io::Error::other(error.to_string()))?;
    let from = |name: &str| fs::read_to_string(Path::new(SOURCE).join(name));
    let text = assemble(&Parts {
        defaults: from("defaults.conf")?,
        taken_over: &taken_over,
        prepared: control.limits.max_prepared_transactions,
        segment: segment_size(pgdata)?,
        ordered: from("ordered.conf")?,
        owned: from("owned.conf")?,
    });
    fs::write(MAIN, text)?;
    fs::write(Path::new(RUN).join("pg_hba.conf"), HBA)?;
    fs::write(Path::new(RUN).join("pg_ident.conf"), "")
}

/// As long as every WAL file is; the server's default where there is none.
fn segment_size(pgdata: &Path) -> io::Result<u64> {
    for entry in fs::read_dir(pgdata.join("pg_wal"))? {
        let entry = entry?;
        let name = entry.file_name();
        if name.len() == 24
            && name
                .to_string_lossy()
                .bytes()
                .all(|b| b.is_ascii_hexdigit())
        {
            return Ok(entry.metadata()?.len());
        }
    }
    Ok(16 << 20)
}

struct Parts<'a> {
    defaults: String,
    taken_over: &'a [conf::Setting],
    prepared: i32,
    segment: u64,
    ordered: String,
    owned: String,
}

fn assemble(parts: &Parts<'_>) -> String {
    let megabytes = (parts.segment >> 20).max(1);
    let mut text = parts.defaults.clone();
    for (name, value) in parts.taken_over {
        text += &conf::write([(name, value)]).unwrap_or_default();
    }
    // The copy is never in archive recovery, which alone checks the other limits; but transactions that were prepared
    // in the source need their slots in any recovery.
    let _ = writeln!(text, "max_prepared_transactions = '{}'", parts.prepared);
    let _ = writeln!(
        text,
        "min_wal_size = '{}MB'\nmax_wal_size = '{}MB'",
        megabytes * WAL_SEGMENTS.0,
        megabytes * WAL_SEGMENTS.1
    );
    text += &parts.ordered;
    text += &parts.owned;
    let _ = writeln!(
        text,
        "hba_file = '{RUN}/pg_hba.conf'\nident_file = '{RUN}/pg_ident.conf'"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_platform_owns_counts_last() {
        let text = assemble(&Parts {
            defaults: "work_mem = '4MB'\n".into(),
            taken_over: &[("timezone".into(), "Europe/Zurich".into())],
            prepared: 7,
            segment: 16 << 20,
            ordered: "work_mem = '8MB'\narchive_mode = 'on'\n".into(),
            owned: "archive_mode = 'off'\n".into(),
        });
        let settings = conf::parse(&text);
        assert_eq!(conf::value(&settings, "work_mem"), Some("8MB"));
        assert_eq!(conf::value(&settings, "archive_mode"), Some("off"));
        assert_eq!(conf::value(&settings, "timezone"), Some("Europe/Zurich"));
        assert_eq!(
            conf::value(&settings, "max_prepared_transactions"),
            Some("7")
        );
        assert_eq!(conf::value(&settings, "max_wal_size"), Some("256MB"));
    }
}
