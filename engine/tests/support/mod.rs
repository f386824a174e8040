//! An engine without PostgreSQL: real metadata, real files, an origin that writes a few of them, and a storage that can
//! be told to fail.

#![allow(dead_code, reason = "every test binary uses another part")]

pub(crate) mod app;
pub(crate) mod programs;
pub(crate) mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use engine::engine::Engine;
use engine::origin::{DataPoint, Error as OriginError, Facts, Origin};
use engine::settings::{ApiKey, Settings, SourceSettings, StorageKind};
use engine::storage::{Copy, Error as StorageError, Storage};

pub(crate) const KEY: &str = "1.0123456789abcdef";

/// Plain copies, as long as they are allowed to work.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) broken: Arc<AtomicBool>,
    pub(crate) file_by_file: Arc<AtomicBool>,
    /// Steps until the engine is killed; 0 never kills it.
    pub(crate) steps: Arc<AtomicUsize>,
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
    fn create(&self, root: &Path) -> Result<(), StorageError> {
        self.check()?;
        Copy.create(root)
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
        Vec::new()
    }
}

pub(crate) struct Files;

impl Origin for Files {
    fn inspect(&self, _: &SourceSettings, _: &Path) -> Result<Facts, OriginError> {
        Ok(Facts {
            version: "16.9".to_owned(),
            now: "2026-11-23T10:00:00.000000Z".to_owned(),
            ..Facts::default()
        })
    }
    fn back_up(
        &self,
        source: &SourceSettings,
        _: &Facts,
        root: &Path,
        _: &Path,
    ) -> Result<(), OriginError> {
        if source.name == "down" {
            return Err(OriginError::Unfit("the source is down".to_owned()));
        }
        std::fs::create_dir_all(root.join("data")).unwrap();
        std::fs::write(root.join("data/PG_VERSION"), "16\n").unwrap();
        std::fs::write(root.join("data/secret"), "x").unwrap();
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
    }
}

pub(crate) struct Pool {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) disk: Disk,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), KEY).unwrap();
        Self {
            dir,
            disk: Disk::default(),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            pool: self.path("pool"),
            storage: StorageKind::Copy,
            export_prefix: "/exports/".to_owned(),
            api_keys: vec![ApiKey {
                name: "test".to_owned(),
                key_file: Some(self.path("key")),
                sha256: None,
            }],
            rate_limit: None,
            postgres_bin: "/nowhere".into(),
            client_bin: "/nowhere".into(),
            sources: vec![source("largedb"), source("down")],
            tls: None,
            engine_name: "embedded".to_owned(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// As after a start: open, recover, carry out what was interrupted.
    pub(crate) fn open(&self) -> Arc<Engine> {
        let engine = Engine::open(
            self.settings(),
            Box::new(self.disk.clone()),
            Box::new(Files),
        )
        .unwrap();
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
