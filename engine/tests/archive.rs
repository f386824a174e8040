//! The log between snapshots without a PostgreSQL: what is asked for, refused, received, given up, dropped and removed.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dct::types::{DeleteDSource, JobStatus};
use engine::archive::Archiving;
use engine::engine::Engine;
use engine::model::Kind;
use engine::origin::Slot;
use serde_json::{Value, json};
use support::app::{App, text};
use support::{LATER_SEGMENT, Pool, SEGMENT};

fn pool() -> Pool {
    Pool {
        logged: true,
        ..Pool::new()
    }
}

fn dsource(engine: &Engine) -> String {
    engine
        .store
        .read(|state| state.live(Kind::DSource).next().unwrap().id.clone())
}

fn end(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    // It may have ended already.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn slots(pool: &Pool) -> Vec<String> {
    pool.origin.slots.lock().unwrap().keys().cloned().collect()
}

fn wal(pool: &Pool, engine: &Engine, generation: &str) -> std::path::PathBuf {
    pool.path("pool/wal").join(dsource(engine)).join(generation)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn at(second: &str) -> Value {
    json!({"name": format!("at{}", second.replace(['.', 'Z'], "")), "source_data_id": "largedb", "container_mode": true,
        "timestamp": format!("2026-11-23T10:00:{second}")})
}

#[tokio::test]
async fn a_moment_behind_a_snapshot_is_replayed_to_the_last_commit_before_it() {
    let app = App::with(pool());
    let path = "/vdbs/provision_by_timestamp";
    let replayed =
        |id: &str| std::fs::read_to_string(app.engine.vdb_root(id).join("data/replayed")).ok();
    // The snapshot holds 10:00:01; commits follow at :10 and :20.
    for (second, place) in [
        ("01Z", None),
        ("05Z", None),
        ("10Z", Some("0/3000100")),
        ("19.999999Z", Some("0/3000100")),
        ("20Z", Some("0/3000200")),
    ] {
        let answer = app.post(path, at(second)).await;
        let job = app.over(&answer).await;
        assert_eq!(job["status"], "COMPLETED", "{job}");
        let id = text(&answer["vdb_id"]);
        assert_eq!(replayed(id).as_deref(), place, "{second}");
        let vdb = app.get(&format!("/vdbs/{id}")).await;
        let shown = text(&vdb["parent_timeflow_timestamp"]);
        assert!(
            shown.starts_with(&format!("2026-11-23T10:00:{}", &second[..2])),
            "{shown}"
        );
        assert!(!app.engine.vdb_root(id).join("data/secret").exists());
    }
    for (second, part) in [
        (
            "20.000001Z",
            "the last possible is 2026-11-23T10:00:20.000000Z",
        ),
        (
            "00Z",
            "it is before the first; the last before: none; the first after: 2026-11-23T10:00:01",
        ),
    ] {
        app.refused("POST", path, at(second), 422, part).await;
    }
    let id = app.provisioned("dev").await;
    let refresh = format!("/vdbs/{id}/refresh_by_timestamp");
    let dataset = dsource(&app.engine);
    app.done(&refresh, json!({"timestamp": "2026-11-23T10:00:12Z"}))
        .await;
    assert_eq!(replayed(&id).as_deref(), Some("0/3000100"));
    let flow = app.get(&format!("/vdbs/{id}")).await["current_timeflow_id"].clone();
    let flow = app.get(&format!("/timeflows/{}", text(&flow))).await;
    assert_eq!(flow["parent_point_location"], "0/3000100");
    assert_eq!(flow["parent_dsource_id"], dataset.as_str());
    app.done(&format!("/vdbs/{id}/undo_refresh"), json!({}))
        .await;
    assert_eq!(replayed(&id), None);
    // A copy has no log of its own.
    app.done(&format!("/vdbs/{id}/snapshots"), json!({})).await;
    app.refused(
        "POST",
        &format!("/vdbs/{id}/rollback_by_timestamp"),
        json!({"timestamp": "2999-01-01T00:00:00Z"}),
        422,
        "nothing between snapshots of a virtual database",
    )
    .await;
}

#[tokio::test]
async fn a_place_in_the_log_is_found_and_replayed_to() {
    let app = App::with(pool());
    let by_location = |place: &str| json!({"name": place.replace('/', "-"), "source_data_id": "largedb", "container_mode": true, "location": place});
    let path = "/vdbs/provision_by_location";
    let answer = app.post(path, by_location("0/3000150")).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let id = text(&answer["vdb_id"]).to_owned();
    let replayed = app.engine.vdb_root(&id).join("data/replayed");
    assert_eq!(std::fs::read_to_string(replayed).unwrap(), "0/3000100");
    let vdb = app.get(&format!("/vdbs/{id}")).await;
    assert_eq!(
        vdb["parent_timeflow_timestamp"],
        "2026-11-23T10:00:10.000000Z"
    );
    for (wrong, part) in [
        ("0/3000301", "the last possible is 0/3000300"),
        ("0/2FFFFFF", "the first after: 0/3000000"),
        ("here", "is not like 0/3000028"),
    ] {
        app.refused("POST", path, by_location(wrong), 422, part)
            .await;
    }
    app.done(
        &format!("/vdbs/{id}/refresh_by_location"),
        json!({"location": "0/3000000"}),
    )
    .await;
    let find = async |place: &str| {
        let path = format!("/snapshots/find_by_location?dataset_id=largedb&location={place}");
        app.get(&path).await["items"].as_array().unwrap().len()
    };
    assert_eq!(find("0/3000000").await, 1);
    assert_eq!(find("0/3000300").await, 1);
    assert_eq!(find("0/3000301").await + find("0/2FFFFFF").await, 0);
    let snapshot = app.get("/snapshots").await["items"][0]["id"].clone();
    let range = app
        .get(&format!("/snapshots/{}/timeflow_range", text(&snapshot)))
        .await;
    assert_eq!(
        range["start_point_timestamp"],
        "2026-11-23T10:00:01.000000Z"
    );
    assert_eq!(range["end_point_timestamp"], "2026-11-23T10:00:20.000000Z");
    assert_eq!(range["end_point_location"], "0/3000200");
    let path = format!(
        "/timeflows/{}/timeflow_snapshot_ranges",
        text(&range["timeflow_id"])
    );
    let mut same = range.clone();
    same.as_object_mut().unwrap().remove("timeflow_id");
    same["snapshot_id"] = snapshot.clone();
    assert_eq!(app.post(&path, Value::Null).await, json!({"items": [same]}));
    let between = |from: &str, to: &str| json!({"start_date": from, "end_date": to});
    let (ten, soon) = ("2026-11-23T10:00:19Z", "2026-11-23T10:00:21Z");
    let within = app.post(&path, between(ten, soon)).await;
    assert_eq!(within["items"].as_array().unwrap().len(), 1);
    let after = app.post(&path, between(soon, "2026-11-24T10:00:00Z")).await;
    assert_eq!(after, json!({"items": []}));
    let before = app
        .post(&path, json!({"end_date": "2026-11-23T10:00:00Z"}))
        .await;
    assert_eq!(before, json!({"items": []}));
    app.refused(
        "POST",
        &path,
        json!({"start_date": "today"}),
        422,
        "start_date \"today\"",
    )
    .await;
}

/// The log from one snapshot is asked for as far as the next, which begins its own range.
#[tokio::test]
async fn ranges_of_snapshots_follow_each_other() {
    let app = App::with(pool());
    app.done("/dsources/largedb/snapshots", Value::Null).await;
    let flow = app.get("/dsources/largedb").await["current_timeflow_id"].clone();
    let path = format!("/timeflows/{}/timeflow_snapshot_ranges", text(&flow));
    let items = app.post(&path, json!({})).await["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 2);
    assert_eq!(
        items[0]["end_point_timestamp"],
        items[1]["start_point_timestamp"]
    );
    assert_eq!(
        items[1]["end_point_timestamp"],
        "2026-11-23T10:00:20.000000Z"
    );
}

#[test]
fn a_slot_is_made_before_the_first_backup_and_goes_with_the_dsource() {
    let pool = pool();
    let engine = pool.linked();
    assert_eq!(slots(&pool).len(), 1);
    assert!(wal(&pool, &engine, "1").join(SEGMENT).exists());
    let home = wal(&pool, &engine, "");
    let request = DeleteDSource {
        dsource_id: Some("largedb".to_owned()),
        ..Default::default()
    };
    engine.execute(&engine.delete_dsource(&request).unwrap().id);
    assert!(slots(&pool).is_empty() && !home.exists());
    assert_eq!(std::fs::read_dir(pool.path("pool/run")).unwrap().count(), 0);
}

#[test]
fn a_source_that_cannot_be_told_keeps_the_dsource_unless_forced() {
    let pool = pool();
    let engine = pool.linked();
    let home = wal(&pool, &engine, "");
    drop(engine);
    let mut settings = pool.settings();
    settings.sources[0].host = "unreachable".to_owned();
    let engine = Engine::open(
        settings,
        Box::new(pool.disk.clone()),
        Box::new(pool.origin.clone()),
    )
    .unwrap();
    assert!(engine.recover().unwrap().is_empty());
    let delete = |force| {
        let request = DeleteDSource {
            dsource_id: Some("largedb".to_owned()),
            force: Some(force),
            ..Default::default()
        };
        let job = engine.delete_dsource(&request).unwrap().id;
        engine.execute(&job);
        engine
            .store
            .read(|state| state.job(&job).unwrap().job.clone())
    };
    let job = delete(false);
    assert_eq!(job.status, JobStatus::Failed);
    let said = job.error_details.unwrap();
    assert!(
        said.contains("pg_drop_replication_slot('vdb_") && said.contains("force: true"),
        "{said}"
    );
    assert!(home.exists());
    assert_eq!(delete(true).status, JobStatus::Completed);
    assert!(!home.exists());
}

#[test]
fn a_link_that_fails_leaves_no_slot() {
    let pool = pool();
    let engine = pool.open();
    let request = dct::types::LinkAppdata {
        source_id: Some("down".to_owned()),
        ..Default::default()
    };
    let job = engine.link(&request).unwrap().job.unwrap();
    engine.execute(&job.id);
    assert!(slots(&pool).is_empty());
    assert_eq!(std::fs::read_dir(pool.path("pool/wal")).unwrap().count(), 0);
}

fn run_jobs(engine: &Engine) -> usize {
    let jobs = engine.keep_logs();
    for job in &jobs {
        engine.execute(job);
    }
    jobs.len()
}

#[test]
fn a_slot_that_lags_too_far_or_is_lost_is_given_up_for_a_new_base_backup() {
    for slot in [
        Some(Slot {
            lag: 2 << 30,
            lost: false,
        }),
        Some(Slot { lag: 0, lost: true }),
        None,
    ] {
        let pool = pool();
        let engine = pool.linked();
        let name = slots(&pool).remove(0);
        assert_eq!(run_jobs(&engine), 0);
        drop(engine);
        {
            let mut slots = pool.origin.slots.lock().unwrap();
            slots.remove(&name);
            slots.extend(slot.map(|slot| (name.clone(), slot)));
        }
        let engine = pool.open();
        assert_eq!(run_jobs(&engine), 1, "{slot:?}");
        assert_eq!(pool.origin.slots.lock().unwrap()[&name], Slot::default());
        assert!(wal(&pool, &engine, "2").join(LATER_SEGMENT).exists());
        assert!(
            wal(&pool, &engine, "1").join(SEGMENT).exists(),
            "older moments stay"
        );
        let snapshots = engine
            .store
            .read(|state| state.live(Kind::Snapshot).count());
        assert_eq!(snapshots, 2);
        // The backup of this origin is behind the gap for ever; it is not asked for at once again.
        assert_eq!(run_jobs(&engine), 0);
    }
}

#[tokio::test]
async fn what_a_source_holds_back_is_watched_as_long_as_its_log_is_received() {
    let pool = pool();
    drop(pool.linked());
    for slot in pool.origin.slots.lock().unwrap().values_mut() {
        slot.lag = 5 << 20;
    }
    let app = App::on(pool);
    let told = async || app.raw("GET", "/metrics", None, "").await.1;
    let line = r#"vdb_engine_source_log_lag_bytes{source="largedb"} 5242880.0"#;
    assert!(!told().await.contains(line), "nothing is received yet");
    assert!(app.engine.keep_logs().is_empty());
    let text = told().await;
    assert!(text.contains(line), "{text}");
    for receiver in app.pool.origin.receivers.lock().unwrap().iter() {
        end(*receiver);
    }
    let begun = Instant::now();
    while told().await.contains(line) {
        assert!(begun.elapsed() < Duration::from_secs(20), "told for ever");
        // One that ended is not begun again at once.
        app.engine.keep_logs();
    }
}

#[test]
fn a_receiver_that_ends_is_begun_again_and_ends_with_the_engine() {
    let pool = pool();
    let engine = pool.linked();
    let archiving = Archiving::begin(&engine);
    let begun = || pool.origin.receivers.lock().unwrap().clone();
    assert_eq!(begun().len(), 1, "the one of the base backup");
    end(begun()[0]);
    until("it is begun again", || begun().len() == 2);
    drop(archiving);
    for pid in begun() {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} runs on"
        );
    }
}

