//! What a start will do before it serves, found out by looking alone. The start itself goes by the same.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::archive::{REPLAYED, works_on};
use crate::engine::{self, Engine, METADATA, children};
use crate::model::{Intent, Kind, Phase, number};
use crate::origin::Origin;
use crate::processes::{self, Process};
use crate::settings::Settings;
use crate::storage::{self, Copy};
use crate::store::{self, Store};
use crate::timeflows;

/// In the order in which it happens.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// Programs that an engine before has left behind.
    pub end: Vec<Program>,
    /// Interrupted jobs that are undone.
    pub give_up: Vec<Unfinished>,
    /// Files that no metadata knows.
    pub sweep: Vec<PathBuf>,
    /// Metadata without files, which stays as it is.
    pub missing: Vec<Missing>,
    /// Interrupted jobs that are carried out, oldest first.
    pub complete: Vec<Unfinished>,
    /// Virtual databases whose server starts again.
    pub start: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Program {
    pub pid: i32,
    pub program: String,
}

#[derive(Debug, Serialize)]
pub struct Unfinished {
    pub job: String,
    #[serde(flatten)]
    pub intent: Intent,
}

#[derive(Debug, Serialize)]
pub struct Missing {
    pub id: String,
    pub path: PathBuf,
}

/// The plan of a start that does not happen. Nothing of the pool is changed: it is looked at with a copy of its metadata,
/// which lies in `scratch`. An engine that serves the pool is an error.
pub fn dry_run(
    settings: Settings,
    origin: Box<dyn Origin>,
    scratch: &Path,
) -> Result<Plan, engine::Error> {
    let held = store::copy(&settings.pool.join(METADATA), scratch)?;
    let store = Store::open(&scratch.join(METADATA))?;
    // Which storage it is, is found out by writing; a plan needs none.
    let engine = Engine::with(settings, Box::new(Copy), origin, store)?;
    let plan = engine.plan();
    drop(held);
    Ok(plan)
}

impl Engine {
    fn plan(&self) -> Plan {
        let (complete, give_up) = self.unfinished();
        let start = match self.settings.servers {
            Some(_) => self.servers_to_start(),
            None => Vec::new(),
        };
        Plan {
            end: self.left_behind(complete.iter().chain(&give_up)),
            sweep: self.debris(&give_up),
            missing: self.missing(),
            complete,
            give_up,
            start,
        }
    }

    /// Jobs to be carried out, and those to be given up: a base backup is not repeated behind the source's back.
    pub(super) fn unfinished(&self) -> (Vec<Unfinished>, Vec<Unfinished>) {
        let all: Vec<Unfinished> = self.store.read(|state| {
            let going = state.going().filter_map(|j| {
                Some(Unfinished {
                    job: j.job.id.clone(),
                    intent: j.intent.clone()?,
                })
            });
            going.collect()
        });
        all.into_iter()
            .partition(|u| !matches!(u.intent, Intent::Snapshot { .. }))
    }

    fn left_behind<'a>(&self, jobs: impl Iterator<Item = &'a Unfinished>) -> Vec<Program> {
        let jobs: Vec<String> = jobs.map(|u| u.job.clone()).collect();
        let (hook, left) = (Self::is_hook_of(&jobs), self.is_left_at_work());
        let found = processes::those(|p| hook(p) || left(p));
        let told = found.into_iter().map(|process| Program {
            pid: process.pid,
            program: process.arguments().into_iter().next().unwrap_or_default(),
        });
        told.collect()
    }

    /// What a killed engine has left at work would write into what is swept or made anew.
    pub(super) fn is_left_at_work(&self) -> impl Fn(&Process) -> bool {
        let (copying, stray) = (self.is_copying(), self.is_stray_server());
        move |process| works_on(process, &self.settings.pool) || copying(process) || stray(process)
    }

    /// A copy file by file.
    fn is_copying(&self) -> impl Fn(&Process) -> bool + use<> {
        let pool = self.settings.pool.display().to_string();
        move |process| {
            let arguments = process.arguments();
            let mut paths = arguments.iter().filter(|word| word.starts_with(&pool));
            paths.any(|path| path.ends_with(storage::PARTIAL))
        }
    }

    /// Files that no metadata knows, once these jobs are given up.
    pub(super) fn debris(&self, given_up: &[Unfinished]) -> Vec<PathBuf> {
        let (vdbs, mut snapshots, mut dsources) = self.store.read(|state| {
            let flows = state.objects(Kind::Timeflow);
            let directories = flows
                .filter(|flow| timeflows::has_data(state, flow))
                .filter_map(|flow| Some(timeflows::directory(flow.parent.as_deref()?, flow)));
            let ids = |kind| state.objects(kind).map(|o| o.id.clone());
            (
                directories.collect::<HashSet<String>>(),
                ids(Kind::Snapshot).collect::<HashSet<String>>(),
                ids(Kind::DSource).collect::<HashSet<String>>(),
            )
        });
        for unfinished in given_up {
            if let Intent::Snapshot {
                dsource, snapshot, ..
            } = &unfinished.intent
            {
                snapshots.remove(snapshot);
                let is_new = |state: &store::State| state.get(Kind::DSource, dsource).is_none();
                if self.store.read(is_new) {
                    dsources.remove(dsource);
                }
            }
        }
        let below = |home: PathBuf, stray: &dyn Fn(&str) -> bool| {
            let names = children(&home).into_iter();
            let strays = names.filter(|name| stray(name));
            strays.map(|name| home.join(name)).collect::<Vec<_>>()
        };
        let copies = below(self.settings.vdbs(), &|name| {
            is_copy(name) && !vdbs.contains(name)
        });
        let backups = below(self.snapshots(), &|name| {
            is_whole_id(whole(name), Kind::Snapshot) && !snapshots.contains(name)
        });
        // Configurations, sockets and password files of programs that run no more.
        let scratch = below(self.settings.pool.join("run"), &|_| true);
        let logs = below(self.settings.pool.join("wal"), &|name| {
            !dsources.contains(name)
        });
        let mut all = [self.stray_homes(), copies, backups, scratch, logs].concat();
        all.sort();
        all
    }

    /// Metadata without files. What a job works on is its job's to tell.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let ids: Vec<(Kind, String)> = self.store.read(|state| {
            let kinds = [Kind::Vdb, Kind::Snapshot].into_iter();
            let objects = kinds.flat_map(|kind| state.objects(kind));
            objects
                .filter(|o| o.phase == Phase::Live && state.busy(&o.id).is_none())
                .map(|o| (o.kind, o.id.clone()))
                .collect()
        });
        let place = |(kind, id): (Kind, String)| {
            let path = match kind {
                Kind::Snapshot => self.clone_root(&id),
                _ => self.vdb_root(&id),
            };
            Missing { id, path }
        };
        let all = ids.into_iter().map(place);
        all.filter(|missing| !storage::exists(&missing.path))
            .collect()
    }
}

/// The directory of a copy, with the number of a later timeflow or without, or what was left beside one.
fn is_copy(name: &str) -> bool {
    let name = whole(name);
    let first = name.rsplit_once('-').is_some_and(|(vdb, flow)| {
        flow.bytes().all(|b| b.is_ascii_digit()) && is_whole_id(vdb, Kind::Vdb)
    });
    first || is_whole_id(name, Kind::Vdb)
}

fn whole(name: &str) -> &str {
    let name = [storage::PARTIAL, storage::TRASH]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    name.strip_suffix(REPLAYED).unwrap_or(name)
}

fn is_whole_id(name: &str, kind: Kind) -> bool {
    number(name).is_some_and(|number| kind.id(number) == name)
}
