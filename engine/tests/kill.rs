//! Killed at every step of every job: the next start carries it out, or finds it done; nothing is there twice and no
//! file is left that nobody knows. Steps are what storage and sources are asked for, and starts and stops of servers:
//! killed is before and after each of them. Only a base backup is given up.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dct::types::{
    BySnapshot, CreateBookmark, DeleteDSource, DeleteSnapshot, DeleteVdb, DisableVdb, EnableVdb,
    FromBookmark, JobStatus, LinkAppdata, PointInTime, ProvisionBySnapshot, ProvisionByTimestamp,
    StopVdb,
};
use engine::engine::Engine;
use engine::model::{Kind, Object};
use rstest::rstest;
use serde_json::{Value, json};
use support::Pool;

const VDB: &str = "dev-vdb";

fn live(engine: &Engine, kind: Kind) -> Vec<Object> {
    engine
        .store
        .read(|state| state.live(kind).cloned().collect())
}

fn vdb(engine: &Engine) -> String {
    live(engine, Kind::Vdb)[0].id.clone()
}

fn provision(engine: &Engine, from: &str) -> String {
    let request = ProvisionBySnapshot {
        name: Some(VDB.to_owned()),
        source_data_id: Some(from.to_owned()),
        container_mode: Some(engine.settings.servers.is_none()),
        hooks: serde_json::from_value(hooks()).unwrap(),
        ..Default::default()
    };
    engine.provision(&request).unwrap().job.unwrap().id
}

/// The first fails on data that it has seen before, the others on data that it has not.
fn hooks() -> Value {
    let list = |command: &str| json!([{"command": command, "shell": "shell"}]);
    let (new, seen) = (
        list("[ ! -e \"$PGDATA/seen\" ] && touch \"$PGDATA/seen\""),
        list("[ -e \"$PGDATA/seen\" ]"),
    );
    json!({"configure_clone": new, "pre_refresh": seen, "post_refresh": seen, "pre_rollback": seen, "post_rollback": seen,
        "pre_snapshot": seen, "post_snapshot": seen})
}

fn mark(engine: &Engine, text: &str) {
    std::fs::write(engine.vdb_root(&vdb(engine)).join("data/mark"), text).unwrap();
}

fn marked(engine: &Engine) -> Option<String> {
    std::fs::read_to_string(engine.vdb_root(&vdb(engine)).join("data/mark")).ok()
}

fn own_snapshot(engine: &Engine) -> String {
    let id = vdb(engine);
    live(engine, Kind::Snapshot)
        .into_iter()
        .rfind(|s| s.parent.as_ref() == Some(&id))
        .unwrap()
        .id
}

fn bookmark(engine: &Engine) -> String {
    let request = CreateBookmark {
        name: Some("b".to_owned()),
        vdb_ids: Some(vec![vdb(engine)]),
        ..Default::default()
    };
    engine.bookmark(&request).unwrap().job.unwrap().id
}

fn refresh(engine: &Engine) -> String {
    engine
        .refresh(&vdb(engine), &BySnapshot::default())
        .unwrap()
        .id
}

/// Between two commits of the log.
fn moment() -> PointInTime {
    PointInTime {
        timestamp: Some("2026-11-23T10:00:15Z".to_owned()),
        ..Default::default()
    }
}

fn replayed(engine: &Engine) {
    let data = engine.vdb_root(&vdb(engine)).join("data");
    let place = std::fs::read_to_string(data.join("replayed")).unwrap();
    assert_eq!(place, "0/3000100");
    assert!(!data.join("secret").exists() && !data.join("mark").exists());
    assert_eq!(
        live(engine, Kind::Vdb)[0].doc.value()["parent_timeflow_timestamp"],
        "2026-11-23T10:00:15.000000Z"
    );
}

/// A VDB with two timeflows, a bookmark and a snapshot besides.
fn busy_life(engine: &Engine) {
    engine.execute(&refresh(engine));
    engine.execute(&bookmark(engine));
    engine.execute(&engine.snapshot_vdb(&vdb(engine)).unwrap().id);
}

