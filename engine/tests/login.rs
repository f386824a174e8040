//! The login of a virtual database whose server the engine runs: nobody but the engine gets in before it is there, whatever
//! goes wrong meanwhile. The server is none in truth; `.ci/real-engine faults a_server` has a real one.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dct::types::{JobStatus, ProvisionBySnapshot};
use engine::engine::Engine;
use engine::model::Kind;
use rstest::rstest;
use support::Pool;
use support::peer::Peer;

const CLOSED: &str = "local all all trust\n";
const OPEN: &str = "local all all scram-sha-256\nhost all all all scram-sha-256\n";

struct Ordered {
    engine: Arc<Engine>,
    job: String,
    home: PathBuf,
    root: PathBuf,
}

/// A virtual database that is ordered and not made yet, of a template that names its superuser.
fn ordered(pool: &Pool) -> Ordered {
    let engine = pool.linked();
    let snapshot = engine
        .store
        .read(|state| state.live(Kind::Snapshot).next().unwrap().id.clone());
    let hint = engine.template_root(&snapshot).join("superuser");
    std::fs::write(hint, "boss\nlargedb\n").unwrap();
    let request = ProvisionBySnapshot {
        name: Some("classic".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        db_username: Some("app".to_owned()),
        db_password: Some("hunter2".to_owned()),
        ..Default::default()
    };
    let answer = engine.provision(&request).unwrap();
    let vdb = answer.vdb_id.unwrap();
    Ordered {
        job: answer.job.unwrap().id,
        home: pool.path("pool/servers").join(&vdb),
        root: engine.vdb_root(&vdb),
        engine,
    }
}

impl Ordered {
    fn meets(&self, pool: &Pool, peer: Peer) {
        let vdb = self.engine.store.read(|state| {
            let mut all = state.objects(Kind::Vdb);
            all.next().unwrap().doc.value()
        });
        let port = vdb["appdata_source_params"]["postgresPort"].as_u64();
        let port = u16::try_from(port.unwrap()).unwrap();
        let data = self.root.join("data");
        peer.serve(&pool.path("bin"), self.home.clone(), port, data);
    }
}

fn completed(engine: &Engine, job: &str) {
    let job = engine
        .store
        .read(|state| state.job(job).unwrap().job.clone());
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.error_details);
}

/// The server hears of other rules by a signal.
fn goes_by(home: &Path, rules: &str) {
    let begun = Instant::now();
    loop {
        let found = std::fs::read_to_string(home.join("rules")).unwrap_or_default();
        if found == rules {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{found}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn given_before_anybody_came(at: &Ordered) {
    assert_eq!(read(&at.home.join("met")), CLOSED);
    let given = read(&at.home.join("given"));
    assert!(given.contains("SCRAM-SHA-256") && !given.contains("hunter2"));
    assert!(given.contains("user\nboss\n") && given.contains("database\nlargedb\n"));
    // Nothing of the copy's own runs with the engine's connection.
    assert!(given.contains("session_preload_libraries= ") && given.contains("lock_timeout=1min"));
    assert!(!at.root.join("data/login").exists(), "one start is enough");
    goes_by(&at.home, OPEN);
}

#[test]
fn the_login_is_set_before_the_port_lets_anybody_in() {
    let pool = Pool::classic();
    let at = ordered(&pool);
    at.meets(&pool, Peer::Takes);
    at.engine.execute(&at.job);
    completed(&at.engine, &at.job);
    given_before_anybody_came(&at);
}

#[test]
fn where_no_superuser_may_log_in_it_is_set_without_connections() {
    let pool = Pool::classic();
    let at = ordered(&pool);
    at.meets(&pool, Peer::Refuses);
    at.engine.execute(&at.job);
    completed(&at.engine, &at.job);
    assert!(read(&at.root.join("data/login")).contains("SCRAM-SHA-256"));
    goes_by(&at.home, OPEN);
}

#[test]
fn what_a_server_leaves_that_was_killed_over_its_login_is_ended() {
    let pool = Pool::classic();
    let at = ordered(&pool);
    at.meets(&pool, Peer::Dies);
    at.engine.execute(&at.job);
    completed(&at.engine, &at.job);
    let left = at.home.join("left");
    let stat = format!("/proc/{}/stat", read(&left));
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
}

/// The engine was killed before the login was set, after it, and after the rules were written that the server does not
/// know yet: it may go by any of them.
#[rstest]
#[case::before(CLOSED, false)]
#[case::after(CLOSED, true)]
#[case::over_the_rules(OPEN, true)]
fn a_server_that_a_killed_engine_left_without_its_login_is_started_anew(
    #[case] rules: &str,
    #[case] given: bool,
) {
    let pool = Pool::classic();
    let at = ordered(&pool);
    let snapshot = at
        .engine
        .store
        .read(|state| state.live(Kind::Snapshot).next().unwrap().id.clone());
    let template = at.engine.template_root(&snapshot);
    at.engine.storage.copy(&template, &at.root).unwrap();
    std::fs::write(at.home.join("postgresql.conf"), "").unwrap();
    std::fs::write(at.home.join("pg_hba.conf"), CLOSED).unwrap();
    let mut left = Command::new(pool.path("bin/postgres"))
        .arg("-D")
        .arg(at.root.join("data"))
        .arg("-c")
        .arg(format!("config_file={}/postgresql.conf", at.home.display()))
        .spawn()
        .unwrap();
    goes_by(&at.home, CLOSED);
    std::fs::write(at.home.join("pg_hba.conf"), rules).unwrap();
    if given {
        std::fs::write(at.home.join("given"), "before").unwrap();
    }
    at.meets(&pool, Peer::Takes);
    let Ordered {
        engine,
        job,
        home,
        root,
    } = at;
    drop(engine);
    let engine = pool.open();
    left.wait().unwrap();
    completed(&engine, &job);
    given_before_anybody_came(&Ordered {
        engine,
        job,
        home,
        root,
    });
}
