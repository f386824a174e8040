//! Base backups that something happens to, one after the other: told in the job, survived, and made anew after a pause.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::text;
use crate::postgres::{Asked as _, Stop};
use crate::source::{self, Fault};
use crate::support::programs::client_links;
use crate::verify::{looked_at, same_data};
use crate::world::World;
use crate::{linked, on_small_pools};

/// What is damaged, the file and the place in it as the shell has them, and what is said of it.
const DAMAGES: [(&str, &str, &str, &str); 2] = [
    ("a page", "$cold", "8092", "checksum mismatch for file"),
    (
        "a record of the log",
        "pg_wal/$first",
        "0x$start % $(stat -c %s pg_wal/$first) + 30",
        "the log cannot be read from",
    ),
];
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
        for fault in DAMAGES {
            damaged(world, fault);
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
        source.stop(Stop::Immediate);
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
    made_anew(world, &job, &format!("{fault:?}"));
}

/// What arrived is not what the source sent, once: one byte of a file is another, or one of the log that came along.
fn damaged(world: &World<'_>, (what, file, at, said): (&str, &str, &str, &str)) {
    let ground = world.ground;
    let link = client_links(&ground.bin, &ground.dir).join("pg_basebackup");
    let program = std::fs::read_link(&link).unwrap();
    let cold = ground
        .source
        .query("largedb", "select pg_relation_filepath('cold')");
    let once = ground.dir.join("once");
    let script = format!(
        r#"#!/bin/sh
'{}' "$@" || exit
[ $# -gt 1 ] && [ ! -e '{2}' ] || exit 0
: >'{2}'
for argument; do [ "$before" != -D ] || cd "$argument"; before=$argument; done
cold='{1}'
first=$(ls pg_wal | head -n 1)
start=$(sed -n 's,.*"Start-LSN": "[0-9A-F]*/\([0-9A-F]*\)".*,\1,p' backup_manifest)
byte=$(od -An -tu1 -j $(({at})) -N 1 {file})
printf "\\$(printf %o $((255 - byte)))" | dd of={file} bs=1 seek=$(({at})) conv=notrunc status=none
"#,
        program.display(),
        cold.unwrap(),
        once.display(),
    );
    std::fs::remove_file(&link).unwrap();
    std::fs::write(&link, script).unwrap();
    std::fs::set_permissions(&link, std::fs::Permissions::from_mode(0o755)).unwrap();
    let dsource = text(&world.api.list("/dsources").unwrap()[0], "id");
    let path = format!("/dsources/{dsource}/snapshots");
    let (status, answer) = world.api.call("POST", &path, &Value::Null).unwrap();
    assert_eq!(status, 200, "{answer}");
    let job = format!("/jobs/{}", text(&answer["job"], "id"));
    until("the job tells that it arrived damaged", || {
        let job = world.api.get(&job).unwrap();
        assert_eq!(job["status"], "STARTED", "{what}: {job}");
        let warning = text(&job, "warning_message");
        warning.contains("arrived damaged")
            && warning.contains(said)
            && warning.contains("again in ")
    });
    made_anew(world, &job, what);
    std::fs::remove_file(&once).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(program, link).unwrap();
}

fn made_anew(world: &World<'_>, job: &str, what: &str) {
    let source = &world.ground.source;
    until("the backup is made anew", || {
        let job = world.api.get(job).unwrap();
        assert_ne!(job["status"], "FAILED", "{what}: {job}");
        job["status"] == "COMPLETED"
    });
    // Nothing of what broke off is left in it.
    let snapshots = world.api.list("/snapshots").unwrap();
    let snapshot = text(snapshots.last().unwrap(), "id");
    let data = source.holds().unwrap();
    let body = json!({"name": "look", "snapshot_id": snapshot, "container_mode": true});
    let path = "/vdbs/provision_by_snapshot";
    looked_at(world, path, &body, what, &data).unwrap();
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
