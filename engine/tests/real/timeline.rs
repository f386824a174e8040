//! Moments between snapshots of a real source: what was committed before a moment is in the copy, and nothing later.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dct::types::{
    DeleteDSource, DeleteVdb, JobStatus, LinkAppdata, PointInTime, ProvisionBySnapshot,
    ProvisionByTimestamp,
};
use engine::archive::Archiving;
use engine::engine::Engine;
use engine::model::Kind;
use engine::settings::{ServerPrograms, Settings, WalSettings};
use pgdata::{Control, State};

use crate::support::programs::as_nobody;
use crate::{Ear, Server, carried_out, link, no_secret_below, open, opened, tempted, vdb};

#[test]
fn a_copy_holds_what_was_committed_before_its_moment_and_nothing_later() {
    as_nobody(
        "timeline::a_copy_holds_what_was_committed_before_its_moment_and_nothing_later",
        |bin| golden(bin, &[(16, bin)]),
    );
}

#[test]
fn a_source_of_version_17_is_served_beside_16() {
    as_nobody(
        "timeline::a_source_of_version_17_is_served_beside_16",
        |bin| {
            let Some(newer) = newer() else { return };
            golden(&newer, &[(16, bin), (17, &newer)]);
        },
    );
}

#[test]
fn a_source_of_another_version_is_refused_with_the_remedy() {
    as_nobody(
        "timeline::a_source_of_another_version_is_refused_with_the_remedy",
        |bin| {
            let Some(newer) = newer() else { return };
            let dir = tempfile::tempdir().unwrap();
            let (_origin, engine) = opened(&newer, dir.path(), &Ear::new(), |settings| {
                logged(settings, &[(16, bin)]);
            });
            let request = LinkAppdata {
                source_id: Some("largedb".to_owned()),
                ..Default::default()
            };
            let id = engine.link(&request).unwrap().job.unwrap().id;
            engine.execute(&id);
            let job = engine
                .store
                .read(|state| state.job(&id).unwrap().job.clone());
            let said = job.error_details.unwrap();
            assert!(
                said.contains("source largedb is PostgreSQL 17 and postgresBin names no server"),
                "{said}"
            );
            std::fs::remove_dir_all(&engine.settings.pool).unwrap();
        },
    );
}

#[test]
fn a_log_that_was_lost_begins_anew_with_a_base_backup() {
    as_nobody(
        "timeline::a_log_that_was_lost_begins_anew_with_a_base_backup",
        lost,
    );
}

fn newer() -> Option<std::path::PathBuf> {
    let bin = std::env::var_os("VDB_TEST_POSTGRES_17_BIN").map(Into::into);
    if bin.is_none() {
        println!("SKIPPED: VDB_TEST_POSTGRES_17_BIN is not set");
    }
    bin
}

fn logged(settings: &mut Settings, servers: &[(u32, &Path)]) {
    let servers = servers
        .iter()
        .map(|(major, bin)| (*major, bin.to_path_buf()));
    settings.postgres_bin = servers.collect::<ServerPrograms>();
    settings.sources[0].wal = Some(WalSettings {
        max_lag: "1G".to_owned(),
        keep: None,
    });
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A moment of the source, and its place in the log. Nothing else happens in the same microsecond.
fn now(origin: &Server) -> (String, String) {
    let sql = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || ' ' || pg_current_wal_insert_lsn() || pg_sleep(0.01)";
    let text = origin.query("largedb", sql);
    let (time, place) = text.split_once(' ').unwrap();
    (time.to_owned(), place.to_owned())
}

fn insert(origin: &Server, mark: &str, count: u32) {
    origin.query(
        "largedb",
        &format!("insert into orders select n, '{mark}' from generate_series(1, {count}) n"),
    );
}

/// More than one segment of it.
fn much(origin: &Server) {
    origin.query("largedb", "create table filler as select n, repeat(md5(n::text), 20) from generate_series(1, 40000) n");
    origin.query("largedb", "drop table filler");
    origin.query("postgres", "select pg_switch_wal()");
}

fn at(time: &str) -> PointInTime {
    PointInTime {
        timestamp: Some(time.to_owned()),
        ..Default::default()
    }
}

fn order(name: &str, point: PointInTime) -> ProvisionByTimestamp {
    ProvisionByTimestamp {
        provision: ProvisionBySnapshot {
            name: Some(name.to_owned()),
            source_data_id: Some("largedb".to_owned()),
            container_mode: Some(true),
            ..Default::default()
        },
        point,
    }
}

/// Once the log has reached the moment.
fn provisioned(engine: &Engine, name: &str, time: &str) -> String {
    let mut answer = None;
    until("the log reaches the moment", || {
        let ordered = engine.provision_at(&order(name, at(time)));
        if let Err(refusal) = &ordered {
            assert!(
                refusal.to_string().contains("the last possible is"),
                "{refusal}"
            );
        }
        answer = ordered.ok();
        answer.is_some()
    });
    let answer = answer.unwrap();
    carried_out(engine, &answer.job.unwrap().id);
    answer.vdb_id.unwrap()
}

fn marks(bin: &Path, dir: &Path, engine: &Engine, vdb: &str) -> String {
    let server = tempted(bin, dir, &engine.vdb_root(vdb));
    server.query(
        "largedb",
        "select coalesce(string_agg(distinct md5, ',' order by md5), '') from orders where length(md5) < 10",
    )
}

fn receivers(engine: &Engine) -> Vec<i32> {
    let pool = engine.settings.pool.join("wal").display().to_string();
    let all = std::fs::read_dir("/proc").unwrap();
    let pids = all.filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&pool)
    })
    .collect()
}

