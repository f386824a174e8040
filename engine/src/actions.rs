//! What callers may ask of a VDB. Each action is checked and written down as a job with its intent in one change; the
//! effect follows in `jobs`.

mod checks;
mod choice;
mod moment;
mod order;
mod place;
mod refresh;

use dct::types::{
    ContainerizationState, DeleteVdb, DisableVdb, EnableVdb, FromBookmark, Job, ProvisionAnswer,
    ProvisionBySnapshot, ProvisionByTimestamp, ProvisionFromBookmark, Vdb,
};

pub(crate) use checks::{
    at_rest, checked_name, checked_tags, free, free_dsource, order_on, typed, unlocked,
};
pub(crate) use choice::{Dataset, dataset, going, snapshot};
pub(crate) use moment::{By, locations, times};
pub(crate) use order::Order;
pub(crate) use place::place;

use choice::{Chosen, chosen};

use crate::edits::hooks;
use crate::engine::Engine;
use crate::model::{ENGINE_ID, Intent, Kind, Object, Phase, TOOLKIT_ID};
use crate::store::{self, Draft, State};
use crate::timeflows::{self, Begin};
use crate::{clock, deletion, document, error_chain};

const ENDED_AT_ONCE: &str = "attempt_cleanup is false: no hooks run, and the server is ended at once; its data recovers at the next start";

/// Why an action is not begun; the caller is told at once.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Invalid(String),
    /// What was asked would fit a larger pool. No conflict: that word means a name that is taken, or work under way.
    #[error("{0}")]
    Full(String),
    #[error("the engine cannot write its metadata")]
    Store(#[from] store::Error),
}

impl Engine {
    pub fn provision(&self, request: &ProvisionBySnapshot) -> Result<ProvisionAnswer, Refusal> {
        self.provision_from(request, |state| chosen(state, request))
    }

    fn provision_from(
        &self,
        request: &ProvisionBySnapshot,
        choose: impl FnOnce(&State) -> Result<Chosen, Refusal>,
    ) -> Result<ProvisionAnswer, Refusal> {
        let name = checked_name(request.name.as_deref())?;
        let tags = request.tags.clone().unwrap_or_default();
        checked_tags(&tags)?;
        let hooks = hooks::first(&request.hooks, self.settings.run_hooks.is_some())?;
        let is_served = request.container_mode != Some(true);
        let login = is_served.then(|| self.login_for(request)).transpose()?;
        self.store.change(|draft| {
            let from = choose(draft.state)?;
            let group = self.group(draft, request.target_group_id.as_deref())?;
            unnamed(draft.state, &group, &name)?;
            let number = draft.number();
            let mut vdb = self.new_vdb(number, &name, &from);
            let intent = Intent::Provision {
                vdb: vdb.id.clone(),
                snapshot: from.snapshot.id.clone(),
                at: from.at,
            };
            self.room_for(draft.state, &intent)?;
            let begun = Begin {
                dataset: &vdb.id,
                kind: timeflows::INITIAL,
                point: Some((&from.snapshot, &from.dataset)),
            };
            vdb.current_timeflow_id = Some(timeflows::begin(draft, &begun, Phase::Creating)?);
            vdb.group_name = Some(group.name);
            vdb.description.clone_from(&request.description);
            vdb.appdata_source_params
                .clone_from(&request.appdata_source_params);
            vdb.appdata_config_params
                .clone_from(&request.appdata_config_params);
            vdb.config_params.clone_from(&request.config_params);
            place(draft.state, &mut vdb, request)?;
            vdb.vdb_restart = request.vdb_restart;
            vdb.mount_point.clone_from(&request.mount_point);
            vdb.hooks = hooks;
            vdb.tags = Some(tags).filter(|t| !t.is_empty());
            if let Some(login) = &login {
                self.order_server(draft.state, &mut vdb, request, login.as_ref())?;
            }
            let unrun = hooks::warning(&vdb, self.settings.run_hooks.is_some());
            let warnings: Vec<&str> = self.storage.warning().into_iter().chain(unrun).collect();
            let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
            let order = Order {
                kind: "DB_PROVISION",
                target: &vdb.id,
                name: &name,
                intent,
                warning: warning.as_deref(),
            };
            Ok(order.create(draft, number, &vdb, group.id, Some(from.snapshot.id)))
        })
    }

    /// By a moment that a snapshot holds, or that the log behind one reaches.
    pub fn provision_at(&self, request: &ProvisionByTimestamp) -> Result<ProvisionAnswer, Refusal> {
        self.provision_by(request, By::Time)
    }

    /// By a place in the log.
    pub fn provision_at_location(
        &self,
        request: &ProvisionByTimestamp,
    ) -> Result<ProvisionAnswer, Refusal> {
        self.provision_by(request, By::Location)
    }

