//! A physical copy carries what its source is to others: connections, keys, slots, logs. All of it goes.
//!
//! Files that recovery needs (`backup_label`, `tablespace_map`, `pg_wal`) stay. Repeating the sweep changes nothing.

use std::path::Path;
use std::{fs, io};

use crate::conf;

/// Files at the top that belong to the source's life, not to its data.
const FILES: [&str; 14] = [
    "standby.signal",
    "recovery.signal",
    "recovery.done",
    "promote",
    "fallback_promote",
    "postmaster.pid",
    "postmaster.opts",
    "backup_label.old",
    "tablespace_map.old",
    "backup_manifest",
    "current_logfiles",
    "logrotate",
    ".pgpass",
    ".psql_history",
];
/// Keys and certificates by their endings.
const SECRETS: [&str; 6] = ["key", "crt", "crl", "pem", "p12", "pfx"];
/// Directories that stay, empty.
const EMPTIED: [&str; 6] = [
    "pg_replslot",
    "pg_stat_tmp",
    "pg_dynshmem",
    "pg_logical/snapshots",
    "pg_logical/mappings",
    "pg_wal/archive_status",
];
/// Directories that go: logs hold statements, configuration snippets hold passwords.
const REMOVED: [&str; 4] = ["log", "pg_log", "conf.d", "postgresql.conf.d"];

/// Sweeps a data directory. Returns what was removed or emptied, for the log.
pub fn sweep(pgdata: &Path) -> io::Result<Vec<String>> {
    let mut gone = Vec::new();
    configuration(pgdata, &mut gone)?;
    for entry in fs::read_dir(pgdata)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let secret = Path::new(&name)
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| SECRETS.contains(&e));
        if FILES.contains(&name.as_str()) || (secret && !entry.file_type()?.is_dir()) {
            fs::remove_file(entry.path())?;
            gone.push(name);
        } else if REMOVED.contains(&name.as_str()) {
            remove(&entry.path())?;
            gone.push(name);
        }
    }
    for name in EMPTIED {
        if empty(&pgdata.join(name))? {
            gone.push(format!("{name}/*"));
        }
    }
    Ok(gone)
}

/// The source's configuration is reduced to what queries see, in one file; who may connect is the platform's matter.
fn configuration(pgdata: &Path, gone: &mut Vec<String>) -> io::Result<()> {
    let kept = conf::visible(&conf::read(pgdata)?);
    // A value with a control character is no valid setting of these; it is dropped like the rest.
    let lines: String = kept
        .iter()
        .filter_map(|(name, value)| conf::write([(name, value)]))
        .collect();
    let text = format!(
        "# Reduced to the settings that queries see; the platform's own file decides the rest.\n{lines}"
    );
    let files = [
        ("postgresql.conf", text.as_str()),
        ("postgresql.auto.conf", ""),
        ("pg_hba.conf", ""),
        ("pg_ident.conf", ""),
    ];
    for (name, wanted) in files {
        let path = pgdata.join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() && fs::read(&path)? == wanted.as_bytes() => continue,
            // Never write through a link.
            Ok(meta) if !meta.is_file() => fs::remove_file(&path)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::write(&path, wanted)?;
        gone.push(format!("settings of {name}"));
    }
    Ok(())
}

/// Whether there was something to empty. A link is replaced by a directory, its target stays untouched.
fn empty(dir: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => {
            fs::remove_file(dir)?;
            fs::create_dir(dir)?;
            return Ok(true);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut any = false;
    for entry in fs::read_dir(dir)? {
        remove(&entry?.path())?;
        any = true;
    }
    Ok(any)
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ties_a_copy_to_its_source_goes_and_the_data_stays() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in [
            "base/1",
            "global",
            "pg_replslot/sub",
            "log",
            "pg_wal/archive_status",
            "conf.d",
        ] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let files = [
            "standby.signal",
            "server.key",
            "server.crt",
            "postmaster.pid",
            "backup_label",
            "backup_label.old",
            "log/a.log",
        ];
        for name in files.iter().chain(&[
            "pg_replslot/sub/state",
            "pg_wal/archive_status/x.ready",
            "base/1/1259",
            "conf.d/x.conf",
        ]) {
            fs::write(at(name), "x").unwrap();
        }
        fs::write(outside.path().join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), at("pg_log")).unwrap();
        fs::write(
            at("postgresql.conf"),
            "timezone = 'UTC'\narchive_command = 'scp %p secret@host:'\n",
        )
        .unwrap();
        fs::write(
            at("postgresql.auto.conf"),
            "primary_conninfo = 'password=x'\ndatestyle = 'ISO'\n",
        )
        .unwrap();

        sweep(dir.path()).unwrap();

        for name in [
            "standby.signal",
            "server.key",
            "server.crt",
            "postmaster.pid",
            "backup_label.old",
            "log",
            "pg_log",
            "conf.d",
        ] {
            assert!(fs::symlink_metadata(at(name)).is_err(), "{name}");
        }
        for name in ["backup_label", "base/1/1259", "pg_replslot"] {
            assert!(at(name).exists(), "{name}");
        }
        assert_eq!(fs::read_dir(at("pg_replslot")).unwrap().count(), 0);
        assert!(outside.path().join("kept").exists());
        let settings = conf::read(dir.path()).unwrap();
        assert_eq!(
            settings,
            [
                ("datestyle".into(), "ISO".into()),
                ("timezone".into(), "UTC".into())
            ]
        );
        assert_eq!(sweep(dir.path()).unwrap(), Vec::<String>::new());
    }
}
