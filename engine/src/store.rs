//! The metadata: in memory for reading, in SQLite for keeping. One lock; a change is one transaction.
//!
//! A change is checked and written under the same lock, so that two callers cannot both take a name.

mod sqlite;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::model::{JobRecord, Kind, Object, Phase};

/// Finished jobs beyond this number are forgotten, oldest first; a caller that polls sees its job for long enough.
const KEPT_JOBS: usize = 5_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("metadata")]
    Sqlite(#[from] rusqlite::Error),
    #[error("metadata is damaged: {0}")]
    Damaged(String),
    #[error("metadata was written by a newer engine (schema {0})")]
    Newer(i64),
}

pub struct Store {
    inner: Mutex<Inner>,
}

struct Inner {
    db: sqlite::Database,
    state: State,
}

/// Everything, for reading.
#[derive(Default)]
pub struct State {
    objects: BTreeMap<u64, Object>,
    object_numbers: HashMap<String, u64>,
    jobs: BTreeMap<u64, JobRecord>,
    job_numbers: HashMap<String, u64>,
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
        let (db, state) = sqlite::Database::open(file)?;
        Ok(Self {
            inner: Mutex::new(Inner { db, state }),
        })
    }

    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock().state)
    }

    /// Writes what `prepare` decided, or nothing if it refused.
    pub fn change<T, E: From<Error>>(
        &self,
        prepare: impl FnOnce(&mut Draft<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let mut draft = Draft {
            next: inner.state.next,
            state: &inner.state,
            writes: Vec::new(),
        };
        let answer = prepare(&mut draft)?;
        let Draft {
            mut writes, next, ..
        } = draft;
        writes.extend(inner.state.surplus_jobs());
        inner.db.write(&writes, next)?;
        inner.state.apply(writes, next);
        Ok(answer)
    }

    /// A poisoned lock guards a state that was never half changed: memory changes after the transaction, without panics.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub fn objects(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Object> {
        self.objects.values().filter(move |o| o.kind == kind)
    }

    pub fn live(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Object> {
        self.objects(kind).filter(|o| o.phase == Phase::Live)
    }

    /// A live object by its id.
    pub fn get(&self, kind: Kind, id: &str) -> Option<&Object> {
        self.any(kind, id).filter(|o| o.phase == Phase::Live)
    }

    pub fn any(&self, kind: Kind, id: &str) -> Option<&Object> {
        self.objects
            .get(self.object_numbers.get(id)?)
            .filter(|o| o.kind == kind)
    }

    /// A live object by its id, else by a name that only one has.
    pub fn resolve(&self, kind: Kind, id_or_name: &str) -> Option<&Object> {
        self.get(kind, id_or_name).or_else(|| {
            let mut named = self.live(kind).filter(|o| o.name == id_or_name);
            named.next().filter(|_| named.next().is_none())
        })
    }

    pub fn named(&self, kind: Kind, scope: &str, name: &str) -> Option<&Object> {
        self.objects(kind)
            .find(|o| o.scope == scope && o.name == name)
    }

    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &JobRecord> {
        self.jobs.values()
    }

    pub fn job(&self, id: &str) -> Option<&JobRecord> {
        self.jobs.get(self.job_numbers.get(id)?)
    }

    /// The unfinished job on an object.
    pub fn busy(&self, target: &str) -> Option<&JobRecord> {
        // Unfinished jobs are among the youngest.
        self.jobs.values().rev().find(|j| {
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

    fn apply(&mut self, writes: Vec<Write>, next: u64) {
        self.next = next;
        for write in writes {
            match write {
                Write::Put(object) => {
                    self.object_numbers.insert(object.id.clone(), object.number);
                    self.objects.insert(object.number, object);
                }
                Write::Remove(number) => {
                    if let Some(object) = self.objects.remove(&number) {
                        self.object_numbers.remove(&object.id);
                    }
                }
                Write::Job(record) => {
                    self.job_numbers
                        .insert(record.job.id.clone(), record.number);
                    self.jobs.insert(record.number, *record);
                }
                Write::ForgetJob(number) => {
                    if let Some(record) = self.jobs.remove(&number) {
                        self.job_numbers.remove(&record.job.id);
                    }
                }
            }
        }
    }
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
    pub fn rewrite(&mut self, object: &Object, doc: Value) {
        self.put(Object {
            doc: Arc::new(doc),
            ..object.clone()
        });
    }
}
