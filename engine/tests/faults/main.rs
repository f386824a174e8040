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
mod hook;
mod http;
mod mishaps;
mod model;
mod orders;
mod pace;
mod postgres;
mod run;
mod served;
mod servers;
mod source;
#[path = "../support/mod.rs"]
mod support;
mod verify;
mod wire;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use support::programs::as_nobody;
use world::{Ground, World};

const SEEDS: u64 = 25;

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_nothing_is_left() {
    on_small_pools(
        "whatever_goes_wrong_nothing_is_lost_and_nothing_is_left",
        all,
    );
}

/// Runs a test as another user where there are pools that it may fill up.
fn on_small_pools(name: &str, test: fn(&Path)) {
    if std::env::var_os("VDB_TEST_SMALL").is_none() {
        println!(
            "SKIPPED: VDB_TEST_SMALL names no small btrfs pools; .ci/real-engine faults makes them"
        );
        return;
    }
    as_nobody(name, test);
}

fn small_pools() -> Vec<PathBuf> {
    let pools = std::env::var_os("VDB_TEST_SMALL").unwrap();
    std::env::split_paths(&pools).collect()
}

/// An engine on one of them, with its source linked.
fn linked(bin: &Path, logged: bool, test: impl FnOnce(&World<'_>)) {
    let dir = tempfile::tempdir().unwrap();
    let ground = Ground::new(bin, dir.path(), &small_pools()[0]).unwrap();
    let world = World::new(&ground, 0, logged).unwrap();
    world.up().unwrap();
    let begun = Instant::now();
    while world.api.list("/snapshots").unwrap().is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the source is not linked"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    world.settled().unwrap();
    test(&world);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .filter(|text| !text.is_empty())
        .map(|text| text.parse().unwrap())
}

/// One worker for each small pool, so that a full one is nobody else's.
fn all(bin: &Path) {
    let pools = small_pools();
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
