//! Deleting what others depend on is refused with the list of them.

use dct::types::{Bookmark, DeleteDSource, DeleteSnapshot, Job, Source, VdbGroup};

use crate::actions::{Order, Refusal, free_dsource, going, order_on, snapshot, typed};
use crate::engine::Engine;
use crate::model::{Intent, Kind, Object};
use crate::store::{self, Draft, State};
use crate::{document, jobs, timeflows};

/// One thing that has to go first.
pub(crate) struct Dependant {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) name: String,
}

/// Longer lists say how many more there are: a refusal has a thousand characters.
const LISTED: usize = 10;

pub(crate) fn refuse_dependants(name: &str, dependants: &[Dependant]) -> Result<(), Refusal> {
    if dependants.is_empty() {
        return Ok(());
    }
    let mut list: Vec<String> = dependants
        .iter()
        .take(LISTED)
        .map(|d| format!("{} {} ({})", d.kind, d.name, d.id))
        .collect();
    if dependants.len() > LISTED {
        list.push(format!("and {} more", dependants.len() - LISTED));
    }
    Err(Refusal::Conflict(format!(
        "{name} cannot be deleted while others depend on it: {}",
        list.join(", ")
    )))
}

/// Two jobs that delete the same files would be in each other's way.
pub(crate) fn refuse_busy_snapshots(state: &State, dataset: &str) -> Result<(), Refusal> {
    let mut own = state.children(Kind::Snapshot, dataset);
    match own.find_map(|s| state.busy(&s.id)) {
        Some(job) => Err(Refusal::Conflict(format!(
            "job {} still works on a snapshot of {dataset}",
            job.job.id
        ))),
        None => Ok(()),
    }
}

pub(crate) fn one_by_one() -> Refusal {
    Refusal::Invalid(
        "this engine deletes no dependants along with an object: delete them first, one by one"
            .to_owned(),
    )
}

/// Copies that hold a snapshot's data, kept ones included, and bookmarks of it.
pub(crate) fn on_snapshot(state: &State, id: &str) -> Vec<Dependant> {
    let mut found = copies(state, id);
    for bookmark in state.objects(Kind::Bookmark) {
        let entries = bookmark.doc.get("vdbs").map(|v| v.value());
        let entries = entries.as_ref().and_then(|v| v.as_array());
        let named = entries.into_iter().flatten();
        if named
            .filter_map(|entry| entry.get("snapshot_id")?.as_str())
            .any(|snapshot| snapshot == id)
        {
            found.push(dependant("bookmark", bookmark));
        }
    }
    found
}

fn copies(state: &State, snapshot: &str) -> Vec<Dependant> {
    let flows = state.objects(Kind::Timeflow).filter(|flow| {
        let parent = flow.doc.get("parent_snapshot_id").and_then(|v| v.as_str());
        parent == Some(snapshot) && timeflows::has_data(state, flow)
    });
    let mut found: Vec<Dependant> = flows
        .filter_map(|flow| state.any(Kind::Vdb, flow.parent.as_deref()?))
        .map(|vdb| dependant("virtual database", vdb))
        .collect();
    found.dedup_by(|a, b| a.id == b.id);
    found
}

/// Others that were made from a VDB's snapshots. Its own bookmarks go with it.
pub(crate) fn on_vdb(state: &State, id: &str) -> Vec<Dependant> {
    let mut found: Vec<Dependant> = state
        .children(Kind::Snapshot, id)
        .flat_map(|snapshot| copies(state, &snapshot.id))
        .filter(|dependant| dependant.id != id)
        .collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    found
}

pub(crate) fn on_dsource(state: &State, id: &str) -> Vec<Dependant> {
    let below =
        |vdb: &&Object| vdb.doc.get("parent_dsource_id").and_then(|v| v.as_str()) == Some(id);
    let mut found: Vec<Dependant> = state
        .objects(Kind::Vdb)
        .filter(below)
        .map(|vdb| dependant("virtual database", vdb))
        .collect();
    found.extend(
        state
            .children(Kind::Snapshot, id)
            .flat_map(|snapshot| copies(state, &snapshot.id)),
    );
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    found
}

fn dependant(kind: &'static str, object: &Object) -> Dependant {
    Dependant {
        kind,
        id: object.id.clone(),
        name: object.name.clone(),
    }
}

impl Engine {
    pub fn delete_snapshot(&self, id: &str, request: &DeleteSnapshot) -> Result<Job, Refusal> {
        if request.delete_all_dependencies == Some(true) {
            return Err(one_by_one());
        }
        self.store.change(|draft| {
            let object = snapshot(draft.state, id)?.clone();
            let dataset = object.parent.as_deref().unwrap_or_default();
            if let Some(job) = draft
                .state
                .busy(&object.id)
                .or_else(|| going(draft.state, dataset))
            {
                return Err(Refusal::Conflict(format!(
                    "job {} still works on {}",
                    job.job.id, object.id
                )));
            }
            refuse_dependants(
                &format!("snapshot {}", object.id),
                &on_snapshot(draft.state, &object.id),
            )?;
            let intent = Intent::DeleteSnapshot {
                snapshot: object.id.clone(),
            };
            Ok(order_on(&object, "SNAPSHOT_DELETE", intent).begin(draft))
        })
    }

