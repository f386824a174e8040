//! Tags of every kind of object, jobs among them.

use dct::types::{DeleteTags, Tag};
use serde_json::Value;

use crate::actions::{Refusal, checked_tags};
use crate::engine::Engine;
use crate::model::{JobRecord, Kind, Object};
use crate::store::{self, Draft, State};

/// Whose tags are meant.
#[derive(Clone, Copy, Debug)]
pub enum Tagged {
    Object(Kind, &'static str),
    Job,
}

impl Engine {
    pub fn tags(&self, of: Tagged, id: &str) -> Result<Vec<Tag>, Refusal> {
        self.store.read(|state| match of {
            Tagged::Object(kind, what) => read(object(state, kind, what, id)?),
            Tagged::Job => Ok(job(state, id)?.job.tags.clone().unwrap_or_default()),
        })
    }

    /// Adds tags; a pair that is there already is not doubled.
    pub fn add_tags(&self, of: Tagged, id: &str, tags: &[Tag]) -> Result<Vec<Tag>, Refusal> {
        if tags.is_empty() {
            return Err(Refusal::Invalid("tags: at least one is needed".to_owned()));
        }
        self.change_tags(of, id, |mine| {
            for tag in tags {
                if !mine.contains(tag) {
                    mine.push(tag.clone());
                }
            }
        })
    }

    pub fn delete_tags(&self, of: Tagged, id: &str, request: &DeleteTags) -> Result<(), Refusal> {
        self.change_tags(of, id, |mine| mine.retain(|tag| !goes(request, tag)))
            .map(drop)
    }

    fn change_tags(
        &self,
        of: Tagged,
        id: &str,
        change: impl FnOnce(&mut Vec<Tag>),
    ) -> Result<Vec<Tag>, Refusal> {
        self.store.change(|draft| match of {
            Tagged::Object(kind, what) => {
                let object = object(draft.state, kind, what, id)?.clone();
                let mut tags = read(&object)?;
                change(&mut tags);
                checked_tags(&tags)?;
                write(draft, &object, &tags);
                Ok(tags)
            }
            Tagged::Job => {
                let mut record: JobRecord = job(draft.state, id)?.clone();
                let mut tags = record.job.tags.take().unwrap_or_default();
                change(&mut tags);
                checked_tags(&tags)?;
                record.job.tags = Some(tags.clone()).filter(|tags| !tags.is_empty());
                draft.job(record);
                Ok(tags)
            }
        })
    }
}

/// Whether a request means this tag. A value without a key names none.
fn goes(request: &DeleteTags, tag: &Tag) -> bool {
    let all = *request == DeleteTags::default();
    let listed = request.tags.as_ref().is_some_and(|tags| tags.contains(tag));
    let key = request.key.as_ref().is_some_and(|key| *key == tag.key);
    let value = request
        .value
        .as_ref()
        .is_none_or(|value| *value == tag.value);
    all || listed || (key && value)
}

fn object<'a>(state: &'a State, kind: Kind, what: &str, id: &str) -> Result<&'a Object, Refusal> {
    state
        .resolve(kind, id)
        .ok_or_else(|| Refusal::NotFound(format!("there is no {what} {id:?}")))
}

fn job<'a>(state: &'a State, id: &str) -> Result<&'a JobRecord, Refusal> {
    state
        .job(id)
        .ok_or_else(|| Refusal::NotFound(format!("there is no job {id:?}")))
}

fn read(object: &Object) -> Result<Vec<Tag>, Refusal> {
    let Some(tags) = object.doc.get("tags") else {
        return Ok(Vec::new());
    };
    serde_json::from_value(tags.value())
        .map_err(|_| store::Error::Damaged(format!("tags of {}", object.id)).into())
}

/// Absent rather than empty: some clients take an empty list for a change.
fn write(draft: &mut Draft<'_>, object: &Object, tags: &[Tag]) {
    let mut doc = object.doc.value();
    if let Value::Object(fields) = &mut doc {
        fields.remove("tags");
        if !tags.is_empty() {
            fields.insert("tags".to_owned(), serde_json::json!(tags));
        }
    }
    draft.rewrite(object, doc);
}
