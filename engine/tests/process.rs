//! The program itself: it starts, answers, needs little memory, and stops when told.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
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

#[test]
fn an_idle_engine_is_small_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    std::fs::write(at("key"), "1.key").unwrap();
    let settings = format!(
        "listen: {address}\npool: {}\nstorage: copy\nexportPrefix: /pool/vdbs\napiKeys: [{{name: test, keyFile: {}}}]\n\
         postgresBin: /usr/bin\nclientBin: /usr/bin\n",
        at("pool"),
        at("key")
    );
    std::fs::write(at("settings.yaml"), settings).unwrap();
    let mut engine = Command::new(env!("CARGO_BIN_EXE_vdb-engine"))
        .args(["serve", "--config", &at("settings.yaml")])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while get(address, "/healthz").is_none_or(|answer| !answer.starts_with("HTTP/1.1 200")) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it does not start"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("ready after {:.0?}", begun.elapsed());
    assert!(
        get(address, "/dct/v3/vdbs")
            .unwrap()
            .starts_with("HTTP/1.1 401")
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.id())).unwrap();
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    println!("idle: {resident}");

    let begun = Instant::now();
    let told = Command::new("kill")
        .arg(engine.id().to_string())
        .status()
        .unwrap();
    assert!(told.success() && engine.wait().unwrap().success());
    println!("stopped after {:.0?}", begun.elapsed());
}

/// Ended, whatever happens.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
