//! A real PostgreSQL from base backup to a query on a copy, with the programs of the local stack's image, or of
//! VDB_TEST_POSTGRES_BIN (the client's too unless VDB_TEST_CLIENT_BIN says otherwise). VDB_TEST_BTRFS names a directory
//! on btrfs for thin copies.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(
    clippy::print_stdout,
    reason = "the figures are what one runs this test for"
)]
#![expect(clippy::zombie_processes, reason = "pg_ctl stops the servers")]

#[path = "real/doctor.rs"]
mod doctor;
mod support;
#[path = "real/timeline.rs"]
mod timeline;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use dct::types::{
    BySnapshot, CreateBookmark, DeleteVdb, DisableVdb, EnableVdb, JobStatus, LinkAppdata,
    ProvisionBySnapshot, ProvisionFromBookmark, Snapshot, StopVdb, Vdb,
};
use engine::engine::Engine;
use engine::model::Kind;
use engine::origin::Postgres;
use engine::settings::{ApiKey, ServerSettings, Settings, SourceSettings, StorageKind};
use engine::storage;
use pgdata::{Control, State};
use support::programs::{as_nobody, client, initdb};

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
        let mut command =
            Command::new(client(&self.bin, self.socket.parent().unwrap()).join("psql"));
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

/// With everything that a copy must not carry along. All that leads elsewhere leads to `ear`, which must hear nothing:
/// the source itself has no workers for its subscription and an archive command that does nothing there.
fn source(bin: &Path, dir: &Path, port: u16, ear: u16) -> Server {
    let data = dir.join("source");
    initdb(bin, &data, &[]);
    std::fs::write(data.join("pg_hba.conf"), "local all all trust\nhost all replicator 127.0.0.1/32 scram-sha-256\nhost replication replicator 127.0.0.1/32 scram-sha-256\n").unwrap();
    std::fs::write(data.join("server.key"), "private").unwrap();
    let socket = dir.join("source-socket");
    std::fs::create_dir(&socket).unwrap();
    let call = format!(
        "case \"$PWD\" in */source) ;; *) bash -c \"echo > /dev/tcp/127.0.0.1/{ear}\" ;; esac"
    );
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nwal_level = logical\narchive_mode = always\narchive_command = '{call}'\n\
         restore_command = '{call}; false'\narchive_cleanup_command = '{call}'\nrecovery_end_command = '{call}'\n\
         primary_conninfo = 'host=127.0.0.1 port={ear} user=replicator password=hunter2'\nprimary_slot_name = 'kept'\n\
         max_logical_replication_workers = 0\ntimezone = 'Asia/Tokyo'\nmax_connections = 77\nmax_prepared_transactions = 3\n"
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
        ("largedb", format!("create subscription s connection 'host=127.0.0.1 port={ear} password=hunter2' publication p with (connect = false, slot_name = s1); alter subscription s enable")),
        ("largedb", format!("create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '{ear}')")),
        ("largedb", "create user mapping for public server far options (user 'far', password 'hunter2'); create user mapping for app server far".to_owned()),
        ("largedb", "create foreign table far_away (n int) server far".to_owned()),
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

fn settings(bin: &Path, dir: &Path, port: u16, pool: Option<PathBuf>) -> Settings {
    std::fs::write(dir.join("password"), "s:e\\cret\n").unwrap();
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        pool: pool
            .unwrap_or_else(|| dir.to_owned())
            .join(format!("pool-{port}")),
        // What the file system allows: btrfs or XFS where .ci/real-engine has made them.
        storage: StorageKind::Auto,
        keep_free: "64M".to_owned(),
        export_prefix: "/exports".to_owned(),
        api_keys: vec![ApiKey {
            name: "test".to_owned(),
            key_file: Some(dir.join("password")),
            sha256: None,
            read_only: false,
        }],
        rate_limit: None,
        postgres_bin: bin.to_owned().into(),
        client_bin: client(bin, dir),
        sources: vec![SourceSettings {
            name: "largedb".to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            database: "largedb".to_owned(),
            user: "replicator".to_owned(),
            password_file: dir.join("password"),
            max_rate: Some("900M".to_owned()),
            snapshots: None,
            wal: None,
        }],
        servers: None,
        tls: None,
        engine_name: "embedded".to_owned(),
        run_hooks: None,
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
    engine.store.read(|state| {
        state
            .get(Kind::Vdb, id)
            .unwrap()
            .doc
            .typed::<Vdb>()
            .unwrap()
    })
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

/// Whoever calls is heard, now or later: the system answers and keeps the connection.
struct Ear(std::net::TcpListener);

impl Ear {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn heard(&self) -> bool {
        self.0.accept().is_ok()
    }

    /// Nobody has called, and the ear is not deaf: the source may call.
    fn heard_nothing_but(&self, origin: &Server) {
        assert!(!self.heard(), "a copy calls somebody");
        let sql = "set statement_timeout = '20s'; select n from far_away";
        let mut call = origin.psql("largedb", sql).spawn().unwrap();
        while !self.heard() {
            assert!(call.try_wait().unwrap().is_none(), "the ear is deaf");
            std::thread::sleep(Duration::from_millis(10));
        }
        call.kill().unwrap();
        call.wait().unwrap();
    }
}

fn no_secret_below(root: &Path) {
    let found = Command::new("grep")
        .args([
            "-rlE",
            "hunter2|SCRAM-SHA-256|port=[0-9]+ (user|password)|/dev/tcp",
        ])
        .arg(root)
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_source_becomes_a_copy_that_answers_and_contacts_nobody() {
    as_nobody(
        "a_source_becomes_a_copy_that_answers_and_contacts_nobody",
        from_source_to_copy,
    );
}

#[test]
fn a_copy_is_refreshed_rewound_and_bookmarked_and_copied_while_it_runs() {
    as_nobody(
        "a_copy_is_refreshed_rewound_and_bookmarked_and_copied_while_it_runs",
        from_copy_to_copy,
    );
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A source, and an engine that has linked it.
fn linked_on(bin: &Path, dir: &Path, ear: &Ear, pool: Option<PathBuf>) -> (Server, Engine) {
    let (origin, engine) = opened_on(bin, dir, ear, pool, |_| {});
    link(&engine);
    (origin, engine)
}

/// A source, and an engine that could link it.
fn opened(
    bin: &Path,
    dir: &Path,
    ear: &Ear,
    change: impl FnOnce(&mut Settings),
) -> (Server, Engine) {
    opened_on(bin, dir, ear, named("VDB_TEST_BTRFS"), change)
}

fn opened_on(
    bin: &Path,
    dir: &Path,
    ear: &Ear,
    pool: Option<PathBuf>,
    change: impl FnOnce(&mut Settings),
) -> (Server, Engine) {
    let log = tracing_subscriber::fmt().with_test_writer();
    log.with_max_level(tracing::Level::WARN).try_init().ok();
    let port = free_port();
    let origin = source(bin, dir, port, ear.port());
    let mut settings = settings(bin, dir, port, pool);
    change(&mut settings);
    let engine = open(&settings);
    assert_eq!(engine.recover().unwrap(), Vec::<String>::new());
    (origin, engine)
}

fn open(settings: &Settings) -> Engine {
    Engine::open(
        settings.clone(),
        storage::of(settings.storage, &settings.pool),
        Box::new(Postgres::new(settings)),
    )
    .unwrap()
}

fn link(engine: &Engine) -> String {
    let job = engine
        .link(&LinkAppdata {
            source_id: Some("largedb".to_owned()),
            ..Default::default()
        })
        .unwrap()
        .job
        .unwrap();
    carried_out(engine, &job.id);
    job.id
}

fn rows(server: &Server) -> String {
    server.query("largedb", "select count(*) from orders")
}

/// Rows written, a snapshot under the running server, refresh, rewind, bookmark, copies of copies: each recovers to
/// exactly what was committed.
fn from_copy_to_copy(bin: &Path) {
    copies(bin, named("VDB_TEST_BTRFS"));
}

#[test]
fn copies_on_xfs_share_their_blocks() {
    as_nobody("copies_on_xfs_share_their_blocks", on_xfs);
}

fn on_xfs(bin: &Path) {
    let Some(pool) = named("VDB_TEST_XFS") else {
        println!("SKIPPED: VDB_TEST_XFS names no directory on XFS");
        return;
    };
    copies(bin, Some(pool.clone()));
    let dir = tempfile::tempdir().unwrap();
    let (_origin, engine) = linked_on(bin, dir.path(), &Ear::new(), Some(pool.clone()));
    assert_eq!(engine.storage.name(), "xfs");
    let before = free_mib(&pool);
    let ids = ["one", "two", "three"].map(|name| enabled(&engine, name));
    let used = before - free_mib(&pool);
    println!("three copies of 50 MiB took {used} MiB");
    assert!(used < 50);
    if Command::new("filefrag").arg("-V").output().is_err() {
        println!("SKIPPED: filefrag is missing, which tells what a copy shares");
        return;
    }
    let sizes = || engine.size_of(&ids[0]).unwrap();
    let fresh = sizes();
    let written = engine.vdb_root(&ids[0]).join("data/written");
    std::fs::write(written, vec![7; 5 << 20]).unwrap();
    engine.storage.flush(&pool).unwrap();
    let after = sizes();
    println!("{fresh:?}, with 5 MiB more {after:?}");
    assert!(fresh.own < 2 << 20 && fresh.held > 20 << 20);
    assert_eq!(after.whole - fresh.whole, 5 << 20);
    // Room behind the end of a file may be taken for what could follow.
    assert!((5 << 20..7 << 20).contains(&(after.own - fresh.own)));
}

fn free_mib(path: &Path) -> i64 {
    let df = Command::new("df")
        .args(["--output=avail", "-BM"])
        .arg(path)
        .output()
        .unwrap();
    let table = String::from_utf8(df.stdout).unwrap();
    table
        .lines()
        .nth(1)
        .unwrap()
        .trim()
        .trim_end_matches('M')
        .parse()
        .unwrap()
}

/// A directory that the environment names.
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn copies(bin: &Path, pool: Option<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let ear = Ear::new();
    let (origin, engine) = linked_on(bin, dir.path(), &ear, pool);
    let id = enabled(&engine, "dev-vdb");
    let first = engine.vdb_root(&id);
    let at_one_instant = engine.storage.at_one_instant();
    let server = copy(bin, dir.path(), &first);
    server.query(
        "largedb",
        "insert into orders select n, 'mine' from generate_series(1, 1000) n",
    );
    if at_one_instant {
        carried_out(&engine, &engine.snapshot_vdb(&id).unwrap().id);
        server.query("largedb", "delete from orders where md5 = 'mine'");
    } else {
        assert!(
            engine
                .snapshot_vdb(&id)
                .unwrap_err()
                .to_string()
                .contains("disable it first")
        );
    }
    drop(server);
    let disable = DisableVdb {
        container_mode: Some(true),
        ..Default::default()
    };
    carried_out(&engine, &engine.disable(&id, &disable).unwrap().id);
    if !at_one_instant {
        carried_out(&engine, &engine.snapshot_vdb(&id).unwrap().id);
    }
    let own = own_snapshots(&engine, &id);
    let expected = if at_one_instant {
        "CRASH_CONSISTENT"
    } else {
        "CONSISTENT"
    };
    assert_eq!(own[0].consistency.as_deref(), Some(expected));

    origin.query(
        "largedb",
        "set default_transaction_read_only = off; delete from orders where n > 10",
    );
    carried_out(&engine, &engine.snapshot("largedb").unwrap().id);
    let refresh = engine.refresh(&id, &BySnapshot::default()).unwrap();
    carried_out(&engine, &refresh.id);
    let second = engine.vdb_root(&id);
    assert_ne!(first, second);
    assert_eq!(rows(&tempted(bin, dir.path(), &second)), "10");
    carried_out(&engine, &engine.undo_refresh(&id).unwrap().id);
    assert_eq!(engine.vdb_root(&id), first);
    carried_out(&engine, &engine.undo_refresh(&id).unwrap().id);

    let wanted = BySnapshot {
        snapshot_id: Some(own[0].id.clone()),
    };
    carried_out(&engine, &engine.rollback(&id, &wanted).unwrap().id);
    // On btrfs, what a power failure would have left.
    assert_eq!(
        rows(&tempted(bin, dir.path(), &engine.vdb_root(&id))),
        "21000"
    );
    assert!(!first.exists() && second.exists());

    let bookmark = CreateBookmark {
        name: Some("release".to_owned()),
        vdb_ids: Some(vec![id.clone()]),
        ..Default::default()
    };
    carried_out(
        &engine,
        &engine.bookmark(&bookmark).unwrap().job.unwrap().id,
    );
    let request = ProvisionFromBookmark {
        bookmark_id: Some("release".to_owned()),
        provision: ProvisionBySnapshot {
            name: Some("child".to_owned()),
            container_mode: Some(true),
            ..Default::default()
        },
    };
    let answer = engine.provision_from_bookmark(&request).unwrap();
    carried_out(&engine, &answer.job.unwrap().id);
    let child = answer.vdb_id.unwrap();
    assert_eq!(
        rows(&tempted(bin, dir.path(), &engine.vdb_root(&child))),
        "21000"
    );
    ear.heard_nothing_but(&origin);
    no_secret_below(&engine.vdb_root(&child));
    assert_eq!(
        own_snapshots(&engine, &id)[1].consistency.as_deref(),
        Some("CONSISTENT")
    );

    assert!(
        engine
            .delete(&id, &DeleteVdb::default())
            .unwrap_err()
            .to_string()
            .contains("child")
    );
    for id in [child, id] {
        let job = engine.delete(&id, &DeleteVdb::default()).unwrap();
        carried_out(&engine, &job.id);
    }
    let vdbs = std::fs::read_dir(engine.settings.vdbs()).unwrap();
    assert_eq!(vdbs.count(), 0);
    leave_nothing(&engine);
}

fn own_snapshots(engine: &Engine, vdb: &str) -> Vec<Snapshot> {
    engine.store.read(|state| {
        let own = state.live(Kind::Snapshot);
        let own = own.filter(|s| s.parent.as_deref() == Some(vdb));
        own.map(|s| s.doc.typed::<Snapshot>().unwrap()).collect()
    })
}

fn from_source_to_copy(bin: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let ear = Ear::new();
    let (origin, engine) = opened(bin, dir.path(), &ear, |settings| {
        settings.servers = Some(ServerSettings {
            listen: "127.0.0.1".parse().unwrap(),
            ports: format!("{0}-{0}", free_port()),
            tls: None,
        });
    });
    link(&engine);
    assert_eq!(
        std::fs::read_dir(engine.settings.pool.join("run"))
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
    let id = enabled(&engine, "dev-vdb");
    let root = engine.vdb_root(&id);
    let control = Control::read(&root.join("data")).unwrap();
    assert_eq!((control.state, control.timeline), (State::ShutDown, 2));
    assert_eq!(control.limits.max_connections, 77);
    no_secret_below(&root);
    assert!(!root.join("data/server.key").exists());

    assert!(!ear.heard(), "the source or its template calls somebody");
    answers_and_contacts_nobody(bin, dir.path(), &root);
    assert!(!ear.heard(), "the copy calls somebody");
    served_by_the_engine(bin, dir.path(), &engine);
    ear.heard_nothing_but(&origin);
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
        "bytes of a fresh copy: {:?}",
        engine.storage.bytes(&engine.vdb_root(&second)).unwrap()
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
    let name = root.file_name().unwrap().to_string_lossy();
    let number = name.rsplit('-').next().unwrap().to_owned();
    let socket = dir.join(format!("copy-{number}"));
    std::fs::create_dir_all(&socket).unwrap();
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
    tempt(|database, sql| copy.psql(database, sql).output().unwrap());
    assert!(!copy.log().contains("recover"), "{}", copy.log());
}

/// What would call if it could: the log is switched, a foreign table is asked, statistics are gathered.
fn tempt(ask: impl Fn(&str, &str) -> Output) {
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    for (database, sql) in [
        ("postgres", "select pg_switch_wal()"),
        ("postgres", "checkpoint"),
        ("largedb", "analyze"),
    ] {
        let done = ask(database, sql);
        assert!(done.status.success(), "{sql}: {}", said(&done));
    }
    let far = said(&ask("largedb", "select n from far_away"));
    assert!(far.contains("user mapping not found"), "{far}");
}

/// A copy that was tempted.
fn tempted(bin: &Path, dir: &Path, root: &Path) -> Server {
    let copy = copy(bin, dir, root);
    tempt(|database, sql| copy.psql(database, sql).output().unwrap());
    copy
}

/// A classic VDB: new, on other data, and after a power failure.
fn served_by_the_engine(bin: &Path, dir: &Path, engine: &Engine) {
    let request = ProvisionBySnapshot {
        name: Some("classic".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        db_username: Some("tester".to_owned()),
        db_password: Some("of the test".to_owned()),
        ..Default::default()
    };
    let answer = engine.provision(&request).unwrap();
    carried_out(engine, &answer.job.unwrap().id);
    let id = answer.vdb_id.unwrap();
    let ports = &engine.settings.servers.as_ref().unwrap().ports;
    let port = ports.split('-').next().unwrap();
    let ask = |database: &str, sql: &str| {
        let mut psql = Command::new(client(bin, dir).join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", port]);
        psql.args(["-U", "tester", "-d", database, "-c", sql]);
        psql.env("PGPASSWORD", "of the test");
        psql.output().unwrap()
    };
    tempt(ask);
    let refresh = engine.refresh(&id, &BySnapshot::default()).unwrap();
    carried_out(engine, &refresh.id);
    tempt(ask);
    let at_once = StopVdb { abort: Some(true) };
    carried_out(engine, &engine.stop_vdb(&id, &at_once).unwrap().id);
    carried_out(engine, &engine.start_vdb(&id).unwrap().id);
    tempt(ask);
    let job = engine.delete(&id, &DeleteVdb::default()).unwrap();
    carried_out(engine, &job.id);
}