    /// The source itself is not touched; it is not linked again by itself.
    pub fn delete_dsource(&self, request: &DeleteDSource) -> Result<Job, Refusal> {
        if request.delete_all_dependent_vdbs == Some(true) {
            return Err(one_by_one());
        }
        let id = request.dsource_id.as_deref().unwrap_or_default();
        self.store.change(|draft| {
            let object = free_dsource(draft.state, id)?.clone();
            refuse_busy_snapshots(draft.state, &object.id)?;
            refuse_dependants(
                &format!("dSource {}", object.name),
                &on_dsource(draft.state, &object.id),
            )?;
            let order = Order {
                kind: "DSOURCE_DELETE",
                target: &object.id,
                name: &object.name,
                intent: Intent::DeleteDSource {
                    dsource: object.id.clone(),
                    force: request.force == Some(true),
                },
                warning: None,
            };
            Ok(order.begin(draft))
        })
    }

    /// All files of a VDB: every timeflow, every snapshot of its own.
    pub(crate) fn delete_vdb_files(&self, vdb: &str) -> Result<(), jobs::Error> {
        for root in self.roots_of(vdb) {
            self.storage.delete(&root)?;
        }
        self.delete_snapshots_of(vdb)?;
        self.forget_size(vdb);
        Ok(())
    }

    pub(crate) fn delete_snapshots_of(&self, dataset: &str) -> Result<(), jobs::Error> {
        let snapshots: Vec<String> = self.store.read(|state| {
            let own = state.children(Kind::Snapshot, dataset);
            own.map(|s| s.id.clone()).collect()
        });
        for snapshot in snapshots {
            self.delete_snapshot_files(&snapshot)?;
        }
        Ok(())
    }
}

/// A snapshot's last trace, and that of a timeflow which only it kept.
pub(crate) fn settle_snapshot(draft: &mut Draft<'_>, id: &str) {
    let Some(object) = draft.state.any(Kind::Snapshot, id).cloned() else {
        return;
    };
    draft.remove(object.number);
    let named = |s: &Object| {
        let flow = s.doc.get("timeflow_id")?.as_str()?;
        Some(flow.to_owned())
    };
    let Some(flow) = named(&object) else { return };
    let dataset = object.parent.unwrap_or_default();
    let others = draft
        .state
        .children(Kind::Snapshot, &dataset)
        .any(|s| s.id != id && named(s).as_deref() == Some(&flow));
    let of_vdb = draft.state.any(Kind::Vdb, &dataset).is_some();
    if let Some(flow) = draft.state.any(Kind::Timeflow, &flow)
        && of_vdb
        && !others
        && !timeflows::has_data(draft.state, flow)
    {
        draft.remove(flow.number);
    }
}

/// A VDB's last traces: timeflows, snapshots, its part of bookmarks and groups.
pub(crate) fn settle_vdb(draft: &mut Draft<'_>, id: &str) -> Result<(), store::Error> {
    if let Some(object) = draft.state.any(Kind::Vdb, id) {
        draft.remove(object.number);
    }
    forget_dataset(draft, id);
    let bookmarks: Vec<Object> = draft.state.objects(Kind::Bookmark).cloned().collect();
    for object in bookmarks {
        let mut doc: Bookmark = typed(&object)?;
        let ids = doc.vdb_ids.get_or_insert_default();
        if !ids.iter().any(|vdb| vdb == id) {
            continue;
        }
        ids.retain(|vdb| vdb != id);
        let over = ids.is_empty();
        if let Some(entries) = &mut doc.vdbs {
            entries.retain(|entry| entry.vdb_id.as_deref() != Some(id));
        }
        if over {
            draft.remove(object.number);
        } else {
            draft.rewrite(&object, document(&doc));
        }
    }
    let groups: Vec<Object> = draft.state.objects(Kind::VdbGroup).cloned().collect();
    for object in groups {
        let mut doc: VdbGroup = typed(&object)?;
        let members = doc.vdbs.get_or_insert_default();
        let before = members.len();
        members.retain(|member| member.vdb_id.as_deref() != Some(id));
        if members.len() < before {
            doc.vdb_ids.get_or_insert_default().retain(|vdb| vdb != id);
            draft.rewrite(&object, document(&doc));
        }
    }
    Ok(())
}

pub(crate) fn settle_dsource(draft: &mut Draft<'_>, id: &str) -> Result<(), store::Error> {
    let Some(object) = draft.state.any(Kind::DSource, id).cloned() else {
        return Ok(());
    };
    draft.remove(object.number);
    forget_dataset(draft, id);
    let source = object
        .parent
        .as_deref()
        .and_then(|id| draft.state.any(Kind::Source, id));
    if let Some(source) = source.cloned() {
        let mut doc: Source = typed(&source)?;
        doc.is_dsource = Some(false);
        doc.linking_enabled = Some(false);
        draft.rewrite(&source, document(&doc));
    }
    Ok(())
}

fn forget_dataset(draft: &mut Draft<'_>, id: &str) {
    timeflows::forget(draft, id);
    let snapshots = draft.state.children(Kind::Snapshot, id);
    let snapshots: Vec<u64> = snapshots.map(|s| s.number).collect();
    for snapshot in snapshots {
        draft.remove(snapshot);
    }
}
