//! Running hooks, where `serve --run-hooks` allows it: scripts that accompany what is done with a virtual database whose
//! server the engine runs.
//!
//! A job that a crash has interrupted runs its hooks again. New data is made anew for that, so that its hooks never see
//! what they have half changed before.

mod script;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dct::types::{Hook, Hooks};

use crate::engine::Engine;
use crate::jobs::Error;
use crate::model::{Kind, Object};
use crate::processes::Process;
use crate::servers::{self, Stop};
use crate::snapshots::Copied;
use crate::store::State;
use crate::{error_chain, origin, processes, storage, timeflows};
use script::Script;

/// The lists that accompany an action, in the order in which they run.
#[derive(Clone, Copy)]
pub(crate) struct Around {
    pub(crate) before: &'static [&'static str],
    pub(crate) after: &'static [&'static str],
}

pub(crate) const PROVISION: Around = Around {
    before: &[],
    after: &["configure_clone"],
};
const REFRESH: Around = Around {
    before: &["pre_refresh"],
    after: &["configure_clone", "post_refresh"],
};
/// The later name is that of a refresh from itself.
const REWIND: Around = Around {
    before: &["pre_rollback", "pre_self_refresh"],
    after: &["post_rollback", "post_self_refresh"],
};
/// A rewind is a refresh under a timeflow of its own kind.
pub(crate) fn of_renewal(state: &State, timeflow: &str) -> Around {
    let kind = state
        .any(Kind::Timeflow, timeflow)
        .and_then(|flow| flow.doc.get("creation_type")?.as_str());
    if kind == Some(timeflows::ROLLBACK) {
        REWIND
    } else {
        REFRESH
    }
}

const START: Around = Around {
    before: &["pre_start"],
    after: &["post_start"],
};
const STOP: Around = Around {
    before: &["pre_stop"],
    after: &["post_stop"],
};
const SNAPSHOT: Around = Around {
    before: &["pre_snapshot"],
    after: &["post_snapshot"],
};

/// By this a script's processes are known, whoever started them.
const MARK: &str = "VDB_JOB_ID";

/// The program of a shell's name in the interface; none for those that the engine does not run.
pub(crate) fn program(shell: Option<&str>) -> Option<&'static str> {
    match shell {
        None | Some("bash") => Some("bash"),
        Some("shell") => Some("sh"),
        Some(_) => None,
    }
}

/// The hooks that a job on a virtual database runs.
pub(crate) struct Hooked<'a> {
    engine: &'a Engine,
    job: &'a str,
    vdb: &'a str,
    hooks: Hooks,
}

impl Engine {
    /// None, unless hooks are run and the engine runs the server.
    pub(crate) fn hooked<'a>(&'a self, job: &'a str, vdb: &'a str) -> Hooked<'a> {
        let kept = |object: &Object| serde_json::from_value(object.doc.get("hooks")?.value()).ok();
        let hooks = self.settings.run_hooks.and_then(|_| {
            self.store.read(|state| {
                // A change that restarts the server is no start for those who watch it.
                if state.job(job)?.job.kind.as_deref() == Some("DB_UPDATE") {
                    return None;
                }
                let object = state
                    .any(Kind::Vdb, vdb)
                    .filter(|o| servers::is_served(o))?;
                kept(object)
            })
        });
        Hooked {
            engine: self,
            job,
            vdb,
            hooks: hooks.unwrap_or_default(),
        }
    }

    /// The last trace of a job's hooks; what they have kept for each other goes with it.
    pub(crate) fn end_hooks(&self, job: &str) {
        let home = self.hooks_home(job);
        if storage::exists(&home)
            && let Err(error) = std::fs::remove_dir_all(&home)
        {
            tracing::warn!(job, "left for the sweep at the next start: {error}");
        }
    }

    /// Scripts of unfinished jobs that an engine before this one has left behind.
    pub(crate) fn kill_hooks(jobs: &[String]) {
        if !jobs.is_empty() {
            processes::kill_those(Self::is_hook_of(jobs));
        }
    }

    pub(crate) fn is_hook_of(jobs: &[String]) -> impl Fn(&Process) -> bool + use<> {
        let marks: Vec<String> = jobs.iter().map(|job| format!("{MARK}={job}")).collect();
        move |process| process.has_variable(&marks)
    }

    fn hooks_home(&self, job: &str) -> PathBuf {
        self.scratch(&format!("hooks-{job}"))
    }

    pub(crate) fn start_with_hooks(&self, job: &str, vdb: &str) -> Result<(), Error> {
        let (root, hooked) = (self.vdb_root(vdb), self.hooked(job, vdb));
        let ran = self.server_runs(vdb);
        hooked.run(&root, START.before)?;
        self.start_server(vdb, &root)?;
        let after = hooked.run(&root, START.after);
        if after.is_err() && !ran {
            self.stop_server(vdb, Stop::Fast)?;
        }
        after
    }

    pub(crate) fn stop_with_hooks(&self, job: &str, vdb: &str, how: Stop) -> Result<(), Error> {
        let (root, hooked) = (self.vdb_root(vdb), self.hooked(job, vdb));
        hooked.run(&root, STOP.before)?;
        self.stop_server(vdb, how)?;
        hooked.run(&root, STOP.after)
    }

    /// The hooks after a snapshot undo what those before it did: they run in any case.
    pub(crate) fn copy_with_hooks(
        &self,
        job: &str,
        vdb: &str,
        snapshot: &str,
    ) -> Result<Copied, Error> {
        let (root, hooked) = (self.vdb_root(vdb), self.hooked(job, vdb));
        let before = hooked.run(&root, SNAPSHOT.before);
        let copied = before.and_then(|()| self.copy_vdb(vdb, snapshot));
        let after = hooked.run(&root, SNAPSHOT.after);
        let copied = copied?;
        after.map(|()| copied)
    }
}

