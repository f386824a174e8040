//! Other processes: those that an engine before this one has left behind. A process is told by its number and the
//! moment of its start, and a signal goes through a handle on it, so that a number used again hits nobody.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Whoever does not end when asked is killed.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Line of postmaster.pid that says how far the server is; the first is its number.
const STATUS_LINE: usize = 7;

/// A running process of the engine's own user.
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In the kernel's ticks since its own start.
    pub(crate) started: u64,
    handle: OwnedFd,
}

impl Process {
    /// None if there is no such process, or it is another user's. A server in single-user mode writes its number down
    /// as a negative one, which is nobody's.
    pub(crate) fn open(pid: i32) -> Option<Self> {
        if pid <= 0 {
            return None;
        }
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let own = fs::metadata("/proc/self").ok()?.uid();
        let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        // What is read after the handle was taken is said of the process that it holds, or of none.
        (uid == own).then_some(Self {
            pid,
            started: started(pid)?,
            handle,
        })
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let arguments = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty());
        arguments
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    /// Whether it was started with one of these `NAME=value` in its environment.
    pub(crate) fn has_variable(&self, wanted: &[String]) -> bool {
        let variables = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let mut variables = variables.split(|byte| *byte == 0);
        variables.any(|variable| wanted.iter().any(|wanted| wanted.as_bytes() == variable))
    }

    /// Where it works; none if it has ended.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended just now.
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// A process that has ended and that nobody has asked for yet counts as gone.
    pub(crate) fn runs(&self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Whether it ended in time.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        while self.runs() {
            if begun.elapsed() > patience {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }
}

/// When a process started; none if it does not run.
fn started(pid: i32) -> Option<u64> {
    since(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in brackets may hold anything.
fn since(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if ["Z", "X"].contains(&state) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether this server of PostgreSQL says in its data directory that it takes connections. What the copy of a running
/// server's directory says is said of another.
pub(crate) fn is_ready(data: &Path, server: u32) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next() == Some(&server.to_string())
        && lines
            .nth(STATUS_LINE - 1)
            .is_some_and(|status| status.trim() == "ready")
}

/// Ends every process of the engine's user that works in a directory, and waits for its end. A look at where a process
/// works is all that most of them cost: servers by the hundred start beside each other.
pub(crate) fn end_those_in(directory: &Path) {
    let works =
        |pid: i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place == directory);
    // What is read after the handle was taken counts.
    let still = |process: &Process| process.directory().as_deref() == Some(directory);
    let found = numbers().filter(|pid| works(*pid));
    let found: Vec<Process> = found.filter_map(Process::open).filter(still).collect();
    end(&found);
}

/// Ends every process of the engine's user that is like this, and waits for its end.
pub(crate) fn end_those(like: impl Fn(&Process) -> bool) {
    end(&those(like));
}

/// Every process of the engine's user that is like this.
pub(crate) fn those(like: impl Fn(&Process) -> bool) -> Vec<Process> {
    numbers().filter_map(Process::open).filter(like).collect()
}

fn end(found: &[Process]) {
    for process in found {
        tracing::warn!(pid = process.pid, program = ?process.arguments().first(), "left by an engine before this one; it is ended");
        // A server of PostgreSQL takes its children along.
        process.signal(Signal::QUIT);
    }
    for process in found {
        if !process.ends_within(PATIENCE) {
            process.signal(Signal::KILL);
            process.ends_within(PATIENCE);
        }
    }
}

/// Kills every process of the engine's user that is like this, with what it starts meanwhile, and waits for their end.
pub(crate) fn kill_those(like: impl Fn(&Process) -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let found = those(&like);
        if found.is_empty() {
            return;
        }
        for process in &found {
            tracing::warn!(pid = process.pid, program = ?process.arguments().first(), "its job is over or begins anew; it is killed");
            process.signal(Signal::KILL);
        }
        for process in &found {
            process.ends_within(PATIENCE);
        }
    }
}

fn numbers() -> impl Iterator<Item = i32> {
    let me = i32::try_from(std::process::id()).unwrap_or_default();
    let names = crate::engine::children(Path::new("/proc")).into_iter();
    names
        .filter_map(|name| name.parse().ok())
        .filter(move |pid| *pid != me)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_moment_of_a_start_is_read_past_any_name() {
        let stat = "7 (a) b 9 (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(since(stat), Some(4242));
        assert_eq!(since(&stat.replace(" S ", " Z ")), None);
    }

    #[test]
    fn a_number_that_no_process_has_is_none() {
        for pid in [i32::MIN, -4242, -1, 0, i32::MAX] {
            assert!(Process::open(pid).is_none(), "{pid}");
        }
    }

    #[test]
    fn a_server_is_ready_by_its_own_word() {
        let dir = tempfile::tempdir().unwrap();
        let says = |text: &str| {
            fs::write(dir.path().join("postmaster.pid"), text).unwrap();
            is_ready(dir.path(), 42)
        };
        let lines = |pid: u32, status: &str| format!("{pid}\n/d\n1\n5432\n/s\n\n  1 2\n{status}");
        assert!(says(&lines(42, "ready   \n")));
        assert!(!says(&lines(4, "ready   \n")));
        for status in ["starting\n", "standby \n", ""] {
            assert!(!says(&lines(42, status)), "{status}");
        }
        assert!(!says("42\n"));
    }

    #[test]
    fn only_what_names_the_path_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let follow = |path: &Path| Command::new("tail").arg("-f").arg(path).spawn().unwrap();
        let (ours, theirs) = (at("ours"), at("theirs"));
        let (mut leftover, mut other) = (follow(&ours), follow(&theirs));
        // Between fork and exec it still has the test's own arguments.
        while !Process::open(i32::try_from(leftover.id()).unwrap())
            .unwrap()
            .arguments()
            .contains(&ours.display().to_string())
        {
            std::thread::yield_now();
        }
        let named = ours.display().to_string();
        end_those(|process| process.arguments().contains(&named));
        assert!(!leftover.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
