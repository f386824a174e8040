//! Programs of an engine that was killed: they hold the directories and the slot that its successor needs.

use std::path::Path;

use super::REPLAYED;
use crate::processes::Process;

/// Whether it works on parts of the pool that only this engine's own programs work on.
pub(crate) fn works_on(process: &Process, pool: &Path) -> bool {
    let arguments = process.arguments();
    is_ours(
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        pool,
    )
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
    use std::time::{Duration, Instant};

    use super::*;
    use crate::processes;

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
        let is_seen = |child| Process::open(pid(child)).is_some_and(|p| works_on(&p, pool.path()));
        let begun = Instant::now();
        while !is_seen(&receiver) {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        assert!(!is_seen(&copy));
        processes::end_those(|process| works_on(process, pool.path()));
        assert!(!receiver.wait().unwrap().success());
        assert!(copy.try_wait().unwrap().is_none());
        copy.kill().unwrap();
        copy.wait().unwrap();
    }
}
