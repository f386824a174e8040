//! A hundred clones.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{DEADLINE, deleted, exported, order, usage};
use crate::http::text;
use crate::support::programs::client;
use crate::world::World;

const CLONES: usize = 100;
const CALLERS: usize = 8;
/// How often each of them looks whether a job is over: they are not to be the load that is measured.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The same for a bare server, whose own file says that it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Servers are started in turns: the engine's, and the same directories without it.
const TURNS: usize = 5;

/// Does something for each number, many at once, and says how many of them a second.
fn at_once(count: usize, work: impl Fn(usize) + Sync) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let work = &work;
            scope.spawn(move || {
                for number in (caller..count).step_by(CALLERS) {
                    work(number);
                }
            });
        }
    });
    f64::from(u32::try_from(count).unwrap()) / begun.elapsed().as_secs_f64()
}

/// As for containers: provisioned and exported.
pub(super) fn containers(world: &World<'_>) {
    let mut rates = Vec::new();
    let mut disk = Vec::new();
    for _ in 0..3 {
        let before = usage::taken(&world.pool);
        let ids = Mutex::new(Vec::new());
        rates.push(at_once(CLONES, |number| {
            let (id, _) = exported(world, &format!("clone-{number}"), POLL_EVERY);
            ids.lock().unwrap().push(id);
        }));
        disk.push((usage::taken(&world.pool) - before) / i64::try_from(CLONES).unwrap() / 1024);
        let ids = ids.into_inner().unwrap();
        at_once(CLONES, |number| deleted(world, &ids[number]));
    }
    rates.sort_by(f64::total_cmp);
    disk.sort_unstable();
    println!(
        "{CLONES} clones for containers, provisioned and exported, {CALLERS} callers: {:.1} per second (median of 3, at best {:.1}), each {} KiB of disk (df before and after)",
        rates[1], rates[2], disk[1]
    );
}

/// With servers that the engine runs; in turns with bare servers on the same directories.
pub(super) fn served(world: &World<'_>) {
    let before = usage::taken(&world.pool);
    let (mut engine, mut bare) = (Vec::new(), Vec::new());
    let (mut ids, mut children) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let count = CLONES / TURNS;
        let made = Mutex::new(Vec::new());
        engine.push(at_once(count, |number| {
            let body = json!({
                "name": format!("served-{turn}-{number}"), "source_data_id": "largedb",
                "db_username": "app", "db_password": "secret"
            });
            let id = text(
                &order(world, "/vdbs/provision_by_snapshot", &body, POLL_EVERY),
                "vdb_id",
            );
            ask(world, &id);
            made.lock().unwrap().push(id);
        }));
        let made = made.into_inner().unwrap();
        at_once(count, |number| {
            order(
                world,
                &format!("/vdbs/{}/stop", made[number]),
                &json!({}),
                POLL_EVERY,
            );
        });
        let started = Mutex::new(Vec::new());
        bare.push(at_once(count, |number| {
            let child = start(world, &made[number]);
            ask(world, &made[number]);
            started.lock().unwrap().push(child);
        }));
        ids.extend(made);
        children.extend(started.into_inner().unwrap());
    }
    let disk = (usage::taken(&world.pool) - before) / i64::try_from(CLONES).unwrap() / 1024;
    let memory = usage::memory(&world.pool) / u64::try_from(CLONES).unwrap();
    let (engine, bare) = (middle(&mut engine), middle(&mut bare));
    println!(
        "{CLONES} clones with a server of the engine and a first query, {CALLERS} callers: {engine:.1} per second; bare servers on the same directories with a first query: {bare:.1} per second ({:.2}× as long for all of it; medians of {TURNS} turns)",
        bare / engine
    );
    println!(
        "with {CLONES} of them running: each {memory} KiB of memory (PSS of all its processes) and {disk} KiB of disk (df before and after)"
    );
    at_once(CLONES, |number| deleted(world, &ids[number]));
    for mut child in children {
        let _ = child.wait();
    }
}

fn middle(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The program that the engine runs, as it runs it, and nothing else.
fn start(world: &World<'_>, id: &str) -> Child {
    let home = world.pool.join("servers").join(id);
    let data = world.pool.join("vdbs").join(id).join("data");
    let mut command = Command::new(world.ground.bin.join("postgres"));
    command.arg("-D").arg(&data).arg("-c").arg(format!(
        "config_file={}",
        home.join("postgresql.conf").display()
    ));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let begun = Instant::now();
    while !is_ready(&data) {
        assert!(begun.elapsed() < DEADLINE, "{id} does not start");
        std::thread::sleep(LOOK_EVERY);
    }
    child.unwrap()
}

fn is_ready(data: &Path) -> bool {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    text.lines()
        .nth(7)
        .is_some_and(|line| line.trim() == "ready")
}

fn ask(world: &World<'_>, id: &str) {
    let ground = world.ground;
    // Found by a search: asking for the one would look at the disk.
    let search = json!({"filter_expression": format!("id EQ '{id}'")});
    let (_, found) = world.api.call("POST", "/vdbs/search", &search).unwrap();
    let port = found["items"][0]["appdata_source_params"]["postgresPort"].to_string();
    let mut psql = Command::new(client(&ground.bin, &ground.dir).join("psql"));
    psql.args(["-XAtqw", "-h", "127.0.0.1", "-p", &port, "-U", "app"]);
    psql.args(["-d", "largedb", "-c", "select count(*) from marks"]);
    let output = psql.env("PGPASSWORD", "secret").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