/// What comes before, what is killed, and how it must end.
struct Case {
    before: fn(&Engine),
    order: fn(&Engine) -> String,
    after: fn(&Engine),
    /// A base backup is not repeated behind the source's back.
    given_up: bool,
}

fn nothing(_: &Engine) {}

const REFRESH: Case = Case {
    before: |engine| {
        engine.execute(&refresh(engine));
        mark(engine, "old");
    },
    order: refresh,
    after: |engine| assert_eq!(marked(engine), None),
    given_up: false,
};
const ROLLBACK: Case = Case {
    before: |engine| {
        mark(engine, "good");
        engine.execute(&engine.snapshot_vdb(&vdb(engine)).unwrap().id);
        mark(engine, "bad");
    },
    order: |engine| {
        let request = BySnapshot {
            snapshot_id: Some(own_snapshot(engine)),
        };
        engine.rollback(&vdb(engine), &request).unwrap().id
    },
    after: |engine| assert_eq!(marked(engine).as_deref(), Some("good")),
    given_up: false,
};
const UNDO: Case = Case {
    before: |engine| {
        mark(engine, "old");
        engine.execute(&refresh(engine));
    },
    order: |engine| engine.undo_refresh(&vdb(engine)).unwrap().id,
    after: |engine| assert_eq!(marked(engine).as_deref(), Some("old")),
    given_up: false,
};
const SNAPSHOT: Case = Case {
    before: |engine| mark(engine, "good"),
    order: |engine| engine.snapshot_vdb(&vdb(engine)).unwrap().id,
    after: |engine| {
        let root = engine.raw_root(&own_snapshot(engine));
        assert_eq!(
            std::fs::read_to_string(root.join("data/mark")).unwrap(),
            "good"
        );
    },
    given_up: false,
};
const BOOKMARK: Case = Case {
    before: nothing,
    order: bookmark,
    after: |engine| {
        let from = FromBookmark {
            bookmark_id: Some("b".to_owned()),
        };
        engine.rollback_from_bookmark(&vdb(engine), &from).unwrap();
    },
    given_up: false,
};
const PROVISION: Case = Case {
    before: |engine| {
        engine.execute(
            &engine
                .delete(&vdb(engine), &DeleteVdb::default())
                .unwrap()
                .id,
        );
    },
    order: |engine| provision(engine, "largedb"),
    after: |engine| drop(vdb(engine)),
    given_up: false,
};
const PROVISION_AT: Case = Case {
    before: PROVISION.before,
    order: |engine| {
        let request = ProvisionByTimestamp {
            provision: ProvisionBySnapshot {
                name: Some(VDB.to_owned()),
                source_data_id: Some("largedb".to_owned()),
                container_mode: Some(true),
                ..Default::default()
            },
            point: moment(),
        };
        engine.provision_at(&request).unwrap().job.unwrap().id
    },
    after: replayed,
    given_up: false,
};
const REFRESH_AT: Case = Case {
    before: REFRESH.before,
    order: |engine| engine.refresh_at(&vdb(engine), &moment()).unwrap().id,
    after: replayed,
    given_up: false,
};
const DELETE: Case = Case {
    before: busy_life,
    order: |engine| {
        engine
            .delete(&vdb(engine), &DeleteVdb::default())
            .unwrap()
            .id
    },
    after: |engine| {
        assert_eq!(
            live(engine, Kind::Vdb).len() + live(engine, Kind::Bookmark).len(),
            0
        );
        assert_eq!(live(engine, Kind::Timeflow).len(), 1, "the dSource's");
    },
    given_up: false,
};
const DELETE_SNAPSHOT: Case = Case {
    before: busy_life,
    order: |engine| {
        let id = own_snapshot(engine);
        engine
            .delete_snapshot(&id, &DeleteSnapshot::default())
            .unwrap()
            .id
    },
    after: |engine| assert_eq!(live(engine, Kind::Snapshot).len(), 2),
    given_up: false,
};
const DELETE_BOOKMARK: Case = Case {
    before: busy_life,
    order: |engine| engine.delete_bookmark("b").unwrap().id,
    after: |engine| {
        assert!(live(engine, Kind::Bookmark).is_empty());
        assert_eq!(live(engine, Kind::Snapshot).len(), 2);
    },
    given_up: false,
};
const DELETE_DSOURCE: Case = Case {
    before: PROVISION.before,
    order: |engine| {
        let request = DeleteDSource {
            dsource_id: Some("largedb".to_owned()),
            ..Default::default()
        };
        engine.delete_dsource(&request).unwrap().id
    },
    after: |engine| {
        assert!(live(engine, Kind::DSource).is_empty());
        let wal = engine.settings.pool.join("wal");
        assert_eq!(std::fs::read_dir(wal).unwrap().count(), 0);
    },
    given_up: false,
};
const START: Case = Case {
    before: |engine| engine.execute(&stop(engine)),
    order: |engine| engine.start_vdb(&vdb(engine)).unwrap().id,
    after: |engine| served(engine, 1),
    given_up: false,
};
const STOP: Case = Case {
    before: nothing,
    order: stop,
    after: |engine| served(engine, 0),
    given_up: false,
};
const ENABLE: Case = Case {
    before: |engine| engine.execute(&disable(engine)),
    order: |engine| {
        let request = EnableVdb {
            container_mode: Some(engine.settings.servers.is_none()),
            ..Default::default()
        };
        engine.enable(&vdb(engine), &request).unwrap().id
    },
    after: |engine| {
        let doc = live(engine, Kind::Vdb)[0].doc.value();
        assert_eq!(doc["enabled"], true);
        served(engine, usize::from(engine.settings.servers.is_some()));
    },
    given_up: false,
};
const DISABLE: Case = Case {
    before: nothing,
    order: disable,
    after: |engine| {
        let doc = live(engine, Kind::Vdb)[0].doc.value();
        assert_eq!(doc["enabled"], false);
        served(engine, 0);
    },
    given_up: false,
};
const EMPTY: Case = Case {
    before: PROVISION.before,
    order: |engine| {
        let request = ProvisionBySnapshot {
            name: Some(VDB.to_owned()),
            db_username: Some("app".to_owned()),
            db_password: Some("secret".to_owned()),
            ..Default::default()
        };
        engine.provision_empty(&request).unwrap().job.unwrap().id
    },
    after: |engine| served(engine, 1),
    given_up: false,
};
const UNDO_SERVED: Case = Case {
    after: |engine| {
        (UNDO.after)(engine);
        served(engine, 1);
    },
    ..UNDO
};
const DELETE_SERVED: Case = Case {
    before: nothing,
    after: |engine| {
        (DELETE.after)(engine);
        served(engine, 0);
    },
    ..DELETE
};
const BACKUP: Case = Case {
    before: nothing,
    order: |engine| engine.snapshot("largedb").unwrap().id,
    // Another takes its place.
    after: |engine| done(engine, &engine.snapshot("largedb").unwrap().id),
    given_up: true,
};
const LINK: Case = Case {
    before: |engine| {
        (DELETE_DSOURCE.before)(engine);
        engine.execute(&(DELETE_DSOURCE.order)(engine));
    },
    order: link,
    after: |engine| {
        if live(engine, Kind::DSource).is_empty() {
            done(engine, &link(engine));
        }
        assert_eq!(live(engine, Kind::DSource).len(), 1);
    },
    given_up: true,
};

