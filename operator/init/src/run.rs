//! From a copy of somebody else's server to our own: checked, disarmed, marked, started.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pgdata::{harmless, sql, version};

use crate::report::{Stopped, say};
use crate::{configuration, server};

/// Says for which copy this directory was made harmless. A clone of the clone carries it, but has another identity.
const MARKER: &str = "vdb-platform.identity";
/// SCRAM verifier of the platform's role; the password itself never enters the pod.
const VERIFIER: &str = "/etc/vdb-admin/verifier";
const ADMIN: &str = "vdb_admin";

/// Returns only what stopped it.
pub(crate) fn run() -> Stopped {
    match prepare() {
        Ok(pgdata) => server::become_server(&pgdata),
        Err(stopped) => stopped,
    }
}

fn prepare() -> Result<PathBuf, Stopped> {
    let variable = |name: &str| {
        std::env::var(name)
            .map_err(|_| Stopped::new("HarmlessFailed", format!("{name} is not set")))
    };
    let pgdata = PathBuf::from(variable("PGDATA")?);
    let identity = variable("VDB_IDENTITY")?;
    check_versions(&pgdata)?;
    let marked =
        fs::read_to_string(pgdata.join(MARKER)).is_ok_and(|text| text.trim_end() == identity);
    if marked {
        // Nothing of this server survived the container that it ran in.
        remove_stale(&pgdata.join("postmaster.pid"))?;
    } else {
        let gone =
            harmless::sweep(&pgdata).map_err(|error| failed("the copy cannot be swept", &error))?;
        say(&format!(
            "removed or emptied: {}",
            if gone.is_empty() {
                "nothing".to_owned()
            } else {
                gone.join(", ")
            }
        ));
    }
    configuration::write(&pgdata)
        .map_err(|error| failed("the configuration cannot be written", &error))?;
    server::check(&pgdata)?;
    if !marked {
        disarm(&pgdata)?;
        mark(&pgdata, &identity).map_err(|error| failed("the copy cannot be marked", &error))?;
    }
    Ok(pgdata)
}

fn failed(what: &str, error: &std::io::Error) -> Stopped {
    Stopped::new("HarmlessFailed", format!("{what}: {error}"))
}

/// `initdb` never runs: an empty directory is a mistake, not a wish for an empty database.
fn check_versions(pgdata: &Path) -> Result<(), Stopped> {
    let data = match version::major(pgdata) {
        Ok(data) => data,
        Err(version::Error::Empty) => {
            return Err(Stopped::new(
                "EmptyVolume",
                format!("{} holds no database cluster", pgdata.display()),
            ));
        }
        Err(error) => {
            return Err(Stopped::new(
                "MountDenied",
                format!("{}: {error}", pgdata.display()),
            ));
        }
    };
    let image = server::major()?;
    if data == image {
        return Ok(());
    }
    Err(Stopped::new(
        "VersionMismatch",
        format!("the data is of PostgreSQL {data}, the image has PostgreSQL {image}"),
    ))
}

fn remove_stale(path: &Path) -> Result<(), Stopped> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("a stale postmaster.pid cannot be removed", &error))
        }
        _ => Ok(()),
    }
}

/// Before anything listens: no password of the source works, no subscription knows its publisher, and the platform has
/// its role.
fn disarm(pgdata: &Path) -> Result<(), Stopped> {
    let verifier = fs::read_to_string(VERIFIER)
        .map_err(|error| failed("the verifier cannot be read", &error))?;
    let exists = format!("select from pg_catalog.pg_roles where rolname = '{ADMIN}'");
    let create =
        format!("do $$ begin if not exists ({exists}) then create role {ADMIN}; end if; end $$");
    let login = sql::literal(verifier.trim());
    let alter = format!(
        "alter role {ADMIN} superuser login connection limit -1 valid until 'infinity' password {login}"
    );
    let reset = format!("alter role {ADMIN} reset all");
    let [passwords, subscriptions] = sql::strip_shared();
    server::single_user(pgdata, &[passwords, subscriptions, &create, &alter, &reset])
}

fn mark(pgdata: &Path, identity: &str) -> std::io::Result<()> {
    let mut file = fs::File::create(pgdata.join(MARKER))?;
    writeln!(file, "{identity}")?;
    file.sync_all()
}
