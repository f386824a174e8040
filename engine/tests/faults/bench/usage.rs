//! What copies take: of the disk, and of memory.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What was deleted before is cleaned up behind its back.
const CALM: Duration = Duration::from_secs(60);
/// The engine writes its metadata meanwhile.
const NOISE: i64 = 64 << 10;

/// Everything that was written is on the disk, below the pool's own file system too.
pub(super) fn settle() {
    assert!(Command::new("sync").status().unwrap().success());
}

pub(super) fn flush(path: &Path) {
    let status = Command::new("sync").arg("-f").arg(path).status();
    assert!(status.unwrap().success());
}

/// Bytes taken in the pool, once the number hardly changes any more.
pub(super) fn taken(pool: &Path) -> i64 {
    let begun = Instant::now();
    let (mut last, mut same) = (used(pool), 0);
    while same < 3 && begun.elapsed() < CALM {
        std::thread::sleep(Duration::from_millis(500));
        flush(pool);
        let now = used(pool);
        same = if (now - last).abs() < NOISE {
            same + 1
        } else {
            0
        };
        last = now;
    }
    last
}

fn used(pool: &Path) -> i64 {
    let df = Command::new("df")
        .args(["--output=used", "--block-size=1"])
        .arg(pool)
        .output()
        .unwrap();
    let table = String::from_utf8(df.stdout).unwrap();
    table.lines().nth(1).unwrap().trim().parse().unwrap()
}

/// PSS of every process that works in the pool, in KiB.
pub(super) fn memory(pool: &Path) -> u64 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let inside = processes.filter(|process| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(pool))
    });
    inside
        .filter_map(|process| {
            let rollup = std::fs::read_to_string(process.path().join("smaps_rollup")).ok()?;
            let line = rollup
                .lines()
                .find(|line| line.starts_with("Pss:"))?
                .to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum()
}
