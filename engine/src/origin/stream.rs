//! The source's log as it is written: `pg_receivewal` with a permanent slot, so that nothing is missing after a pause.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::origin::psql::{Psql, conninfo, passfile};
use crate::origin::{Error, Slot, files, postgres};
use crate::process;
use crate::settings::SourceSettings;

/// Where the source's log stands, on a standby too.
pub(super) const STANDS: &str = "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end";
/// A receiver that was just stopped is noticed by the source within a moment.
const RELEASED_WITHIN: Duration = Duration::from_secs(20);

pub(super) fn slot(psql: &Psql, name: &str) -> Result<Option<Slot>, Error> {
    let rows = psql.rows(&format!(
        "select coalesce(pg_wal_lsn_diff({STANDS}, restart_lsn), 0)::bigint, coalesce(wal_status = 'lost', false) or restart_lsn is null \
         from pg_replication_slots where slot_name = '{name}'"
    ))?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let [lag, lost] = <[String; 2]>::try_from(row)
        .map_err(|_| Error::Unfit("the source's slots cannot be read".to_owned()))?;
    Ok(Some(Slot {
        lag: lag
            .parse::<i64>()
            .unwrap_or_default()
            .max(0)
            .cast_unsigned(),
        lost: lost == "t",
    }))
}

/// With the log reserved at once, not at the first connection.
pub(super) fn make(psql: &Psql, name: &str) -> Result<(), Error> {
    psql.rows(&format!(
        "select 1 from pg_create_physical_replication_slot('{name}', true)"
    ))?;
    Ok(())
}

pub(super) fn drop(psql: &Psql, name: &str) -> Result<(), Error> {
    let begun = Instant::now();
    loop {
        let dropped = psql.rows(&format!(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{name}'"
        ));
        match dropped {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > RELEASED_WITHIN => return Err(error.into()),
            Err(process::Error::Failed { said, .. }) if said.contains("is active") => {
                // A receiver of an engine that is no more, perhaps on another machine: its role is ours.
                psql.rows(&format!(
                    "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{name}' and active_pid is not null"
                ))?;
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn receive(
    client_bin: &Path,
    source: &SourceSettings,
    slot: &str,
    into: &Path,
    scratch: &Path,
) -> Result<Child, Error> {
    let program = client_bin.join("pg_receivewal");
    let log = scratch.join("receiver.log");
    let log = files("write", &log, File::create(&log))?;
    let mut command = process::command(&program);
    command.args(["--no-loop", "--no-password", "--status-interval=2"]);
    command
        .args([
            "--slot",
            slot,
            "-d",
            &conninfo(&postgres::connection(source)),
        ])
        .arg("-D")
        .arg(into);
    command.env("PGPASSFILE", passfile(source, scratch)?);
    command.stdout(Stdio::null()).stderr(log);
    let child = command
        .spawn()
        .map_err(|source| process::Error::Start { program, source })?;
    Ok(child)
}