fn stop(engine: &Engine) -> String {
    let request = StopVdb::default();
    engine.stop_vdb(&vdb(engine), &request).unwrap().id
}

fn disable(engine: &Engine) -> String {
    let request = DisableVdb {
        container_mode: Some(engine.settings.servers.is_none()),
        ..Default::default()
    };
    engine.disable(&vdb(engine), &request).unwrap().id
}

fn link(engine: &Engine) -> String {
    let request = LinkAppdata {
        source_id: Some("largedb".to_owned()),
        ..Default::default()
    };
    engine.link(&request).unwrap().job.unwrap().id
}

fn done(engine: &Engine, job: &str) {
    engine.execute(job);
    let job = engine
        .store
        .read(|state| state.job(job).unwrap().job.clone());
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.error_details);
}

/// So many servers run, all on data that callers see, and that is what callers are told.
fn served(engine: &Engine, number: usize) {
    let runs = |root: &Path| {
        let text = std::fs::read_to_string(root.join("data/postmaster.pid")).ok();
        let pid = text.and_then(|text| Some(text.lines().next()?.to_owned()));
        pid.is_some_and(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            line.is_ok_and(|line| line.contains(root.to_str().unwrap()))
        })
    };
    let roots = std::fs::read_dir(engine.settings.vdbs()).unwrap();
    let roots = roots.map(|entry| entry.unwrap().path());
    let running: Vec<PathBuf> = roots.filter(|root| runs(root)).collect();
    assert_eq!(running.len(), number, "{running:?}");
    for vdb in live(engine, Kind::Vdb) {
        let doc = vdb.doc.value();
        if doc["containerization_state"] == "NOT_CONTAINERIZED" {
            let runs = running.contains(&engine.vdb_root(&vdb.id));
            assert_eq!(doc["status"], if runs { "RUNNING" } else { "STOPPED" });
        }
    }
}

