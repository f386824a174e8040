//! dSources and their snapshots: what copies are made from.
//!
//! Only sources of the settings can be linked: credentials never come through the interface.

mod sources;
mod taking;
mod told;

pub(crate) use sources::major;

use std::sync::Arc;
use std::time::Duration;

use dct::types::{DSource, Job, JobStatus, LinkAnswer, LinkAppdata, Snapshot, Tag};

pub(crate) use taking::Taken;

use crate::actions::{Order, Refusal, checked_name, checked_tags, free_dsource};
use crate::doc::Doc;
use crate::engine::Engine;
use crate::model::{ENGINE_ID, Intent, Kind, Object, Phase, TOOLKIT_ID};
use crate::settings::SourceSettings;
use crate::store::Draft;
use crate::timeflows::{self, Begin};
use crate::{clock, document, error_chain};

impl Engine {
    pub fn link(&self, request: &LinkAppdata) -> Result<LinkAnswer, Refusal> {
        let wanted = request
            .source_id
            .as_deref()
            .or(request.name.as_deref())
            .unwrap_or_default()
            .to_owned();
        let tags = request.tags.clone().unwrap_or_default();
        checked_tags(&tags)?;
        self.store.change(|draft| {
            let source = draft.state.resolve(Kind::Source, &wanted).ok_or_else(|| {
                Refusal::NotFound(format!(
                    "there is no source {wanted:?}; sources are declared in the engine's settings"
                ))
            })?;
            self.declared(&source.name).ok_or_else(|| {
                Refusal::Invalid(format!(
                    "source {} is no longer in the engine's settings",
                    source.name
                ))
            })?;
            let (source_id, source_name) = (source.id.clone(), source.name.clone());
            if let Some(other) = draft
                .state
                .objects(Kind::DSource)
                .find(|d| d.parent.as_deref() == Some(source_id.as_str()))
            {
                return Err(Refusal::Conflict(format!(
                    "source {source_name} is linked already: {}",
                    other.id
                )));
            }
            let name = checked_name(Some(request.name.as_deref().unwrap_or(&source_name)))?;
            if let Some(other) = draft.state.named(Kind::DSource, "", &name) {
                return Err(Refusal::Conflict(format!(
                    "a dSource named {name:?} exists already: {}",
                    other.id
                )));
            }
            let number = draft.number();
            let begun = Begin {
                dataset: &Kind::DSource.id(number),
                kind: timeflows::INITIAL,
                point: None,
            };
            let timeflow = timeflows::begin(draft, &begun, Phase::Creating)?;
            let mut doc = self.dsource_doc(number, &name, &source_id, timeflow, tags);
            doc.description.clone_from(&request.description);
            let dsource = object(
                number,
                Kind::DSource,
                &name,
                Some(source_id),
                document(&doc),
            );
            let id = dsource.id.clone();
            draft.put(Object {
                phase: Phase::Creating,
                ..dsource
            });
            let job = self.begin_snapshot(draft, "DSOURCE_LINK", &id, &name, source_name)?;
            Ok(LinkAnswer {
                job: Some(job),
                dsource_id: Some(id),
            })
        })
    }

    /// Another base backup of a linked source.
    pub fn snapshot(&self, id: &str) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let dsource = free_dsource(draft.state, id)?;
            let source = dsource
                .parent
                .as_deref()
                .and_then(|parent| draft.state.get(Kind::Source, parent));
            let source = source
                .map(|s| s.name.clone())
                .filter(|name| self.declared(name).is_some());
            let source = source.ok_or_else(|| {
                Refusal::Invalid(format!(
                    "the source of {} is no longer in the engine's settings",
                    dsource.name
                ))
            })?;
            let (id, name) = (dsource.id.clone(), dsource.name.clone());
            self.begin_snapshot(draft, "DB_SYNC", &id, &name, source)
        })
    }

    /// The snapshot and the job that takes it.
    fn begin_snapshot(
        &self,
        draft: &mut Draft<'_>,
        kind: &str,
        dsource: &str,
        name: &str,
        source: String,
    ) -> Result<Job, Refusal> {
        let number = draft.number();
        let id = Kind::Snapshot.id(number);
        let intent = Intent::Snapshot {
            dsource: dsource.to_owned(),
            snapshot: id.clone(),
            source,
        };
        self.room_for(draft.state, &intent)?;
        let label = format!("@{}", clock::now().trim_end_matches('Z'));
        let doc = Snapshot {
            id: id.clone(),
            ..Snapshot::default()
        };
        let snapshot = object(
            number,
            Kind::Snapshot,
            &label,
            Some(dsource.to_owned()),
            document(&doc),
        );
        draft.put(Object {
            phase: Phase::Creating,
            scope: id,
            ..snapshot
        });
        let order = Order {
            kind,
            target: dsource,
            name,
            intent,
            warning: None,
        };
        Ok(order.begin(draft))
    }

    fn dsource_doc(
        &self,
        number: u64,
        name: &str,
        source: &str,
        timeflow: String,
        tags: Vec<Tag>,
    ) -> DSource {
        DSource {
            id: Kind::DSource.id(number),
            name: Some(name.to_owned()),
            database_type: Some(TOOLKIT_ID.to_owned()),
            status: Some("RUNNING".to_owned()),
            enabled: Some(true),
            is_detached: Some(false),
            is_appdata: Some(true),
            source_id: Some(source.to_owned()),
            current_timeflow_id: Some(timeflow),
            creation_date: Some(clock::now()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            toolkit_id: Some(TOOLKIT_ID.to_owned()),
            tags: Some(tags).filter(|t| !t.is_empty()),
            ..DSource::default()
        }
    }

    pub(crate) fn declared(&self, name: &str) -> Option<&SourceSettings> {
        self.settings.sources.iter().find(|s| s.name == name)
    }

    /// Links one declared source, however long that takes. A source that is down is tried again.
    pub async fn keep_linking(self: Arc<Self>, source: String) {
        let mut pause = Duration::from_secs(2);
        loop {
            let over = self.store.read(|state| {
                let Some(object) = state.named(Kind::Source, "", &source) else {
                    return false;
                };
                // Whoever deleted the dSource did not mean it to come back at the next start.
                let unwanted =
                    object.doc.get("linking_enabled").and_then(|v| v.as_bool()) == Some(false);
                unwanted
                    || state
                        .live(Kind::DSource)
                        .any(|d| d.parent.as_ref() == Some(&object.id))
            });
            if over {
                return;
            }
            let request = LinkAppdata {
                source_id: Some(source.clone()),
                ..LinkAppdata::default()
            };
            match self.link(&request) {
                Ok(answer) => {
                    let job = answer.job.unwrap_or_default().id;
                    self.start(&job);
                    if self.end_of(&job).await == JobStatus::Completed {
                        continue;
                    }
                }
                Err(Refusal::Conflict(_)) => {}
                Err(refusal) => tracing::error!(source, "cannot link: {}", error_chain(&refusal)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_mins(1));
        }
    }

    pub(crate) async fn end_of(&self, job: &str) -> JobStatus {
        loop {
            let status = self.store.read(|state| {
                state
                    .job(job)
                    .is_none_or(|j| j.intent.is_none())
                    .then(|| state.job(job).map(|j| j.job.status))
            });
            if let Some(status) = status {
                return status.unwrap_or_default();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn object(number: u64, kind: Kind, name: &str, parent: Option<String>, doc: Doc) -> Object {
    Object {
        number,
        kind,
        id: kind.id(number),
        name: name.to_owned(),
        scope: String::new(),
        phase: Phase::Live,
        parent,
        doc,
    }
}
