//! Base backups that something happens to, one after the other: told in the job, survived, and made anew after a pause.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::text;
use crate::source::{self, Fault};
use crate::verify::{looked_at, same_data};
use crate::world::World;
use crate::{linked, on_small_pools};

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_base_backup_that_breaks_is_told_and_made_anew() {
    on_small_pools(
        "backups::a_base_backup_that_breaks_is_told_and_made_anew",
        all,
    );
}

fn all(bin: &Path) {
    linked(bin, false, |world| {
        for (fault, said) in [
            (Fault::Corrupted, "checksum"),
            (Fault::Cut, "broke off"),
            (Fault::Lost, "broke off"),
        ] {
            broken(world, fault, said);
        }
    });
}

fn broken(world: &World<'_>, fault: Fault, said: &str) {
    let source = &world.ground.source;
    let dsource = text(&world.api.list("/dsources").unwrap()[0], "id");
    let begun = begun(world);
    let mend = match fault {
        Fault::Corrupted => Some(source::damage(&source.file_of("cold").unwrap()).unwrap()),
        _ => None,
    };
    let path = format!("/dsources/{dsource}/snapshots");
    let (status, answer) = world.api.call("POST", &path, &Value::Null).unwrap();
    assert_eq!(status, 200, "{answer}");
    let job = format!("/jobs/{}", text(&answer["job"], "id"));
    // Before it has begun, a source that is away is told at once.
    until("the backup begins", || self::begun(world) > begun);
    if matches!(fault, Fault::Lost) {
        source.stop("immediate");
    }
    until("the job tells that it broke off", || {
        if matches!(fault, Fault::Cut) {
            source::cut(source).unwrap();
        }
        let job = world.api.get(&job).unwrap();
        assert_eq!(job["status"], "STARTED", "{fault:?}: {job}");
        let warning = text(&job, "warning_message");
        warning.contains(said) && warning.contains("again in ")
    });
    if matches!(fault, Fault::Lost) {
        source.up().unwrap();
    }
    if let Some(mend) = mend {
        mend().unwrap();
    }
    until("the backup is made anew", || {
        let job = world.api.get(&job).unwrap();
        assert_ne!(job["status"], "FAILED", "{fault:?}: {job}");
        job["status"] == "COMPLETED"
    });
    // Nothing of what broke off is left in it.
    let snapshots = world.api.list("/snapshots").unwrap();
    let snapshot = text(snapshots.last().unwrap(), "id");
    let data = source.holds().unwrap();
    let body = json!({"name": "look", "snapshot_id": snapshot, "container_mode": true});
    let path = "/vdbs/provision_by_snapshot";
    looked_at(world, path, &body, &format!("{fault:?}"), &data).unwrap();
    same_data("source", &source.holds().unwrap(), &data).unwrap();
}

/// Base backups that the engine ever began.
fn begun(world: &World<'_>) -> usize {
    let log = std::fs::read_to_string(world.log()).unwrap();
    log.matches("\"base backup begins\"").count()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
