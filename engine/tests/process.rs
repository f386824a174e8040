//! The program itself: it starts, answers, needs little memory, and stops when told.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The address of an engine, whose settings are written to a directory.
fn settle(dir: &Path) -> SocketAddr {
    let at = |name: &str| dir.join(name).display().to_string();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    std::fs::write(at("key"), "1.key").unwrap();
    let settings = format!(
        "listen: {address}\npool: {}\nstorage: copy\nexportPrefix: /pool/vdbs\napiKeys: [{{name: test, keyFile: {}}}]\n\
         postgresBin: /usr/bin\nclientBin: /usr/bin\n",
        at("pool"),
        at("key")
    );
    std::fs::write(at("settings.yaml"), settings).unwrap();
    address
}

fn program(dir: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_vdb-engine"));
    program.arg("--config").arg(dir.join("settings.yaml"));
    program
}

/// Ended, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serving(dir: &Path) -> (Running, SocketAddr) {
    let address = settle(dir);
    let mut program = program(dir);
    let engine = program.arg("serve").stdout(Stdio::null()).spawn();
    let engine = Running(engine.unwrap());
    let begun = Instant::now();
    while get(address, "/healthz").is_none_or(|answer| !answer.starts_with("HTTP/1.1 200")) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it does not start"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    (engine, address)
}

#[test]
fn a_dry_run_after_a_kill_leaves_the_metadata_as_it_is_and_a_serving_engine_has_the_pool() {
    let dir = tempfile::tempdir().unwrap();
    let (mut engine, address) = serving(dir.path());
    let told = |form: &str| {
        let mut program = program(dir.path());
        program.args(["serve", "--recover-dry-run", "--output", form]);
        let output = program.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, _, said) = told("text");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another engine has this pool"), "{said}");
    assert!(get(address, "/healthz").is_some(), "it serves on");
    engine.0.kill().unwrap();
    engine.0.wait().unwrap();

    let pool = dir.path().join("pool");
    let debris = pool.join("vdbs/1-APPDATA_CONTAINER-4711");
    std::fs::create_dir(&debris).unwrap();
    let files = ["meta.db", "meta.db-wal"].map(|name| pool.join(name));
    let held = || files.each_ref().map(|file| std::fs::read(file).unwrap());
    let before = held();
    assert!(!before[1].is_empty(), "what only the log has");
    let (code, said, _) = told("text");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said, format!("sweep     {}\n", debris.display()));
    let (_, said, _) = told("json");
    let plan: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(plan["sweep"], serde_json::json!([debris]));
    assert_eq!(plan["complete"], serde_json::json!([]));
    assert!(held() == before && debris.exists());
    let mut names = std::fs::read_dir(&pool).unwrap();
    assert!(!names.any(|name| name.unwrap().file_name() == "meta.db-shm"));
    std::fs::remove_dir(&debris).unwrap();
    assert_eq!(told("text").1, "nothing to do\n");
}

#[test]
fn an_idle_engine_is_small_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let (mut engine, address) = serving(dir.path());
    println!("ready after {:.0?}", begun.elapsed());
    assert!(
        get(address, "/dct/v3/vdbs")
            .unwrap()
            .starts_with("HTTP/1.1 401")
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.0.id())).unwrap();
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    println!("idle: {resident}");

    let begun = Instant::now();
    let told = Command::new("kill")
        .arg(engine.0.id().to_string())
        .status()
        .unwrap();
    assert!(told.success() && engine.0.wait().unwrap().success());
    println!("stopped after {:.0?}", begun.elapsed());
}

#[test]
fn connections_are_encrypted_and_a_new_certificate_counts_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    support::programs::certificate(dir.path());
    std::fs::write(at("key"), "1.key").unwrap();
    let settings = format!(
        "listen: {address}\npool: {}\nstorage: copy\nexportPrefix: /pool/vdbs\napiKeys: [{{name: test, keyFile: {}}}]\n\
         tls: {{certFile: {}, keyFile: {}}}\npostgresBin: /usr/bin\nclientBin: /usr/bin\n",
        at("pool"),
        at("key"),
        at("tls.crt"),
        at("tls.key")
    );
    std::fs::write(at("settings.yaml"), settings).unwrap();
    let program = |command: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_vdb-engine"));
        program.args([command, "--config", &at("settings.yaml")]);
        program
    };
    let _engine = Running(program("serve").stdout(Stdio::null()).spawn().unwrap());
    // It trusts what the file holds now, and nothing else.
    let list = || program("list").output().unwrap();
    let begun = Instant::now();
    while !list().status.success() {
        let said = String::from_utf8_lossy(&list().stderr).into_owned();
        assert!(begun.elapsed() < Duration::from_secs(20), "{said}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        get(address, "/healthz").is_none_or(|answer| !answer.contains("200")),
        "answers without encryption"
    );
    let before = std::fs::read(at("tls.crt")).unwrap();
    support::programs::certificate(dir.path());
    assert_ne!(before, std::fs::read(at("tls.crt")).unwrap());
    let list = list();
    assert!(
        list.status.success(),
        "{}",
        String::from_utf8_lossy(&list.stderr)
    );
}
