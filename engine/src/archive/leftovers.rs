//! Programs of an engine that was killed: they hold the directories and the slot that its successor needs.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::REPLAYED;

const PATIENCE: Duration = Duration::from_secs(10);

/// Ends what works on parts of the pool that only this engine's own programs work on.
pub(crate) fn end_leftovers(pool: &Path) {
    let found = running(pool);
    for pid in &found {
        tracing::warn!(pid, "ends a program of an engine that was killed");
        // A server stops at once, leaving what a crash would.
        tell(*pid, Signal::QUIT);
    }
    let begun = Instant::now();
    while !found.is_empty() {
        let left = running(pool);
        if left.is_empty() {
            return;
        }
        if begun.elapsed() > PATIENCE {
            for pid in left {
                tell(pid, Signal::KILL);
            }
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn tell(pid: i32, signal: Signal) {
    // It may have ended just now.
    let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
}

fn running(pool: &Path) -> Vec<i32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        is_ours(&line.split('\0').collect::<Vec<_>>(), pool)
    })
    .collect()
}

/// Receivers, base backups, and servers that recover one. A server of a finished copy is none of these.
fn is_ours(arguments: &[&str], pool: &Path) -> bool {
    let mut pairs = arguments.iter().zip(arguments.iter().skip(1));
    pairs.any(|(option, value)| {
        let path = Path::new(value);
        let replays = path.starts_with(pool.join("vdbs"))
            && path
                .components()
                .any(|part| part.as_os_str().to_string_lossy().ends_with(REPLAYED));
        *option == "-D"
            && (replays
                || path.starts_with(pool.join("wal"))
                || path.starts_with(pool.join("snapshots")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_that_nobody_else_starts_are_ended() {
        let pool = Path::new("/pool");
        let ours = |line: &str| is_ours(&line.split(' ').collect::<Vec<_>>(), pool);
        assert!(ours(
            "pg_receivewal --slot s -D /pool/wal/1-APPDATA_CONTAINER-2/1"
        ));
        assert!(ours(
            "postgres -D /pool/snapshots/1-APPDATA_SNAPSHOT-3/template/data -c x"
        ));
        assert!(ours(
            "postgres -D /pool/vdbs/1-APPDATA_CONTAINER-4.replay/data"
        ));
        for other in [
            "postgres -D /pool/vdbs/1-APPDATA_CONTAINER-4/data",
            "postgres -D /pool2/wal/x",
            "ls /pool/wal/x",
            "",
        ] {
            assert!(!ours(other), "{other}");
        }
    }

    #[test]
    fn a_program_that_was_left_behind_is_ended_and_another_is_not() {
        let pool = tempfile::tempdir().unwrap();
        let left = |directory: &str| {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", "while :; do sleep 0.05; done", "sh", "-D"]);
            command.arg(pool.path().join(directory)).spawn().unwrap()
        };
        let (mut receiver, mut copy) = (left("wal/1/1"), left("vdbs/1/data"));
        let pid = |child: &std::process::Child| child.id().cast_signed();
        let begun = Instant::now();
        while running(pool.path()) != [pid(&receiver)] {
            assert!(begun.elapsed() < PATIENCE);
        }
        end_leftovers(pool.path());
        assert!(!receiver.wait().unwrap().success());
        assert!(copy.try_wait().unwrap().is_none());
        copy.kill().unwrap();
        copy.wait().unwrap();
    }
}
