//! A hundred clones.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{DEADLINE, deleted, exported, order, usage};
use crate::http::text;
use crate::world::World;

const CLONES: usize = 100;
const CALLERS: usize = 8;
/// How often each of them looks whether a job is over: they are not to be the load that is measured.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The same for a bare server, whose own file says that it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Servers are started in turns: a hundred by the engine, and then those on the same directories without it.
const TURNS: usize = 3;

/// How many clones a second.
fn rate(seconds: f64) -> f64 {
    f64::from(u32::try_from(CLONES).unwrap()) / seconds
}

/// Does something for each clone, many at once, and says how many seconds it took.
fn at_once(work: impl Fn(usize) + Sync) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let work = &work;
            scope.spawn(move || {
                for number in (caller..CLONES).step_by(CALLERS) {
                    work(number);
                }
            });
        }
    });
    begun.elapsed().as_secs_f64()
}

/// As for containers: provisioned and exported.
pub(super) fn containers(world: &World<'_>) {
    let mut rates = Vec::new();
    let mut disk = Vec::new();
    for _ in 0..3 {
        let before = usage::taken(&world.pool);
        let ids = Mutex::new(Vec::new());
        rates.push(rate(at_once(|number| {
            let (id, _) = exported(world, &format!("clone-{number}"), POLL_EVERY);
            ids.lock().unwrap().push(id);
        })));
        disk.push((usage::taken(&world.pool) - before) / i64::try_from(CLONES).unwrap() / 1024);
        let ids = ids.into_inner().unwrap();
        at_once(|number| deleted(world, &ids[number]));
    }
    rates.sort_by(f64::total_cmp);
    disk.sort_unstable();
    println!(
        "{CLONES} clones for containers, provisioned and exported, {CALLERS} callers: {:.1} per second (median of 3, at best {:.1}), each {} KiB of disk (df before and after)",
        rates[1], rates[2], disk[1]
    );
}

/// Seconds until the servers run, and until each has answered: the engine's, and bare ones.
type Turn = ([f64; 2], [f64; 2]);

/// With servers that the engine runs, each of which has answered the engine; then a first query of an application to each.
/// In turns with bare servers on the same directories.
pub(super) fn served(world: &World<'_>) {
    let mut turns: Vec<Turn> = Vec::new();
    let mut taken = (0, 0);
    for turn in 0..TURNS {
        let before = usage::taken(&world.pool);
        let made = Mutex::new(Vec::new());
        let engine = at_once(|number| {
            let body = json!({
                "name": format!("served-{turn}-{number}"), "source_data_id": "largedb",
                "db_username": "app", "db_password": "secret"
            });
            let answer = order(world, "/vdbs/provision_by_snapshot", &body, POLL_EVERY);
            made.lock().unwrap().push(text(&answer, "vdb_id"));
        });
        let made = made.into_inner().unwrap();
        let engine = [engine, at_once(|number| ask(world, &made[number]))];
        // Later, what was deleted in an earlier turn is still being cleaned up.
        if turn == 0 {
            let all = i64::try_from(CLONES).unwrap();
            let disk = (usage::taken(&world.pool) - before) / all / 1024;
            taken = (usage::memory(&world.pool) / all.cast_unsigned(), disk);
        }
        at_once(|number| {
            let path = format!("/vdbs/{}/stop", made[number]);
            order(world, &path, &json!({}), POLL_EVERY);
        });
        let started = Mutex::new(Vec::new());
        let bare = at_once(|number| {
            let child = start(world, &made[number]);
            started.lock().unwrap().push(child);
        });
        let bare = [bare, at_once(|number| ask(world, &made[number]))];
        turns.push((engine, bare));
        at_once(|number| deleted(world, &made[number]));
        for mut child in started.into_inner().unwrap() {
            let _ = child.wait();
        }
    }
    let middle = |of: &dyn Fn(&Turn) -> f64| {
        let mut all: Vec<f64> = turns.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "{CLONES} clones with a server of the engine, {CALLERS} callers: {:.1} per second, with a first query by psql over TLS to each {:.1}; bare servers on the same directories: {:.1}, with the query {:.1} ({:.2}× as long for all of it; medians of {TURNS} turns)",
        rate(middle(&|(engine, _)| engine[0])),
        rate(middle(&|(engine, _)| engine[0] + engine[1])),
        rate(middle(&|(_, bare)| bare[0])),
        rate(middle(&|(_, bare)| bare[0] + bare[1])),
        middle(&|(engine, bare)| (engine[0] + engine[1]) / (bare[0] + bare[1])),
    );
    let (memory, disk) = taken;
    println!(
        "with {CLONES} of them running: each {memory} KiB of memory (PSS of all its processes) and {disk} KiB of disk (df before and after)"
    );
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
    // Found by a search: asking for the one would look at the disk.
    let search = json!({"filter_expression": format!("id EQ '{id}'")});
    let (_, found) = world.api.call("POST", "/vdbs/search", &search).unwrap();
    let vdb = &found["items"][0];
    let mut psql = world.ground.application(vdb, "app", "secret", "largedb");
    let output = psql
        .args(["-c", "select count(*) from marks"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
