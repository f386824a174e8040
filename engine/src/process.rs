//! Running another program: a clean environment, and the end of what it said when it fails.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process};

/// The end of a program's complaints is what matters.
const TAIL: usize = 600;
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot run {}", program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{program} failed: {said}")]
    Failed { program: String, said: String },
}

/// A command whose surroundings do not depend on who started the engine: no PG* variables, English messages.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(found(program));
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    // Where programs without a folder and the server's libraries are found.
    for kept in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// A program without a folder is looked for here: where the system does it for an environment of its own, the whole engine
/// is copied for each program that it starts.
fn found(program: &Path) -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_name = program.components().count() == 1;
    let mut folders = std::env::split_paths(&folders).filter(|_| is_name);
    let is_there = |path: &PathBuf| access(path, Access::EXEC_OK).is_ok() && path.is_file();
    folders
        .find_map(|folder| Some(folder.join(program)).filter(is_there))
        .unwrap_or_else(|| program.to_owned())
}

/// Runs to the end, telling each line of its complaints as it comes; only lines that are kept are complaints.
pub(crate) fn run_told(
    command: &mut Command,
    keep: &mut dyn FnMut(&str) -> bool,
) -> Result<(), Error> {
    use std::io::BufRead as _;
    let program = PathBuf::from(command.get_program());
    let failed = |source| Error::Start {
        program: program.clone(),
        source,
    };
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in io::BufReader::new(stderr).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line);
            if keep(&line) {
                said.push_str(&line);
                said.push('\n');
            }
        }
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let said = Some(tail(&said)).filter(|said| !said.is_empty());
    Err(Error::Failed {
        program: name(&program),
        said: said.unwrap_or_else(|| status.to_string()),
    })
}

/// Runs to the end and returns what was printed.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let program = PathBuf::from(command.get_program());
    let output = command.output().map_err(|source| Error::Start {
        program: program.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = tail(&String::from_utf8_lossy(&output.stderr));
    let said = if said.is_empty() {
        output.status.to_string()
    } else {
        said
    };
    Err(Error::Failed {
        program: name(&program),
        said,
    })
}

/// Asks a program to end, and kills it if it has not in time. Returns how it ended by itself.
pub(crate) fn end(child: &mut Child, how: Signal, within: Duration) -> Option<ExitStatus> {
    let mut ended = child.try_wait().unwrap_or_default();
    if ended.is_none() {
        let _ = kill_process(Pid::from_child(child), how);
    }
    let begun = Instant::now();
    while ended.is_none() && begun.elapsed() < within {
        std::thread::sleep(LOOK_EVERY);
        ended = child.try_wait().unwrap_or_default();
    }
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

/// The last lines as one, without control characters.
pub(crate) fn tail(text: &str) -> String {
    // The file is the engine's own and gone when somebody reads this.
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("password retrieved from file"));
    let words: Vec<&str> = lines
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || c.is_control()))
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    let skip = line.chars().count().saturating_sub(TAIL);
    line.chars().skip(skip).collect()
}

fn name(program: &Path) -> String {
    program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned()
}
