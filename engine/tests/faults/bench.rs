//! What a clone costs: two sizes side by side in one run, against a full copy and against `CREATE DATABASE … TEMPLATE`;
//! then a hundred, with and without servers of the engine. Printed, never asserted.
//!
//! `BENCH_GIB=10 .ci/real-engine faults measured` makes the place for it: a tenth of that, and that.

mod many;
mod usage;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::text;
use crate::postgres::{ADMIN, Asked as _, Server, Stop};
use crate::support::programs::as_nobody;
use crate::world::{Ground, World};

const ROUNDS: usize = 9;
/// How often somebody who is alone looks whether a job is over.
const ONE: Duration = Duration::from_millis(1);
/// Of what takes seconds.
const FEW: usize = 3;
const LINKED: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(120);

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
    gib: f64,
    /// Order to exported directory: the engine's part.
    engine: Vec<Duration>,
    /// From there to the first answer: what PostgreSQL needs.
    server: Vec<Duration>,
}

impl Size<'_> {
    fn clones(&self) -> Vec<Duration> {
        let both = self.engine.iter().zip(&self.server);
        both.map(|(engine, server)| *engine + *server).collect()
    }
}

fn all(bin: &Path) {
    let gib: f64 = std::env::var("BENCH_GIB")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10.0);
    let pool = std::env::var_os("VDB_TEST_BTRFS").unwrap();
    let dirs: Vec<tempfile::TempDir> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut grounds: Vec<Ground> = dirs
        .iter()
        .map(|dir| Ground::new(bin, dir.path(), Path::new(&pool)).unwrap())
        .collect();
    let sizes = [gib / 10.0, gib];
    for (ground, gib) in grounds.iter_mut().zip(sizes) {
        fill(ground, gib);
    }
    let mut sizes: Vec<Size<'_>> = grounds
        .iter()
        .zip(sizes)
        .enumerate()
        .map(|(index, (ground, gib))| linked(ground, index, gib))
        .collect();
    // The copies do not need it, and the room is somebody else's.
    grounds[1].source.stop(Stop::Immediate);
    std::fs::remove_dir_all(dirs[1].path().join("source")).unwrap();
    usage::settle();
    // Alternating, so that both see the same machine.
    for _ in 0..ROUNDS {
        for size in &mut sizes {
            one(size);
        }
    }
    for size in &sizes {
        println!(
            "{:.1} GiB: clone and first query {:.0?}; the engine's part, beyond PostgreSQL's own start and answer, {:.0?} (at best {:.0?}; medians of {ROUNDS})",
            size.gib,
            median(&size.clones()),
            median(&size.engine),
            size.engine.iter().min().unwrap()
        );
    }
    let ratio = |of: &dyn Fn(&Size<'_>) -> Duration| {
        of(&sizes[1]).as_secs_f64() / of(&sizes[0]).as_secs_f64()
    };
    println!(
        "engine clone {gib} GiB : {} GiB = {:.2}×",
        gib / 10.0,
        ratio(&|size| median(&size.clones()))
    );
    println!(
        "the engine's part alone = {:.2}×",
        ratio(&|size| median(&size.engine))
    );
    others(&mut sizes[0]);
    many::containers(&sizes[0].world);
    many::served(&sizes[0].world);
}

/// Rows of about a kilobyte, up to a gibibyte; the table goes on with empty pages, which take no room here and all of it
/// in the backup.
fn fill(ground: &mut Ground, gib: f64) {
    let (bin, data) = (ground.bin.clone(), ground.dir.join("source"));
    let socket = ground.dir.join("source-socket");
    let restart = |ground: &mut Ground, options: &[&str]| {
        ground.source.stop(Stop::Fast);
        let server = Server::start(&bin, &data, &socket, ground.source_port, options).unwrap();
        // The old one is stopped already, on the same directory.
        std::mem::forget(std::mem::replace(&mut ground.source, server));
    };
    // A table of this transaction needs no log.
    restart(
        ground,
        &["-c", "wal_level=minimal", "-c", "max_wal_senders=0"],
    );
    let rows = format!("{:.0}", gib.min(1.0) * 1_000_000.0);
    let sql = format!(
        "create table filler with (autovacuum_enabled = off) as select n, repeat(md5(n::text), 31) as text from generate_series(1, {rows}) n"
    );
    ground.source.query("largedb", &sql).unwrap();
    let path = ground
        .source
        .query("largedb", "select pg_relation_filepath('filler')")
        .unwrap();
    ground.source.query(ADMIN, "checkpoint").unwrap();
    ground.source.stop(Stop::Fast);
    // Segments of a gibibyte, all but the last full.
    for (segment, left) in (0..).zip(std::iter::successors(Some(gib), |left| Some(left - 1.0))) {
        if left <= 0.0 {
            break;
        }
        let name = match segment {
            0 => path.clone(),
            number => format!("{path}.{number}"),
        };
        let pages = (left.min(1.0) * f64::from(1 << 17)).round();
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(data.join(name))
            .unwrap();
        let bytes = format!("{pages:.0}").parse::<u64>().unwrap() << 13;
        if file.metadata().unwrap().len() < bytes {
            file.set_len(bytes).unwrap();
        }
    }
    restart(
        ground,
        &[
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "wal_level=replica",
        ],
    );
}

