//! The image's `postgres`, called as a command.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::configuration::MAIN;
use crate::report::Stopped;

const PROGRAM: &str = "postgres";

/// The image's major version.
pub(crate) fn major() -> Result<u32, Stopped> {
    let output = Command::new(PROGRAM).arg("--version").output();
    let output = output.map_err(|error| {
        Stopped::new(
            "ImageUnavailable",
            format!("the image has no postgres on its PATH: {error}"),
        )
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    parse_major(&text).ok_or_else(|| {
        Stopped::new(
            "ImageUnavailable",
            format!("postgres --version of the image says {text:?}"),
        )
    })
}

fn parse_major(text: &str) -> Option<u32> {
    let number = text
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let end = number
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok()
}

fn command(pgdata: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("-D")
        .arg(pgdata)
        .arg("-c")
        .arg(format!("config_file={MAIN}"));
    command
}

/// Reads the whole configuration and starts nothing: a wrong value is found here, not in a crash loop.
pub(crate) fn check(pgdata: &Path) -> Result<(), Stopped> {
    let output = command(pgdata).args(["-C", "data_directory"]).output();
    let output = output.map_err(|error| {
        Stopped::new(
            "InvalidSetting",
            format!("postgres -C does not run: {error}"),
        )
    })?;
    if output.status.success() {
        Ok(())
    } else {
        Err(explain(&output, "InvalidSetting"))
    }
}

/// Runs statements without a listener and without workers.
pub(crate) fn single_user(pgdata: &Path, statements: &[&str]) -> Result<(), Stopped> {
    let failed = |what: &str, error: std::io::Error| {
        Stopped::new("HarmlessFailed", format!("{what}: {error}"))
    };
    let mut single = Command::new(PROGRAM);
    // Every copy of every server has template1; the messages must be readable for the check below.
    single.args(["--single", "-O", "-D"]).arg(pgdata).args([
        "-c",
        &format!("config_file={MAIN}"),
        "-c",
        "lc_messages=C",
    ]);
    single.args(["-c", "default_transaction_read_only=off", "template1"]);
    let child = single
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| failed("single-user mode does not start", error))?;
    let script = pgdata::sql::single_user(statements);
    // A server that has ended reads nothing; its exit code tells why.
    let _ = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(script.as_bytes()));
    let output = child
        .wait_with_output()
        .map_err(|error| failed("single-user mode", error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && !said.contains("ERROR:  ") && !said.contains("FATAL:  ") {
        return Ok(());
    }
    Err(explain(&output, "HarmlessFailed"))
}

/// Becomes the server. Returns only if that fails.
pub(crate) fn become_server(pgdata: &Path) -> Stopped {
    let error = command(pgdata).exec();
    Stopped::new("ServerStopped", format!("postgres does not start: {error}"))
}

/// The server's own words, and the reason that they mean.
fn explain(output: &Output, otherwise: &'static str) -> Stopped {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told: Vec<&str> = said
        .lines()
        .filter_map(message)
        .filter(|line| !line.contains("contains errors"))
        .collect();
    let text = if told.is_empty() {
        said.trim().to_owned()
    } else {
        told.join("; ")
    };
    Stopped::new(classify(&text).unwrap_or(otherwise), text)
}

/// What follows the level, on lines that say what is wrong.
fn message(line: &str) -> Option<&str> {
    [
        "FATAL:  ",
        "ERROR:  ",
        "PANIC:  ",
        "LOG:  ",
        "HINT:  ",
        "DETAIL:  ",
    ]
    .iter()
    .find_map(|level| line.split_once(level))
    .map(|(_, text)| text)
}

fn classify(text: &str) -> Option<&'static str> {
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if any(&[
        "could not access file",
        "could not load library",
        "could not open extension",
    ]) {
        Some("LibraryMissing")
    } else if any(&[
        "locale is incompatible",
        "locale is not supported",
        "is not recognized by setlocale",
        "parameter \"lc_",
        "collation provider",
        "ICU locale",
    ]) {
        Some("LocaleMissing")
    } else if any(&[
        "configuration parameter",
        "for parameter",
        "syntax error in file",
        "parameter \"",
    ]) {
        Some("InvalidSetting")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_postgres_prints() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 16.9 (Debian 16.9-1.pgdg120+1)\n"),
            Some(16)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(parse_major("sh: not found"), None);
    }

    #[test]
    fn the_servers_words_decide_the_reason() {
        let reason = |text: &str| classify(text);
        assert_eq!(
            reason("invalid value for parameter \"wal_compression\": \"lz4\""),
            Some("InvalidSetting")
        );
        assert_eq!(
            reason("unrecognized configuration parameter \"work_men\" in file"),
            Some("InvalidSetting")
        );
        assert_eq!(
            reason("could not access file \"pg_cron\": No such file or directory"),
            Some("LibraryMissing")
        );
        assert_eq!(
            reason("database locale is incompatible with operating system"),
            Some("LocaleMissing")
        );
        assert_eq!(
            reason("invalid value for parameter \"lc_messages\": \"de_CH.UTF-8\""),
            Some("LocaleMissing")
        );
        assert_eq!(reason("could not open directory \"base\""), None);
    }
}
