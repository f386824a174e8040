//! Servers of the test itself: the source, and one on a copy as its pod would run it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::model::Data;
use crate::support::programs::client;
use crate::wire::Connection;

const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A database that every server has.
pub(crate) const ADMIN: &str = "template1";
/// Of the rows of a table that the source changes.
const SUM: &str = "select count(*), md5(string_agg(md5, '' order by n)) from orders";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Fast,
    /// As a power failure.
    Immediate,
}

/// How a server is asked over the network, and checked.
pub(crate) struct Client {
    pub(crate) programs: PathBuf,
    pub(crate) host: PathBuf,
    pub(crate) port: u16,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

/// One that can be asked, and whose tables and indexes can be checked.
pub(crate) trait Asked {
    fn query(&self, database: &str, sql: &str) -> Result<String, String>;

    fn client(&self) -> &Client;

    fn mark(&self, token: &str) -> Result<(), String> {
        self.query("largedb", &format!("insert into marks values ('{token}')"))
            .map(drop)
    }

    /// Everything that must be as it was written.
    fn holds(&self) -> Result<Data, String> {
        let text = self.query("largedb", &format!("{SUM}; select token from marks"))?;
        let mut lines = text.lines().map(str::to_owned);
        Ok(Data {
            sum: lines.next().unwrap_or_default(),
            marks: lines.collect(),
        })
    }

    /// Every table and every index, each index against its table.
    fn check(&self) -> Result<(), String> {
        let client = self.client();
        let mut command = Command::new(client.programs.join("pg_amcheck"));
        command.args([
            "-w",
            "-d",
            "largedb",
            "--install-missing",
            "--heapallindexed",
            "--parent-check",
        ]);
        client.run(&mut command).map(drop)
    }
}

impl Asked for Client {
    fn query(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-XAtqwv", "ON_ERROR_STOP=1", "-d", database, "-c", sql]);
        self.run(&mut command)
    }

    fn client(&self) -> &Client {
        self
    }
}

impl Client {
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

pub(crate) struct Server {
    bin: PathBuf,
    data: PathBuf,
    options: Vec<String>,
    client: Client,
    process: Mutex<Option<Child>>,
    /// The last one that was asked by, with its database.
    connection: Mutex<Option<(String, Connection)>>,
}

impl Asked for Server {
    fn query(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut last = self.connection.lock().map_err(|e| e.to_string())?;
        let fitting = last.take().filter(|(of, _)| of == database);
        let connection = if let Some((_, connection)) = fitting {
            connection
        } else {
            let Client {
                host, port, user, ..
            } = &self.client;
            Connection::open(host, *port, user, database)?
        };
        let answer = connection
            .query(sql)
            .map_err(|why| format!("{sql}: {why}"))?;
        // One that failed is not used again.
        *last = Some((database.to_owned(), connection));
        Ok(answer)
    }

    fn client(&self) -> &Client {
        &self.client
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
            process: Mutex::default(),
            connection: Mutex::default(),
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
        while !self.is_ready(child.id()) {
            let ended = child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || begun.elapsed() > DEADLINE {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(socket.join("log")).unwrap_or_default();
                return Err(format!("no server on {}: {said}", self.data.display()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        *self.process.lock().map_err(|e| e.to_string())? = Some(child);
        self.query(ADMIN, "select 1").map(drop)
    }

    /// Its own word in the file that may be another's, left in the data.
    fn is_ready(&self, pid: u32) -> bool {
        let file = self.data.join("postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut lines = text.lines();
        lines.next() == Some(&pid.to_string())
            && lines.last().is_some_and(|status| status.trim() == "ready")
    }

    /// Waits for its end.
    pub(crate) fn stop(&self, mode: Stop) {
        if let Ok(mut last) = self.connection.lock() {
            *last = None;
        }
        let Some(mut child) = self.process.lock().ok().and_then(|mut held| held.take()) else {
            return;
        };
        let signal = match mode {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        };
        let _ = kill_process(Pid::from_child(&child), signal);
        let begun = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            assert!(
                begun.elapsed() < DEADLINE,
                "the server on {} does not stop",
                self.data.display()
            );
            std::thread::sleep(LOOK_EVERY);
        }
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
        self.stop(Stop::Immediate);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Stop::Fast);
    }
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    listener
        .and_then(|l| l.local_addr())
        .map_or(0, |a| a.port())
}
