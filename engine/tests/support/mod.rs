//! An engine without PostgreSQL: real metadata, real files, an origin that writes a few of them, and a storage that can
//! be told to fail.

#![allow(dead_code, reason = "every test binary uses another part")]

pub(crate) mod app;
pub(crate) mod classic;
pub(crate) mod peer;
pub(crate) mod programs;
pub(crate) mod schema;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::engine::Engine;
use engine::origin::{
    Archive, Commit, DataPoint, Error as OriginError, Facts, Found, Location, Origin, Progress,
    Slot, Until,
};
use engine::settings::{
    ApiKey, RunHooks, ServerSettings, Settings, SourceSettings, StorageKind, WalSettings,
};
use engine::storage::{Copy, Error as StorageError, Storage};

pub(crate) const KEY: &str = "1.0123456789abcdef";

/// Plain copies, as long as they are allowed to work.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) broken: Arc<AtomicBool>,
    /// Not there at all.
    pub(crate) unmounted: Arc<AtomicBool>,
    pub(crate) file_by_file: Arc<AtomicBool>,
    /// Steps until the engine is killed; 0 never kills it.
    pub(crate) steps: Arc<AtomicUsize>,
    /// Free bytes, where they are not those of the file system.
    pub(crate) free: Arc<Mutex<Option<u64>>>,
    /// Copies share what nobody writes to, and take a mebibyte at first.
    pub(crate) thin: Arc<AtomicBool>,
}

impl Disk {
    /// Killed here: nothing of the job's thread runs any more.
    fn step(&self) {
        let last = self
            .steps
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        assert!(last != Ok(1), "killed");
    }

    fn stepped<T>(&self, work: impl FnOnce() -> T) -> T {
        self.step();
        let done = work();
        self.step();
        done
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StorageError::Unexpected("the disk is broken".to_owned()));
        }
        Ok(())
    }
}

impl Storage for Disk {
    fn name(&self) -> &'static str {
        "test"
    }
    fn warning(&self) -> Option<&'static str> {
        Some("copies of a test")
    }
    fn at_one_instant(&self) -> bool {
        !self.file_by_file.load(Ordering::SeqCst)
    }
    fn needs(&self, bytes: u64) -> u64 {
        if self.shares_blocks() { 1 << 20 } else { bytes }
    }
    fn shares_blocks(&self) -> bool {
        self.thin.load(Ordering::SeqCst)
    }
    fn capacity(&self, pool: &Path) -> Option<(u64, u64)> {
        let free = *self.free.lock().unwrap();
        free.map_or_else(|| Copy.capacity(pool), |free| Some((u64::MAX, free)))
    }
    fn create(&self, root: &Path) -> Result<(), StorageError> {
        self.check()?;
        self.stepped(|| Copy.create(root))
    }
    fn copy(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.check()?;
        self.stepped(|| Copy.copy(from, to))
    }
    fn seal(&self, root: &Path) -> Result<(), StorageError> {
        self.stepped(|| Copy.seal(root))
    }
    fn delete(&self, root: &Path) -> Result<(), StorageError> {
        self.check()?;
        self.stepped(|| Copy.delete(root))
    }
    fn own_bytes(&self, root: &Path) -> Result<u64, StorageError> {
        Copy.own_bytes(root)
    }
    fn flush(&self, _pool: &Path) -> Result<(), StorageError> {
        Ok(())
    }
    fn problems(&self, _pool: &Path) -> Vec<String> {
        let unmounted = self.unmounted.load(Ordering::SeqCst);
        let problem = "nothing is mounted at the pool".to_owned();
        unmounted.then_some(problem).into_iter().collect()
    }
}

/// Sources, as a test wants them.
#[derive(Clone, Default)]
pub(crate) struct Files {
    pub(crate) disk: Disk,
    /// Base backups that break off before one is whole.
    pub(crate) breaks: Arc<AtomicUsize>,
    /// What the sources say of their size.
    pub(crate) bytes: Arc<AtomicU64>,
    /// Replays that find less of the log than there was.
    pub(crate) short: Arc<AtomicUsize>,
    /// Receivers that were ever begun.
    pub(crate) receivers: Arc<Mutex<Vec<u32>>>,
    /// Slots that the sources have.
    pub(crate) slots: Arc<Mutex<HashMap<String, Slot>>>,
}

/// Seconds after 2026-11-23T10:00:00Z at which something was committed, and where.
pub(crate) const COMMITS: [(i64, u64); 2] = [(10, 0x300_0100), (20, 0x300_0200)];
const TEN: i64 = 1_795_428_000_000_000;

