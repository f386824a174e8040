//! Every kind of order at the edge of a full pool: with a byte too little it is refused, and nothing is written.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dct::types::{
    BySnapshot, CreateBookmark, FromBookmark, LinkAppdata, PointInTime, ProvisionBySnapshot,
    ProvisionByTimestamp, ProvisionFromBookmark,
};
use engine::actions::Refusal;
use engine::engine::Engine;
use engine::model::Kind;
use rstest::rstest;
use support::Pool;

const MIB: u64 = 1 << 20;
/// What recovery writes to a base backup, beside a tenth of it.
const RECOVERY: u64 = 64 * MIB;
/// A copy of a test that shares what nobody writes to.
const THIN: u64 = MIB;
/// From the snapshot to the last commit before the moment, and the segment that a replay ends with.
const LOG: u64 = 0x100 + 16 * MIB;
/// What was written to the first VDB since it was ordered.
const GROWN: u64 = 5 * MIB;

/// The VDBs `one` and `two`, of which the first has grown, a snapshot and a bookmark of `one` from before.
fn prepared(thin: bool) -> (Pool, Arc<Engine>) {
    let pool = Pool {
        logged: true,
        ..Pool::classic()
    };
    pool.disk.thin.store(thin, Ordering::SeqCst);
    let engine = pool.linked();
    for name in ["one", "two"] {
        let answer = engine.provision(&copy(name)).unwrap();
        engine.execute(&answer.job.unwrap().id);
    }
    engine.execute(&bookmark(&engine, "before", &["one"]).unwrap());
    let data = engine.vdb_root(&vdb(&engine, "one")).join("data");
    let file = std::fs::File::create(data.join("grown")).unwrap();
    file.set_len(GROWN).unwrap();
    (pool, engine)
}

fn vdb(engine: &Engine, name: &str) -> String {
    engine
        .store
        .read(|state| state.resolve(Kind::Vdb, name).unwrap().id.clone())
}

fn copy(name: &str) -> ProvisionBySnapshot {
    ProvisionBySnapshot {
        name: Some(name.to_owned()),
        source_data_id: Some("largedb".to_owned()),
        container_mode: Some(true),
        ..Default::default()
    }
}

fn bookmark(engine: &Engine, name: &str, vdbs: &[&str]) -> Result<String, Refusal> {
    let vdbs = vdbs.iter().map(|name| vdb(engine, name));
    let request = CreateBookmark {
        name: Some(name.to_owned()),
        vdb_ids: Some(vdbs.collect()),
        ..Default::default()
    };
    Ok(engine.bookmark(&request)?.job.unwrap().id)
}

fn moment() -> PointInTime {
    PointInTime {
        timestamp: Some("2026-11-23T10:00:15Z".to_owned()),
        ..Default::default()
    }
}

fn named() -> FromBookmark {
    FromBookmark {
        bookmark_id: Some("before".to_owned()),
    }
}

/// The length of all files below.
fn length(at: &Path) -> u64 {
    let entries = std::fs::read_dir(at).unwrap();
    let lengths = entries.map(|entry| {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            length(&entry.path())
        } else {
            meta.len()
        }
    });
    lengths.sum()
}

/// Of what copies of the dSource are made from.
fn template(engine: &Engine) -> u64 {
    let snapshot = engine.store.read(|state| {
        let mut all = state.live(Kind::Snapshot);
        all.next().unwrap().id.clone()
    });
    length(&engine.template_root(&snapshot))
}

/// Of a snapshot of `one` from before it grew.
fn before(engine: &Engine) -> u64 {
    grown(engine) - GROWN
}

fn grown(engine: &Engine) -> u64 {
    length(&engine.vdb_root(&vdb(engine, "one")))
}

fn other(engine: &Engine) -> u64 {
    length(&engine.vdb_root(&vdb(engine, "two")))
}

fn backup(engine: &Engine) -> u64 {
    let last = template(engine);
    last + last / 10 + RECOVERY
}

struct Order {
    place: fn(&Engine) -> Result<String, Refusal>,
    /// Where nothing is shared, and where it is.
    full: fn(&Engine) -> u64,
    thin: fn(&Engine) -> u64,
}

