//! Servers over the engine's own stops and starts, and whether what callers are told still holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Stop, is_served, is_wanted, postmaster};
use crate::actions::order_on;
use crate::engine::Engine;
use crate::model::{Intent, Kind, Object, Phase};
use crate::processes::Process;
use crate::{error_chain, store};

const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Engine {
    /// A server on a directory that no VDB shows any more.
    pub(crate) fn is_stray_server(&self) -> impl Fn(&Process) -> bool + use<> {
        let servers = self.settings.pool.join("servers");
        let roots = self.store.read(|state| self.served_roots(state));
        move |process| {
            let arguments = process.arguments();
            let ours = arguments
                .iter()
                .filter_map(|argument| argument.strip_prefix("config_file="));
            let data = arguments
                .windows(2)
                .find(|pair| pair[0] == "-D")
                .map(|pair| PathBuf::from(&pair[1]));
            ours.map(Path::new)
                .any(|config| config.starts_with(&servers))
                && data
                    .as_deref()
                    .and_then(Path::parent)
                    .is_none_or(|root| !roots.iter().any(|known| known == root))
        }
    }

    /// Configuration and socket of a server that no VDB has any more.
    pub(crate) fn stray_homes(&self) -> Vec<PathBuf> {
        let servers = self.settings.pool.join("servers");
        let names = crate::engine::children(&servers).into_iter();
        self.store.read(|state| {
            let known = |id: &str| state.any(Kind::Vdb, id).is_some_and(is_served);
            let strays = names.filter(|name| !known(name));
            strays.map(|name| servers.join(name)).collect()
        })
    }

    /// After a start: what still runs is taken over, the rest is started again, unless `auto_restart` is off.
    pub fn resume_servers(self: &Arc<Self>) -> Result<(), store::Error> {
        for vdb in self.idle_servers() {
            if self.server_runs(&vdb.id) {
                tracing::info!(vdb = vdb.id, "its server still runs; taken over");
                continue;
            }
            let again = starts_again(&vdb);
            let job = self.store.change(|draft| {
                self.settle_server(draft, &vdb.id, None)?;
                let start = || {
                    order_on(
                        &vdb,
                        "DB_START",
                        Intent::Start {
                            vdb: vdb.id.clone(),
                        },
                    )
                    .begin(draft)
                };
                Ok::<_, store::Error>(again.then(start))
            })?;
            if let Some(job) = job {
                self.start(&job.id);
            }
        }
        Ok(())
    }

    /// What [`Engine::resume_servers`] will start.
    pub(crate) fn servers_to_start(&self) -> Vec<String> {
        let idle = self.idle_servers().into_iter();
        idle.filter(|vdb| starts_again(vdb) && !self.server_runs(&vdb.id))
            .map(|vdb| vdb.id)
            .collect()
    }

    /// A server that ended by itself is said to be stopped, one that runs to be running.
    pub async fn keep_servers(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let engine = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || engine.look_at_servers()).await;
            if let Ok(Err(error)) = looked {
                tracing::error!("cannot write down how servers are: {}", error_chain(&error));
            }
        }
    }

    pub fn look_at_servers(&self) -> Result<(), store::Error> {
        self.renew_certificates();
        for vdb in self.idle_servers() {
            if self.server_runs(&vdb.id) == is_wanted(&vdb) {
                continue;
            }
            self.store.change(|draft| {
                // A job that began meanwhile knows better, and what the engine stops with itself starts with it again.
                let stopping = self.stopping.load(Ordering::SeqCst);
                if stopping || draft.state.busy(&vdb.id).is_some() {
                    return Ok(());
                }
                tracing::warn!(vdb = vdb.id, "its server started or ended by itself");
                self.settle_server(draft, &vdb.id, None)
            })?;
        }
        Ok(())
    }

    /// With the engine, its servers stop; they start with it.
    pub fn stop_servers(&self) {
        // As a change, so that a look that is under way is over before the first of them ends.
        let told = self.store.change(|_| {
            self.stopping.store(true, Ordering::SeqCst);
            Ok::<_, store::Error>(())
        });
        if let Err(error) = told {
            tracing::warn!("{}", error_chain(&error));
        }
        std::thread::scope(|scope| {
            for vdb in self.idle_servers() {
                scope.spawn(move || {
                    if let Err(error) =
                        postmaster::stop(&self.vdb_root(&vdb.id).join("data"), Stop::Fast)
                    {
                        tracing::error!(vdb = vdb.id, "{}", error_chain(&error));
                    }
                });
            }
        });
    }

    fn idle_servers(&self) -> Vec<Object> {
        self.store.read(|state| {
            let served = state
                .objects(Kind::Vdb)
                .filter(|o| o.phase == Phase::Live && is_served(o));
            served
                .filter(|o| state.busy(&o.id).is_none())
                .cloned()
                .collect()
        })
    }
}

/// Whether its server is to run after a start of the engine.
fn starts_again(vdb: &Object) -> bool {
    is_wanted(vdb) && vdb.doc.get("vdb_restart").and_then(|v| v.as_bool()) != Some(false)
}
