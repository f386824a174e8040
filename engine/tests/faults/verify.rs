//! The reckoning: objects, files, rows.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::text;
use crate::model::{Data, Model, Order};
use crate::postgres::Asked;
use crate::served;
use crate::source;
use crate::world::World;

/// A receiver that failed often waits up to a minute; a base backup comes before the next moment.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(90);

/// Snapshots whose data is looked at by way of a copy.
const LOOKED_AT: usize = 3;

/// The engine knows exactly the objects of the model.
pub(crate) fn objects(world: &World<'_>, model: &Model) -> Result<(), String> {
    let list = |path: &str, field: &str| -> Result<Vec<String>, String> {
        let mut all: Vec<String> = world
            .api
            .list(path)?
            .iter()
            .map(|object| text(object, field))
            .collect();
        all.sort();
        Ok(all)
    };
    let mut ids: Vec<String> = model.copies.values().map(|copy| copy.id.clone()).collect();
    ids.sort();
    same(
        "copies",
        &list("/vdbs", "name")?,
        &model.copies.keys().cloned().collect(),
    )?;
    same("ids of copies", &list("/vdbs", "id")?, &ids)?;
    // A backup that the engine began by itself may be over by now; the next look takes it up.
    let mut snapshots = world.api.list("/snapshots")?;
    snapshots.retain(|snapshot| {
        let known = model.snapshots.contains_key(&text(snapshot, "id"));
        known || !model.logged || text(snapshot, "dataset_id") != model.dsource
    });
    let mut snapshots: Vec<String> = snapshots.iter().map(|s| text(s, "id")).collect();
    snapshots.sort();
    same(
        "snapshots",
        &snapshots,
        &model.snapshots.keys().cloned().collect(),
    )?;
    same(
        "bookmarks",
        &list("/bookmarks", "name")?,
        &model.bookmarks.keys().cloned().collect(),
    )?;
    same(
        "dSources",
        &list("/dsources", "id")?,
        &vec![model.dsource.clone()],
    )
}

/// Takes the snapshots up that the model does not know yet, and returns all that there are. They hold what their
/// datasets held before anything else of the same batch.
pub(crate) fn learn(
    world: &World<'_>,
    model: &mut Model,
    orders: &[Order],
) -> Result<BTreeSet<String>, String> {
    let there = world.api.list("/snapshots")?;
    for snapshot in &there {
        let id = text(snapshot, "id");
        if !model.snapshots.contains_key(&id) {
            let (dataset, time) = (text(snapshot, "dataset_id"), text(snapshot, "timestamp"));
            model.learn(&id, &dataset, &time, orders)?;
        }
    }
    Ok(there.iter().map(|snapshot| text(snapshot, "id")).collect())
}

pub(crate) fn all(world: &World<'_>, model: &mut Model, seed: u64) -> Result<(), String> {
    // What a full disk left behind goes at a start.
    world.kill();
    world.up()?;
    world.settled()?;
    if model.logged {
        catches_up(world, model, seed)?;
    }
    learn(world, model, &[])?;
    served::check(world, model, |_| false)?;
    objects(world, model)?;
    files(world, model)?;
    programs(world)?;
    for (name, copy) in &model.copies {
        if copy.served {
            world.done("POST", &format!("/vdbs/{}/enable", copy.id), &json!({}))?;
            rows(name, &served::ask(world, &copy.id)?, &copy.data)?;
        } else {
            let server = world.serve(&world.enabled(&copy.id)?);
            rows(
                name,
                &server.map_err(|why| format!("{name}: {why}"))?,
                &copy.data,
            )?;
        }
    }
    for (id, point) in model.snapshots.iter().rev().take(LOOKED_AT) {
        let body = json!({"name": format!("look-{id}"), "snapshot_id": id, "container_mode": true});
        looked_at(world, "/vdbs/provision_by_snapshot", &body, id, &point.data)?;
    }
    for copy in model.copies.values_mut() {
        (copy.enabled, copy.running) = (true, copy.served);
    }
    served::check(world, model, |_| false)?;
    objects(world, model)?;
    files(world, model)?;
    let (homes, wanted) = served::homes(world, model);
    same("homes of servers", &homes, &wanted)
}

/// Orders a copy, looks at its data and deletes it.
pub(crate) fn looked_at(
    world: &World<'_>,
    path: &str,
    body: &Value,
    what: &str,
    data: &Data,
) -> Result<(), String> {
    let vdb = text(&world.done("POST", path, body)?, "vdb_id");
    let server = world.serve(&world.enabled(&vdb)?);
    rows(what, &server.map_err(|why| format!("{what}: {why}"))?, data)?;
    world.done("POST", &format!("/vdbs/{vdb}/delete"), &json!({}))?;
    Ok(())
}