/// Metadata and files say the same.
fn agree(engine: &Engine) {
    let list = |path| {
        let entries = std::fs::read_dir(path).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect::<HashSet<String>>()
    };
    let mut directories = 0;
    for vdb in live(engine, Kind::Vdb) {
        assert!(engine.vdb_root(&vdb.id).join("data/PG_VERSION").exists());
        directories += 1 + usize::from(vdb.doc.get("previous_timeflow_id").is_some());
    }
    let found = list(engine.settings.vdbs());
    assert_eq!(found.len(), directories, "{found:?}");
    let snapshots = live(engine, Kind::Snapshot);
    let homes = engine.settings.pool.join("snapshots");
    let known: HashSet<String> = snapshots.iter().map(|s| s.id.clone()).collect();
    assert_eq!(list(homes.clone()), known);
    for id in known {
        let roots = list(homes.join(id));
        assert!(
            roots.iter().all(|r| r == "raw" || r == "template"),
            "{roots:?}"
        );
    }
    engine.store.read(|state| {
        let all = Kind::ALL.into_iter().flat_map(|kind| state.objects(kind));
        assert!(
            all.into_iter()
                .all(|o| o.phase == engine::model::Phase::Live)
        );
        assert!(state.jobs().all(|j| j.intent.is_none()));
    });
}

fn pool() -> Pool {
    Pool {
        logged: true,
        ..Pool::new()
    }
}

fn prepared(case: &Case, pool: Pool) -> (Pool, Arc<Engine>, String) {
    let engine = pool.linked();
    engine.execute(&provision(&engine, "largedb"));
    (case.before)(&engine);
    let job = (case.order)(&engine);
    (pool, engine, job)
}

#[rstest]
#[case::refresh(REFRESH, 3)]
#[case::rollback(ROLLBACK, 2)]
#[case::undo(UNDO, 0)]
#[case::snapshot(SNAPSHOT, 4)]
#[case::bookmark(BOOKMARK, 4)]
#[case::provision(PROVISION, 2)]
#[case::provision_at(PROVISION_AT, 6)]
#[case::refresh_at(REFRESH_AT, 6)]
#[case::delete(DELETE, 8)]
#[case::delete_snapshot(DELETE_SNAPSHOT, 6)]
#[case::delete_bookmark(DELETE_BOOKMARK, 6)]
#[case::delete_dsource(DELETE_DSOURCE, 6)]
#[case::enable(ENABLE, 0)]
#[case::disable(DISABLE, 0)]
#[case::backup(BACKUP, 10)]
#[case::link(LINK, 10)]
fn killed_at_any_step_it_is_carried_out_once(#[case] case: Case, #[case] steps: usize) {
    at_any_step(&case, steps, pool);
}

