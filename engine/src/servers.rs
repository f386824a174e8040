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
mod ready;
mod session;
mod tls;
mod watch;

use std::path::{Path, PathBuf};

use dct::types::{ContainerizationState, Vdb};

use crate::actions::typed;
use crate::engine::Engine;
use crate::jobs::Error;
use crate::model::{Kind, Object};
use crate::origin::superuser::Superuser;
use crate::settings::ServerSettings;
use crate::store::{self, Draft, State};
use crate::{origin, storage, timeflows};

pub(crate) use login::{Login, checked as login_of};
pub(crate) use ports::port_of;
pub(crate) use postmaster::Stop;
use session::Session;

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

/// Stops the server on one root, if it runs.
pub(crate) fn stop_on(root: &Path) -> Result<(), Error> {
    postmaster::stop(&root.join("data"), Stop::Fast)
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
        let listen = self.server_settings()?.listen.to_string();
        self.stepped(|| self.start_listening(vdb, root, &listen))
    }

    fn stepped<T>(&self, work: impl FnOnce() -> T) -> T {
        let step = || self.at_step.iter().for_each(|step| step());
        step();
        let done = work();
        step();
        done
    }

    /// The same without a port: only the engine's own user reaches it, by its socket.
    pub(crate) fn start_apart(&self, vdb: &str, root: &Path) -> Result<(), Error> {
        self.stepped(|| stop_on(root))?;
        self.stepped(|| self.start_listening(vdb, root, ""))
    }

    fn start_listening(&self, vdb: &str, root: &Path, listen: &str) -> Result<(), Error> {
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
        let settings = self.server_settings()?;
        if let Some(tls) = &settings.tls {
            tls::place(tls, &home)?;
        }
        let encrypted = settings.tls.is_some();
        let text = config::text(&object, &place, listen, port, encrypted)?;
        let rules = config::rules(self.settings.run_hooks.is_some(), encrypted);
        place.clear()?;
        if known {
            config::write(&home, &text, &rules)?;
            return place.start();
        }
        config::write(&home, &text, config::FOR_OWNER)?;
        let superuser = Superuser::read(root);
        let session = superuser.map(|superuser| Session::new(&home, port, major, &superuser));
        login::start(&place, root, &rules, session.as_ref())
    }

    /// Before a root is made anew: without its server, and without what was given to its data.
    pub(crate) fn clear_root(&self, vdb: &str, root: &Path) -> Result<(), Error> {
        stop_on(root)?;
        login::forget(&self.server_home(vdb))?;
        Ok(self.storage.delete(root)?)
    }

    /// Stops whatever serves a VDB.
    pub(crate) fn stop_server(&self, vdb: &str, how: Stop) -> Result<(), Error> {
        for root in self.roots_of(vdb) {
            self.stepped(|| postmaster::stop(&root.join("data"), how))?;
        }
        Ok(())
    }

    fn stop_others(&self, vdb: &str, root: &Path) -> Result<(), Error> {
        let others = self.roots_of(vdb).into_iter().filter(|other| other != root);
        for other in others {
            self.stepped(|| postmaster::stop(&other.join("data"), Stop::Fast))?;
        }
        Ok(())
    }

    pub(crate) fn server_runs(&self, vdb: &str) -> bool {
        postmaster::find(&self.vdb_root(vdb).join("data")).is_some()
    }

    /// After a refresh or a rewind has made or chosen a root: the server moves there if it ran. If it cannot, it goes on
    /// with what it had.
    pub(crate) fn move_server(&self, vdb: &str, root: &Path) -> Result<(), Error> {
        if !self.is_to_run(vdb) {
            return Ok(());
        }
        let moved = self.start_server(vdb, root);
        if moved.is_err() {
            self.move_back(vdb, root)?;
        }
        moved
    }

    /// Away from a root that cannot be used, back to what callers see.
    pub(crate) fn move_back(&self, vdb: &str, from: &Path) -> Result<(), Error> {
        postmaster::stop(&from.join("data"), Stop::Immediate)?;
        self.serve_current(vdb);
        Ok(())
    }

    /// Starts the server on what callers see, if it is to run and does not.
    pub(crate) fn serve_current(&self, vdb: &str) {
        if self.is_to_run(vdb)
            && let Err(error) = self.start_server(vdb, &self.vdb_root(vdb))
        {
            tracing::error!(
                vdb,
                "cannot serve the data that it has: {}",
                crate::error_chain(&error)
            );
        }
    }

    fn is_to_run(&self, vdb: &str) -> bool {
        let is = |object: &Object| is_served(object) && is_wanted(object);
        self.store
            .read(|state| state.any(Kind::Vdb, vdb).is_some_and(is))
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
