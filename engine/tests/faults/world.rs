//! The engine as a process of its own on a small pool, and what goes wrong around it.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use engine::storage::{Btrfs, Storage as _};
use rustix::fs::{FallocateFlags, fallocate, syncfs};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::http::{Api, text};
use crate::pace::Pace;
use crate::postgres::{Server, free_port};
use crate::source::{self, drop_slots};
use crate::support::KEY;
use crate::support::programs::{certificate, client, client_links};

const DEADLINE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const LOOK_AT_LATEST: Duration = Duration::from_millis(200);

/// What one worker keeps over all its seeds.
pub(crate) struct Ground {
    pub(crate) bin: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) small: PathBuf,
    pub(crate) source: Server,
    pub(crate) source_port: u16,
    /// For servers that the engine runs.
    pub(crate) ports: String,
    pub(crate) pace: Mutex<Pace>,
}

impl Ground {
    pub(crate) fn new(bin: &Path, dir: &Path, small: &Path) -> Result<Self, String> {
        static WORKERS: AtomicU16 = AtomicU16::new(0);
        let source_port = free_port();
        let worker = WORKERS.fetch_add(1, Ordering::Relaxed) % 10;
        let first = 10_000 + (source_port % 10 * 10 + worker) * 200;
        let source = source::make(bin, dir, source_port)?;
        std::fs::write(dir.join("key"), KEY).map_err(|e| e.to_string())?;
        std::fs::write(dir.join("password"), "secret").map_err(|e| e.to_string())?;
        certificate(dir);
        Ok(Self {
            bin: bin.to_owned(),
            dir: dir.to_owned(),
            small: small.to_owned(),
            // Below those that the system gives to callers, and another worker's are others.
            ports: format!("{first}-{}", first + 199),
            source,
            source_port,
            pace: Mutex::default(),
        })
    }

    /// An application of a copy that the engine serves: it comes over the network, with a password.
    pub(crate) fn application(
        &self,
        vdb: &Value,
        role: &str,
        password: &str,
        database: &str,
    ) -> Command {
        let port = vdb["appdata_source_params"]["postgresPort"].to_string();
        let mut psql = Command::new(client(&self.bin, &self.dir).join("psql"));
        psql.args([
            "-XAtqw",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            role,
            "-d",
            database,
        ]);
        psql.env("PGPASSWORD", password);
        psql
    }
}

pub(crate) struct World<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) pool: PathBuf,
    pub(crate) api: Api,
    settings: PathBuf,
    engine: Mutex<Option<Child>>,
    /// Whether the one that runs has answered.
    serves: AtomicBool,
}

impl<'a> World<'a> {
    /// The log of the source is received if wanted.
    pub(crate) fn new(ground: &'a Ground, seed: u64, logged: bool) -> Result<Self, String> {
        let pool = ground.small.join(format!("seed-{seed}"));
        let dir = &ground.dir;
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
        let text = format!(
            "listen: {address}\npool: {}\nstorage: btrfs\nkeepFree: \"0\"\nservers: {{listen: 127.0.0.1, ports: {}, tls: {{certFile: {}, keyFile: {}}}}}\nexportPrefix: {}\napiKeys: [{{name: test, keyFile: {}}}]\npostgresBin: {}\nclientBin: {}\n\
             sources: [{{name: largedb, host: 127.0.0.1, port: {}, database: largedb, user: replicator, passwordFile: {}{}}}]\n",
            pool.display(),
            ground.ports,
            dir.join("tls.crt").display(),
            dir.join("tls.key").display(),
            pool.join("vdbs").display(),
            dir.join("key").display(),
            ground.bin.display(),
            client_links(&ground.bin, dir).display(),
            ground.source_port,
            dir.join("password").display(),
            if logged { ", wal: {maxLag: 1G}" } else { "" },
        );
        let settings = dir.join("settings.yaml");
        std::fs::write(&settings, text).map_err(|e| e.to_string())?;
        let _ = std::fs::remove_file(dir.join("engine.log"));
        Ok(Self {
            ground,
            pool,
            api: Api { address },
            settings,
            engine: Mutex::new(None),
            serves: AtomicBool::new(false),
        })
    }