    fn provision_by(
        &self,
        request: &ProvisionByTimestamp,
        by: By,
    ) -> Result<ProvisionAnswer, Refusal> {
        let mut by_snapshot = request.provision.clone();
        let named = by_snapshot.source_data_id.take();
        let moment = self.moment(&request.point, by, named.as_deref())?;
        by_snapshot.snapshot_id = Some(moment.snapshot.clone());
        self.provision_from(&by_snapshot, |state| {
            Ok(moment.of(chosen(state, &by_snapshot)?))
        })
    }

    pub fn provision_from_bookmark(
        &self,
        request: &ProvisionFromBookmark,
    ) -> Result<ProvisionAnswer, Refusal> {
        let mut by_snapshot = request.provision.clone();
        let bookmark = FromBookmark {
            bookmark_id: request.bookmark_id.clone(),
        };
        by_snapshot.source_data_id = None;
        by_snapshot.snapshot_id = self
            .store
            .read(|state| choice::of_bookmark(state, &bookmark, None))?
            .snapshot_id;
        self.provision(&by_snapshot)
    }

    pub fn enable(&self, id: &str, request: &EnableVdb) -> Result<Job, Refusal> {
        self.of_one_mode(id, request.container_mode)?;
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
        let start = request.attempt_start != Some(false);
        self.begin(id, "DB_ENABLE", None, |vdb| Intent::Enable { vdb, start })
    }

    pub fn disable(&self, id: &str, request: &DisableVdb) -> Result<Job, Refusal> {
        self.of_one_mode(id, request.container_mode)?;
        let cleanup = request.attempt_cleanup != Some(false);
        let warning = (!cleanup && self.served(id)).then_some(ENDED_AT_ONCE);
        self.begin(id, "DB_DISABLE", warning, |vdb| Intent::Disable {
            vdb,
            cleanup,
        })
    }

    pub fn delete(&self, id: &str, request: &DeleteVdb) -> Result<Job, Refusal> {
        if request.delete_all_dependent_vdbs == Some(true) {
            return Err(deletion::one_by_one());
        }
        self.store.change(|draft| {
            let vdb = unlocked(free(draft.state, id)?)?.clone();
            deletion::refuse_busy_snapshots(draft.state, &vdb.id)?;
            deletion::refuse_dependants(&vdb.name, &deletion::on_vdb(draft.state, &vdb.id))?;
            let intent = Intent::Delete {
                vdb: vdb.id.clone(),
            };
            Ok(order_on(&vdb, "DB_DELETE", intent).begin(draft))
        })
    }

    fn begin(
        &self,
        id: &str,
        kind: &str,
        warning: Option<&str>,
        intent: impl FnOnce(String) -> Intent,
    ) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = free(draft.state, id)?.clone();
            let order = Order {
                warning,
                ..order_on(&vdb, kind, intent(vdb.id.clone()))
            };
            Ok(order.begin(draft))
        })
    }

    /// The group is made by its first mention: the embedded engine has nobody who would administer groups.
    pub(crate) fn group(
        &self,
        draft: &mut Draft<'_>,
        wanted: Option<&str>,
    ) -> Result<Named, Refusal> {
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
            doc: document(&group),
        });
        Ok(Named { id, name })
    }

    fn new_vdb(&self, number: u64, name: &str, from: &Chosen) -> Vdb {
        let (snapshot, dataset) = (&from.snapshot, &from.dataset);
        Vdb {
            database_version: dataset.version.clone(),
            status: Some("INACTIVE".to_owned()),
            enabled: Some(false),
            parent_id: Some(dataset.id.clone()),
            parent_name: dataset.name.clone(),
            parent_dsource_id: dataset.dsource_id.clone(),
            parent_dsource_name: dataset.dsource_name.clone(),
            root_parent_id: dataset.dsource_id.clone(),
            parent_timeflow_timestamp: snapshot.timestamp.clone(),
            parent_timeflow_timezone: snapshot.timezone.clone(),
            size: dataset.size,
            containerization_state: Some(ContainerizationState::ReadyForContainer),
            ..self.bare_vdb(number, name)
        }
    }

    /// What every new VDB says of itself, whatever it is made from.
    pub(crate) fn bare_vdb(&self, number: u64, name: &str) -> Vdb {
        Vdb {
            id: Kind::Vdb.id(number),
            name: Some(name.to_owned()),
            database_type: Some(TOOLKIT_ID.to_owned()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            creation_date: Some(clock::now()),
            is_appdata: Some(true),
            masked: Some(false),
            is_replica: Some(false),
            is_locked: Some(false),
            toolkit_id: Some(TOOLKIT_ID.to_owned()),
            ..Vdb::default()
        }
    }
}

pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// Names are unique in their group.
pub(crate) fn unnamed(state: &State, group: &Named, name: &str) -> Result<(), Refusal> {
    match state.named(Kind::Vdb, &group.id, name) {
        Some(other) => Err(Refusal::Conflict(format!(
            "a virtual database named {name:?} exists already in group {}: {}",
            group.name, other.id
        ))),
        None => Ok(()),
    }
}
