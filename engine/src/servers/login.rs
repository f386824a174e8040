//! The role that an order names, and its password: kept as a verifier, never as a text, and given to every data
//! directory of the VDB once, before anybody can use its server: by a server that lets in nobody but the engine, or, where
//! nobody knows a superuser of the copy who may log in, by one without connections.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use pgdata::sql;
use rustix::fs::{Mode, OFlags};

use super::config;
use super::postmaster::{self, Place, Stop};
use super::session::{SECRETLY, Session};
use crate::actions::Refusal;
use crate::jobs::Error;
use crate::origin::files;
use crate::{process, storage};

/// Statements, one a line.
const FILE: &str = "login.sql";
/// The root that they were given to.
const APPLIED: &str = "login.applied";

/// What gives a role this password. A role that the copy lacks is made, and may do everything.
fn statements(role: &str, password: &str) -> String {
    let verifier = pgdata::scram::verifier(password, &rand::random::<[u8; 16]>());
    let (name, text) = (sql::identifier(role), sql::literal(role));
    let make = format!(
        "if not exists (select from pg_catalog.pg_roles where rolname = {text}) then create role {name} superuser; end if;"
    );
    sql::single_user(&[
        &format!("do $do$ begin {make} end $do$;"),
        &format!("alter role {name} with login valid until 'infinity';"),
        // `alter role … password` tries first whether the verifier is that of an empty text, which takes all its rounds.
        &format!(
            "update pg_catalog.pg_authid set rolpassword = {} where rolname = {text};",
            sql::literal(&verifier)
        ),
    ])
}

/// What a role and its password become. Thousands of rounds of a hash go into it: whoever changes the metadata is to have
/// it before, or all others would wait for it.
pub(crate) struct Login(String);

/// Names and passwords that a line of a statement and of a password file can hold.
pub(crate) fn checked(
    role: Option<&str>,
    password: Option<&str>,
) -> Result<Option<Login>, Refusal> {
    let fits =
        |text: &str| !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
    match (role, password) {
        (None, None) => Ok(None),
        (Some(role), Some(password))
            if fits(role) && role.len() < 64 && !role.contains("$do$") && fits(password) =>
        {
            Ok(Some(Login(statements(role, password))))
        }
        (Some(_), Some(_)) => Err(Refusal::Invalid(
            "db_username has 1 to 63 bytes and db_password 1 to 256, without control characters"
                .to_owned(),
        )),
        _ => Err(Refusal::Invalid(
            "db_username and db_password go together: send both or none".to_owned(),
        )),
    }
}

/// Written before the job that needs it; without that job, the sweep takes it.
pub(super) fn keep(home: &Path, login: &Login) -> Result<(), storage::Error> {
    storage::private_directory(home)?;
    let path = home.join(FILE);
    let written = (|| {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        std::fs::File::from(file).write_all(login.0.as_bytes())
    })();
    storage::files("write", &path, written)?;
    forget(home)
}

/// Whether there is nothing to be given to this root.
pub(super) fn is_applied(home: &Path, root: &Path) -> bool {
    let applied = std::fs::read_to_string(home.join(APPLIED)).unwrap_or_default();
    !storage::exists(&home.join(FILE)) || Path::new(&applied) == root
}

/// The root has it, and whoever knows the password may come.
fn applied(home: &Path, root: &Path) -> Result<(), storage::Error> {
    let marker = home.join(APPLIED);
    let written = std::fs::write(&marker, root.as_os_str().as_encoded_bytes());
    storage::files("write", &marker, written)
}

/// Other data comes to a root that this was given to.
pub(super) fn forget(home: &Path) -> Result<(), storage::Error> {
    let marker = home.join(APPLIED);
    let removed = match std::fs::remove_file(&marker) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    storage::files("remove", &marker, removed)
}

/// Starts the server on data that lacks the login, under rules that let in nobody but the engine: what the data holds may be
/// older passwords. The others' rules come with the login, and the port is theirs only then.
pub(super) fn start(
    place: &Place<'_>,
    root: &Path,
    rules: &str,
    session: Option<&Session>,
) -> Result<(), Error> {
    let path = place.home.join(FILE);
    let statements = files("read", &path, std::fs::read_to_string(&path))?;
    if let Some(session) = session {
        place.start()?;
        match session.run(&statements) {
            Ok(()) => {
                let opened = open(place, root, rules);
                if opened.is_err() {
                    postmaster::stop(place.data, Stop::Fast)?;
                }
                return opened;
            }
            Err(error) => tracing::warn!(
                data = %place.data.display(),
                "the login is set without connections, which takes longer: {}",
                crate::error_chain(&error)
            ),
        }
        postmaster::stop(place.data, Stop::Fast)?;
        // Somebody else may have ended it, and what it has left holds the data.
        place.clear()?;
    }
    apply(place, &statements)?;
    applied(place.home, root)?;
    config::write_rules(place.home, rules)?;
    place.start()
}

/// To everybody who knows a password, on a server that runs.
fn open(place: &Place<'_>, root: &Path, rules: &str) -> Result<(), Error> {
    config::write_rules(place.home, rules)?;
    place.reload()?;
    Ok(applied(place.home, root)?)
}

/// In single-user mode: several times slower, but no superuser needs to be known or allowed to log in.
fn apply(place: &Place<'_>, statements: &str) -> Result<(), Error> {
    let program = place.programs.join("postgres");
    let mut command = process::command(&program);
    command
        .args(["--single", "-O", "-D"])
        .arg(place.data)
        .arg("-c")
        .arg(place.config());
    // What it says may become a message. A statement that fails ends the program.
    for setting in ["exit_on_error=on", "lock_timeout=1min"]
        .into_iter()
        .chain(SECRETLY)
    {
        command.args(["-c", setting]);
    }
    command.args(["-c", "default_transaction_read_only=off", "template1"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let started = command
        .spawn()
        .map_err(|source| process::Error::Start { program, source });
    let mut child = started.map_err(|error| Error::Failed(crate::error_chain(&error)))?;
    if let Some(mut input) = child.stdin.take() {
        files(
            "talk to a server on",
            place.data,
            input.write_all(statements.as_bytes()),
        )?;
    }
    let output = files("wait for a server on", place.data, child.wait_with_output())?;
    if !output.status.success() {
        let said = process::tail(&String::from_utf8_lossy(&output.stderr));
        return Err(Error::Failed(format!("the login could not be set: {said}")));
    }
    Ok(())
}
