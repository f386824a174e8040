//! Servers of the test itself: the source, and one on a copy as its pod would run it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::model::Data;
use crate::support::programs::client;

const DEADLINE: Duration = Duration::from_secs(60);
/// Of the rows of a table that the source changes.
const SUM: &str = "select count(*), md5(string_agg(md5, '' order by n)) from orders";

/// How a server is asked.
pub(crate) struct Client {
    pub(crate) programs: PathBuf,
    pub(crate) host: PathBuf,
    pub(crate) port: u16,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

pub(crate) struct Server {
    bin: PathBuf,
    data: PathBuf,
    options: Vec<String>,
    client: Client,
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    pub(crate) fn query(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-XAtqwv", "ON_ERROR_STOP=1", "-d", database, "-c", sql]);
        self.run(&mut command)
    }

    pub(crate) fn mark(&self, token: &str) -> Result<(), String> {
        self.query("largedb", &format!("insert into marks values ('{token}')"))
            .map(drop)
    }

    /// Everything that must be as it was written.
    pub(crate) fn holds(&self) -> Result<Data, String> {
        let rows = self.query("largedb", "select token from marks")?;
        Ok(Data {
            marks: rows.lines().map(str::to_owned).collect(),
            sum: self.query("largedb", SUM)?,
        })
    }

    /// Every table and every index, each index against its table.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut command = Command::new(self.programs.join("pg_amcheck"));
        command.args([
            "-w",
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
            .arg(&self.host)
            .args(["-p", &self.port.to_string(), "-U", self.user])
            .env("PGPASSWORD", self.password);
        let output = command.output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(format!("{command:?}: {}", String::from_utf8_lossy(&said)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
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
            data: data.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            client: Client {
                programs: client(bin, socket.parent().unwrap_or(socket)),
                host: socket.to_owned(),
                port,
                user: "boss",
                password: "",
            },
        };
        server.up()?;
        Ok(server)
    }

    pub(crate) fn up(&self) -> Result<(), String> {
        let socket = &self.client.host;
        let log = std::fs::File::create(socket.join("log")).map_err(|e| e.to_string())?;
        let mut command = Command::new(self.bin.join("postgres"));
        command
            .arg("-D")
            .arg(&self.data)
            .arg("-k")
            .arg(socket)
            .args(["-p", &self.client.port.to_string()]);
        command
            .arg("-c")
            .arg(format!("hba_file={}", socket.join("pg_hba.conf").display()));
        command.args([
            "-c",
            "shared_buffers=16MB",
            "-c",
            "fsync=off",
            "-c",
            "logging_collector=off",
        ]);
        command
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(log);
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let begun = Instant::now();
        while self.query("postgres", "select 1").is_err() {
            let ended = child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || begun.elapsed() > DEADLINE {
                let said = std::fs::read_to_string(socket.join("log")).unwrap_or_default();
                return Err(format!("no server on {}: {said}", self.data.display()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // pg_ctl stops it; this reaps it.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    pub(crate) fn stop(&self, mode: &str) {
        let mut command = Command::new(self.bin.join("pg_ctl"));
        command
            .args(["stop", "-s", "-w", "-m", mode, "-D"])
            .arg(&self.data);
        let _ = command.stderr(Stdio::null()).status();
    }

    /// The file of a table.
    pub(crate) fn file_of(&self, table: &str) -> Result<PathBuf, String> {
        let path = self.query(
            "largedb",
            &format!("select pg_relation_filepath('{table}')"),
        )?;
        Ok(self.data.join(path))
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
        // A small log has as many segments as a large one of the usual size.
        "--wal-segsize=1",
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
    // Its pages are written once, and only on the disk can they be damaged.
    server.query(
        "largedb",
        "create table cold as select n from generate_series(1, 5000) n",
    )?;
    server.query("postgres", "checkpoint")?;
    Ok(server)
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    listener
        .and_then(|l| l.local_addr())
        .map_or(0, |a| a.port())
}