const PROVISION: Order = Order {
    place: |engine| Ok(engine.provision(&copy("new"))?.job.unwrap().id),
    full: template,
    thin: |_| THIN,
};
const PROVISION_AT: Order = Order {
    place: |engine| {
        let request = ProvisionByTimestamp {
            provision: copy("new"),
            point: moment(),
        };
        Ok(engine.provision_at(&request)?.job.unwrap().id)
    },
    full: |engine| template(engine) + LOG,
    thin: |_| THIN + LOG,
};
const PROVISION_FROM_BOOKMARK: Order = Order {
    place: |engine| {
        let request = ProvisionFromBookmark {
            provision: copy("new"),
            bookmark_id: named().bookmark_id,
        };
        Ok(engine.provision_from_bookmark(&request)?.job.unwrap().id)
    },
    full: before,
    thin: |_| THIN,
};
const EMPTY: Order = Order {
    place: |engine| {
        let request = ProvisionBySnapshot {
            name: Some("new".to_owned()),
            db_username: Some("app".to_owned()),
            db_password: Some("secret".to_owned()),
            ..Default::default()
        };
        Ok(engine.provision_empty(&request)?.job.unwrap().id)
    },
    full: |_| 48 * MIB,
    thin: |_| 48 * MIB,
};
const REFRESH: Order = Order {
    place: |engine| {
        Ok(engine
            .refresh(&vdb(engine, "one"), &BySnapshot::default())?
            .id)
    },
    full: template,
    thin: |_| THIN,
};
const REFRESH_AT: Order = Order {
    place: |engine| Ok(engine.refresh_at(&vdb(engine, "one"), &moment())?.id),
    full: |engine| template(engine) + LOG,
    thin: |_| THIN + LOG,
};
const REFRESH_FROM_BOOKMARK: Order = Order {
    place: |engine| {
        Ok(engine
            .refresh_from_bookmark(&vdb(engine, "two"), &named())?
            .id)
    },
    full: before,
    thin: |_| THIN,
};
const ROLLBACK: Order = Order {
    place: |engine| {
        Ok(engine
            .rollback(&vdb(engine, "one"), &BySnapshot::default())?
            .id)
    },
    full: before,
    thin: |_| THIN,
};
const SNAPSHOT: Order = Order {
    place: |engine| Ok(engine.snapshot_vdb(&vdb(engine, "one"))?.id),
    full: grown,
    thin: |_| THIN,
};
const BOOKMARK: Order = Order {
    place: |engine| bookmark(engine, "new", &["one", "two"]),
    full: |engine| grown(engine) + other(engine),
    thin: |_| 2 * THIN,
};
const BACKUP: Order = Order {
    place: |engine| Ok(engine.snapshot("largedb")?.id),
    full: |engine| backup(engine) + template(engine),
    thin: |engine| backup(engine) + THIN,
};
const LINK: Order = Order {
    place: |engine| {
        let request = LinkAppdata {
            source_id: Some("down".to_owned()),
            ..Default::default()
        };
        Ok(engine.link(&request)?.job.unwrap().id)
    },
    // Its size is not known yet.
    full: |_| RECOVERY,
    thin: |_| RECOVERY + THIN,
};

fn free(pool: &Pool, bytes: u64) {
    *pool.disk.free.lock().unwrap() = Some(bytes);
}

/// What there is in files and in metadata.
fn everything(pool: &Pool, engine: &Engine) -> (Vec<PathBuf>, usize, usize) {
    let mut names = Vec::new();
    for home in ["vdbs", "snapshots", "servers", "run"] {
        let list = std::fs::read_dir(pool.path("pool").join(home));
        let entries = list.into_iter().flatten();
        names.extend(entries.map(|e| e.unwrap().path()));
    }
    names.sort();
    engine.store.read(|state| {
        let objects = Kind::ALL
            .into_iter()
            .map(|kind| state.objects(kind).count());
        (names, objects.sum(), state.jobs().count())
    })
}

/// Refused with the figures, and nothing has begun.
fn refused(pool: &Pool, engine: &Engine, order: &Order, needed: u64) {
    free(pool, needed - 1);
    let before = everything(pool, engine);
    let refusal = (order.place)(engine).unwrap_err();
    assert!(matches!(refusal, Refusal::Full(_)), "{refusal}");
    let figure = format!("{} MiB are needed", needed.div_ceil(MIB));
    assert!(refusal.to_string().contains(&figure), "{refusal}");
    assert_eq!(everything(pool, engine), before);
    free(pool, needed);
}