impl Origin for Files {
    fn inspect(&self, _: &SourceSettings, _: &Path) -> Result<Facts, OriginError> {
        Ok(Facts {
            version: "16.9".to_owned(),
            now: "2026-11-23T10:00:00.000000Z".to_owned(),
            bytes: self.bytes.load(Ordering::SeqCst),
            ..Facts::default()
        })
    }
    fn back_up(
        &self,
        source: &SourceSettings,
        _: &Facts,
        root: &Path,
        _: &Path,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), OriginError> {
        tell(Progress {
            done: 1 << 20,
            total: 4 << 20,
        });
        let breaks = self
            .breaks
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if breaks.is_ok() {
            std::fs::create_dir_all(root.join("half")).unwrap();
            return Err(OriginError::BrokeOff {
                source_name: source.name.clone(),
                source: engine::process::Error::Failed {
                    program: "pg_basebackup".to_owned(),
                    said: "connection lost".to_owned(),
                },
            });
        }
        assert!(!root.join("half").exists(), "begun anew");
        if source.name == "down" {
            return Err(OriginError::Unfit("the source is down".to_owned()));
        }
        self.disk.stepped(|| {
            std::fs::create_dir_all(root.join("data")).unwrap();
            std::fs::write(root.join("data/PG_VERSION"), "16\n").unwrap();
            std::fs::write(root.join("data/secret"), "x").unwrap();
            classic::cluster(&root.join("data"));
        });
        Ok(())
    }
    fn make_template(
        &self,
        _: &SourceSettings,
        root: &Path,
        _: &Path,
    ) -> Result<DataPoint, OriginError> {
        std::fs::remove_file(root.join("data/secret")).unwrap();
        Ok(DataPoint {
            timestamp: Some("2026-11-23T10:00:01.000000Z".to_owned()),
            location: "0/3000000".to_owned(),
        })
    }
    fn replay(
        &self,
        _: &SourceSettings,
        root: &Path,
        _: &Path,
        to: Location,
        _: &Path,
    ) -> Result<DataPoint, OriginError> {
        assert!(root.join("data/secret").exists(), "of the backup itself");
        let short = self
            .short
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if short.is_ok() {
            std::fs::remove_file(root.join("data/secret")).unwrap();
            let said = "FATAL: recovery ended before configured recovery target was reached";
            return Err(OriginError::Server(said.to_owned()));
        }
        self.disk.stepped(|| {
            std::fs::remove_file(root.join("data/secret")).unwrap();
            std::fs::write(root.join("data/replayed"), to.to_string()).unwrap();
        });
        Ok(DataPoint {
            timestamp: None,
            location: to.to_string(),
        })
    }
    fn find(
        &self,
        _: Archive<'_>,
        _: Location,
        until: Until,
    ) -> Result<Option<Found>, OriginError> {
        let end = 0x300_0300;
        let commits = COMMITS.map(|(second, place)| Commit {
            location: Location(place),
            time: TEN + second * 1_000_000,
        });
        let belongs = |commit: &&Commit| match until {
            Until::Time(time) => commit.time <= time,
            Until::Location(place) => commit.location <= place,
        };
        let last = commits.iter().rev().find(belongs).copied();
        let passed = match until {
            Until::Time(time) => time < commits[1].time,
            Until::Location(place) => place.0 <= end,
        };
        let end = Location(end);
        Ok(Some(Found { last, passed, end }))
    }
    fn slot(&self, _: &SourceSettings, name: &str, _: &Path) -> Result<Option<Slot>, OriginError> {
        Ok(self.slots.lock().unwrap().get(name).copied())
    }
    fn make_slot(&self, _: &SourceSettings, name: &str, _: &Path) -> Result<(), OriginError> {
        let slot = Slot::default();
        let before = self.slots.lock().unwrap().insert(name.to_owned(), slot);
        assert_eq!(before, None, "made once");
        Ok(())
    }
    fn drop_slot(&self, source: &SourceSettings, name: &str, _: &Path) -> Result<(), OriginError> {
        if source.host == "unreachable" {
            return Err(OriginError::Unfit("the source is down".to_owned()));
        }
        self.slots.lock().unwrap().remove(name);
        Ok(())
    }
    /// A program that runs until it is ended, and a first segment.
    fn receive(
        &self,
        _: &SourceSettings,
        slot: &str,
        into: &Path,
        _: &Path,
    ) -> Result<Child, OriginError> {
        assert!(self.slots.lock().unwrap().contains_key(slot));
        let segment = if into.ends_with("1") {
            SEGMENT
        } else {
            LATER_SEGMENT
        };
        let file = std::fs::File::create(into.join(segment)).unwrap();
        file.set_len(16 << 20).unwrap();
        let receiver = Command::new("sleep").arg("600").spawn().unwrap();
        self.receivers.lock().unwrap().push(receiver.id());
        Ok(receiver)
    }
    fn tidy(&self, root: &Path) -> Result<(), OriginError> {
        let _ = std::fs::remove_file(root.join("data/postmaster.pid"));
        Ok(())
    }
    fn look(&self, root: &Path) -> Result<(bool, DataPoint), OriginError> {
        let point = DataPoint {
            timestamp: None,
            location: "0/4000000".to_owned(),
        };
        Ok((!root.join("data/dirty").exists(), point))
    }
}

