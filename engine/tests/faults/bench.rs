//! What a clone costs: two sizes side by side in one run, against a full copy and against `CREATE DATABASE … TEMPLATE`;
//! then a hundred. Printed, never asserted.
//!
//! `BENCH_GIB=10 .ci/real-engine faults measured` makes the place for it: a tenth of that, and that.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::text;
use crate::postgres::Server;
use crate::support::programs::as_nobody;
use crate::world::{Ground, World};

const ROUNDS: usize = 9;
const CLONES: usize = 100;
const CALLERS: usize = 8;

#[test]
#[ignore = "a measurement"]
fn measured() {
    if std::env::var_os("VDB_TEST_BTRFS").is_none() {
        println!(
            "SKIPPED: VDB_TEST_BTRFS names no btrfs pool; .ci/real-engine faults measured makes one"
        );
        return;
    }
    as_nobody("bench::measured", all);
}

struct Size<'a> {
    world: World<'a>,
    mib: u64,
    /// Order to first answer, and PostgreSQL's own part of it.
    clones: Vec<Duration>,
    starts: Vec<Duration>,
}

fn all(bin: &Path) {
    let gib: f64 = std::env::var("BENCH_GIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10.0);
    let pool = std::env::var_os("VDB_TEST_BTRFS").unwrap();
    let dirs: Vec<tempfile::TempDir> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let grounds: Vec<Ground> = dirs
        .iter()
        .map(|dir| Ground::new(bin, dir.path(), Path::new(&pool)).unwrap())
        .collect();
    let mut sizes = Vec::new();
    for (index, (ground, gib)) in grounds.iter().zip([gib / 10.0, gib]).enumerate() {
        let mib = fill(&ground.source, gib);
        let world = World::new(ground, u64::try_from(index).unwrap(), false).unwrap();
        world.up().unwrap();
        let begun = Instant::now();
        while world.api.list("/snapshots").unwrap().is_empty() {
            assert!(
                begun.elapsed() < Duration::from_secs(3600),
                "the source is not linked"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        println!(
            "{mib} MiB: base backup and template in {:.0?}",
            begun.elapsed()
        );
        sizes.push(Size {
            world,
            mib,
            clones: Vec::new(),
            starts: Vec::new(),
        });
    }
    // Alternating, so that both see the same machine.
    for _ in 0..ROUNDS {
        for size in &mut sizes {
            one(size);
        }
    }
    for size in &sizes {
        let (clone, start) = (median(&size.clones), median(&size.starts));
        println!(
            "{} MiB: order to first query {clone:.0?}, of that PostgreSQL's start and the query {start:.0?}; the engine's part {:.0?} (medians of {ROUNDS})",
            size.mib,
            clone.saturating_sub(start)
        );
    }
    let ratio = median(&sizes[1].clones).as_secs_f64() / median(&sizes[0].clones).as_secs_f64();
    println!(
        "engine clone {:.1} GiB : {:.1} GiB = {ratio:.2}×",
        gib,
        gib / 10.0
    );
    many(&sizes[0].world);
    others(&sizes[0]);
}

/// Rows of about a kilobyte. Returns the size of the database.
fn fill(source: &Server, gib: f64) -> u64 {
    let rows = format!("{:.0}", gib * 1_000_000.0);
    let sql = format!(
        "create table filler as select n, repeat(md5(n::text), 31) as text from generate_series(1, {rows}) n"
    );
    source.query("largedb", &sql).unwrap();
    source.query("postgres", "checkpoint").unwrap();
    let bytes: u64 = source
        .query("postgres", "select pg_database_size('largedb')")
        .unwrap()
        .parse()
        .unwrap();
    bytes >> 20
}

/// A VDB by the time that its job is over.
fn order(world: &World<'_>, body: &Value) -> String {
    let (status, answer) = world
        .api
        .call("POST", "/vdbs/provision_by_snapshot", body)
        .unwrap();
    assert_eq!(status, 200, "{answer}");
    let job = format!("/jobs/{}", text(&answer["job"], "id"));
    loop {
        let job = world.api.get(&job).unwrap();
        match job["status"].as_str() {
            Some("STARTED") => std::thread::sleep(Duration::from_millis(2)),
            Some("COMPLETED") => return text(&answer, "vdb_id"),
            _ => panic!("{job}"),
        }
    }
}

fn ask(world: &World<'_>, id: &str) {
    let ground = world.ground;
    let vdb = world.api.get(&format!("/vdbs/{id}")).unwrap();
    let port = vdb["appdata_source_params"]["postgresPort"].to_string();
    let mut psql =
        Command::new(crate::support::programs::client(&ground.bin, &ground.dir).join("psql"));
    psql.args([
        "-XAtqw",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-U",
        "app",
        "-d",
        "largedb",
        "-c",
        "select count(*) from marks",
    ]);
    assert!(
        psql.env("PGPASSWORD", "secret")
            .output()
            .unwrap()
            .status
            .success()
    );
}

/// As for a container: cloned and enabled by the engine, served by a server of the test's own.
fn one(size: &mut Size<'_>) {
    let world = &size.world;
    let body = json!({"name": "one", "source_data_id": "largedb", "container_mode": true});
    let begun = Instant::now();
    let id = order(world, &body);
    let export = world.enabled(&id).unwrap();
    let cloned = begun.elapsed();
    let server = world.serve(&export).unwrap();
    server
        .query("largedb", "select count(*) from marks")
        .unwrap();
    size.clones.push(begun.elapsed());
    size.starts
        .push(begun.elapsed().checked_sub(cloned).unwrap());
    drop(server);
    world
        .done("POST", &format!("/vdbs/{id}/delete"), &json!({}))
        .unwrap();
}

/// The other ways to a copy, at the smaller size.
fn others(size: &Size<'_>) {
    let clone = median(&size.clones).as_secs_f64();
    let world = &size.world;
    let snapshot = text(&world.api.list("/snapshots").unwrap()[0], "id");
    let from = world.pool.join("snapshots").join(snapshot).join("template");
    let to = world.pool.join("run/full-copy");
    let begun = Instant::now();
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=never"]).arg(&from).arg(&to);
    assert!(command.status().unwrap().success());
    Command::new("sync").arg("-f").arg(&to).status().unwrap();
    let full = begun.elapsed();
    std::fs::remove_dir_all(&to).unwrap();
    let begun = Instant::now();
    world
        .ground
        .source
        .query("postgres", "create database twin template largedb")
        .unwrap();
    let template = begun.elapsed();
    world
        .ground
        .source
        .query("postgres", "drop database twin")
        .unwrap();
    println!(
        "{} MiB: a full copy alone {full:.1?} ({:.0}× the clone with its first query), CREATE DATABASE … TEMPLATE {template:.1?} ({:.0}×)",
        size.mib,
        full.as_secs_f64() / clone,
        template.as_secs_f64() / clone
    );
}

fn many(world: &World<'_>) {
    let free = free_kib(&world.pool);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || {
                for number in (caller..CLONES).step_by(CALLERS) {
                    let body = json!({"name": format!("clone-{number}"), "source_data_id": "largedb", "db_username": "app", "db_password": "secret"});
                    let id = order(world, &body);
                    ask(world, &id);
                }
            });
        }
    });
    let elapsed = begun.elapsed();
    Command::new("sync")
        .arg("-f")
        .arg(&world.pool)
        .status()
        .unwrap();
    let disk = (free - free_kib(&world.pool)) / i64::try_from(CLONES).unwrap();
    println!(
        "{CLONES} clones with their servers and first queries, {CALLERS} callers: {:.1} per second; each {} KiB of memory (PSS) and {disk} KiB of disk",
        f64::from(u32::try_from(CLONES).unwrap()) / elapsed.as_secs_f64(),
        memory_kib(&world.pool) / u64::try_from(CLONES).unwrap()
    );
    for vdb in world.api.list("/vdbs").unwrap() {
        world
            .done(
                "POST",
                &format!("/vdbs/{}/delete", text(&vdb, "id")),
                &json!({}),
            )
            .unwrap();
    }
}

fn free_kib(path: &Path) -> i64 {
    let df = Command::new("df")
        .args(["--output=avail", "-k"])
        .arg(path)
        .output()
        .unwrap();
    let table = String::from_utf8(df.stdout).unwrap();
    table.lines().nth(1).unwrap().trim().parse().unwrap()
}

/// Of every process that works in the pool.
fn memory_kib(pool: &Path) -> u64 {
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

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}
