//! Changes of metadata alone: names, tags, jobs that nobody waits for any more.

use dct::types::{DeleteTags, Job, JobStatus, Tag, UpdateVdb, Vdb};

use crate::actions::{Order, Refusal, checked_name, checked_tags, free, typed};
use crate::document;
use crate::engine::Engine;
use crate::model::{Intent, JobRecord, Kind, Object};

impl Engine {
    /// Changes what is set in the request; the rest stays.
    pub fn update(&self, id: &str, request: &UpdateVdb) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = free(draft.state, id)?.clone();
            let mut doc: Vdb = typed(&vdb)?;
            let name = match request.name.as_deref() {
                Some(name) => checked_name(Some(name))?,
                None => vdb.name.clone(),
            };
            if draft
                .state
                .named(Kind::Vdb, &vdb.scope, &name)
                .is_some_and(|other| other.number != vdb.number)
            {
                return Err(Refusal::Conflict(format!(
                    "a virtual database named {name:?} exists already in the group"
                )));
            }
            doc.name = Some(name.clone());
            let set = |field: &mut Option<_>, wanted: &Option<_>| {
                if wanted.is_some() {
                    field.clone_from(wanted);
                }
            };
            set(
                &mut doc.appdata_source_params,
                &request.appdata_source_params,
            );
            set(
                &mut doc.appdata_config_params,
                &request.appdata_config_params,
            );
            doc.description = request.description.clone().or(doc.description);
            doc.vdb_restart = request.auto_restart.or(doc.vdb_restart);
            let job = Order {
                kind: "DB_UPDATE",
                target: &vdb.id,
                name: &name,
                intent: Intent::Nothing,
                warning: None,
            }
            .begin(draft);
            draft.put(Object {
                name,
                doc: document(&doc).into(),
                ..vdb
            });
            Ok(job)
        })
    }

    pub fn tags(&self, id: &str) -> Result<Vec<Tag>, Refusal> {
        self.store.read(|state| {
            let vdb = state.get(Kind::Vdb, id).ok_or_else(|| no_vdb(id))?;
            Ok(typed::<Vdb>(vdb)?.tags.unwrap_or_default())
        })
    }

    /// Adds tags; a pair that is there already is not doubled.
    pub fn add_tags(&self, id: &str, tags: &[Tag]) -> Result<Vec<Tag>, Refusal> {
        if tags.is_empty() {
            return Err(Refusal::Invalid("tags: at least one is needed".to_owned()));
        }
        self.change_tags(id, |mine| {
            for tag in tags {
                if !mine.contains(tag) {
                    mine.push(tag.clone());
                }
            }
        })
    }

    pub fn delete_tags(&self, id: &str, request: &DeleteTags) -> Result<(), Refusal> {
        let all = *request == DeleteTags::default();
        let goes = |tag: &Tag| {
            let listed = request.tags.as_ref().is_some_and(|tags| tags.contains(tag));
            let key = request.key.as_ref().is_some_and(|key| *key == tag.key);
            let value = request
                .value
                .as_ref()
                .is_none_or(|value| *value == tag.value);
            // A value without a key names no tag.
            all || listed || (key && value)
        };
        self.change_tags(id, |mine| mine.retain(|tag| !goes(tag)))
            .map(drop)
    }

    fn change_tags(
        &self,
        id: &str,
        change: impl FnOnce(&mut Vec<Tag>),
    ) -> Result<Vec<Tag>, Refusal> {
        self.store.change(|draft| {
            let vdb = draft.state.get(Kind::Vdb, id).ok_or_else(|| no_vdb(id))?;
            let mut doc: Vdb = typed(vdb)?;
            let mut tags = doc.tags.take().unwrap_or_default();
            change(&mut tags);
            checked_tags(&tags)?;
            doc.tags = Some(tags.clone()).filter(|t| !t.is_empty());
            draft.rewrite(vdb, document(&doc));
            Ok(tags)
        })
    }

    /// Stops the tracking, not the work.
    pub fn abandon(&self, id: &str) -> Result<(), Refusal> {
        self.store.change(|draft| {
            let record = draft
                .state
                .job(id)
                .ok_or_else(|| Refusal::NotFound(format!("there is no job {id:?}")))?;
            if record.intent.is_some() {
                let job = Job {
                    status: JobStatus::Abandoned,
                    ..record.job.clone()
                };
                draft.job(JobRecord {
                    job,
                    ..record.clone()
                });
            }
            Ok(())
        })
    }
}

pub(crate) fn no_vdb(id: &str) -> Refusal {
    Refusal::NotFound(format!("there is no virtual database {id:?}"))
}
