//! The table of supervised programs, and the one place that waits for children.
//!
//! As process 1 the supervisor inherits every orphan, so a single thread waits for whatever child ends;
//! a library that waits for its own children would race with it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use serde::{Deserialize, Serialize};

/// A program that ran this long starts again at once; one that keeps failing is slowed down.
const STEADY: Duration = Duration::from_secs(20);
const SLOWEST: Duration = Duration::from_secs(10);

/// What to run. A changed description restarts the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub folder: PathBuf,
    pub log: PathBuf,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub name: String,
    pub pid: Option<i32>,
    pub restarts: u32,
    pub seconds: u64,
}

struct Entry {
    process: Process,
    pid: Option<Pid>,
    started: Instant,
    restarts: u32,
    quick_failures: u32,
    wanted: bool,
}

#[derive(Default)]
pub(crate) struct Table {
    entries: Mutex<BTreeMap<String, Entry>>,
    changed: Condvar,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the program, or restarts it when its description changed. False when it runs already.
    pub(crate) fn start(&self, process: Process) -> Result<bool> {
        let unchanged = self
            .lock()
            .get(&process.name)
            .is_some_and(|entry| entry.wanted && entry.process == process);
        if unchanged {
            return Ok(false);
        }
        self.stop(&process.name);
        let mut entries = self.lock();
        let pid = spawn(&process)?;
        let name = process.name.clone();
        let entry = Entry {
            process,
            pid: Some(pid),
            started: Instant::now(),
            restarts: 0,
            quick_failures: 0,
            wanted: true,
        };
        entries.insert(name, entry);
        self.changed.notify_all();
        Ok(true)
    }

    /// Ends the program and waits until it is gone.
    pub(crate) fn stop(&self, name: &str) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(name) else {
            return;
        };
        entry.wanted = false;
        let deadline = Instant::now() + Duration::from_secs(entry.process.grace);
        signal(entry.pid, Signal::TERM);
        while let Some(pid) = entries.get(name).and_then(|entry| entry.pid) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                signal(Some(pid), Signal::KILL);
            }
            let wait = left.max(Duration::from_millis(200));
            (entries, _) = self
                .changed
                .wait_timeout(entries, wait)
                .unwrap_or_else(PoisonError::into_inner);
        }
        entries.remove(name);
    }

    pub(crate) fn states(&self) -> Vec<State> {
        self.lock()
            .values()
            .map(|entry| State {
                name: entry.process.name.clone(),
                pid: entry.pid.map(Pid::as_raw_pid),
                restarts: entry.restarts,
                seconds: entry.started.elapsed().as_secs(),
            })
            .collect()
    }

    /// A child ended: when it is one of ours, it is started again after a pause.
    fn ended(self: &Arc<Self>, pid: Pid, how: &str) {
        let mut entries = self.lock();
        let Some(entry) = entries.values_mut().find(|entry| entry.pid == Some(pid)) else {
            return;
        };
        entry.pid = None;
        note(&entry.process, how);
        if entry.wanted {
            entry.quick_failures = if entry.started.elapsed() > STEADY {
                0
            } else {
                entry.quick_failures + 1
            };
            let pause =
                (Duration::from_millis(250) * 2_u32.pow(entry.quick_failures.min(6))).min(SLOWEST);
            let (table, name) = (Arc::clone(self), entry.process.name.clone());
            std::thread::spawn(move || {
                std::thread::sleep(pause);
                table.again(&name);
            });
        }
        self.changed.notify_all();
    }

    fn again(&self, name: &str) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(name) else {
            return;
        };
        if !entry.wanted || entry.pid.is_some() {
            return;
        }
        entry.restarts += 1;
        entry.started = Instant::now();
        match spawn(&entry.process) {
            Ok(pid) => entry.pid = Some(pid),
            Err(error) => note(&entry.process, &format!("{error:#}")),
        }
        self.changed.notify_all();
    }
}

/// The lock is held while a program starts, so `ended` never looks before its pid is in the table.
pub(crate) fn reap_forever(table: &Arc<Table>) {
    let table = Arc::clone(table);
    std::thread::spawn(move || {
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => {
                    if let Some(code) = status.exit_status() {
                        table.ended(pid, &format!("exited with {code}"));
                    } else if let Some(signal) = status.terminating_signal() {
                        table.ended(pid, &format!("killed by signal {signal}"));
                    }
                }
                // No child yet, or interrupted.
                Ok(None) | Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    });
}

fn spawn(process: &Process) -> Result<Pid> {
    let log = open_log(process)?;
    let child = Command::new(&process.program)
        .args(&process.args)
        .env_clear()
        .envs(&process.env)
        .current_dir(&process.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| {
            format!(
                "cannot start {} ({})",
                process.name,
                process.program.display()
            )
        })?;
    Ok(Pid::from_child(&child))
}

fn open_log(process: &Process) -> Result<std::fs::File> {
    if let Some(parent) = process.log.parent() {
        std::fs::create_dir_all(parent)?;
    }
    Ok(OpenOptions::new()
        .create(true)
        .append(true)
        .open(&process.log)?)
}

fn note(process: &Process, what: &str) {
    if let Ok(mut log) = open_log(process) {
        // A log that cannot be written must not stop the supervision.
        let _ = writeln!(log, "supervisor: {} {what}", process.name);
    }
}

fn signal(pid: Option<Pid>, signal: Signal) {
    if let Some(pid) = pid {
        // The group: npm, git and helm leave children. It may be gone already.
        let _ = kill_process_group(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(folder: &std::path::Path, script: &str) -> Process {
        Process {
            name: "p".into(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: BTreeMap::new(),
            folder: folder.into(),
            log: folder.join("p.log"),
            grace: 1,
        }
    }

    #[test]
    fn a_program_that_ends_is_started_again_and_one_that_is_stopped_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let table = Arc::new(Table::default());
        reap_forever(&table);
        assert!(table.start(process(folder.path(), "exit 3")).unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while table.states()[0].restarts == 0 {
            assert!(Instant::now() < deadline, "never started again");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            std::fs::read_to_string(folder.path().join("p.log"))
                .unwrap()
                .contains("exited with 3")
        );

        let steady = process(folder.path(), "trap '' TERM; while :; do sleep 0.1; done");
        assert!(table.start(steady.clone()).unwrap());
        assert!(!table.start(steady).unwrap());
        table.stop("p");
        assert!(table.states().is_empty());
    }
}