#[test]
fn segments_that_no_snapshot_needs_go() {
    let pool = pool();
    let engine = pool.linked();
    let generation = wal(&pool, &engine, "1");
    let segment = |number: u32| generation.join(format!("0000000100000000{number:08X}"));
    for number in [1, 2, 3, 4] {
        let file = std::fs::File::create(segment(number)).unwrap();
        file.set_len(16 << 20).unwrap();
    }
    engine.tidy_log(&dsource(&engine));
    let left = [1, 2, 3, 4].map(|number| segment(number).exists());
    assert_eq!(
        left,
        [false, false, true, true],
        "the snapshot is in the third"
    );
}

#[test]
fn a_base_backup_that_breaks_off_is_told_and_begun_anew_a_few_times() {
    for (breaks, ends) in [(2, JobStatus::Completed), (9, JobStatus::Failed)] {
        let pool = Pool::new();
        let mut engine = Arc::into_inner(pool.open()).unwrap();
        engine.backup_pauses = vec![Duration::ZERO; 3];
        pool.origin.breaks.store(breaks, Ordering::SeqCst);
        let request = dct::types::LinkAppdata {
            source_id: Some("largedb".to_owned()),
            ..Default::default()
        };
        let id = engine.link(&request).unwrap().job.unwrap().id;
        engine.execute(&id);
        let job = engine
            .store
            .read(|state| state.job(&id).unwrap().job.clone());
        assert_eq!(job.status, ends);
        assert!(
            job.warning_message
                .unwrap()
                .contains("broke off: pg_basebackup failed: connection lost; again in 0 s")
        );
        let task = job.tasks.unwrap().remove(0);
        let events = task.events.unwrap();
        let said = events.iter().filter(|e| e.message_action.is_some()).count();
        assert_eq!(said, breaks.min(3));
        let progress = events.iter().find(|e| e.message_action.is_none()).unwrap();
        assert!(
            progress
                .message_details
                .as_deref()
                .unwrap()
                .starts_with("1 of 4 MiB")
        );
        assert_eq!(
            task.status.as_deref(),
            Some(if ends == JobStatus::Failed {
                "FAILED"
            } else {
                "COMPLETED"
            })
        );
    }
}

#[test]
fn a_replay_that_lacks_a_part_of_the_log_is_begun_anew_a_few_times() {
    for (short, ends) in [(2, JobStatus::Completed), (9, JobStatus::Failed)] {
        let pool = pool();
        let mut engine = Arc::into_inner(pool.linked()).unwrap();
        engine.backup_pauses = vec![Duration::ZERO; 3];
        pool.origin.short.store(short, Ordering::SeqCst);
        let order = serde_json::from_value(at("15Z")).unwrap();
        let answer = engine.provision_at(&order).unwrap();
        let (job, vdb) = (answer.job.unwrap().id, answer.vdb_id.unwrap());
        engine.execute(&job);
        let job = engine
            .store
            .read(|state| state.job(&job).unwrap().job.clone());
        assert_eq!(job.status, ends, "{job:?}");
        let replayed = engine.vdb_root(&vdb).join("data/replayed");
        assert_eq!(replayed.exists(), ends == JobStatus::Completed);
    }
}
