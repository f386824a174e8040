//! Killed between intent and effect, or between effect and its end: after the next start there is the old state or the
//! new one, and no files that nobody knows.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dct::types::{DeleteVdb, JobStatus, ProvisionBySnapshot};
use engine::engine::Engine;
use engine::model::Kind;
use engine::recovery::{Plan, Unfinished, dry_run};
use support::Pool;

fn provision(engine: &Engine) -> (String, String) {
    let request = ProvisionBySnapshot {
        name: Some("dev-vdb".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        container_mode: Some(true),
        ..Default::default()
    };
    let answer = engine.provision(&request).unwrap();
    (answer.job.unwrap().id, answer.vdb_id.unwrap())
}

fn status(engine: &Engine, job: &str) -> JobStatus {
    engine
        .store
        .read(|state| state.job(job).unwrap().job.status)
}

fn known(engine: &Engine, vdb: &str) -> bool {
    engine
        .store
        .read(|state| state.get(Kind::Vdb, vdb).is_some())
}

#[test]
fn a_second_engine_on_a_pool_is_refused_and_the_first_goes_on() {
    let pool = Pool::new();
    let engine = pool.linked();
    let second = Engine::open(
        pool.settings(),
        Box::new(pool.disk.clone()),
        Box::new(pool.origin.clone()),
    );
    let said = second.err().unwrap().to_string();
    assert!(
        said.contains("another engine has this pool") && said.contains("meta.db"),
        "{said}"
    );
    let (job, _) = provision(&engine);
    engine.execute(&job);
    assert_eq!(status(&engine, &job), JobStatus::Completed);
    drop(engine);
    pool.open();
}

#[test]
fn a_provision_killed_before_its_effect_is_carried_out_at_the_next_start() {
    let pool = Pool::new();
    let engine = pool.linked();
    let (job, vdb) = provision(&engine);
    assert!(!known(&engine, &vdb));
    drop(engine);
    let engine = pool.open();
    assert_eq!(status(&engine, &job), JobStatus::Completed);
    assert!(known(&engine, &vdb) && engine.vdb_root(&vdb).join("data/PG_VERSION").exists());
}

#[test]
fn a_provision_killed_after_its_effect_is_not_done_twice() {
    let pool = Pool::new();
    let engine = pool.linked();
    let (job, vdb) = provision(&engine);
    engine
        .storage
        .copy(
            &engine.template_root(&snapshot(&engine)),
            &engine.vdb_root(&vdb),
        )
        .unwrap();
    std::fs::write(engine.vdb_root(&vdb).join("mark"), "").unwrap();
    drop(engine);
    let engine = pool.open();
    assert_eq!(status(&engine, &job), JobStatus::Completed);
    assert!(engine.vdb_root(&vdb).join("mark").exists());
}

#[test]
fn half_a_copy_is_never_taken_for_a_whole_one() {
    let pool = Pool::new();
    let engine = pool.linked();
    let (_, vdb) = provision(&engine);
    let partial = engine.settings.vdbs().join(format!("{vdb}.partial"));
    std::fs::create_dir_all(&partial).unwrap();
    drop(engine);
    let engine = pool.open();
    assert!(known(&engine, &vdb) && !partial.exists());
    assert!(engine.vdb_root(&vdb).join("data/PG_VERSION").exists());
}

#[test]
fn a_provision_whose_snapshot_is_unusable_after_the_crash_ends_in_failure_and_frees_the_name() {
    let pool = Pool::new();
    let engine = pool.linked();
    let (job, vdb) = provision(&engine);
    std::fs::remove_dir_all(engine.template_root(&snapshot(&engine))).unwrap();
    drop(engine);
    let engine = pool.open();
    assert_eq!(status(&engine, &job), JobStatus::Failed);
    assert!(!known(&engine, &vdb) && !engine.vdb_root(&vdb).exists());
    provision(&engine);
}

#[test]
fn a_login_is_kept_until_the_end_of_its_order_is_written_down() {
    let pool = Pool {
        servers: Some(engine::settings::ServerSettings {
            listen: "127.0.0.1".parse().unwrap(),
            ports: "20000-20099".to_owned(),
            tls: None,
        }),
        ..Pool::new()
    };
    let engine = pool.linked();
    let request = ProvisionBySnapshot {
        name: Some("dev-vdb".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        db_username: Some("app".to_owned()),
        db_password: Some("secret".to_owned()),
        ..Default::default()
    };
    let answer = engine.provision(&request).unwrap();
    let (job, vdb) = (answer.job.unwrap().id, answer.vdb_id.unwrap());
    let login = pool.path(&format!("pool/servers/{vdb}/login.sql"));
    std::fs::remove_dir_all(engine.template_root(&snapshot(&engine))).unwrap();
    // Killed when what is left of the failed copy goes.
    pool.disk
        .steps
        .store(3, std::sync::atomic::Ordering::SeqCst);
    let killed = std::panic::AssertUnwindSafe(|| engine.execute(&job));
    std::panic::catch_unwind(killed).unwrap_err();
    assert!(login.exists(), "the next start needs it");
    drop(engine);
    let engine = pool.open();
    assert_eq!(status(&engine, &job), JobStatus::Failed);
    assert!(!login.parent().unwrap().exists());
}

#[test]
fn a_deletion_killed_before_or_after_its_effect_is_completed() {
    for effect in [false, true] {
        let pool = Pool::new();
        let engine = pool.linked();
        let (job, vdb) = provision(&engine);
        engine.execute(&job);
        let job = engine.delete(&vdb, &DeleteVdb::default()).unwrap();
        assert!(known(&engine, &vdb), "visible until the job is over");
        if effect {
            engine.storage.delete(&engine.vdb_root(&vdb)).unwrap();
        }
        drop(engine);
        let engine = pool.open();
        assert_eq!(status(&engine, &job.id), JobStatus::Completed);
        assert!(!known(&engine, &vdb) && !engine.vdb_root(&vdb).exists());
    }
}

#[test]
fn a_base_backup_that_was_interrupted_is_given_up_and_leaves_nothing() {
    let pool = Pool::new();
    let engine = pool.open();
    let request = dct::types::LinkAppdata {
        source_id: Some("largedb".to_owned()),
        ..Default::default()
    };
    let job = engine.link(&request).unwrap().job.unwrap();
    let home = engine
        .settings
        .pool
        .join("snapshots")
        .join(creating(&engine));
    std::fs::create_dir_all(home.join("raw/data")).unwrap();
    let run = engine.settings.pool.join("run/9");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("passfile"), "secret").unwrap();
    drop(engine);
    let engine = pool.open();
    assert_eq!(status(&engine, &job.id), JobStatus::Failed);
    assert!(!home.exists() && !run.exists());
    assert!(
        engine.link(&request).is_ok(),
        "the source can be linked again"
    );
}

#[test]
fn files_without_metadata_go_and_foreign_files_stay() {
    let pool = Pool::new();
    let engine = pool.linked();
    let (job, vdb) = provision(&engine);
    engine.execute(&job);
    let debris = engine.settings.vdbs().join("1-APPDATA_CONTAINER-4711");
    let foreign = engine.settings.vdbs().join("somebody");
    std::fs::create_dir_all(&debris).unwrap();
    std::fs::create_dir_all(&foreign).unwrap();
    drop(engine);
    let engine = pool.open();
    assert!(!debris.exists() && foreign.exists() && engine.vdb_root(&vdb).exists());
}

#[tokio::test]
async fn a_job_that_panics_ends_in_failure_and_says_so() {
    let pool = Pool::new();
    let engine = std::sync::Arc::new(pool.linked());
    let (job, vdb) = provision(&engine);
    pool.disk
        .steps
        .store(1, std::sync::atomic::Ordering::SeqCst);
    engine.start(&job);
    let begun = std::time::Instant::now();
    while status(&engine, &job) != JobStatus::Failed {
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(30),
            "it never ends"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let said = engine
        .store
        .read(|state| state.job(&job).unwrap().job.error_details.clone());
    assert_eq!(
        said.as_deref(),
        Some("this is a defect of the engine: killed")
    );
    assert!(!known(&engine, &vdb) && !engine.vdb_root(&vdb).exists());
}

#[test]
fn a_pool_whose_metadata_is_lost_is_not_swept_empty() {
    let pool = Pool::new();
    let engine = pool.linked();
    let (job, vdb) = provision(&engine);
    engine.execute(&job);
    let root = engine.vdb_root(&vdb);
    drop(engine);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(pool.path(&format!("pool/meta.db{ending}")));
    }
    let again = Engine::open(
        pool.settings(),
        Box::new(pool.disk.clone()),
        Box::new(support::Files::default()),
    );
    assert!(again.err().unwrap().to_string().contains("meta.db"));
    assert!(root.exists());
}

#[test]
fn what_is_on_disk_is_what_is_in_memory() {
    let pool = Pool::new();
    let engine = pool.linked();
    let (job, vdb) = provision(&engine);
    engine.execute(&job);
    let owner = engine.owner.clone();
    let enable = dct::types::EnableVdb {
        container_mode: Some(true),
        ownership_spec: Some(owner),
        ..Default::default()
    };
    let job = engine.enable(&vdb, &enable).unwrap();
    engine.execute(&job.id);
    let dump = |engine: &Engine| {
        engine.store.read(|state| {
            let objects: Vec<_> = Kind::ALL
                .into_iter()
                .flat_map(|k| {
                    state
                        .objects(k)
                        .map(|o| (o.id.clone(), o.doc.to_string()))
                        .collect::<Vec<_>>()
                })
                .collect();
            let jobs: Vec<_> = state
                .jobs()
                .map(|j| serde_json::to_string(&j.job).unwrap())
                .collect();
            (objects, jobs, state.system_uuid.clone())
        })
    };
    let before = dump(&engine);
    drop(engine);
    assert_eq!(dump(&pool.open()), before);
}

fn snapshot(engine: &Engine) -> String {
    engine
        .store
        .read(|state| state.live(Kind::Snapshot).next().unwrap().id.clone())
}

fn creating(engine: &Engine) -> String {
    engine
        .store
        .read(|state| state.objects(Kind::Snapshot).next().unwrap().id.clone())
}

/// Every file with what it holds and when it was changed.
fn everything(at: &Path, found: &mut BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)>) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let held = meta.is_file().then(|| std::fs::read(&path).unwrap());
        found.insert(path.clone(), (held, meta.modified().unwrap()));
        if meta.is_dir() {
            everything(&path, found);
        }
    }
}