/// Whatever happened to the log: after a while, moments can be given again.
fn catches_up(world: &World<'_>, model: &mut Model, seed: u64) -> Result<(), String> {
    let begun = Instant::now();
    if !model
        .snapshots
        .values()
        .any(|point| point.dataset == model.dsource)
    {
        let path = format!("/dsources/{}/snapshots", model.dsource);
        world.done("POST", &path, &Value::Null)?;
    }
    loop {
        for _ in 0..2 {
            source::change(&world.ground.source, model, seed)?;
        }
        // Behind the last commit nothing is certain yet.
        let wanted = &model.moments[model.moments.len() - 2];
        let body = json!({"name": "catch-up", "source_data_id": model.dsource, "timestamp": wanted.time, "container_mode": true});
        let tried = Instant::now();
        let mut said = None;
        while tried.elapsed() < Duration::from_secs(3) {
            let path = "/vdbs/provision_by_timestamp";
            match world.api.call("POST", path, &body) {
                Some((422, answer)) => said = Some(answer),
                Some((200, answer)) => {
                    let vdb = text(&answer, "vdb_id");
                    world.settled()?;
                    let server = world.serve(&world.enabled(&vdb)?)?;
                    rows("the last moment", &server, &wanted.data)?;
                    drop(server);
                    world.done("POST", &format!("/vdbs/{vdb}/delete"), &json!({}))?;
                    world.settled()?;
                    return Ok(());
                }
                other => return Err(format!("POST {path}: {other:?}")),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if begun.elapsed() > CATCHES_UP_WITHIN {
            return Err(format!("moments cannot be given any more: {said:?}"));
        }
    }
}

pub(crate) fn same_data(what: &str, found: &Data, wanted: &Data) -> Result<(), String> {
    same(&format!("marks of {what}"), &found.marks, &wanted.marks)?;
    same(&format!("rows of {what}"), &found.sum, &wanted.sum)
}

/// A server answers on it, every index agrees with its table, and the rows are those that were committed.
fn rows(name: &str, server: &impl Asked, data: &Data) -> Result<(), String> {
    same_data(name, &server.holds()?, data)?;
    server.check().map_err(|why| format!("{name}: {why}"))
}

/// No object without files, no files without an object.
fn files(world: &World<'_>, model: &Model) -> Result<(), String> {
    let list = |directory: &Path| -> Result<BTreeSet<String>, String> {
        let entries =
            std::fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        Ok(entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect())
    };
    let homes = world.pool.join("snapshots");
    same(
        "directories of snapshots",
        &list(&homes)?,
        &model.snapshots.keys().cloned().collect(),
    )?;
    for id in model.snapshots.keys() {
        let roots = list(&homes.join(id))?;
        let whole =
            roots.contains("raw") && roots.iter().all(|root| root == "raw" || root == "template");
        if !whole {
            return Err(format!("snapshot {id} consists of {roots:?}"));
        }
    }
    let directories = list(&world.pool.join("vdbs"))?;
    let mut known = 0;
    for vdb in world.api.list("/vdbs")? {
        let id = text(&vdb, "id");
        let own = |name: &&String| {
            **name == id
                || name
                    .strip_prefix(&id)
                    .is_some_and(|rest| rest.starts_with('-'))
        };
        let wanted = 1 + usize::from(vdb.get("previous_timeflow_id").is_some());
        let own = directories.iter().filter(own).count();
        same(&format!("number of directories of {id}"), &own, &wanted)?;
        known += own;
    }
    same("number of directories", &directories.len(), &known)?;
    // What a receiver needs is there as long as it runs.
    let mut run = list(&world.pool.join("run"))?;
    run.retain(|name| !(model.logged && (name.starts_with("wal-") || name.starts_with("look-"))));
    same("left in run", &run, &BTreeSet::new())?;
    let logs = model
        .logged
        .then(|| model.dsource.clone())
        .into_iter()
        .collect();
    same("logs", &list(&world.pool.join("wal"))?, &logs)
}

/// Nothing works on the pool for long once its engine has started anew, but the receiver and the servers.
fn programs(world: &World<'_>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let left = at_work(&world.pool);
        let receivers = left
            .iter()
            .filter(|line| line.contains("pg_receivewal"))
            .count();
        let others = left.iter().find(|line| !line.contains("pg_receivewal"));
        if others.is_none() && receivers <= 1 {
            return Ok(());
        }
        // The engine itself may still measure a copy.
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("left running: {left:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Command lines of programs that name the pool; servers of the engine are looked at by themselves.
fn at_work(pool: &Path) -> Vec<String> {
    let servers = format!("config_file={}", pool.join("servers").display());
    let mut lines = naming(pool);
    lines.retain(|line| !line.contains(&servers));
    lines
}

/// Command lines of programs that name a path.
pub(crate) fn naming(path: &Path) -> Vec<String> {
    let path = path.display().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines =
        processes.map(|process| std::fs::read(process.path().join("cmdline")).unwrap_or_default());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&path))
        .collect()
}

fn same<T: Debug + PartialEq>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}"))
}