/// The one that holds 0/3000000, and one behind a gap.
pub(crate) const SEGMENT: &str = "000000010000000000000003.partial";
pub(crate) const LATER_SEGMENT: &str = "000000010000000000000009.partial";

pub(crate) fn source(name: &str) -> SourceSettings {
    SourceSettings {
        name: name.to_owned(),
        host: "10.0.1.54".to_owned(),
        port: 5432,
        database: name.to_owned(),
        user: "replicator".to_owned(),
        password_file: "/nowhere".into(),
        max_rate: None,
        snapshots: None,
        wal: None,
    }
}

pub(crate) struct Pool {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) disk: Disk,
    pub(crate) keep_free: String,
    pub(crate) origin: Files,
    /// Whether the sources' logs are kept.
    pub(crate) logged: bool,
    /// For servers that the engine runs.
    pub(crate) servers: Option<ServerSettings>,
    pub(crate) run_hooks: Option<RunHooks>,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), KEY).unwrap();
        let disk = Disk::default();
        Self {
            dir,
            keep_free: "0".to_owned(),
            origin: Files {
                disk: disk.clone(),
                ..Files::default()
            },
            disk,
            logged: false,
            servers: None,
            run_hooks: None,
        }
    }

    /// For virtual databases whose server the engine runs.
    pub(crate) fn classic() -> Self {
        let pool = Self::new();
        classic::programs(&pool.path("bin"));
        Self {
            servers: Some(ServerSettings {
                listen: "127.0.0.1".parse().unwrap(),
                ports: "5400-5499".to_owned(),
                tls: None,
            }),
            ..pool
        }
    }

    /// The same with hooks that are run.
    pub(crate) fn hooked() -> Self {
        let deadline = Duration::from_secs(60);
        Self {
            run_hooks: Some(RunHooks { deadline }),
            ..Self::classic()
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            pool: self.path("pool"),
            storage: StorageKind::Copy,
            keep_free: self.keep_free.clone(),
            export_prefix: "/exports/".to_owned(),
            api_keys: vec![ApiKey {
                name: "test".to_owned(),
                key_file: Some(self.path("key")),
                sha256: None,
                read_only: false,
            }],
            rate_limit: None,
            postgres_bin: self.path("bin").into(),
            client_bin: self.path("bin"),
            servers: self.servers.clone(),
            sources: ["largedb", "down"].map(|name| self.source(name)).to_vec(),
            tls: None,
            engine_name: "embedded".to_owned(),
            run_hooks: self.run_hooks,
        }
    }

    fn source(&self, name: &str) -> SourceSettings {
        let wal = WalSettings {
            max_lag: "1G".to_owned(),
            keep: None,
        };
        SourceSettings {
            wal: self.logged.then_some(wal),
            ..source(name)
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As after a start: open, recover, carry out what was interrupted.
    pub(crate) fn open(&self) -> Arc<Engine> {
        let mut engine = Engine::open(
            self.settings(),
            Box::new(self.disk.clone()),
            Box::new(self.origin.clone()),
        )
        .unwrap();
        let disk = self.disk.clone();
        engine.at_step = Some(Box::new(move || disk.step()));
        for job in engine.recover().unwrap() {
            engine.execute(&job);
        }
        Arc::new(engine)
    }

    /// With `largedb` linked.
    pub(crate) fn linked(&self) -> Arc<Engine> {
        let engine = self.open();
        let request = dct::types::LinkAppdata {
            source_id: Some("largedb".to_owned()),
            ..Default::default()
        };
        let job = engine.link(&request).unwrap().job.unwrap();
        engine.execute(&job.id);
        engine
    }

    pub(crate) fn break_disk(&self, broken: bool) {
        self.disk.broken.store(broken, Ordering::SeqCst);
    }
}
