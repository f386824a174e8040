//! The reckoning: objects, files, rows.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::text;
use crate::model::{Marks, Model};
use crate::world::World;

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
    same(
        "snapshots",
        &list("/snapshots", "id")?,
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

pub(crate) fn all(world: &World<'_>, model: &Model) -> Result<(), String> {
    // What a full disk left behind goes at a start.
    world.kill();
    world.up()?;
    objects(world, model)?;
    files(world, model)?;
    programs(world)?;
    for (name, copy) in &model.copies {
        let export = world.enabled(&copy.id)?;
        rows(world, name, &export, &copy.marks)?;
    }
    for (id, point) in model.snapshots.iter().rev().take(LOOKED_AT) {
        let body = json!({"name": format!("look-{id}"), "snapshot_id": id, "container_mode": true});
        let vdb = text(
            &world.done("POST", "/vdbs/provision_by_snapshot", &body)?,
            "vdb_id",
        );
        let export = world.enabled(&vdb)?;
        rows(world, id, &export, &point.marks)?;
        world.done("POST", &format!("/vdbs/{vdb}/delete"), &json!({}))?;
    }
    objects(world, model)?;
    files(world, model)
}

/// A server starts on it, every index agrees with its table, and the rows are those that were committed.
fn rows(world: &World<'_>, name: &str, export: &str, marks: &Marks) -> Result<(), String> {
    let in_copy = |why: String| format!("{name}: {why}");
    let server = world.serve(export).map_err(in_copy)?;
    same(&format!("marks of {name}"), &server.marks()?, marks)?;
    same(
        &format!("rows of {name}"),
        &server.sum()?,
        &world.ground.sum,
    )?;
    server.check().map_err(in_copy)
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
    same(
        "left in run",
        &list(&world.pool.join("run"))?,
        &BTreeSet::new(),
    )
}

/// Nothing works on the pool for long once its engine has started anew.
fn programs(world: &World<'_>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let Some(left) = at_work(&world.pool.display().to_string()) else {
            return Ok(());
        };
        // The engine itself may still measure a copy.
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("left running: {left}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn at_work(pool: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines =
        processes.map(|process| std::fs::read(process.path().join("cmdline")).unwrap_or_default());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .find(|line| line.contains(pool))
}

fn same<T: Debug + PartialEq>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, wanted {wanted:?}"))
}