/// The engine with the backup and the template of a source.
fn linked(ground: &Ground, index: usize, gib: f64) -> Size<'_> {
    let world = World::new(ground, u64::try_from(index).unwrap(), false).unwrap();
    world.up().unwrap();
    let begun = Instant::now();
    while world.api.list("/snapshots").unwrap().is_empty() {
        assert!(begun.elapsed() < LINKED, "the source is not linked");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mib = ground
        .source
        .query(ADMIN, "select pg_database_size('largedb') >> 20");
    println!(
        "{gib:.1} GiB: a source of {} MiB, base backup and template in {:.0?}",
        mib.unwrap(),
        begun.elapsed()
    );
    Size {
        world,
        gib,
        engine: Vec::new(),
        server: Vec::new(),
    }
}

/// The answer to an order, by the time that its job is over.
fn order(world: &World<'_>, path: &str, body: &Value, look_every: Duration) -> Value {
    let (status, answer) = world.api.call("POST", path, body).unwrap();
    assert!([200, 201].contains(&status), "{path}: {answer}");
    let job = format!("/jobs/{}", text(&answer["job"], "id"));
    let begun = Instant::now();
    loop {
        let job = world.api.get(&job).unwrap();
        match job["status"].as_str() {
            Some("STARTED") => std::thread::sleep(look_every),
            Some("COMPLETED") => return answer,
            _ => panic!("{job}"),
        }
        assert!(begun.elapsed() < DEADLINE, "{job}");
    }
}

/// As for a container: cloned and enabled. The copy and where it lies.
fn exported(world: &World<'_>, name: &str, look_every: Duration) -> (String, String) {
    let body = json!({"name": name, "source_data_id": "largedb", "container_mode": true});
    let id = text(
        &order(world, "/vdbs/provision_by_snapshot", &body, look_every),
        "vdb_id",
    );
    order(
        world,
        &format!("/vdbs/{id}/enable"),
        &json!({"container_mode": true}),
        look_every,
    );
    let export = world.pool.join("vdbs").join(&id).display().to_string();
    (id, export)
}

fn deleted(world: &World<'_>, id: &str) {
    order(world, &format!("/vdbs/{id}/delete"), &json!({}), ONE);
}

/// The engine's part, then a server of the test's own on what it made.
fn one(size: &mut Size<'_>) {
    let world = &size.world;
    let begun = Instant::now();
    let (id, export) = exported(world, "one", ONE);
    size.engine.push(begun.elapsed());
    let begun = Instant::now();
    let server = world.serve(&export).unwrap();
    let answer = server.query("largedb", "select count(*) from marks");
    size.server.push(begun.elapsed());
    answer.unwrap();
    drop(server);
    deleted(world, &id);
}

/// The other ways to a copy, in turn with the engine's.
fn others(size: &mut Size<'_>) {
    let snapshot = text(&size.world.api.list("/snapshots").unwrap()[0], "id");
    let pool = size.world.pool.clone();
    let from = pool.join("snapshots").join(snapshot).join("template");
    let to = pool.join("run/full-copy");
    let (mut full, mut template) = (Vec::new(), Vec::new());
    let before = size.engine.len();
    for _ in 0..FEW {
        one(size);
        let begun = Instant::now();
        let mut command = Command::new("cp");
        command.args(["-a", "--reflink=never"]).arg(&from).arg(&to);
        assert!(command.status().unwrap().success());
        usage::flush(&to);
        full.push(begun.elapsed());
        std::fs::remove_dir_all(&to).unwrap();
        let source = &size.world.ground.source;
        let begun = Instant::now();
        source
            .query(ADMIN, "create database twin template largedb")
            .unwrap();
        template.push(begun.elapsed());
        source.query(ADMIN, "drop database twin").unwrap();
    }
    let clone = median(&size.clones()[before..]);
    let times = |other: &[Duration]| median(other).as_secs_f64() / clone.as_secs_f64();
    println!(
        "{:.1} GiB: a full copy without a server takes {:.1}×, CREATE DATABASE … TEMPLATE {:.1}× what a clone with its first query takes ({:.2?}, {:.2?}, {clone:.2?}; medians of {FEW})",
        size.gib,
        times(&full),
        times(&template),
        median(&full),
        median(&template),
    );
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}
