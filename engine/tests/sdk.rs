//! The vendor's own Python SDK against the program itself: a real source, TLS on. `tests/sdk/run.sh` makes the
//! environments and names their interpreters in VDB_TEST_SDK.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::programs::{as_nobody, certificate, client, run};

/// Told to end, whatever happens, and waited for.
struct Running(Child, &'static str);

impl Drop for Running {
    fn drop(&mut self) {
        let told = Command::new("kill")
            .args([self.1, &self.0.id().to_string()])
            .status();
        if told.is_ok() {
            self.0.wait().unwrap();
        }
    }
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn wait(what: &str, answers: impl Fn() -> bool) {
    let begun = Instant::now();
    while !answers() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{what} does not start"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A table, a second one with a new row five times a second, and the role that copies it.
fn source(bin: &Path, dir: &Path, port: u16) -> [Running; 2] {
    let data = dir.join("source");
    let at = data.to_str().unwrap();
    run(
        &bin.join("initdb"),
        &[
            "-U",
            "boss",
            "-A",
            "trust",
            "--locale=C.UTF-8",
            "--no-sync",
            "-D",
            at,
        ],
    );
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n",
        dir.display()
    );
    std::fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
    let rules = "local all all trust\nhost all,replication replicator 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    let log = std::fs::File::create(dir.join("source.log")).unwrap();
    let server = Command::new(bin.join("postgres"))
        .arg("-D")
        .arg(&data)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let psql = |sql: &str| {
        let mut command = Command::new(client(bin, dir).join("psql"));
        command.args([
            "-X",
            "-q",
            "-U",
            "boss",
            "-d",
            "postgres",
            "-p",
            &port.to_string(),
            "-c",
            sql,
            "-h",
        ]);
        command
            .arg(dir)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    let running = Running(server, "-INT");
    wait("the source", || psql("select 1"));
    assert!(psql(
        "create role replicator login replication password 'secret'"
    ));
    assert!(psql(
        "create table orders as select n from generate_series(1, 1000) n"
    ));
    assert!(psql("create table pulse (at timestamptz default now())"));
    let beat = dir.join("pulse.sql");
    std::fs::write(&beat, "insert into pulse default values \\watch 0.2\n").unwrap();
    let mut pulse = Command::new(client(bin, dir).join("psql"));
    pulse.args(["-X", "-q", "-U", "boss", "-d", "postgres", "-p"]);
    pulse.arg(port.to_string()).arg("-h").arg(dir);
    let pulse = pulse.arg("-f").arg(beat).stdout(Stdio::null()).spawn();
    // The first goes first.
    [Running(pulse.unwrap(), "-KILL"), running]
}

fn engine(bin: &Path, dir: &Path, address: SocketAddr, source: u16) -> Running {
    certificate(dir);
    let served = free().port();
    let at = |name: &str| dir.join(name).display().to_string();
    std::fs::write(at("key"), "1.0123456789abcdef").unwrap();
    std::fs::write(at("password"), "secret\n").unwrap();
    let settings = format!(
        "listen: {address}\npool: {}\nstorage: copy\nexportPrefix: /pool/vdbs\napiKeys: [{{name: sdk, keyFile: {}}}]\n\
         tls: {{certFile: {}, keyFile: {}}}\npostgresBin: {}\nclientBin: {}\n\
         servers: {{listen: 127.0.0.1, ports: {served}-{served}}}\n\
         sources: [{{name: orders, host: 127.0.0.1, port: {source}, database: postgres, user: replicator, passwordFile: {}, wal: {{maxLag: 1G}}}}]\n",
        at("pool"),
        at("key"),
        at("tls.crt"),
        at("tls.key"),
        bin.display(),
        client(bin, dir).display(),
        at("password"),
    );
    std::fs::write(at("settings.yaml"), settings).unwrap();
    let log = std::fs::File::create(dir.join("engine.log")).unwrap();
    let engine = Command::new(env!("CARGO_BIN_EXE_vdb-engine"))
        .args(["serve", "--config", &at("settings.yaml")])
        .stdout(log)
        .spawn()
        .unwrap();
    let running = Running(engine, "-TERM");
    wait("the engine", || TcpStream::connect(address).is_ok());
    running
}

fn life_cycles(bin: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let (address, port) = (free(), free().port());
    let _source = source(bin, dir.path(), port);
    let _engine = engine(bin, dir.path(), address, port);
    let at = |name: &str| dir.path().join(name);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/lifecycle.py");
    let pythons = std::env::var("VDB_TEST_SDK").unwrap();
    for python in pythons.split(':') {
        let status = Command::new(python)
            .arg(&script)
            .args(["--url", &format!("https://{address}"), "--source", "orders"])
            .args(["--owner", "65534:65534", "--ca"])
            .arg(at("tls.crt"))
            .arg("--key-file")
            .arg(at("key"))
            .status()
            .unwrap();
        let log = std::fs::read_to_string(at("engine.log")).unwrap();
        let complaints = log.lines().filter(|line| line.contains("\"ERROR\""));
        let complaints: Vec<&str> = complaints.collect();
        assert!(status.success(), "{python}: {complaints:?}");
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

#[test]
fn the_vendors_own_sdk_drives_the_whole_life_of_a_copy() {
    if std::env::var_os("VDB_TEST_SDK").is_none() {
        println!("SKIPPED: engine/tests/sdk/run.sh installs the SDK and runs this");
        return;
    }
    as_nobody(
        "the_vendors_own_sdk_drives_the_whole_life_of_a_copy",
        life_cycles,
    );
}
