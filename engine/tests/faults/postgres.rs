//! Servers of the test itself: the source, and one on a copy as its pod would run it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::programs::client;

const DEADLINE: Duration = Duration::from_secs(60);
/// What every copy must answer to: rows, their sum, and the sum of the index's order.
const SUM: &str = "select count(*), md5(string_agg(md5, '' order by n)) from orders";

pub(crate) struct Server {
    bin: PathBuf,
    client: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    port: u16,
}

impl Server {
    /// Starts one on a data directory and waits until it answers.
    pub(crate) fn start(
        bin: &Path,
        data: &Path,
        socket: &Path,
        port: u16,
        options: &[&str],
    ) -> Result<Self, String> {
        std::fs::create_dir_all(socket).map_err(|e| e.to_string())?;
        let hba = socket.join("pg_hba.conf");
        let rules =
            "local all all trust\nhost all,replication replicator 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(&hba, rules).map_err(|e| e.to_string())?;
        let server = Self {
            bin: bin.to_owned(),
            client: client(bin, socket.parent().unwrap_or(socket)),
            data: data.to_owned(),
            socket: socket.to_owned(),
            port,
        };
        let log = std::fs::File::create(socket.join("log")).map_err(|e| e.to_string())?;
        let mut command = Command::new(bin.join("postgres"));
        command
            .arg("-D")
            .arg(data)
            .arg("-k")
            .arg(socket)
            .args(["-p", &port.to_string()]);
        command.arg("-c").arg(format!("hba_file={}", hba.display()));
        command.args([
            "-c",
            "shared_buffers=16MB",
            "-c",
            "fsync=off",
            "-c",
            "logging_collector=off",
        ]);
        command.args(options).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let begun = Instant::now();
        while server.query("postgres", "select 1").is_err() {
            let ended = child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || begun.elapsed() > DEADLINE {
                let said = std::fs::read_to_string(socket.join("log")).unwrap_or_default();
                return Err(format!("no server on {}: {said}", data.display()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // pg_ctl stops it and init reaps it.
        drop(child);
        Ok(server)
    }

    pub(crate) fn query(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.client.join("psql"));
        command.args([
            "-XAtqv",
            "ON_ERROR_STOP=1",
            "-U",
            "boss",
            "-d",
            database,
            "-c",
            sql,
        ]);
        self.run(&mut command)
    }

    pub(crate) fn mark(&self, token: &str) -> Result<(), String> {
        self.query("largedb", &format!("insert into marks values ('{token}')"))
            .map(drop)
    }

    pub(crate) fn marks(&self) -> Result<BTreeSet<String>, String> {
        let rows = self.query("largedb", "select token from marks")?;
        Ok(rows.lines().map(str::to_owned).collect())
    }

    pub(crate) fn sum(&self) -> Result<String, String> {
        self.query("largedb", SUM)
    }

    /// Every table and every index, each index against its table.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut command = Command::new(self.client.join("pg_amcheck"));
        command.args([
            "-U",
            "boss",
            "-d",
            "largedb",
            "--install-missing",
            "--heapallindexed",
            "--parent-check",
        ]);
        self.run(&mut command).map(drop)
    }

    fn run(&self, command: &mut Command) -> Result<String, String> {
        command
            .arg("-h")
            .arg(&self.socket)
            .args(["-p", &self.port.to_string()]);
        let output = command.output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&said)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn stop(&self, mode: &str) {
        let mut command = Command::new(self.bin.join("pg_ctl"));
        command
            .args(["stop", "-s", "-w", "-m", mode, "-D"])
            .arg(&self.data);
        let _ = command.stderr(Stdio::null()).status();
    }

    /// As a machine that loses power.
    pub(crate) fn crash(self) {
        self.stop("immediate");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop("fast");
    }
}

/// A small source with rows, an index, and checksums on its pages.
pub(crate) fn source(bin: &Path, dir: &Path, port: u16) -> Result<Server, String> {
    let data = dir.join("source");
    let mut command = Command::new(bin.join("initdb"));
    command.args([
        "-U",
        "boss",
        "-A",
        "trust",
        "--locale=C.UTF-8",
        "-E",
        "UTF8",
        "--no-sync",
        "--data-checksums",
        "-D",
    ]);
    let made = command.arg(&data).output().map_err(|e| e.to_string())?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let options = [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "wal_level=replica",
    ];
    let server = Server::start(bin, &data, &dir.join("source-socket"), port, &options)?;
    server.query(
        "postgres",
        "create role replicator login replication password 'secret'",
    )?;
    server.query("postgres", "create database largedb")?;
    server.query("largedb", "create table marks (token text primary key)")?;
    server.query(
        "largedb",
        "create table orders as select n, md5(n::text) from generate_series(1, 20000) n",
    )?;
    server.query("largedb", "create unique index on orders (n)")?;
    server.query("largedb", "create index on orders (md5)")?;
    Ok(server)
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    listener
        .and_then(|l| l.local_addr())
        .map_or(0, |a| a.port())
}