#[rstest]
#[case::provision(PROVISION)]
#[case::provision_at(PROVISION_AT)]
#[case::provision_from_bookmark(PROVISION_FROM_BOOKMARK)]
#[case::empty(EMPTY)]
#[case::refresh(REFRESH)]
#[case::refresh_at(REFRESH_AT)]
#[case::refresh_from_bookmark(REFRESH_FROM_BOOKMARK)]
#[case::rollback(ROLLBACK)]
#[case::snapshot(SNAPSHOT)]
#[case::bookmark(BOOKMARK)]
#[case::backup(BACKUP)]
#[case::link(LINK)]
fn what_does_not_fit_is_refused_and_what_is_under_way_counts(
    #[case] order: Order,
    #[values(false, true)] thin: bool,
) {
    let (pool, engine) = prepared(thin);
    let needed = if thin { order.thin } else { order.full };
    let needed = needed(&engine);
    refused(&pool, &engine, &order, needed);
    (order.place)(&engine).unwrap();
    // It is under way now, and what it needs is not free for others.
    let another = Order {
        place: |engine| Ok(engine.provision(&copy("another"))?.job.unwrap().id),
        ..PROVISION
    };
    let more = if thin { THIN } else { template(&engine) };
    refused(&pool, &engine, &another, needed + more);
    (another.place)(&engine).unwrap();
}

#[test]
fn room_that_is_to_stay_free_is_nobodys() {
    let pool = Pool {
        keep_free: "3M".to_owned(),
        ..Pool::new()
    };
    let engine = pool.linked();
    free(&pool, template(&engine) + 3 * MIB - 1);
    let refusal = engine.provision(&copy("new")).unwrap_err();
    assert!(refusal.to_string().contains("3 MiB kept free (keepFree)"));
    free(&pool, template(&engine) + 3 * MIB);
    engine.provision(&copy("new")).unwrap();
}

/// Only the source knows how large it is; when it has told, nothing is written yet.
#[rstest]
fn a_base_backup_that_has_grown_ends_before_it_begins(#[values(false, true)] thin: bool) {
    let (pool, engine) = prepared(thin);
    let bytes = 500 * MIB;
    pool.origin.bytes.store(bytes, Ordering::SeqCst);
    let (copy_of, under_way) = if thin {
        (THIN, THIN)
    } else {
        (bytes, template(&engine))
    };
    let needed = bytes + bytes / 10 + RECOVERY + copy_of + under_way;
    engine.provision(&copy("under-way")).unwrap();
    free(&pool, needed - 1);
    let job = engine.snapshot("largedb").unwrap().id;
    let before = everything(&pool, &engine);
    engine.execute(&job);
    let said = engine.store.read(|state| {
        let job = &state.job(&job).unwrap().job;
        job.error_details.clone().unwrap()
    });
    assert!(said.contains("the pool has no room"), "{said}");
    assert_eq!(everything(&pool, &engine).0, before.0);
    free(&pool, needed);
    let job = engine.snapshot("largedb").unwrap().id;
    engine.execute(&job);
    let status = engine
        .store
        .read(|state| state.job(&job).unwrap().job.status);
    assert_eq!(status, dct::types::JobStatus::Completed);
}

#[test]
fn what_a_base_backup_has_received_is_not_counted_once_more() {
    let (pool, engine) = prepared(false);
    let bytes = 500 * MIB;
    pool.origin.bytes.store(bytes, Ordering::SeqCst);
    let job = engine.snapshot("largedb").unwrap().id;
    // Held up where it has told that a mebibyte has come.
    pool.disk.steps.store(5, Ordering::SeqCst);
    let work = std::panic::AssertUnwindSafe(|| engine.execute(&job));
    std::panic::catch_unwind(work).unwrap_err();
    let left = bytes - MIB + bytes / 10 + RECOVERY + bytes;
    refused(&pool, &engine, &PROVISION, left + template(&engine));
    (PROVISION.place)(&engine).unwrap();
}
