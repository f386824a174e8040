//! Servers of virtual databases that no container serves: the engine starts and stops them itself.
//!
//! A server is found by what it runs on: the process that `postmaster.pid` names, of the engine's own user, with that
//! data directory among its arguments. So one that outlived a killed engine is taken over, and no other is ever touched.

mod config;
mod empty;
mod login;
mod orders;
mod ports;
mod postmaster;
mod watch;

use std::path::{Path, PathBuf};

use dct::types::{ContainerizationState, Vdb};

use crate::actions::typed;
use crate::engine::Engine;
use crate::jobs::Error;
use crate::model::{Kind, Object};
use crate::settings::ServerSettings;
use crate::store::{self, Draft, State};
use crate::{origin, storage, timeflows};

pub(crate) use ports::port_of;
pub(crate) use postmaster::Stop;

pub(crate) const RUNNING: &str = "RUNNING";
pub(crate) const STOPPED: &str = "STOPPED";

/// Whether the engine runs the server of a VDB.
pub(crate) fn is_served(vdb: &Object) -> bool {
    let state = vdb.doc.get("containerization_state");
    state.and_then(|v| v.as_str()) == Some("NOT_CONTAINERIZED")
}

/// Whether its server is to run.
fn is_wanted(vdb: &Object) -> bool {
    vdb.doc.get("status").and_then(|v| v.as_str()) == Some(RUNNING)
}

impl Engine {
    /// Configuration, socket and log of a VDB's server.
    pub(crate) fn server_home(&self, vdb: &str) -> PathBuf {
        self.settings.pool.join("servers").join(vdb)
    }

    pub(crate) fn served(&self, vdb: &str) -> bool {
        self.store
            .read(|state| state.any(Kind::Vdb, vdb).is_some_and(is_served))
    }

    /// Starts a server on a root of a VDB unless it runs there. One on another of its roots is stopped first.
    pub(crate) fn start_server(&self, vdb: &str, root: &Path) -> Result<(), Error> {
        let settings = self.server_settings()?;
        let object = self.store.read(|state| state.any(Kind::Vdb, vdb).cloned());
        let object = object.ok_or_else(|| Error::Failed(format!("{vdb} is gone")))?;
        let port = port_of(&object).ok_or_else(|| Error::Failed(format!("{vdb} has no port")))?;
        let home = self.server_home(vdb);
        storage::private_directory(&home)?;
        let known = login::is_applied(&home, root);
        if postmaster::find(&root.join("data")).is_some() {
            if known {
                return Ok(());
            }
            self.stop_server(vdb, Stop::Fast)?;
        }
        self.stop_others(vdb, root)?;
        let major =
            pgdata::version::major(&root.join("data")).map_err(|e| Error::Failed(e.to_string()))?;
        let programs = origin::servers::of(&self.settings.postgres_bin, major, vdb)?;
        let place = postmaster::Place {
            programs: &programs,
            home: &home,
            data: &root.join("data"),
        };
        let text = config::text(&object, &place, settings, port)?;
        config::write(&home, &text)?;
        place.clear()?;
        if !known {
            login::apply(&place, root)?;
        }
        place.start()
    }

    /// Stops whatever serves a VDB.
    pub(crate) fn stop_server(&self, vdb: &str, how: Stop) -> Result<(), Error> {
        for root in self.roots_of(vdb) {
            postmaster::stop(&root.join("data"), how)?;
        }
        Ok(())
    }

    fn stop_others(&self, vdb: &str, root: &Path) -> Result<(), Error> {
        let others = self.roots_of(vdb).into_iter().filter(|other| other != root);
        for other in others {
            postmaster::stop(&other.join("data"), Stop::Fast)?;
        }
        Ok(())
    }

    pub(crate) fn server_runs(&self, vdb: &str) -> bool {
        postmaster::find(&self.vdb_root(vdb).join("data")).is_some()
    }

    /// After a refresh or a rewind has made or chosen a root: the server moves there if it ran. If it cannot, it goes on
    /// with what it had.
    pub(crate) fn move_server(&self, vdb: &str, root: &Path) -> Result<(), Error> {
        let wanted = self
            .store
            .read(|state| state.any(Kind::Vdb, vdb).is_some_and(is_wanted));
        if !self.served(vdb) || !wanted {
            return Ok(());
        }
        let moved = self.start_server(vdb, root);
        if moved.is_err() {
            postmaster::stop(&root.join("data"), Stop::Immediate)?;
            if let Err(error) = self.start_server(vdb, &self.vdb_root(vdb)) {
                tracing::error!(
                    vdb,
                    "cannot go back to the data before: {}",
                    crate::error_chain(&error)
                );
            }
        }
        moved
    }

    /// Configuration and login of a VDB that is no more; the sweep at the next start does what does not work now.
    pub(crate) fn forget_server(&self, vdb: &str) {
        let home = self.server_home(vdb);
        if storage::exists(&home)
            && let Err(error) = std::fs::remove_dir_all(&home)
        {
            tracing::warn!(path = %home.display(), "left for the sweep at the next start: {error}");
        }
    }

    /// What callers see of a server, as it is.
    pub(crate) fn settle_server(
        &self,
        draft: &mut Draft<'_>,
        vdb: &str,
        enabled: Option<bool>,
    ) -> Result<(), store::Error> {
        let Some(object) = draft.object(Kind::Vdb, vdb).filter(is_served) else {
            return Ok(());
        };
        let mut doc: Vdb = typed(&object)?;
        let root = self
            .settings
            .vdbs()
            .join(timeflows::directory_of(draft, &object));
        let runs = postmaster::find(&root.join("data")).is_some();
        doc.status = Some(if runs { RUNNING } else { STOPPED }.to_owned());
        doc.enabled = enabled.or(doc.enabled);
        doc.containerization_state = Some(ContainerizationState::NotContainerized);
        doc.exported_data_directory = None;
        draft.rewrite(&object, crate::document(&doc));
        Ok(())
    }

    fn server_settings(&self) -> Result<&ServerSettings, Error> {
        let none = || Error::Failed("servers is not in the engine's settings any more".to_owned());
        self.settings.servers.as_ref().ok_or_else(none)
    }

    /// Roots on which a server may run: those that callers see now.
    fn served_roots(&self, state: &State) -> Vec<PathBuf> {
        let served = state.objects(Kind::Vdb).filter(|vdb| is_served(vdb));
        served
            .map(|vdb| {
                self.settings
                    .vdbs()
                    .join(timeflows::current(state, &vdb.id))
            })
            .collect()
    }
}