/// With a server and hooks besides.
#[rstest]
#[case::refresh(REFRESH, 5)]
#[case::rollback(ROLLBACK, 2)]
#[case::snapshot(SNAPSHOT, 4)]
#[case::provision(PROVISION, 4)]
fn killed_at_any_step_its_hooks_see_whole_data(#[case] case: Case, #[case] steps: usize) {
    at_any_step(&case, steps, Pool::hooked);
}

/// With a server alone.
#[rstest]
#[case::empty(EMPTY, 6)]
#[case::start(START, 2)]
#[case::stop(STOP, 2)]
#[case::enable(ENABLE, 2)]
#[case::disable(DISABLE, 2)]
#[case::undo(UNDO_SERVED, 4)]
#[case::delete(DELETE_SERVED, 4)]
fn killed_at_any_step_the_server_is_as_callers_are_told(#[case] case: Case, #[case] steps: usize) {
    at_any_step(&case, steps, Pool::classic);
}

fn at_any_step(case: &Case, steps: usize, pool: fn() -> Pool) {
    // Before the first step: ordered and never begun.
    let (pool_of_it, engine, job) = prepared(case, pool());
    drop(engine);
    ended(&pool_of_it, case, &job, true);
    for step in 1.. {
        let (pool, engine, job) = prepared(case, pool());
        pool.disk.steps.store(step, Ordering::SeqCst);
        let died = catch_unwind(AssertUnwindSafe(|| engine.execute(&job))).is_err();
        pool.disk.steps.store(0, Ordering::SeqCst);
        drop(engine);
        ended(&pool, case, &job, died);
        if !died {
            assert!(step > steps, "only {} steps", step - 1);
            return;
        }
    }
}

fn ended(pool: &Pool, case: &Case, job: &str, killed: bool) {
    let engine = pool.open();
    let job = engine
        .store
        .read(|state| state.job(job).unwrap().job.clone());
    let status = if killed && case.given_up {
        JobStatus::Failed
    } else {
        JobStatus::Completed
    };
    assert_eq!(job.status, status, "{:?}", job.error_details);
    agree(&engine);
    (case.after)(&engine);
}

#[test]
fn a_refresh_that_cannot_be_carried_out_after_the_crash_leaves_the_old_data() {
    let (pool, engine, job) = prepared(&REFRESH, pool());
    let snapshot = live(&engine, Kind::Snapshot)[0].id.clone();
    std::fs::remove_dir_all(engine.template_root(&snapshot)).unwrap();
    drop(engine);
    let engine = pool.open();
    let status = engine
        .store
        .read(|state| state.job(&job).unwrap().job.status);
    assert_eq!(status, JobStatus::Failed);
    assert_eq!(marked(&engine).as_deref(), Some("old"));
    engine.undo_refresh(&vdb(&engine)).unwrap();
}

#[test]
fn a_pool_from_before_timeflows_were_kept_is_brought_up_to_date() {
    let pool = Pool::new();
    let engine = pool.linked();
    engine.execute(&provision(&engine, "largedb"));
    let id = vdb(&engine);
    engine
        .store
        .change(|draft| {
            for flow in draft.state.live(Kind::Timeflow) {
                draft.remove(flow.number);
            }
            Ok::<(), engine::store::Error>(())
        })
        .unwrap();
    drop(engine);
    let engine = pool.open();
    agree(&engine);
    let flows: HashSet<String> = live(&engine, Kind::Timeflow)
        .into_iter()
        .map(|flow| flow.id)
        .collect();
    for (kind, field) in [
        (Kind::Vdb, "current_timeflow_id"),
        (Kind::DSource, "current_timeflow_id"),
        (Kind::Snapshot, "timeflow_id"),
    ] {
        let doc = live(&engine, kind)[0].doc.value();
        assert!(flows.contains(doc[field].as_str().unwrap()), "{field}");
    }
    engine.execute(&refresh(&engine));
    assert_ne!(engine.vdb_root(&id), engine.settings.vdbs().join(&id));
    engine.execute(&engine.undo_refresh(&id).unwrap().id);
    assert_eq!(engine.vdb_root(&id), engine.settings.vdbs().join(&id));
}