impl Hooked<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.hooks == Hooks::default()
    }

    pub(crate) fn any(&self, lists: &[&str]) -> bool {
        self.of(lists).next().is_some()
    }

    pub(crate) fn run(&self, root: &Path, lists: &[&str]) -> Result<(), Error> {
        for (list, index, hook) in self.of(lists) {
            let what = match &hook.name {
                Some(name) => format!("{list}[{index}] ({name})"),
                None => format!("{list}[{index}]"),
            };
            let begun = std::time::Instant::now();
            self.one(root, &hook)
                .map_err(|why| Error::Failed(format!("hook {what} failed: {why}")))?;
            tracing::info!(job = self.job, vdb = self.vdb, hook = what, elapsed = ?begun.elapsed(), "ran");
        }
        Ok(())
    }

    /// Before new data is made where an interrupted job may have left some that its hooks have half changed.
    pub(crate) fn anew(&self, root: &Path, lists: &[&str]) -> Result<(), Error> {
        if !self.any(lists) {
            return Ok(());
        }
        self.engine.clear_root(self.vdb, root)
    }

    /// Runs hooks on new data, by a server that takes no connections from outside: nobody reads it before they are over.
    pub(crate) fn prepare(&self, root: &Path, lists: &[&str]) -> Result<(), Error> {
        if !self.any(lists) {
            return Ok(());
        }
        self.engine.start_apart(self.vdb, root)?;
        let done = self.run(root, lists);
        servers::stop_on(root)?;
        done
    }

    fn of(&self, lists: &[&str]) -> impl Iterator<Item = (&'static str, usize, Hook)> {
        let mut hooks = self.hooks.clone();
        let mut found = Vec::new();
        for wanted in lists {
            let known = hooks.lists().into_iter();
            for (name, list) in known.filter(|(name, _)| name == wanted) {
                let hooks = list.take().unwrap_or_default().into_iter().enumerate();
                found.extend(hooks.map(|(index, hook)| (name, index, hook)));
            }
        }
        found.into_iter()
    }

    fn one(&self, root: &Path, hook: &Hook) -> Result<(), String> {
        let engine = self.engine;
        let Some(how) = engine.settings.run_hooks else {
            return Err("this engine runs no hooks".to_owned());
        };
        let shell = hook.shell.as_deref();
        let Some(shell) = program(shell) else {
            let shell = shell.unwrap_or_default();
            return Err(format!(
                "shell {shell:?} is not run here, bash and shell are"
            ));
        };
        let home = engine.hooks_home(self.job);
        storage::private_directory(&home).map_err(|e| error_chain(&e))?;
        let script = Script {
            shell,
            text: hook.command.as_deref().unwrap_or_default(),
            home: &home,
            variables: self.variables(root),
            folders: self.folders(root),
            deadline: how.deadline,
        };
        let ended = script.run();
        if matches!(ended, Err(script::Error::Late { .. })) {
            // What has left its group.
            Engine::kill_hooks(&[self.job.to_owned()]);
        }
        ended.map_err(|error| error_chain(&error))
    }

    /// The vendor's name for the directory, and where a client finds the server.
    fn variables(&self, root: &Path) -> Vec<(&'static str, OsString)> {
        let vdb = self
            .engine
            .store
            .read(|state| state.any(Kind::Vdb, self.vdb).cloned());
        let port = vdb.as_ref().and_then(servers::port_of).unwrap_or_default();
        let name = vdb.map(|vdb| vdb.name).unwrap_or_default();
        vec![
            ("DLPX_DATA_DIRECTORY", root.into()),
            ("PGDATA", root.join("data").into()),
            ("PGHOST", self.engine.server_home(self.vdb).into()),
            ("PGPORT", port.to_string().into()),
            ("PGUSER", "postgres".into()),
            ("PGDATABASE", "postgres".into()),
            (MARK, self.job.into()),
            ("VDB_ID", self.vdb.into()),
            ("VDB_NAME", name.into()),
        ]
    }

    /// The server's own programs first, then the clients.
    fn folders(&self, root: &Path) -> Vec<PathBuf> {
        let settings = &self.engine.settings;
        let major = pgdata::version::major(&root.join("data")).ok();
        let server = major
            .and_then(|major| origin::servers::of(&settings.postgres_bin, major, self.vdb).ok());
        server
            .into_iter()
            .chain([settings.client_bin.clone()])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_those_of_the_vendor_that_a_linux_has() {
        assert_eq!(program(None), Some("bash"));
        assert_eq!(program(Some("bash")), Some("bash"));
        assert_eq!(program(Some("shell")), Some("sh"));
        for other in ["expect", "ps", "psd", "zsh"] {
            assert_eq!(program(Some(other)), None, "{other}");
        }
    }

    #[test]
    fn every_list_accompanies_something() {
        let all = [PROVISION, REFRESH, REWIND, START, STOP, SNAPSHOT];
        let named: std::collections::BTreeSet<&str> = all
            .iter()
            .flat_map(|around| around.before.iter().chain(around.after))
            .copied()
            .collect();
        let known = Hooks::default().lists().map(|(name, _)| name);
        assert_eq!(named, known.into_iter().collect());
    }
}