    /// Starts the engine if it does not run, and waits until it answers. On a full disk it may not come up.
    pub(crate) fn up(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            self.spawn()?;
            if self.api.get("/management/engines").is_ok() {
                self.serves.store(true, Ordering::SeqCst);
                return Ok(());
            }
            if begun.elapsed() > DEADLINE {
                return Err("the engine does not start".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn spawn(&self) -> Result<(), String> {
        let mut engine = self.engine.lock().map_err(|e| e.to_string())?;
        if let Some(child) = engine.as_mut() {
            match child.try_wait().map_err(|e| e.to_string())? {
                None => return Ok(()),
                // Without room it may give up at its start.
                Some(status) if status.signal().is_some() || self.serves.load(Ordering::SeqCst) => {
                    return Err(format!("the engine died by itself: {status}"));
                }
                Some(_) => {}
            }
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(|e| e.to_string())?;
        let program = std::env::var_os("VDB_TEST_ENGINE").map_or_else(
            || PathBuf::from(env!("CARGO_BIN_EXE_vdb-engine")),
            PathBuf::from,
        );
        let mut command = Command::new(program);
        command
            .args(["serve", "--run-hooks", "--config"])
            .arg(&self.settings)
            .env("VDB_LOG", "info");
        // A signal to the test's group is none to the engine.
        command
            .process_group(0)
            .stdout(Stdio::from(log.try_clone().map_err(|e| e.to_string())?))
            .stderr(Stdio::from(log));
        self.serves.store(false, Ordering::SeqCst);
        *engine = Some(command.spawn().map_err(|e| e.to_string())?);
        Ok(())
    }

    pub(crate) fn runs(&self) -> bool {
        self.engine.lock().is_ok_and(|engine| engine.is_some())
    }

    /// Whether the process that was begun is still there.
    pub(crate) fn is_alive(&self) -> Result<bool, String> {
        let mut engine = self.engine.lock().map_err(|e| e.to_string())?;
        let Some(child) = engine.as_mut() else {
            return Ok(false);
        };
        Ok(child.try_wait().map_err(|e| e.to_string())?.is_none())
    }

    /// All jobs, once none is under way any more.
    pub(crate) fn settled(&self) -> Result<Vec<Value>, String> {
        let begun = Instant::now();
        loop {
            self.spawn()?;
            let Ok(jobs) = self.api.list("/jobs") else {
                self.up()?;
                continue;
            };
            let Some(going) = jobs.iter().find(|job| job["status"] == "STARTED") else {
                return Ok(jobs);
            };
            if begun.elapsed() > DEADLINE {
                return Err(format!("a job that does not end: {going}"));
            }
            self.wait_for(&text(going, "id"));
        }
    }

    /// Until a job is over or the engine does not say. Its end is told in the log, moments before it is over.
    fn wait_for(&self, job: &str) {
        let begun = Instant::now();
        let (mut told, mut since) = (0, begun);
        while begun.elapsed() < DEADLINE {
            let job = self.api.get(&format!("/jobs/{job}"));
            if job.is_ok_and(|job| job["status"] == "STARTED") {
                // The longer it has been silent, the longer it may be asked nothing.
                let patience = (since.elapsed() / 2).clamp(LOOK_EVERY, LOOK_AT_LATEST);
                let asked = Instant::now();
                while asked.elapsed() < patience {
                    std::thread::sleep(LOOK_EVERY);
                    let log = std::fs::metadata(self.log()).map_or(0, |log| log.len());
                    if log != told {
                        (told, since) = (log, Instant::now());
                        break;
                    }
                }
            } else {
                return;
            }
        }
    }

    /// Places an order that must be carried out.
    pub(crate) fn done(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let answer = self.api.call(method, path, body);
        let Some((200 | 201, answer)) = answer else {
            return Err(format!("{method} {path}: {answer:?}"));
        };
        let id = text(&answer["job"], "id");
        self.settled()?;
        let job = self.api.get(&format!("/jobs/{id}"))?;
        if job["status"] == "COMPLETED" {
            Ok(answer)
        } else {
            Err(format!("{method} {path}: {job}"))
        }
    }

    /// Enables a copy for a container and says where it lies.
    pub(crate) fn enabled(&self, id: &str) -> Result<String, String> {
        self.done(
            "POST",
            &format!("/vdbs/{id}/enable"),
            &json!({"container_mode": true}),
        )?;
        let vdb = self.api.get(&format!("/vdbs/{id}"))?;
        Ok(text(&vdb, "exported_data_directory"))
    }

    /// Told to stop, and waited for.
    pub(crate) fn stop(&self) -> Result<(), String> {
        let mut engine = self.engine.lock().map_err(|e| e.to_string())?;
        let Some(mut child) = engine.take() else {
            return Ok(());
        };
        signal(Signal::TERM, child.id().cast_signed());
        let begun = Instant::now();
        while child.try_wait().map_err(|e| e.to_string())?.is_none() {
            if begun.elapsed() > DEADLINE {
                *engine = Some(child);
                return Err("the engine does not stop".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// kill -9.
    pub(crate) fn kill(&self) {
        let child = self.engine.lock().map(|mut engine| engine.take());
        if let Ok(Some(mut child)) = child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Takes all the room that files can have.
    pub(crate) fn fill(&self) {
        let path = self.ground.small.join("fill");
        let (mut from, mut size): (u64, u64) = (0, 4 << 30);
        // On a full disk there may be no room for its name.
        let Ok(fill) = File::options().create(true).append(true).open(&path) else {
            return;
        };
        while size >= 64 << 10 {
            match fallocate(&fill, FallocateFlags::empty(), from, size) {
                Ok(()) => from += size,
                Err(Errno::INTR) => {}
                Err(_) => size /= 2,
            }
        }
    }

    /// Gives a little of it back, which the file system hands out once it has written down that it may.
    pub(crate) fn make_a_little_room(&self, bytes: u64) {
        let fill = self.ground.small.join("fill");
        if let Ok(file) = File::options().write(true).open(&fill) {
            let size = file.metadata().map_or(0, |data| data.len());
            let _ = file.set_len(size.saturating_sub(bytes));
        }
        self.sync();
    }

    pub(crate) fn make_room(&self) {
        if std::fs::remove_file(self.ground.small.join("fill")).is_ok() {
            self.sync();
        }
    }

    /// Room is there once the file system has written down that it is.
    fn sync(&self) {
        if let Ok(pool) = File::open(&self.ground.small) {
            let _ = syncfs(&pool);
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.ground.dir.join("engine.log")
    }

    /// Ends of what servers say that work for the engine at the moment, and those of copies.
    pub(crate) fn server_logs(&self) -> Vec<String> {
        let logs = |parent: &str, log: &str| {
            let places = std::fs::read_dir(self.pool.join(parent));
            let places = places.into_iter().flatten().flatten();
            places
                .map(|place| place.path().join(log))
                .collect::<Vec<PathBuf>>()
        };
        let logs = [logs("run", "server.log"), logs("servers", "log")].concat();
        let end = |path: PathBuf| {
            let log = std::fs::read_to_string(&path).ok()?;
            let end = log.get(log.len().saturating_sub(2000)..).unwrap_or(&log);
            Some(format!("end of {}:\n{end}", path.display()))
        };
        logs.into_iter().filter_map(end).collect()
    }

    /// Data directory of a copy, as its pod mounts it.
    pub(crate) fn data(export: &str) -> PathBuf {
        Path::new(export).join("data")
    }

    /// A server on a copy.
    pub(crate) fn serve(&self, export: &str) -> Result<Server, String> {
        let socket = self.ground.dir.join("copy-socket");
        Server::start(
            &self.ground.bin,
            &Self::data(export),
            &socket,
            5432,
            &["-c", "listen_addresses=", "-c", "autovacuum=off"],
        )
    }
}

pub(crate) fn signal(signal: Signal, pid: i32) {
    // It may have ended just now.
    let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, signal));
}

impl World<'_> {
    /// Receivers and servers that a killed engine left.
    fn end_all(&self) {
        let begun = Instant::now();
        let pool = self.pool.display().to_string();
        while begun.elapsed() < DEADLINE {
            let mut found = false;
            for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                if String::from_utf8_lossy(&line).contains(&pool) {
                    found = true;
                    // A receiver may have been started with the latter ignored; to a server it is the stronger one.
                    let pid = process
                        .file_name()
                        .to_string_lossy()
                        .parse()
                        .unwrap_or_default();
                    for name in [Signal::TERM, Signal::QUIT] {
                        signal(name, pid);
                    }
                }
            }
            if !found {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.kill();
        self.make_room();
        self.end_all();
        let _ = drop_slots(&self.ground.source);
        let homes = std::fs::read_dir(self.pool.join("snapshots"));
        let homes = homes
            .into_iter()
            .flatten()
            .flatten()
            .map(|home| home.path());
        for parent in homes.chain([self.pool.join("vdbs")]) {
            for root in std::fs::read_dir(parent).into_iter().flatten().flatten() {
                let _ = Btrfs.delete(&root.path());
            }
        }
        let _ = std::fs::remove_dir_all(&self.pool);
    }
}
