//! One script of a hook: run to its end or to its deadline, in surroundings of its own.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::process;

/// What was asked to end is killed after this.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The end of what a script prints is kept, and told if it fails.
const KEPT: usize = 16 << 10;
/// Reads between two looks at the clock: a script that prints without end has a deadline as well.
const READS: usize = 64;

pub(super) struct Script<'a> {
    pub(super) shell: &'a str,
    pub(super) text: &'a str,
    /// Where it works; private to the engine's user.
    pub(super) home: &'a Path,
    pub(super) variables: Vec<(&'static str, OsString)>,
    /// Where programs are found before the usual folders.
    pub(super) folders: Vec<PathBuf>,
    pub(super) deadline: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot run {shell}")]
    Run {
        shell: String,
        #[source]
        source: io::Error,
    },
    #[error("{status}{said}")]
    Failed { status: ExitStatus, said: String },
    #[error("it was not over after {deadline:?} and was ended{said}")]
    Late { deadline: Duration, said: String },
}

impl Script<'_> {
    pub(super) fn run(&self) -> Result<(), Error> {
        let run = |source| Error::Run {
            shell: self.shell.to_owned(),
            source,
        };
        // In a file, since everybody on the machine sees the arguments of a program.
        let file = self.home.join("script");
        std::fs::write(&file, self.text).map_err(run)?;
        let (mut output, writer) = io::pipe().map_err(run)?;
        rustix::fs::fcntl_setfl(&output, OFlags::NONBLOCK).map_err(|e| run(e.into()))?;
        let mut child = self.spawn(&file, writer).map_err(run)?;
        let begun = Instant::now();
        let mut said = Vec::new();
        let status = loop {
            hear(&mut output, &mut said);
            match child.try_wait().map_err(run)? {
                Some(status) => break Some(status),
                None if begun.elapsed() > self.deadline => break None,
                None => std::thread::sleep(LOOK_EVERY),
            }
        };
        if status.is_none() {
            end(&mut child).map_err(run)?;
        }
        hear(&mut output, &mut said);
        let said = match process::tail(&String::from_utf8_lossy(&said)) {
            text if text.is_empty() => text,
            text => format!(": {text}"),
        };
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Error::Failed { status, said }),
            None => Err(Error::Late {
                deadline: self.deadline,
                said,
            }),
        }
    }

    /// The command, which holds ends of the pipe, goes with this call: what a script leaves in the background is all
    /// that still may.
    fn spawn(&self, file: &Path, writer: io::PipeWriter) -> io::Result<Child> {
        let mut command = process::command(Path::new(self.shell));
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.folders.iter().cloned();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&usual)))
            .map_err(io::Error::other)?;
        command
            .arg(file)
            .current_dir(self.home)
            .env("PATH", path)
            .env("HOME", self.home)
            .env("TMPDIR", self.home)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::from(writer.try_clone()?))
            .stderr(Stdio::from(writer))
            .process_group(0);
        command.spawn()
    }
}

/// Asked first, with all that it has started; then killed.
fn end(child: &mut Child) -> io::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let tell = |signal| group.map(|group| kill_process_group(group, signal));
    // The group's number is the script's own, which stays taken until it was waited for.
    tell(Signal::TERM);
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > PATIENCE {
            tell(Signal::KILL);
            child.wait()?;
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// What was printed since the last time, without waiting for more.
fn hear(output: &mut PipeReader, said: &mut Vec<u8>) {
    let mut buffer = [0; 8 << 10];
    for _ in 0..READS {
        match output.read(&mut buffer) {
            Ok(read) if read > 0 => said.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    let surplus = said.len().saturating_sub(KEPT);
    said.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script<'a>(home: &'a Path, shell: &'a str, text: &'a str) -> Script<'a> {
        Script {
            shell,
            text,
            home,
            variables: vec![("PGPORT", "5434".into())],
            folders: vec![home.join("bin")],
            deadline: Duration::from_secs(60),
        }
    }

    fn failed(text: &str) -> String {
        let home = tempfile::tempdir().unwrap();
        let error = script(home.path(), "bash", text).run().unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_script_sees_what_it_is_told_and_nothing_of_the_engine() {
        let home = tempfile::tempdir().unwrap();
        let text = "env | sort > seen; pwd > where; cat > input; [[ $0 = */script ]]";
        script(home.path(), "bash", text).run().unwrap();
        let read = |name: &str| std::fs::read_to_string(home.path().join(name)).unwrap();
        let names: Vec<String> = read("seen")
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
            .filter(|name| {
                !["_", "SHLVL", "PWD", "OLDPWD", "LD_LIBRARY_PATH"].contains(&name.as_str())
            })
            .collect();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH", "PGPORT", "TMPDIR", "TZ"]);
        let path = home.path().display().to_string();
        assert!(read("seen").contains(&format!("PATH={path}/bin:")));
        assert_eq!(read("where").trim(), path);
        assert_eq!(read("input"), "");
    }

    #[test]
    fn a_failure_tells_the_code_and_the_end_of_what_was_said() {
        assert_eq!(
            failed("echo first; echo second >&2; exit 3"),
            "exit status: 3: first second"
        );
        assert_eq!(failed("exit 4"), "exit status: 4");
        let long = failed("seq 100000; exit 1");
        assert!(long.len() < 700 && long.ends_with("99999 100000"), "{long}");
    }

    #[test]
    fn what_is_left_in_the_background_holds_nobody_up() {
        let home = tempfile::tempdir().unwrap();
        let text = "sleep 600 & echo $! > left; exit 0";
        script(home.path(), "sh", text).run().unwrap();
        let left = std::fs::read_to_string(home.path().join("left")).unwrap();
        let left = crate::processes::Process::open(left.trim().parse().unwrap()).unwrap();
        left.signal(Signal::KILL);
        assert!(left.ends_within(PATIENCE));
    }

    #[test]
    fn one_that_takes_too_long_is_ended_with_what_it_started() {
        let home = tempfile::tempdir().unwrap();
        let text = "sleep 600 & echo $! > child; echo began; wait";
        let mut late = script(home.path(), "bash", text);
        late.deadline = Duration::from_millis(300);
        let error = late.run().unwrap_err().to_string();
        assert_eq!(error, "it was not over after 300ms and was ended: began");
        let child = std::fs::read_to_string(home.path().join("child")).unwrap();
        let child = crate::processes::Process::open(child.trim().parse().unwrap());
        assert!(child.is_none_or(|child| child.ends_within(PATIENCE)));
    }

    #[test]
    fn one_that_prints_without_end_and_will_not_end_is_killed() {
        let home = tempfile::tempdir().unwrap();
        let mut deaf = script(
            home.path(),
            "bash",
            "trap '' TERM; while :; do echo y; done",
        );
        deaf.deadline = Duration::from_millis(100);
        let error = deaf.run().unwrap_err().to_string();
        assert!(error.contains("was ended") && error.len() < 800, "{error}");
    }

    #[test]
    fn a_shell_that_is_missing_is_named() {
        let home = tempfile::tempdir().unwrap();
        let error = script(home.path(), "no-such-shell", "true").run();
        assert!(error.unwrap_err().to_string().contains("no-such-shell"));
    }
}
