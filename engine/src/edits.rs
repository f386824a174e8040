//! Changes of metadata alone: names, hooks, tags, jobs that nobody waits for any more.

mod dsources;
pub(crate) mod hooks;
mod tags;

use dct::types::{Hooks, Job, JobStatus, UpdateVdb, Vdb};

pub use tags::Tagged;

use crate::actions::{Order, Refusal, checked_name, free, typed};
use crate::engine::Engine;
use crate::model::{Intent, JobRecord, Kind, Object};
use crate::{document, servers};

impl Engine {
    /// Changes what is set in the request; the rest stays.
    pub fn update(&self, id: &str, request: &UpdateVdb) -> Result<Job, Refusal> {
        let login = servers::login_of(
            request.db_username.as_deref(),
            request.db_password.as_deref(),
        )?;
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
            doc.mount_point = request.mount_point.clone().or(doc.mount_point);
            let hooks = request.hooks.clone().unwrap_or_default();
            let mut warning = None;
            if hooks != Hooks::default() {
                let run = self.settings.run_hooks.is_some();
                doc.hooks = hooks::changed(doc.hooks.as_ref(), &hooks, run)?;
                warning = hooks::warning(&doc, run);
            }
            set(&mut doc.config_params, &request.config_params);
            let intent = self.update_server(draft, &vdb, &mut doc, request, login.as_ref())?;
            let job = Order {
                kind: "DB_UPDATE",
                target: &vdb.id,
                name: &name,
                intent: intent.unwrap_or(Intent::Nothing),
                warning,
            }
            .begin(draft);
            draft.put(Object {
                name,
                doc: document(&doc),
                ..vdb
            });
            Ok(job)
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
