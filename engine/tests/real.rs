//! A real PostgreSQL from base backup to a query on a copy. Needs VDB_TEST_POSTGRES_BIN (server programs, and the
//! client's unless VDB_TEST_CLIENT_BIN says otherwise); VDB_TEST_BTRFS names a directory on btrfs for thin copies.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(
    clippy::print_stdout,
    reason = "the figures are what one runs this test for"
)]
#![expect(clippy::zombie_processes, reason = "pg_ctl stops the servers")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dct::types::{DeleteVdb, EnableVdb, JobStatus, LinkAppdata, ProvisionBySnapshot, Vdb};
use engine::engine::Engine;
use engine::model::Kind;
use engine::origin::Postgres;
use engine::serve::storage;
use engine::settings::{ApiKey, Settings, SourceSettings, StorageKind};
use pgdata::{Control, State};
use serde::Deserialize as _;

const NAME: &str = "a_source_becomes_a_copy_that_answers_and_contacts_nobody";
/// postgres refuses to run as root.
const NOBODY: &str = "65534";

struct Server {
    bin: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    port: u16,
}

impl Server {
    fn start(&self, options: &[String]) {
        let mut command = Command::new(self.bin.join("postgres"));
        let log = std::fs::File::create(self.socket.join("log")).unwrap();
        command
            .arg("-D")
            .arg(&self.data)
            .arg("-k")
            .arg(&self.socket)
            .args(options)
            .stdout(Stdio::null())
            .stderr(log);
        command.spawn().unwrap();
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn answers(&self) -> bool {
        self.psql("postgres", "select 1")
            .status()
            .unwrap()
            .success()
    }

    fn psql(&self, database: &str, sql: &str) -> Command {
        let bin =
            std::env::var_os("VDB_TEST_CLIENT_BIN").map_or_else(|| self.bin.clone(), PathBuf::from);
        let mut command = Command::new(bin.join("psql"));
        command
            .args([
                "-X",
                "-A",
                "-t",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "boss",
                "-d",
                database,
                "-h",
            ])
            .arg(&self.socket);
        command.args(["-p", &self.port.to_string()]);
        command
            .args(["-c", sql])
            .env("PGOPTIONS", "-c default_transaction_read_only=off")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn query(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database, sql).output().unwrap();
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.socket.join("log")).unwrap_or_default()
    }

    fn stop(&self) {
        Command::new(self.bin.join("pg_ctl"))
            .args(["stop", "-s", "-w", "-m", "fast", "-D"])
            .arg(&self.data)
            .status()
            .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// With everything that a copy must not carry along.
fn source(bin: &Path, dir: &Path, port: u16) -> Server {
    let data = dir.join("source");
    let init = Command::new(bin.join("initdb"))
        .args([
            "-U",
            "boss",
            "-A",
            "trust",
            "--locale=C.UTF-8",
            "-E",
            "UTF8",
            "--no-sync",
            "-D",
        ])
        .arg(&data)
        .output()
        .unwrap();
    assert!(
        init.status.success(),
        "{}",
        String::from_utf8_lossy(&init.stderr)
    );
    std::fs::write(data.join("pg_hba.conf"), "local all all trust\nhost all replicator 127.0.0.1/32 scram-sha-256\nhost replication replicator 127.0.0.1/32 scram-sha-256\n").unwrap();
    std::fs::write(data.join("server.key"), "private").unwrap();
    let socket = dir.join("source-socket");
    std::fs::create_dir(&socket).unwrap();
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nwal_level = logical\narchive_mode = on\narchive_command = 'touch {}/archived'\n\
         timezone = 'Asia/Tokyo'\nmax_connections = 77\nmax_prepared_transactions = 3\n",
        dir.display()
    );
    std::fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
    let server = Server {
        bin: bin.to_owned(),
        data,
        socket,
        port,
    };
    server.start(&[]);
    let tablespace = dir.join("elsewhere");
    std::fs::create_dir(&tablespace).unwrap();
    let statements = [
        ("postgres", "create role replicator login replication password 's:e\\cret'".to_owned()),
        ("postgres", "create role app login password 'hunter2'".to_owned()),
        ("postgres", "create database largedb owner app".to_owned()),
        ("postgres", "create database closed".to_owned()),
        ("postgres", "alter database largedb set default_transaction_read_only = on".to_owned()),
        ("postgres", format!("create tablespace far location '{}'", tablespace.display())),
        ("largedb", "create table orders as select n, md5(n::text) from generate_series(1, 20000) n".to_owned()),
        ("largedb", "create table far_orders tablespace far as select n from generate_series(1, 5) n".to_owned()),
        ("largedb", "create subscription s connection 'host=127.0.0.1 port=1 password=hunter2' publication p with (connect = false, slot_name = s1)".to_owned()),
        ("largedb", "create foreign data wrapper w; create server far foreign data wrapper w".to_owned()),
        ("largedb", "create user mapping for public server far options (password 'hunter2'); create user mapping for app server far".to_owned()),
        ("closed", "create foreign data wrapper w; create server \"odd name\" foreign data wrapper w; create user mapping for boss server \"odd name\"".to_owned()),
        ("postgres", "update pg_database set datallowconn = false where datname = 'closed'".to_owned()),
        ("postgres", "select pg_create_logical_replication_slot('kept', 'pgoutput')".to_owned()),
    ];
    for (database, sql) in statements {
        for statement in sql.split("; ") {
            server.query(database, statement);
        }
    }
    server
}

fn settings(bin: &Path, dir: &Path, port: u16) -> Settings {
    std::fs::write(dir.join("password"), "s:e\\cret\n").unwrap();
    let pool = std::env::var_os("VDB_TEST_BTRFS").map(PathBuf::from);
    let storage = if pool.is_some() {
        StorageKind::Btrfs
    } else {
        StorageKind::Copy
    };
    let client =
        std::env::var_os("VDB_TEST_CLIENT_BIN").map_or_else(|| bin.to_owned(), PathBuf::from);
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        pool: pool
            .unwrap_or_else(|| dir.to_owned())
            .join(format!("pool-{port}")),
        storage,
        export_prefix: "/exports".to_owned(),
        api_keys: vec![ApiKey {
            name: "test".to_owned(),
            key_file: dir.join("password"),
        }],
        postgres_bin: bin.to_owned(),
        client_bin: client,
        sources: vec![SourceSettings {
            name: "largedb".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            database: "largedb".to_owned(),
            user: "replicator".to_owned(),
            password_file: dir.join("password"),
            max_rate: Some("900M".to_owned()),
            snapshots: None,
        }],
        tls: None,
        engine_name: "embedded".to_owned(),
    }
}

