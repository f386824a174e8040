//! Questions to a source and to a template's server through `psql`: it takes the same password file as the base backup.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::origin::{Error, files};
use crate::process;
use crate::settings::SourceSettings;

/// Cannot occur in what is asked for.
const SEPARATOR: char = '\u{1f}';

/// What was attached to roles and databases does not get in the way.
pub(crate) const OPTIONS: &str = "-c default_transaction_read_only=off -c session_replication_role=replica -c statement_timeout=0 -c lock_timeout=0 -c search_path=pg_catalog";

/// A server, and how it is reached.
pub(crate) struct Psql {
    program: PathBuf,
    /// Key and value pairs of a connection string, without a password.
    connection: Vec<(&'static str, String)>,
    passfile: Option<PathBuf>,
    options: Option<String>,
}

impl Psql {
    /// A source over the network. Its password is written to a file of the scratch directory that others cannot read.
    pub(super) fn source(
        client_bin: &Path,
        source: &SourceSettings,
        scratch: &Path,
    ) -> Result<Self, Error> {
        Ok(Self {
            program: client_bin.join("psql"),
            connection: vec![
                ("host", source.host.clone()),
                ("port", source.port.to_string()),
                ("user", source.user.clone()),
                ("dbname", source.database.clone()),
                ("connect_timeout", "10".to_owned()),
                ("application_name", "vdb-engine".to_owned()),
            ],
            passfile: Some(passfile(source, scratch)?),
            options: None,
        })
    }

    /// A server on a private socket. Settings that the source attached to roles and databases do not get in the way.
    pub(crate) fn socket(client_bin: &Path, directory: &Path, user: &str, database: &str) -> Self {
        Self {
            program: client_bin.join("psql"),
            connection: vec![
                ("host", directory.to_string_lossy().into_owned()),
                ("user", user.to_owned()),
                ("dbname", database.to_owned()),
                ("connect_timeout", "10".to_owned()),
            ],
            passfile: None,
            options: Some(OPTIONS.to_owned()),
        }
    }

    /// Without settings that only a superuser may change.
    pub(super) fn plain(self) -> Self {
        Self {
            options: None,
            ..self
        }
    }

    /// Rows of fields.
    pub(super) fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, process::Error> {
        self.all(&[sql])
    }

    /// The rows of all statements. Each is a transaction of its own, and none follows one that failed.
    pub(super) fn all(&self, statements: &[&str]) -> Result<Vec<Vec<String>>, process::Error> {
        let mut command = self.command();
        command.args(["-A", "-t", "-F", &SEPARATOR.to_string()]);
        command.args(statements.iter().flat_map(|sql| ["-c", sql]));
        let output = process::run(&mut command)?;
        Ok(output
            .lines()
            .map(|line| line.split(SEPARATOR).map(str::to_owned).collect())
            .collect())
    }

    fn command(&self) -> Command {
        let mut command = process::command(&self.program);
        command.args(["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1"]);
        command
            .args(["-d", &conninfo(&self.connection)])
            .env("PGCLIENTENCODING", "UTF8");
        if let Some(passfile) = &self.passfile {
            command.env("PGPASSFILE", passfile);
        }
        if let Some(options) = &self.options {
            command.env("PGOPTIONS", options);
        }
        command
    }
}

pub(super) fn conninfo(pairs: &[(&str, String)]) -> String {
    let quoted = |value: &str| value.replace('\\', r"\\").replace('\'', r"\'");
    pairs
        .iter()
        .map(|(key, value)| format!("{key}='{}'", quoted(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Any database, since replication connects to none.
pub(super) fn passfile(source: &SourceSettings, scratch: &Path) -> Result<PathBuf, Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let secret = &source.password_file;
    let password = files(
        "read the password file",
        secret,
        std::fs::read_to_string(secret),
    )?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() || password.contains(['\r', '\n']) {
        return Err(Error::Unfit(format!(
            "the password file {} must hold one line",
            secret.display()
        )));
    }
    let escape = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
    let line = format!(
        "{}:{}:*:{}:{}\n",
        escape(&source.host),
        source.port,
        escape(&source.user),
        escape(password)
    );
    let path = scratch.join("passfile");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path);
    files(
        "write",
        &path,
        file.and_then(|mut file| file.write_all(line.as_bytes())),
    )?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values() {
        assert_eq!(
            conninfo(&[("host", "a".to_owned()), ("user", r"it's\".to_owned())]),
            r"host='a' user='it\'s\\'"
        );
    }

    #[test]
    fn a_password_may_hold_anything_on_one_line_and_nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        let source = SourceSettings {
            name: "largedb".to_owned(),
            host: "::1".to_owned(),
            port: 5432,
            database: "largedb".to_owned(),
            user: "replicator".to_owned(),
            password_file: secret.clone(),
            max_rate: None,
            snapshots: None,
            wal: None,
        };
        std::fs::write(&secret, "a:b\\c d\n").unwrap();
        let path = passfile(&source, dir.path()).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "\\:\\:1:5432:*:replicator:a\\:b\\\\c d\n"
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&secret, "\n").unwrap();
        assert!(passfile(&source, dir.path()).is_err());
    }
}
