//! The metadata: in memory for reading, in SQLite for keeping. A change is one transaction.
//!
//! A change is checked and written under the same lock, so that two callers cannot both take a name.

mod index;
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::Value;

use crate::doc::Doc;
use crate::model::{JobRecord, Kind, Object, Phase};
use index::Index;

/// Finished jobs beyond this number are forgotten, oldest first; a caller that polls sees its job for long enough.
const KEPT_JOBS: usize = 5_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("metadata")]
    Sqlite(#[from] rusqlite::Error),
    #[error("metadata is damaged: {0}")]
    Damaged(String),
    #[error("another engine has this pool: stop it, or give this one a pool of its own ({} is locked)", .0.display())]
    Taken(PathBuf),
    #[error("metadata was written by a newer engine (schema {0})")]
    Newer(i64),
    #[error("cannot copy the metadata {}", .0.display())]
    Copy(PathBuf, #[source] std::io::Error),
}

/// Copies the metadata to a directory: the file, and beside it what a killed engine has left in its log. None if there is
/// none yet. As long as the answer is held, no engine opens the file.
pub(crate) fn copy(file: &Path, to: &Path) -> Result<Option<File>, Error> {
    let failed = |error| Error::Copy(file.to_owned(), error);
    let mut whole = match File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    // SQLite's locks are of this kind too. They are gone with the first descriptor of the file that is closed, so the
    // file is read by this one.
    if fcntl_lock(&whole, FlockOperation::NonBlockingLockShared).is_err() {
        return Err(Error::Taken(file.to_owned()));
    }
    let name = file.file_name().unwrap_or_default();
    let mut copied = File::create_new(to.join(name)).map_err(failed)?;
    std::io::copy(&mut whole, &mut copied).map_err(failed)?;
    for ending in ["-wal", "-journal"] {
        let beside = |path: &Path| {
            let mut path = path.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let log = beside(file);
        if log.exists() {
            std::fs::copy(log, beside(&to.join(name))).map_err(failed)?;
        }
    }
    Ok(Some(whole))
}

pub struct Store {
    /// Whoever changes something holds it from the first check on.
    db: Mutex<sqlite::Database>,
    /// As it is on the disk. Nobody who reads waits for a change that is being written there.
    state: RwLock<State>,
}

/// Everything, for reading.
#[derive(Default)]
pub struct State {
    /// Each kind by itself, in the order of creation.
    objects: BTreeMap<(Kind, u64), Object>,
    ids: Index,
    /// Objects of every kind and scope by name.
    names: Index,
    /// Objects of every kind by a tag's key and value.
    tags: Index,
    /// In boxes: the tree's leaves are half empty, and a record is large.
    jobs: BTreeMap<u64, Box<JobRecord>>,
    /// Numbers of the jobs that are not over.
    going: BTreeSet<u64>,
    job_ids: Index,
    next: u64,
    pub system_uuid: String,
    /// The file was made just now.
    pub fresh: bool,
}

/// A change in preparation.
pub struct Draft<'a> {
    pub state: &'a State,
    writes: Vec<Write>,
    next: u64,
}

pub(crate) enum Write {
    Put(Object),
    Remove(u64),
    Job(Box<JobRecord>),
    ForgetJob(u64),
}

impl Store {
    pub fn open(file: &Path) -> Result<Self, Error> {
        let (db, state) = sqlite::Database::open(file).map_err(|error| match error {
            Error::Sqlite(error) if sqlite::is_locked(&error) => Error::Taken(file.to_owned()),
            other => other,
        })?;
        Ok(Self {
            db: Mutex::new(db),
            state: RwLock::new(state),
        })
    }

    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    /// Writes what `prepare` decided, or nothing if it refused.
    pub fn change<T, E: From<Error>>(
        &self,
        prepare: impl FnOnce(&mut Draft<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, writes, next) = {
            let state = self.state();
            let mut draft = Draft {
                next: state.next,
                state: &state,
                writes: Vec::new(),
            };
            let answer = prepare(&mut draft)?;
            let Draft {
                mut writes, next, ..
            } = draft;
            writes.extend(state.surplus_jobs());
            (answer, writes, next)
        };
        db.write(&writes, next)?;
        let state = self.state.write();
        state
            .unwrap_or_else(PoisonError::into_inner)
            .apply(writes, next);
        Ok(answer)
    }

    /// A poisoned lock guards a state that was never half changed: memory changes after the transaction, without panics.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub fn objects(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Object> {
        let all = self.objects.range((kind, 0)..=(kind, u64::MAX));
        all.map(|(_, object)| object)
    }

    pub fn live(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Object> {
        self.objects(kind).filter(|o| o.phase == Phase::Live)
    }

    /// A live object by its id.
    pub fn get(&self, kind: Kind, id: &str) -> Option<&Object> {
        self.any(kind, id).filter(|o| o.phase == Phase::Live)
    }

    pub fn any(&self, kind: Kind, id: &str) -> Option<&Object> {
        let numbers = self.ids.find(id);
        let mut found = numbers.filter_map(|number| self.objects.get(&(kind, number)));
        found.find(|o| o.id == id)
    }

    /// A live object by its id, else by a name that only one has.
    pub fn resolve(&self, kind: Kind, id_or_name: &str) -> Option<&Object> {
        self.get(kind, id_or_name).or_else(|| {
            let mut named = self.live_named(kind, id_or_name);
            named.next().filter(|_| named.next().is_none())
        })
    }

    pub fn named(&self, kind: Kind, scope: &str, name: &str) -> Option<&Object> {
        self.all_named(kind, name).find(|o| o.scope == scope)
    }

    /// Live objects of this name, whatever their scope.
    pub fn live_named<'a>(&'a self, kind: Kind, name: &str) -> impl Iterator<Item = &'a Object> {
        self.all_named(kind, name)
            .filter(|o| o.phase == Phase::Live)
    }

    pub fn live_tagged<'a>(
        &'a self,
        kind: Kind,
        key: &str,
        value: &str,
    ) -> impl Iterator<Item = &'a Object> {
        let numbers = self.tags.find(&(key, value));
        numbers
            .filter_map(move |number| self.objects.get(&(kind, number)))
            .filter(|o| o.phase == Phase::Live)
            .filter(move |o| tags_of(o).iter().any(|(k, v)| k == key && v == value))
    }

    fn all_named<'a>(&'a self, kind: Kind, name: &str) -> impl Iterator<Item = &'a Object> {
        let numbers = self.names.find(name);
        numbers
            .filter_map(move |number| self.objects.get(&(kind, number)))
            .filter(move |o| o.name == name)
    }

    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &JobRecord> {
        self.jobs.values().map(AsRef::as_ref)
    }

    /// Those that are not over.
    pub fn going(&self) -> impl DoubleEndedIterator<Item = &JobRecord> {
        let numbers = self.going.iter();
        numbers.filter_map(|number| self.jobs.get(number).map(AsRef::as_ref))
    }

    pub fn job(&self, id: &str) -> Option<&JobRecord> {
        let numbers = self.job_ids.find(id);
        let mut found = numbers.filter_map(|number| self.jobs.get(&number));
        found.find(|record| record.job.id == id).map(AsRef::as_ref)
    }

    /// The unfinished job on an object.
    pub fn busy(&self, target: &str) -> Option<&JobRecord> {
        self.going().rev().find(|j| {
            j.intent.as_ref().is_some_and(|intent| {
                j.job.target_id.as_deref() == Some(target) || intent.touches(target)
            })
        })
    }

    /// Objects made from this one, whether they are live yet or not.
    pub fn children<'a>(
        &'a self,
        kind: Kind,
        parent: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a Object> {
        self.objects(kind)
            .filter(move |o| o.parent.as_deref() == Some(parent))
    }

    fn surplus_jobs(&self) -> Vec<Write> {
        let surplus = self.jobs.len().saturating_sub(KEPT_JOBS);
        self.jobs
            .values()
            .filter(|j| j.intent.is_none())
            .take(surplus)
            .map(|j| Write::ForgetJob(j.number))
            .collect()
    }

    /// Where an object is looked up.
    fn remember(&mut self, object: &Object) {
        let number = object.number;
        self.ids.insert(&*object.id, number);
        self.names.insert(&*object.name, number);
        for (key, value) in tags_of(object) {
            self.tags.insert(&(&*key, &*value), number);
        }
    }

    fn forget(&mut self, number: u64) {
        let keys = Kind::ALL.map(|kind| (kind, number));
        let Some(object) = keys.iter().find_map(|key| self.objects.remove(key)) else {
            return;
        };
        self.ids.remove(&*object.id, number);
        self.names.remove(&*object.name, number);
        for (key, value) in tags_of(&object) {
            self.tags.remove(&(&*key, &*value), number);
        }
    }

    fn apply(&mut self, writes: Vec<Write>, next: u64) {
        self.next = next;
        for write in writes {
            self.apply_one(write);
        }
    }

    fn apply_one(&mut self, write: Write) {
        match write {
            Write::Put(object) => {
                self.forget(object.number);
                self.remember(&object);
                self.objects.insert((object.kind, object.number), object);
            }
            Write::Remove(number) => {
                self.forget(number);
            }
            Write::Job(record) => {
                self.job_ids.insert(&*record.job.id, record.number);
                match record.intent {
                    Some(_) => self.going.insert(record.number),
                    None => self.going.remove(&record.number),
                };
                self.jobs.insert(record.number, record);
            }
            Write::ForgetJob(number) => {
                self.going.remove(&number);
                if let Some(record) = self.jobs.remove(&number) {
                    self.job_ids.remove(&*record.job.id, number);
                }
            }
        }
    }
}

