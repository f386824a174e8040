//! What callers may ask of a VDB. Each action is checked and written down as a job with its intent in one change; the
//! effect follows in `jobs`.

mod choice;
mod order;

use std::sync::Arc;

use dct::types::{
    ContainerizationState, DSource, DeleteVdb, DisableVdb, EnableVdb, Job, ProvisionAnswer,
    ProvisionBySnapshot, Snapshot, Tag, Vdb,
};

pub(crate) use order::Order;

use choice::chosen;

use crate::engine::Engine;
use crate::model::{ENGINE_ID, Intent, Kind, Object, Phase, TOOLKIT_ID};
use crate::store::{self, Draft, State};
use crate::{clock, document};

/// Why an action is not begun; the caller is told at once.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Invalid(String),
    #[error("the engine cannot write its metadata")]
    Store(#[from] store::Error),
}

impl Engine {
    pub fn provision(&self, request: &ProvisionBySnapshot) -> Result<ProvisionAnswer, Refusal> {
        if request.container_mode != Some(true) {
            return Err(Refusal::Invalid(
                "this engine provisions for containers alone: send container_mode: true".to_owned(),
            ));
        }
        let name = checked_name(request.name.as_deref())?;
        let tags = request.tags.clone().unwrap_or_default();
        checked_tags(&tags)?;
        self.store.change(|draft| {
            let (snapshot, dsource) = chosen(draft.state, request)?;
            let group = self.group(draft, request.target_group_id.as_deref())?;
            if let Some(other) = draft.state.named(Kind::Vdb, &group.id, &name) {
                return Err(Refusal::Conflict(format!(
                    "a virtual database named {name:?} exists already in group {}: {}",
                    group.name, other.id
                )));
            }
            let number = draft.number();
            let mut vdb = self.new_vdb(number, &name, &snapshot, &dsource);
            vdb.group_name = Some(group.name);
            vdb.description.clone_from(&request.description);
            vdb.appdata_source_params
                .clone_from(&request.appdata_source_params);
            vdb.appdata_config_params
                .clone_from(&request.appdata_config_params);
            vdb.vdb_restart = request.vdb_restart;
            vdb.tags = Some(tags).filter(|t| !t.is_empty());
            let intent = Intent::Provision {
                vdb: vdb.id.clone(),
                snapshot: snapshot.id.clone(),
            };
            let order = Order {
                kind: "DB_PROVISION",
                target: &vdb.id,
                name: &name,
                intent,
                warning: self.storage.warning(),
            };
            let job = order.begin(draft);
            draft.put(Object {
                number,
                kind: Kind::Vdb,
                id: vdb.id.clone(),
                name: name.clone(),
                scope: group.id,
                phase: Phase::Creating,
                parent: Some(snapshot.id),
                doc: Arc::new(document(&vdb)),
            });
            Ok(ProvisionAnswer {
                job: Some(job),
                vdb_id: Some(vdb.id),
            })
        })
    }

    pub fn enable(&self, id: &str, request: &EnableVdb) -> Result<Job, Refusal> {
        only_containers(request.container_mode)?;
        if let Some(wanted) = request
            .ownership_spec
            .as_deref()
            .filter(|wanted| *wanted != self.owner)
        {
            let owner = &self.owner;
            return Err(Refusal::Invalid(format!(
                "ownership_spec {wanted:?} cannot be served: this engine's files belong to {owner} and it may not change owners"
            )));
        }
        self.begin(id, "DB_ENABLE", |vdb| Intent::Enable { vdb })
    }

    pub fn disable(&self, id: &str, request: &DisableVdb) -> Result<Job, Refusal> {
        only_containers(request.container_mode)?;
        self.begin(id, "DB_DISABLE", |vdb| Intent::Disable { vdb })
    }

    pub fn delete(&self, id: &str, _request: &DeleteVdb) -> Result<Job, Refusal> {
        self.begin(id, "DB_DELETE", |vdb| Intent::Delete { vdb })
    }

