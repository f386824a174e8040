//! Virtual databases whose server the engine runs, by the real engine on a real PostgreSQL: they answer on their port to
//! their password, stop, start, move to other data, and outlive an engine that is killed.
//!
//! `.ci/real-engine faults a_server` makes the place for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::programs::certificate;
use crate::world::{World, signal};
use crate::{linked, on_small_pools};
use rustix::process::Signal;
use serde_json::{Value, json};

const PASSWORD: &str = "s'e\"c$r\\et";

#[test]
fn a_server_lives_with_its_virtual_database() {
    on_small_pools("servers::a_server_lives_with_its_virtual_database", |bin| {
        linked(bin, false, life);
    });
}

struct Life<'a> {
    world: &'a World<'a>,
    id: String,
    role: &'a str,
    database: &'a str,
}

impl Life<'_> {
    fn vdb(&self) -> Value {
        self.world.api.get(&format!("/vdbs/{}", self.id)).unwrap()
    }

    fn order(&self, action: &str, body: &Value) {
        let path = format!("/vdbs/{}/{action}", self.id);
        self.world.done("POST", &path, body).unwrap();
    }

    fn edit(&self, body: &Value) {
        let path = format!("/vdbs/{}", self.id);
        self.world.done("PATCH", &path, body).unwrap();
    }

    /// As an application asks, over the network.
    fn try_ask(&self, password: &str, sql: &str) -> Result<String, String> {
        self.try_by("prefer", password, sql)
    }

    fn try_by(&self, tls: &str, password: &str, sql: &str) -> Result<String, String> {
        let database = format!("dbname={} sslmode={tls}", self.database);
        let ground = self.world.ground;
        let mut psql = ground.application(&self.vdb(), self.role, password, &database);
        let output = psql.args(["-c", sql]).output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
        } else {
            Err(String::from_utf8(output.stderr).unwrap())
        }
    }

    fn ask(&self, sql: &str) -> String {
        self.try_ask(PASSWORD, sql).unwrap()
    }

    fn marks(&self) -> String {
        self.ask("select coalesce(string_agg(token, ',' order by token), '') from marks")
    }

    fn becomes(&self, status: &str) {
        let begun = Instant::now();
        while self.vdb()["status"] != status {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "it does not become {status}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Number and moment of the server.
    fn postmaster(&self) -> String {
        self.ask("select pg_postmaster_start_time()")
    }
}

fn life(world: &World<'_>) {
    let order = json!({"name": "classic", "source_data_id": "largedb", "db_username": "app", "db_password": PASSWORD,
        "config_params": {"work_mem": "7MB", "port": 1, "shared_preload_libraries": "auto_explain",
            "auto_explain.log_min_duration": 0, "log_min_duration_statement": 0}});
    let answer = world
        .done("POST", "/vdbs/provision_by_snapshot", &order)
        .unwrap();
    let id = answer["vdb_id"].as_str().unwrap().to_owned();
    let it = Life {
        world,
        id,
        role: "app",
        database: "largedb",
    };
    answers_to_its_password_alone(&it);
    stops_and_starts(&it);
    encrypts(&it);
    moves_to_other_data(&it);
    runs_its_hooks(&it);
    outlives_the_engine(&it);
    follows_the_engine(&it);
    hits_no_stranger(&it);
    empty(world);
    let servers = std::fs::read_dir(world.pool.join("servers")).unwrap();
    assert_eq!(servers.count(), 0);
    no_password_below(&world.pool);
    no_password_below(&world.log());
}

fn answers_to_its_password_alone(it: &Life<'_>) {
    let vdb = it.vdb();
    assert_eq!(
        (&vdb["status"], &vdb["enabled"]),
        (&json!("RUNNING"), &json!(true)),
        "{vdb}"
    );
    assert_eq!(vdb["containerization_state"], "NOT_CONTAINERIZED");
    assert!(!vdb.to_string().contains("s'e"), "the password is told");
    assert_eq!(it.ask("show work_mem"), "7MB");
    assert_eq!(it.ask("select count(*) from orders"), "5000");
    assert_eq!(
        it.ask("select count(*) from pg_authid where rolpassword is not null"),
        "1"
    );
    assert_eq!(it.ask("show archive_mode"), "off");
    assert!(
        it.try_ask("another", "select 1")
            .unwrap_err()
            .contains("authentication failed")
    );
    let other = Life {
        role: "replicator",
        id: it.id.clone(),
        ..*it
    };
    assert!(
        other
            .try_ask("secret", "select 1")
            .unwrap_err()
            .contains("authentication failed")
    );
    let path = format!("/vdbs/{}/enable", it.id);
    let refused = it
        .world
        .api
        .call("POST", &path, &json!({"container_mode": true}))
        .unwrap();
    assert_eq!(refused.0, 422, "{}", refused.1);
}

/// Nothing else is taken, and a new certificate needs no restart.
fn encrypts(it: &Life<'_>) {
    let whole = "select version is not null from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(it.ask(whole), "t");
    let plain = it.try_by("disable", PASSWORD, "select 1").unwrap_err();
    assert!(plain.contains("no encryption"), "{plain}");
    let (running, file) = (it.postmaster(), it.world.ground.dir.join("tls.crt"));
    let by = || {
        let known = it.world.ground.dir.join("known.crt");
        std::fs::copy(&file, &known).unwrap();
        it.try_by(
            &format!("verify-ca sslrootcert={}", known.display()),
            PASSWORD,
            "select 1",
        )
    };
    assert_eq!(by().unwrap(), "1");
    certificate(&it.world.ground.dir);
    let begun = Instant::now();
    while let Err(said) = by() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(it.postmaster(), running);
}

fn stops_and_starts(it: &Life<'_>) {
    it.order("stop", &json!({}));
    assert_eq!(it.vdb()["status"], "STOPPED");
    assert!(
        it.try_ask(PASSWORD, "select 1")
            .unwrap_err()
            .contains("refused")
    );
    it.order("stop", &json!({"abort": true}));
    it.order("start", &json!({}));
    let running = it.postmaster();
    it.order("start", &json!({}));
    assert_eq!(it.postmaster(), running, "a running server is left alone");
    it.order("disable", &json!({}));
    assert_eq!(
        (&it.vdb()["status"], &it.vdb()["enabled"]),
        (&json!("STOPPED"), &json!(false))
    );
    it.order("enable", &json!({}));
    assert_eq!(it.vdb()["status"], "RUNNING");
    it.edit(&json!({"db_username": "app", "db_password": "new"}));
    assert!(it.try_ask(PASSWORD, "select 1").is_err());
    assert_eq!(it.try_ask("new", "select 1").unwrap(), "1");
    logs_no_login(it, "new");
    // The copy's superuser is told the login, as long as it may log in.
    let slowly = || {
        let log = std::fs::read_to_string(it.world.log()).unwrap();
        log.matches("the login is set without connections").count()
    };
    assert_eq!(slowly(), 0);
    it.try_ask("new", "alter role boss nologin").unwrap();
    it.edit(&json!({"db_username": "app", "db_password": PASSWORD}));
    assert_eq!((&it.vdb()["status"], slowly()), (&json!("RUNNING"), 1));
    logs_no_login(it, PASSWORD);
    it.ask("alter role boss login");
}

/// The order has every statement logged, by the server and by a library of it.
fn logs_no_login(it: &Life<'_>, password: &str) {
    it.try_ask(password, "select 4711").unwrap();
    let log = it.world.pool.join("servers").join(&it.id).join("log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("plan:") && log.contains("4711"), "{log}");
    assert!(!log.contains("SCRAM-SHA-256"), "{log}");
}

fn moves_to_other_data(it: &Life<'_>) {
    let port = it.vdb()["appdata_source_params"].clone();
    it.ask("insert into marks values ('mine')");
    it.order("snapshots", &json!({}));
    let snapshots = it.world.api.list("/snapshots").unwrap();
    let own = snapshots
        .iter()
        .find(|s| s["dataset_id"] == it.id.as_str())
        .unwrap();
    assert_eq!(own["consistency"], "CRASH_CONSISTENT");
    it.order("refresh_by_snapshot", &json!({}));
    assert_eq!(it.marks(), "", "with the same password on the same port");
    it.order("undo_refresh", &json!({}));
    assert_eq!(it.marks(), "mine");
    it.ask("delete from marks");
    it.order("rollback_by_snapshot", &json!({"snapshot_id": own["id"]}));
    assert_eq!(it.marks(), "mine");
    assert_eq!(it.vdb()["appdata_source_params"], port);
    it.order("stop", &json!({}));
    it.order("refresh_by_snapshot", &json!({}));
    assert_eq!(it.vdb()["status"], "STOPPED", "what was stopped stays so");
    it.order("start", &json!({}));
    assert_eq!(it.marks(), "");
}

/// As the engine's user, by the socket, before anybody else reaches the data.
fn runs_its_hooks(it: &Life<'_>) {
    let hook = |command: &str| json!([{"name": "it", "command": command, "shell": "bash"}]);
    let mask = hook(
        "psql -XqAt -U boss -v ON_ERROR_STOP=1 -d largedb -c \"insert into marks values ('masked')\"",
    );
    it.edit(&json!({"hooks": {"configure_clone": mask}}));
    it.order("refresh_by_snapshot", &json!({}));
    assert_eq!(it.marks(), "masked");
    it.ask("insert into marks values ('kept')");
    let wrong = hook("psql -XqAt -U boss -v ON_ERROR_STOP=1 -d largedb -c 'select 1/0'");
    it.edit(&json!({"hooks": {"post_refresh": wrong}}));
    let path = format!("/vdbs/{}/refresh_by_snapshot", it.id);
    let said = it.world.done("POST", &path, &json!({})).unwrap_err();
    assert!(
        said.contains("post_refresh[0] (it) failed") && said.contains("division by zero"),
        "{said}"
    );
    assert_eq!(it.marks(), "kept,masked", "the data before is served");
    killed_over_a_hook(it);
    it.edit(&json!({"hooks": {"configure_clone": [], "post_refresh": []}}));
    it.ask("delete from marks");
}

/// The first run waits for ever, and is ended by the engine's next start; the second is the job's.
fn killed_over_a_hook(it: &Life<'_>) {
    let (file, path) = (
        it.world.ground.dir.join("hook-runs"),
        format!("/vdbs/{}/refresh_by_snapshot", it.id),
    );
    let slow = format!(
        "[ -e '{0}' ] && exit; echo $$ > '{0}.new'; mv '{0}.new' '{0}'; psql -U boss -d largedb -Xc 'select pg_sleep(600)'",
        file.display()
    );
    let slow = json!([{"command": slow, "shell": "shell"}]);
    it.edit(&json!({"hooks": {"post_refresh": slow}}));
    let (status, answer) = it.world.api.call("POST", &path, &json!({})).unwrap();
    assert_eq!(status, 200, "{answer}");
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no hook runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    it.world.kill();
    let pid = std::fs::read_to_string(&file).unwrap();
    let process = PathBuf::from("/proc").join(pid.trim()).join("stat");
    // One that has ended may wait for somebody who asks how.
    let runs = || std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(runs(), "it outlives the engine");
    it.world.up().unwrap();
    it.world.settled().unwrap();
    assert!(!runs(), "it outlives the next start");
    let job = format!("/jobs/{}", answer["job"]["id"].as_str().unwrap());
    let job = it.world.api.get(&job).unwrap();
    assert_eq!(job["status"], "COMPLETED", "{job}");
    assert_eq!(it.marks(), "masked", "masked once, on data made anew");
}

fn outlives_the_engine(it: &Life<'_>) {
    let before = it.postmaster();
    it.world.kill();
    it.world.up().unwrap();
    assert_eq!(it.vdb()["status"], "RUNNING");
    assert_eq!(it.postmaster(), before, "taken over, not started anew");
    // Ended by somebody else: it is said to be stopped.
    let pid = pid_file(it);
    let line = std::fs::read_to_string(&pid)
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    signal(Signal::KILL, line.parse().unwrap());
    it.becomes("STOPPED");
    it.order("start", &json!({}));
    assert_eq!(it.marks(), "");
}

fn follows_the_engine(it: &Life<'_>) {
    it.edit(&json!({"auto_restart": false}));
    let pid = pid_file(it);
    it.world.stop().unwrap();
    assert!(!pid.exists(), "stopped cleanly with the engine");
    it.world.up().unwrap();
    it.becomes("STOPPED");
    it.edit(&json!({"auto_restart": true}));
    it.order("start", &json!({}));
    it.world.stop().unwrap();
    it.world.up().unwrap();
    it.world.settled().unwrap();
    it.becomes("RUNNING");
    assert_eq!(it.marks(), "");
}

fn hits_no_stranger(it: &Life<'_>) {
    it.order("stop", &json!({}));
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    std::fs::write(pid_file(it), format!("{}\n", stranger.id())).unwrap();
    it.order("start", &json!({}));
    assert!(it.marks().is_empty() && stranger.try_wait().unwrap().is_none());
    // As a server in single-user mode names itself, which sets a login.
    it.order("stop", &json!({}));
    std::fs::write(pid_file(it), format!("-{}\n", stranger.id())).unwrap();
    it.order("start", &json!({}));
    it.order("stop", &json!({}));
    std::fs::write(pid_file(it), format!("{}\n", stranger.id())).unwrap();
    it.order("delete", &json!({}));
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn empty(world: &World<'_>) {
    let order = json!({"name": "empty", "engine_id": "1", "repository_id": "PostgreSQL 16", "db_username": "owner", "db_password": PASSWORD});
    let answer = world.done("POST", "/vdbs/empty_vdb", &order).unwrap();
    let id = answer["vdb_id"].as_str().unwrap().to_owned();
    let it = Life {
        world,
        id,
        role: "owner",
        database: "postgres",
    };
    it.ask("create table marks (token text)");
    it.order("snapshots", &json!({}));
    it.ask("insert into marks values ('mine')");
    it.order("rollback_by_snapshot", &json!({}));
    assert_eq!(it.marks(), "");
    world.kill();
    it.world.up().unwrap();
    it.order("delete", &json!({}));
}

fn pid_file(it: &Life<'_>) -> PathBuf {
    let vdbs = it.world.pool.join("vdbs");
    let flow = it.vdb()["current_timeflow_id"].as_str().unwrap().to_owned();
    let later = vdbs.join(format!("{}-{}", it.id, flow.rsplit('-').next().unwrap()));
    let root = if later.exists() {
        later
    } else {
        vdbs.join(&it.id)
    };
    root.join("data/postmaster.pid")
}

fn no_password_below(path: &Path) {
    let found = Command::new("grep")
        .args(["-rlF", PASSWORD])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
}
