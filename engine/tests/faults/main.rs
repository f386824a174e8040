//! Random orders to the real engine on a real PostgreSQL, while it is killed, its disk fills up and its callers hang up.
//! Afterwards nothing is lost, nothing is there twice, no file is left that nobody knows, and every copy holds exactly
//! the rows that it must.
//!
//! `.ci/real-engine faults` makes the place for it. SEEDS=n runs that many, from FIRST=1 on; SEED=n runs that one again:
//! the same orders with the same faults, as far as the moments of a kill can be the same.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(clippy::print_stdout, reason = "seeds are printed")]

mod backups;
mod bench;
mod full;
mod http;
mod mishaps;
mod model;
mod orders;
mod postgres;
mod run;
mod served;
mod servers;
mod source;
#[path = "../support/mod.rs"]
mod support;
mod verify;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use support::programs::as_nobody;
use world::Ground;

const SEEDS: u64 = 25;

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_nothing_is_left() {
    if std::env::var_os("VDB_TEST_SMALL").is_none() {
        println!(
            "SKIPPED: VDB_TEST_SMALL names no small btrfs pools; .ci/real-engine faults makes them"
        );
        return;
    }
    as_nobody(
        "whatever_goes_wrong_nothing_is_lost_and_nothing_is_left",
        all,
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().unwrap())
}

/// One worker for each small pool, so that a full one is nobody else's.
fn all(bin: &Path) {
    let pools = std::env::var_os("VDB_TEST_SMALL").unwrap();
    let pools: Vec<PathBuf> = std::env::split_paths(&pools).collect();
    let first = number("SEED").or(number("FIRST")).unwrap_or(1);
    let many = match number("SEED") {
        Some(_) => 1,
        None => number("SEEDS").unwrap_or(SEEDS),
    };
    let seeds: Vec<u64> = (first..first + many).collect();
    let wanted = seeds.len();
    let left = Mutex::new(seeds.into_iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| {
                let dir = tempfile::tempdir().unwrap();
                let ground = Ground::new(bin, dir.path(), pool).unwrap();
                loop {
                    let next = left.lock().unwrap().next();
                    let Some(seed) = next else { return };
                    if let Err(why) = run::seed(&ground, seed) {
                        println!(
                            "seed {seed} FAILED: {why}\n  again: SEED={seed} .ci/real-engine faults"
                        );
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{wanted} seeds, {} failed: {failed:?}", failed.len());
    assert!(failed.is_empty());
}