fn carried_out(engine: &Engine, job: &str) {
    let begun = Instant::now();
    engine.execute(job);
    let job = engine
        .store
        .read(|state| state.job(job).unwrap().job.clone());
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.error_details);
    println!("{}: {:.0?}", job.kind.unwrap(), begun.elapsed());
}

fn vdb(engine: &Engine, id: &str) -> Vdb {
    engine
        .store
        .read(|state| Vdb::deserialize(state.get(Kind::Vdb, id).unwrap().doc.as_ref()).unwrap())
}

fn enabled(engine: &Engine, name: &str) -> String {
    let request = ProvisionBySnapshot {
        name: Some(name.to_owned()),
        source_data_id: Some("largedb".to_owned()),
        container_mode: Some(true),
        ..Default::default()
    };
    let answer = engine.provision(&request).unwrap();
    carried_out(engine, &answer.job.unwrap().id);
    let id = answer.vdb_id.unwrap();
    let request = EnableVdb {
        container_mode: Some(true),
        ownership_spec: Some(engine.owner.clone()),
        ..Default::default()
    };
    let job = engine.enable(&id, &request).unwrap();
    carried_out(engine, &job.id);
    id
}

fn no_secret_below(root: &Path) {
    let found = Command::new("grep")
        .args(["-rlE", "hunter2|SCRAM-SHA-256|port=1 "])
        .arg(root)
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_source_becomes_a_copy_that_answers_and_contacts_nobody() {
    let Some(bin) = std::env::var_os("VDB_TEST_POSTGRES_BIN").map(PathBuf::from) else {
        println!("SKIPPED: VDB_TEST_POSTGRES_BIN is not set");
        return;
    };
    if std::fs::metadata("/proc/self")
        .map(|m| std::os::unix::fs::MetadataExt::uid(&m))
        .unwrap()
        == 0
    {
        let ids = [
            format!("--reuid={NOBODY}"),
            format!("--regid={NOBODY}"),
            "--clear-groups".to_owned(),
            "--bounding-set=-all".to_owned(),
        ];
        let status = Command::new("setpriv")
            .args(ids)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    from_source_to_copy(&bin);
}

fn from_source_to_copy(bin: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let origin = source(bin, dir.path(), port);
    let settings = settings(bin, dir.path(), port);
    let engine = Engine::open(
        settings.clone(),
        storage(settings.storage),
        Box::new(Postgres::new(&settings)),
    )
    .unwrap();
    assert_eq!(engine.recover().unwrap(), Vec::<String>::new());
    let job = engine
        .link(&LinkAppdata {
            source_id: Some("largedb".to_owned()),
            ..Default::default()
        })
        .unwrap()
        .job
        .unwrap();
    carried_out(&engine, &job.id);
    assert_eq!(
        std::fs::read_dir(settings.pool.join("run"))
            .unwrap()
            .count(),
        0,
        "the source's password stays nowhere"
    );
    assert_eq!(
        origin.query(
            "postgres",
            "select string_agg(slot_name, ',') from pg_replication_slots"
        ),
        "kept"
    );
    std::fs::remove_file(dir.path().join("archived")).ok();

    let id = enabled(&engine, "dev-vdb");
    let root = engine.vdb_root(&id);
    let control = Control::read(&root.join("data")).unwrap();
    assert_eq!((control.state, control.timeline), (State::ShutDown, 2));
    assert_eq!(control.limits.max_connections, 77);
    no_secret_below(&root);
    assert!(!root.join("data/server.key").exists());

    answers_and_contacts_nobody(bin, dir.path(), &root);
    assert_eq!(
        origin.query("largedb", "select count(*) from orders"),
        "20000"
    );

    let second = enabled(&engine, "qa-vdb");
    assert!(
        vdb(&engine, &second)
            .exported_data_directory
            .unwrap()
            .ends_with(&second)
    );
    println!(
        "own bytes of a fresh copy: {}",
        engine.storage.own_bytes(&engine.vdb_root(&second)).unwrap()
    );
    for id in [id, second] {
        let job = engine.delete(&id, &DeleteVdb::default()).unwrap();
        carried_out(&engine, &job.id);
        assert!(!engine.vdb_root(&id).exists());
    }
    let snapshot = engine
        .store
        .read(|state| state.live(Kind::Snapshot).next().unwrap().doc.to_string());
    println!("{snapshot}");
    leave_nothing(&engine);
}

/// As the operator starts one: with files of its own, without a network.
fn copy(bin: &Path, dir: &Path, root: &Path) -> Server {
    let socket = dir.join("copy-socket");
    std::fs::create_dir(&socket).unwrap();
    std::fs::write(socket.join("pg_hba.conf"), "local all all trust\n").unwrap();
    let server = Server {
        bin: bin.to_owned(),
        data: root.join("data"),
        socket,
        port: 5432,
    };
    let hba = format!("hba_file={}/pg_hba.conf", server.socket.display());
    let begun = Instant::now();
    server.start(&[
        "-c".to_owned(),
        hba,
        "-c".to_owned(),
        "listen_addresses=".to_owned(),
        "-c".to_owned(),
        "max_prepared_transactions=3".to_owned(),
    ]);
    println!(
        "start of a copy until its first query: {:.0?}",
        begun.elapsed()
    );
    server
}

/// A pool on btrfs is not inside the temporary directory.
fn leave_nothing(engine: &Engine) {
    let snapshots = engine.settings.pool.join("snapshots");
    for snapshot in std::fs::read_dir(&snapshots).unwrap() {
        let home = snapshot.unwrap().path();
        engine.storage.delete(&home.join("template")).unwrap();
        engine.storage.delete(&home.join("raw")).unwrap();
    }
    std::fs::remove_dir_all(&engine.settings.pool).unwrap();
}

fn answers_and_contacts_nobody(bin: &Path, dir: &Path, root: &Path) {
    let copy = copy(bin, dir, root);
    assert_eq!(
        copy.query("largedb", "select count(*) from orders"),
        "20000"
    );
    assert_eq!(
        copy.query("largedb", "select count(*) from far_orders"),
        "5"
    );
    assert_eq!(
        copy.query(
            "postgres",
            "select count(*) from pg_authid where rolpassword is not null"
        ),
        "0"
    );
    assert_eq!(
        copy.query(
            "postgres",
            "select subenabled, subslotname is null, subconninfo from pg_subscription"
        ),
        "f|t|"
    );
    assert_eq!(
        copy.query("largedb", "select count(*) from pg_user_mapping"),
        "0"
    );
    assert_eq!(
        copy.query("postgres", "select count(*) from pg_replication_slots"),
        "0"
    );
    assert_eq!(copy.query("postgres", "show timezone"), "Asia/Tokyo");
    assert_eq!(copy.query("postgres", "show archive_mode"), "off");
    assert_eq!(
        copy.query(
            "postgres",
            "select datallowconn from pg_database where datname = 'closed'"
        ),
        "f"
    );
    copy.query("postgres", "alter database closed allow_connections true");
    assert_eq!(
        copy.query("closed", "select count(*) from pg_user_mapping"),
        "0"
    );
    copy.query("largedb", "delete from orders; ");
    assert!(!copy.log().contains("recover"), "{}", copy.log());
    assert!(!dir.join("archived").exists());
}