fn kill(pids: &[i32]) {
    for pid in pids {
        let pid = rustix::process::Pid::from_raw(*pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

fn slots(origin: &Server) -> String {
    origin.query(
        "postgres",
        "select count(*) from pg_replication_slots where slot_name like 'vdb_%'",
    )
}

fn snapshots(engine: &Engine) -> usize {
    engine
        .store
        .read(|state| state.live(Kind::Snapshot).count())
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn golden(bin: &Path, servers: &[(u32, &Path)]) {
    let dir = tempfile::tempdir().unwrap();
    let ear = Ear::new();
    let (origin, engine) = opened(bin, dir.path(), &ear, |settings| logged(settings, servers));
    let engine = Arc::new(engine);
    let archiving = Archiving::begin(&engine);
    let before = now(&origin);
    insert(&origin, "before", 5);
    let job = link(&engine);
    let job = engine
        .store
        .read(|state| state.job(&job).unwrap().job.clone());
    let events = job.tasks.unwrap().remove(0).events.unwrap();
    assert!(
        events[0]
            .message_details
            .as_deref()
            .unwrap()
            .contains(" MiB/s"),
        "{events:?}"
    );

    let held = now(&origin);
    insert(&origin, "one", 10);
    let first = now(&origin);
    insert(&origin, "two", 10);
    much(&origin);
    let second = now(&origin);
    // Killed in the middle: what it wrote is taken up again.
    kill(&receivers(&engine));
    much(&origin);
    insert(&origin, "three", 10);
    let third = now(&origin);
    insert(&origin, "four", 10);

    let one = provisioned(&engine, "one", &first.0);
    let root = engine.vdb_root(&one);
    let control = Control::read(&root.join("data")).unwrap();
    assert_eq!((control.state, control.timeline), (State::ShutDown, 2));
    no_secret_below(&root);
    assert_eq!(marks(bin, dir.path(), &engine, &one), "before,one");
    assert_eq!(
        vdb(&engine, &one).parent_timeflow_timestamp,
        Some(first.0.clone())
    );
    let two = provisioned(&engine, "two", &second.0);
    assert_eq!(marks(bin, dir.path(), &engine, &two), "before,one,two");
    // Nothing was committed since the snapshot: it is that itself.
    let same = provisioned(&engine, "same", &held.0);
    assert_eq!(marks(bin, dir.path(), &engine, &same), "before");
    let refresh = engine.refresh_at(&one, &at(&third.0)).unwrap();
    carried_out(&engine, &refresh.id);
    assert_eq!(
        marks(bin, dir.path(), &engine, &one),
        "before,one,three,two"
    );
    let place = PointInTime {
        location: Some(first.1.clone()),
        ..Default::default()
    };
    carried_out(
        &engine,
        &engine.refresh_at_location(&two, &place).unwrap().id,
    );
    assert_eq!(marks(bin, dir.path(), &engine, &two), "before,one");

    // The last commit itself, which no other follows.
    let late = now(&origin);
    let refused = |time: &str| {
        engine
            .provision_at(&order("no", at(time)))
            .unwrap_err()
            .to_string()
    };
    let said = refused(&late.0);
    let last = said.split("the last possible is ").nth(1).unwrap();
    let last = last.split(';').next().unwrap();
    let all = provisioned(&engine, "all", last);
    assert_eq!(
        marks(bin, dir.path(), &engine, &all),
        "before,four,one,three,two"
    );
    assert!(refused(&before.0).contains("before the first"));

    // With a later snapshot, moments before it come from the earlier one, after a restart as well.
    carried_out(&engine, &engine.snapshot("largedb").unwrap().id);
    insert(&origin, "five", 10);
    let fifth = now(&origin);
    insert(&origin, "six", 10);
    drop(archiving);
    assert_eq!(receivers(&engine), Vec::<i32>::new());
    let settings = engine.settings.clone();
    drop(engine);
    leave_half_a_file(&settings.pool);
    let engine = Arc::new(open(&settings));
    assert!(engine.recover().unwrap().is_empty());
    let archiving = Archiving::begin(&engine);
    let fifth_copy = provisioned(&engine, "five", &fifth.0);
    assert_eq!(
        marks(bin, dir.path(), &engine, &fifth_copy),
        "before,five,four,one,three,two"
    );
    let early = provisioned(&engine, "early", &second.0);
    assert_eq!(marks(bin, dir.path(), &engine, &early), "before,one,two");

    // Replays begin with all that the source has.
    ear.heard_nothing_but(&origin);
    assert_eq!(slots(&origin), "1");
    for id in [one, two, same, all, fifth_copy, early] {
        carried_out(
            &engine,
            &engine.delete(&id, &DeleteVdb::default()).unwrap().id,
        );
    }
    unlink(&engine);
    assert_eq!(slots(&origin), "0");
    assert_eq!(receivers(&engine), Vec::<i32>::new());
    drop(archiving);
    std::fs::remove_dir_all(&settings.pool).unwrap();
}

/// As a receiver leaves it that is killed while it makes a file.
fn leave_half_a_file(pool: &Path) {
    let wal = pool.join("wal");
    let partial = Command::new("find")
        .arg(wal)
        .args(["-name", "*.partial"])
        .output()
        .unwrap();
    let partial = String::from_utf8(partial.stdout).unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(partial.trim())
        .unwrap();
    file.set_len(8 << 20).unwrap();
}

fn unlink(engine: &Engine) {
    let request = DeleteDSource {
        dsource_id: Some("largedb".to_owned()),
        ..Default::default()
    };
    carried_out(engine, &engine.delete_dsource(&request).unwrap().id);
}

fn lost(bin: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let ear = Ear::new();
    let (origin, engine) = opened(bin, dir.path(), &ear, |settings| {
        logged(settings, &[(16, bin)]);
    });
    let engine = Arc::new(engine);
    link(&engine);
    // Without a keeper nobody begins the receiver again.
    kill(&receivers(&engine));
    insert(&origin, "unseen", 10);
    let unseen = now(&origin);
    let drop_slot = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'vdb_%'";
    until("the slot is free", || {
        let dropped = origin.psql("postgres", drop_slot).output().unwrap();
        dropped.status.success()
    });
    much(&origin);
    // A new slot reaches back to the last checkpoint.
    origin.query("postgres", "checkpoint");
    let archiving = Archiving::begin(&engine);
    until("a new base backup", || snapshots(&engine) == 2);
    insert(&origin, "seen", 10);
    let seen = now(&origin);
    insert(&origin, "later", 10);
    let id = provisioned(&engine, "seen", &seen.0);
    assert_eq!(marks(bin, dir.path(), &engine, &id), "seen,unseen");
    ear.heard_nothing_but(&origin);
    let said = engine
        .provision_at(&order("no", at(&unseen.0)))
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("the last before: ") && said.contains("the first after: 2"),
        "{said}"
    );
    carried_out(
        &engine,
        &engine.delete(&id, &DeleteVdb::default()).unwrap().id,
    );
    until("no job is left", || {
        engine.store.read(|state| {
            state
                .jobs()
                .all(|j| j.job.status != JobStatus::Started && j.intent.is_none())
        })
    });
    unlink(&engine);
    drop(archiving);
    std::fs::remove_dir_all(&engine.settings.pool).unwrap();
}