fn tags_of(object: &Object) -> Vec<(String, String)> {
    let tags = object.doc.get("tags").map(|tags| tags.value());
    let tags = tags.as_ref().and_then(Value::as_array);
    let text = |tag: &Value, field: &str| Some(tag.get(field)?.as_str()?.to_owned());
    tags.into_iter()
        .flatten()
        .filter_map(|tag| Some((text(tag, "key")?, text(tag, "value")?)))
        .collect()
}

impl Draft<'_> {
    /// A number that no object or job ever had.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn put(&mut self, object: Object) {
        self.writes.push(Write::Put(object));
    }

    pub fn remove(&mut self, number: u64) {
        self.writes.push(Write::Remove(number));
    }

    pub fn job(&mut self, record: JobRecord) {
        self.writes.push(Write::Job(Box::new(record)));
    }

    /// As the change so far left it: an object may be written more than once.
    pub fn object(&self, kind: Kind, id: &str) -> Option<Object> {
        let written = self.writes.iter().rev().find_map(|write| match write {
            Write::Put(object) if object.id == id && object.kind == kind => {
                Some(Some(object.clone()))
            }
            _ => None,
        });
        written.unwrap_or_else(|| self.state.any(kind, id).cloned())
    }

    /// The same object with another document.
    pub fn rewrite(&mut self, object: &Object, doc: impl Into<Doc>) {
        self.put(Object {
            doc: doc.into(),
            ..object.clone()
        });
    }
}