fn planned(pool: &Pool) -> Plan {
    let before = as_it_is(pool);
    let scratch = tempfile::tempdir().unwrap();
    let plan = dry_run(
        pool.settings(),
        Box::new(pool.origin.clone()),
        scratch.path(),
    )
    .unwrap();
    assert_eq!(as_it_is(pool), before, "a plan changes nothing");
    plan
}

fn as_it_is(pool: &Pool) -> BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)> {
    let mut found = BTreeMap::new();
    everything(&pool.path("pool"), &mut found);
    found
}

#[test]
fn a_dry_run_tells_what_the_start_will_do_and_does_nothing_of_it() {
    let pool = Pool::new();
    let engine = pool.linked();
    let place = |name: &str| {
        let path = engine.settings.pool.join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("file"), name).unwrap();
        path
    };
    let (made, lost) = provision(&engine);
    engine.execute(&made);
    let lost_root = engine.vdb_root(&lost);
    let request = ProvisionBySnapshot {
        name: Some("begun".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        container_mode: Some(true),
        ..Default::default()
    };
    let answer = engine.provision(&request).unwrap();
    let (begun, vdb) = (answer.job.unwrap().id, answer.vdb_id.unwrap());
    let backup = engine.snapshot("largedb").unwrap().id;
    let taken = engine.store.read(|state| {
        let newest = state.objects(Kind::Snapshot).next_back();
        newest.unwrap().id.clone()
    });
    let mut swept = [
        place("run/9"),
        place("servers/1-APPDATA_CONTAINER-4711"),
        place(&format!("snapshots/{taken}")),
        place("snapshots/1-APPDATA_SNAPSHOT-4711"),
        place("vdbs/1-APPDATA_CONTAINER-4711-12.trash"),
        place(&format!("vdbs/{vdb}.partial")),
        place("wal/1-APPDATA_CONTAINER-4711"),
    ];
    let kept = place("vdbs/somebody");
    std::fs::remove_dir_all(&lost_root).unwrap();
    let receiver = swept[6].join("1");
    let mut left = std::process::Command::new("sh");
    left.args(["-c", "while :; do sleep 0.05; done", "sh", "-D"]);
    let mut left = left.arg(&receiver).spawn().unwrap();
    let line = format!("/proc/{}/cmdline", left.id());
    while !std::fs::read_to_string(&line).unwrap().contains("wal") {
        std::thread::yield_now();
    }
    drop(engine);

    swept.sort();
    let plan = planned(&pool);
    assert_eq!(plan.sweep, swept);
    let jobs = |list: &[Unfinished]| list.iter().map(|u| u.job.clone()).collect::<String>();
    assert_eq!(jobs(&plan.complete), begun);
    assert_eq!(jobs(&plan.give_up), backup);
    let missing = plan.missing.iter().map(|m| (&m.id, &m.path));
    assert_eq!(missing.collect::<Vec<_>>(), [(&lost, &lost_root)]);
    let ended = plan.end.iter().map(|p| p.pid.cast_unsigned());
    assert_eq!(ended.collect::<Vec<_>>(), [left.id()]);
    assert!(left.try_wait().unwrap().is_none(), "it runs on");

    let engine = pool.open();
    assert!(!left.wait().unwrap().success());
    for path in &swept {
        assert!(!path.exists(), "{}", path.display());
    }
    assert!(kept.exists() && engine.vdb_root(&vdb).exists());
    assert_eq!(status(&engine, &begun), JobStatus::Completed);
    assert_eq!(status(&engine, &backup), JobStatus::Failed);
    assert!(known(&engine, &lost), "it can be deleted");
    drop(engine);
    let plan = planned(&pool);
    assert!(plan.sweep.is_empty() && plan.complete.is_empty() && plan.give_up.is_empty());
    assert!(plan.end.is_empty() && plan.start.is_empty());
    assert_eq!(plan.missing.len(), 1);
}

#[test]
fn a_dry_run_of_a_first_link_counts_what_goes_with_it() {
    let pool = Pool {
        logged: true,
        ..Pool::new()
    };
    let engine = pool.open();
    let request = dct::types::LinkAppdata {
        source_id: Some("largedb".to_owned()),
        ..Default::default()
    };
    let answer = engine.link(&request).unwrap();
    let log = pool.path("pool/wal").join(answer.dsource_id.unwrap());
    std::fs::create_dir_all(log.join("1")).unwrap();
    drop(engine);
    assert_eq!(planned(&pool).sweep, std::slice::from_ref(&log));
    pool.open();
    assert!(!log.exists());
}
