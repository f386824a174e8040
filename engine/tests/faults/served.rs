//! Copies whose server the engine runs: exactly those processes that must be there, each on the data that callers see.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::http::text;
use crate::model::{Copy, Model};
use crate::orders::LOGIN;
use crate::postgres::Client;
use crate::support::programs::client;
use crate::world::{World, signal};

/// The engine looks at its servers every second.
const DEADLINE: Duration = Duration::from_secs(15);

/// A server's first process.
#[derive(Debug)]
struct Postmaster {
    pid: i32,
    parent: i32,
    data: PathBuf,
    config: PathBuf,
}

/// As an application asks, over the network.
pub(crate) fn ask(world: &World<'_>, id: &str) -> Result<Client, String> {
    let vdb = world.api.get(&format!("/vdbs/{id}"))?;
    let port = vdb["appdata_source_params"]["postgresPort"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok());
    Ok(Client {
        programs: client(&world.ground.bin, &world.ground.dir),
        host: "127.0.0.1".into(),
        port: port.ok_or_else(|| format!("no port: {vdb}"))?,
        user: LOGIN.0,
        password: LOGIN.1,
    })
}

/// The engine's word, the model and the processes agree. Of copies that something was done to about which nothing
/// certain can be said, what the engine says is taken over.
pub(crate) fn check(
    world: &World<'_>,
    model: &mut Model,
    unsure: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let vdbs = world.api.list("/vdbs")?;
        let said: BTreeMap<String, &Value> = vdbs.iter().map(|v| (text(v, "id"), v)).collect();
        for (_, copy) in model.copies.iter_mut().filter(|(name, _)| unsure(name)) {
            let vdb = said.get(&copy.id).copied().unwrap_or(&Value::Null);
            copy.running = copy.served && vdb["status"] == "RUNNING";
            copy.enabled = vdb["enabled"] == true;
        }
        let Err(why) = agree(world, model, &said) else {
            return Ok(());
        };
        if begun.elapsed() > DEADLINE {
            return Err(why);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn agree(world: &World<'_>, model: &Model, said: &BTreeMap<String, &Value>) -> Result<(), String> {
    let mut left = postmasters(&world.pool);
    for (name, copy) in &model.copies {
        let vdb = said.get(&copy.id).copied().unwrap_or(&Value::Null);
        let told = (
            vdb["enabled"] == true,
            copy.served && vdb["status"] == "RUNNING",
        );
        if told != (copy.enabled, copy.running) {
            return Err(format!(
                "{name} must be (enabled, running) = {:?}: {vdb}",
                (copy.enabled, copy.running)
            ));
        }
        let home = world.pool.join("servers").join(&copy.id);
        let (own, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|p| p.config.starts_with(&home));
        left = others;
        let wanted: Vec<PathBuf> = copy
            .running
            .then(|| data_of(world, vdb))
            .into_iter()
            .collect();
        let found: Vec<&PathBuf> = own.iter().map(|postmaster| &postmaster.data).collect();
        if found != wanted.iter().collect::<Vec<_>>() {
            return Err(format!("servers of {name}: {own:?}, wanted {wanted:?}"));
        }
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("servers of nothing: {left:?}"))
    }
}

/// Where the data lies that callers see now.
fn data_of(world: &World<'_>, vdb: &Value) -> PathBuf {
    let (id, flow) = (text(vdb, "id"), text(vdb, "current_timeflow_id"));
    let vdbs = world.pool.join("vdbs");
    let number = flow.rsplit('-').next().unwrap_or_default();
    let later = vdbs.join(format!("{id}-{number}"));
    let root = if later.exists() { later } else { vdbs.join(id) };
    root.join("data")
}

/// Servers of the engine. One that has just forked looks like two until the second has its own name.
fn postmasters(pool: &Path) -> Vec<Postmaster> {
    let servers = pool.join("servers");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let found: Vec<Postmaster> = processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(process.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let words: Vec<&str> = line.split('\0').collect();
            let config = words.iter().find_map(|w| w.strip_prefix("config_file="))?;
            let at = words.iter().position(|word| *word == "-D")?;
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            let (_, fields) = stat.rsplit_once(')')?;
            let mut fields = fields.split_whitespace();
            let state = fields.next()?;
            (!words.contains(&"--single") && state != "Z").then_some(Postmaster {
                pid,
                parent: fields.next()?.parse().ok()?,
                data: words.get(at + 1)?.into(),
                config: config.into(),
            })
        })
        .filter(|postmaster| postmaster.config.starts_with(&servers))
        .collect();
    let pids: BTreeSet<i32> = found.iter().map(|postmaster| postmaster.pid).collect();
    found
        .into_iter()
        .filter(|postmaster| !pids.contains(&postmaster.parent))
        .collect()
}

/// Somebody else ends the server of a copy.
pub(crate) fn murder(world: &World<'_>, copy: &Copy) {
    let home = world.pool.join("servers").join(&copy.id);
    for postmaster in postmasters(&world.pool) {
        if postmaster.config.starts_with(&home) {
            signal(Signal::KILL, postmaster.pid);
        }
    }
}

/// Homes of servers, each of a copy.
pub(crate) fn homes(world: &World<'_>, model: &Model) -> (BTreeSet<String>, BTreeSet<String>) {
    let found = std::fs::read_dir(world.pool.join("servers"));
    let found = found.into_iter().flatten().flatten();
    let served = model.copies.values().filter(|copy| copy.served);
    (
        found
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect(),
        served.map(|copy| copy.id.clone()).collect(),
    )
}