    fn begin(
        &self,
        id: &str,
        kind: &str,
        intent: impl FnOnce(String) -> Intent,
    ) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = free(draft.state, id)?.clone();
            Ok(Order {
                kind,
                target: &vdb.id,
                name: &vdb.name,
                intent: intent(vdb.id.clone()),
                warning: None,
            }
            .begin(draft))
        })
    }

    /// The group is made by its first mention: the embedded engine has nobody who would administer groups.
    fn group(&self, draft: &mut Draft<'_>, wanted: Option<&str>) -> Result<Named, Refusal> {
        let name = wanted.unwrap_or("Untitled");
        if let Some(group) = draft.state.resolve(Kind::Group, name) {
            return Ok(Named {
                id: group.id.clone(),
                name: group.name.clone(),
            });
        }
        let name = checked_name(Some(name))?;
        let number = draft.number();
        let id = Kind::Group.id(number);
        let engine_name = Some(self.settings.engine_name.clone());
        let group = dct::types::Group {
            id: id.clone(),
            name: Some(name.clone()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name,
        };
        draft.put(Object {
            number,
            kind: Kind::Group,
            id: id.clone(),
            name: name.clone(),
            scope: String::new(),
            phase: Phase::Live,
            parent: None,
            doc: Arc::new(document(&group)),
        });
        Ok(Named { id, name })
    }

    fn new_vdb(&self, number: u64, name: &str, snapshot: &Snapshot, dsource: &DSource) -> Vdb {
        Vdb {
            id: Kind::Vdb.id(number),
            name: Some(name.to_owned()),
            database_type: Some(TOOLKIT_ID.to_owned()),
            database_version: dsource.database_version.clone(),
            status: Some("INACTIVE".to_owned()),
            enabled: Some(false),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            parent_id: Some(dsource.id.clone()),
            parent_name: dsource.name.clone(),
            parent_dsource_id: Some(dsource.id.clone()),
            parent_dsource_name: dsource.name.clone(),
            root_parent_id: Some(dsource.id.clone()),
            parent_timeflow_timestamp: snapshot.timestamp.clone(),
            parent_timeflow_timezone: snapshot.timezone.clone(),
            current_timeflow_id: Some(Kind::timeflow(number)),
            creation_date: Some(clock::now()),
            size: dsource.size,
            is_appdata: Some(true),
            masked: Some(false),
            is_replica: Some(false),
            is_locked: Some(false),
            containerization_state: Some(ContainerizationState::ReadyForContainer),
            toolkit_id: Some(TOOLKIT_ID.to_owned()),
            ..Vdb::default()
        }
    }
}

struct Named {
    id: String,
    name: String,
}

/// A live VDB that no unfinished job works on.
pub(crate) fn free<'a>(state: &'a State, id: &str) -> Result<&'a Object, Refusal> {
    let vdb = state
        .get(Kind::Vdb, id)
        .ok_or_else(|| Refusal::NotFound(format!("there is no virtual database {id:?}")))?;
    match state.busy(&vdb.id) {
        Some(job) => Err(Refusal::Conflict(format!(
            "job {} still works on {id}",
            job.job.id
        ))),
        None => Ok(vdb),
    }
}

/// The document as its type.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(object: &Object) -> Result<T, store::Error> {
    T::deserialize(object.doc.as_ref())
        .map_err(|_| store::Error::Damaged(format!("document of {}", object.id)))
}

fn only_containers(container_mode: Option<bool>) -> Result<(), Refusal> {
    match container_mode {
        Some(true) => Ok(()),
        _ => Err(Refusal::Invalid(
            "this engine serves containers alone: send container_mode: true".to_owned(),
        )),
    }
}

pub(crate) fn checked_name(name: Option<&str>) -> Result<String, Refusal> {
    let Some(name) = name else {
        return Ok(format!("vdb-{}", hex::encode(rand::random::<[u8; 4]>())));
    };
    if name.is_empty() || name.chars().count() > 256 || name.chars().any(char::is_control) {
        return Err(Refusal::Invalid(
            "a name has 1 to 256 characters on one line".to_owned(),
        ));
    }
    Ok(name.to_owned())
}

pub(crate) fn checked_tags(tags: &[Tag]) -> Result<(), Refusal> {
    let fits = |text: &str| (1..=4000).contains(&text.chars().count());
    if tags.len() > 1000 || !tags.iter().all(|t| fits(&t.key) && fits(&t.value)) {
        return Err(Refusal::Invalid(
            "tags: at most 1000, key and value with 1 to 4000 characters each".to_owned(),
        ));
    }
    Ok(())
}
