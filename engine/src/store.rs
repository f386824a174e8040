//! The metadata: in memory for reading, in SQLite for keeping. One lock; a change is one transaction.
//!
//! A change is checked and written under the same lock, so that two callers cannot both take a name.

mod sqlite;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
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
    /// Objects of every kind and scope by name.
    names: HashMap<String, BTreeSet<u64>>,
    /// Objects of every kind by a tag's key and value.
    tags: HashMap<(String, String), BTreeSet<u64>>,
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
            let mut named = self.live_named(kind, id_or_name);
            named.next().filter(|_| named.next().is_none())
        })
    }

    pub fn named(&self, kind: Kind, scope: &str, name: &str) -> Option<&Object> {
        self.all_named(kind, name).find(|o| o.scope == scope)
    }

    /// Live objects of this name, whatever their scope.
    pub fn live_named(&self, kind: Kind, name: &str) -> impl Iterator<Item = &Object> {
        self.all_named(kind, name)
            .filter(|o| o.phase == Phase::Live)
    }

    pub fn live_tagged(&self, kind: Kind, key: &str, value: &str) -> impl Iterator<Item = &Object> {
        let tag = (key.to_owned(), value.to_owned());
        let numbers = self.tags.get(&tag).into_iter().flatten();
        numbers
            .filter_map(|number| self.objects.get(number))
            .filter(move |o| o.kind == kind && o.phase == Phase::Live)
    }

    fn all_named(&self, kind: Kind, name: &str) -> impl Iterator<Item = &Object> {
        let numbers = self.names.get(name).into_iter().flatten();
        numbers
            .filter_map(|number| self.objects.get(number))
            .filter(move |o| o.kind == kind)
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

    /// Where an object is looked up.
    fn remember(&mut self, object: &Object) {
        let number = object.number;
        self.object_numbers.insert(object.id.clone(), number);
        self.names
            .entry(object.name.clone())
            .or_default()
            .insert(number);
        for tag in tags_of(object) {
            self.tags.entry(tag).or_default().insert(number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(object) = self.objects.get(&number) else {
            return;
        };
        self.object_numbers.remove(&object.id);
        take(&mut self.names, &object.name, number);
        for tag in tags_of(object) {
            take(&mut self.tags, &tag, number);
        }
    }

    fn apply(&mut self, writes: Vec<Write>, next: u64) {
        self.next = next;
        for write in writes {
            match write {
                Write::Put(object) => {
                    self.forget(object.number);
                    self.remember(&object);
                    self.objects.insert(object.number, object);
                }
                Write::Remove(number) => {
                    self.forget(number);
                    self.objects.remove(&number);
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

fn take<K: Eq + Hash>(index: &mut HashMap<K, BTreeSet<u64>>, key: &K, number: u64) {
    if let Some(numbers) = index.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            index.remove(key);
        }
    }
}

fn tags_of(object: &Object) -> Vec<(String, String)> {
    let tags = object.doc.get("tags").and_then(Value::as_array);
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
    pub fn rewrite(&mut self, object: &Object, doc: Value) {
        self.put(Object {
            doc: Arc::new(doc),
            ..object.clone()
        });
    }
}
