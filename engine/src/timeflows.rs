//! Lives of a dataset's data. A refresh or a rewind makes a new one in a directory of its own, so that nothing changes
//! below a server that still has the old one mounted; the one before is kept until the next, for undoing.

mod upgrade;

use std::path::PathBuf;

use dct::types::{DSource, Snapshot, Timeflow, Vdb};

use crate::actions::{Dataset, typed};
use crate::engine::Engine;
use crate::model::{ENGINE_ID, Kind, Object, Phase, number};
use crate::store::{self, Draft, State};
use crate::{clock, document};

pub(crate) const INITIAL: &str = "INITIAL";
pub(crate) const REFRESH: &str = "REFRESH";
pub(crate) const ROLLBACK: &str = "ROLLBACK";

/// Where a timeflow begins: at a snapshot of a dataset, or, for the first of a dSource, nowhere.
pub(crate) struct Begin<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) point: Option<(&'a Snapshot, &'a Dataset)>,
}

/// Writes a timeflow down. It is live once its data is there.
pub(crate) fn begin(
    draft: &mut Draft<'_>,
    from: &Begin<'_>,
    phase: Phase,
) -> Result<String, store::Error> {
    let number = draft.number();
    let id = Kind::Timeflow.id(number);
    let now = clock::now();
    let mut doc = Timeflow {
        id: id.clone(),
        engine_id: Some(ENGINE_ID.to_owned()),
        name: Some(format!("{}@{now}", from.kind.to_lowercase())),
        dataset_id: Some(from.dataset.to_owned()),
        creation_type: Some(from.kind.to_owned()),
        is_active: Some(true),
        creation_timestamp: Some(now.clone()),
        activation_timestamp: Some(now),
        ..Timeflow::default()
    };
    if let Some((snapshot, dataset)) = from.point {
        doc.parent_snapshot_id = Some(snapshot.id.clone());
        doc.parent_point_timestamp.clone_from(&snapshot.timestamp);
        doc.parent_point_location.clone_from(&snapshot.location);
        doc.parent_point_timeflow_id
            .clone_from(&snapshot.timeflow_id);
        doc.source_dsource_id.clone_from(&dataset.dsource_id);
        doc.source_data_timestamp = source_time(draft.state, snapshot, dataset)?;
        if dataset.is_vdb {
            doc.parent_vdb_id = Some(dataset.id.clone());
        } else {
            doc.parent_dsource_id = Some(dataset.id.clone());
        }
    }
    draft.put(Object {
        number,
        kind: Kind::Timeflow,
        name: id.clone(),
        scope: id.clone(),
        id: id.clone(),
        phase,
        parent: Some(from.dataset.to_owned()),
        doc: document(&doc),
    });
    Ok(id)
}

/// The time of the source whose data a snapshot goes back to.
fn source_time(
    state: &State,
    snapshot: &Snapshot,
    dataset: &Dataset,
) -> Result<Option<String>, store::Error> {
    let of_vdb = snapshot
        .timeflow_id
        .as_deref()
        .filter(|_| dataset.is_vdb)
        .and_then(|id| state.any(Kind::Timeflow, id));
    match of_vdb {
        Some(timeflow) => Ok(typed::<Timeflow>(timeflow)?.source_data_timestamp),
        None => Ok(snapshot.timestamp.clone()),
    }
}

/// Its data is there: callers may see it.
pub(crate) fn publish(draft: &mut Draft<'_>, timeflow: Option<&str>) {
    let flow = timeflow.and_then(|id| draft.state.any(Kind::Timeflow, id));
    if let Some(flow) = flow.filter(|flow| flow.phase == Phase::Creating).cloned() {
        draft.put(Object {
            phase: Phase::Live,
            ..flow
        });
    }
}

/// Removes all timeflows of a dataset.
pub(crate) fn forget(draft: &mut Draft<'_>, dataset: &str) {
    let flows = draft.state.children(Kind::Timeflow, dataset);
    let flows: Vec<u64> = flows.map(|flow| flow.number).collect();
    for flow in flows {
        draft.remove(flow);
    }
}

/// A VDB's data is another timeflow's from now on.
pub(crate) fn switch(
    draft: &mut Draft<'_>,
    vdb: &Object,
    timeflow: &str,
    change: impl FnOnce(&mut Vdb),
) -> Result<(), store::Error> {
    let Some(next) = draft.state.any(Kind::Timeflow, timeflow).cloned() else {
        return Err(store::Error::Damaged(format!("{timeflow} is missing")));
    };
    let mut doc: Vdb = typed(vdb)?;
    let mut flow: Timeflow = typed(&next)?;
    let before = doc.current_timeflow_id.replace(timeflow.to_owned());
    doc.previous_timeflow_id.clone_from(&before);
    if let Some(before) = before.and_then(|id| draft.state.any(Kind::Timeflow, &id)) {
        let mut old: Timeflow = typed(before)?;
        old.is_active = Some(false);
        draft.rewrite(before, document(&old));
    }
    follow(draft.state, &mut doc, &flow);
    change(&mut doc);
    flow.is_active = Some(true);
    flow.activation_timestamp = Some(clock::now());
    draft.put(Object {
        phase: Phase::Live,
        doc: document(&flow),
        ..next
    });
    draft.put(Object {
        parent: flow.parent_snapshot_id,
        doc: document(&doc),
        ..vdb.clone()
    });
    Ok(())
}

/// Whose data it is, and of when. A rewind goes back to data of the VDB's own: its parent stays.
fn follow(state: &State, doc: &mut Vdb, flow: &Timeflow) {
    if flow.creation_type.as_deref() == Some(ROLLBACK) {
        doc.parent_timeflow_timestamp
            .clone_from(&flow.source_data_timestamp);
        return;
    }
    doc.parent_timeflow_timestamp
        .clone_from(&flow.parent_point_timestamp);
    let parent = flow
        .parent_vdb_id
        .as_ref()
        .or(flow.parent_dsource_id.as_ref());
    let name = |kind, id: &Option<String>| {
        let object = id.as_deref().and_then(|id| state.any(kind, id));
        object.map(|o| o.name.clone())
    };
    doc.parent_id = parent.cloned();
    doc.parent_name = name(Kind::Vdb, &flow.parent_vdb_id)
        .or_else(|| name(Kind::DSource, &flow.parent_dsource_id));
    doc.parent_dsource_id.clone_from(&flow.source_dsource_id);
    doc.parent_dsource_name = name(Kind::DSource, &flow.source_dsource_id);
    doc.root_parent_id.clone_from(&flow.source_dsource_id);
    // A source grows, and gets minor versions.
    let dsource = flow.source_dsource_id.as_deref();
    if let Some(Ok(dsource)) = dsource
        .and_then(|id| state.any(Kind::DSource, id))
        .map(typed::<DSource>)
    {
        doc.size = dsource.size.or(doc.size);
        doc.database_version = dsource.database_version.or(doc.database_version.take());
    }
}

/// Whether a timeflow's data lies in the pool, or will.
pub(crate) fn has_data(state: &State, timeflow: &Object) -> bool {
    if timeflow.phase == Phase::Creating {
        return true;
    }
    let vdb = timeflow
        .parent
        .as_deref()
        .and_then(|id| state.any(Kind::Vdb, id));
    vdb.is_some_and(|vdb| {
        ["current_timeflow_id", "previous_timeflow_id"]
            .iter()
            .any(|field| vdb.doc.get(field).and_then(|v| v.as_str()) == Some(&timeflow.id))
    })
}

/// The directory of a timeflow: the first of a VDB is named like it, each later one has its own number too.
pub(crate) fn directory(vdb: &str, timeflow: &Object) -> String {
    let kind = timeflow.doc.get("creation_type").map(|v| v.as_str());
    match (kind, number(&timeflow.id)) {
        (Some(kind), Some(number)) if kind != Some(INITIAL) => format!("{vdb}-{number}"),
        _ => vdb.to_owned(),
    }
}

/// The directory that a VDB's callers see now.
pub(crate) fn current(state: &State, vdb: &str) -> String {
    let flow = state
        .any(Kind::Vdb, vdb)
        .and_then(|o| o.doc.get("current_timeflow_id")?.as_str())
        .and_then(|id| state.any(Kind::Timeflow, id));
    flow.map_or_else(|| vdb.to_owned(), |flow| directory(vdb, flow))
}

/// The same as a change so far leaves it.
pub(crate) fn directory_of(draft: &Draft<'_>, vdb: &Object) -> String {
    let flow = vdb
        .doc
        .get("current_timeflow_id")
        .and_then(|id| id.as_str());
    let flow = flow.and_then(|id| draft.object(Kind::Timeflow, id));
    flow.map_or_else(|| vdb.id.clone(), |flow| directory(&vdb.id, &flow))
}

impl Engine {
    pub(crate) fn timeflow_root(&self, vdb: &str, timeflow: &str) -> PathBuf {
        let name = self.store.read(|state| {
            let flow = state.any(Kind::Timeflow, timeflow);
            flow.map_or_else(|| vdb.to_owned(), |flow| directory(vdb, flow))
        });
        self.settings.vdbs().join(name)
    }

    /// Every directory of a VDB that may exist.
    pub(crate) fn roots_of(&self, vdb: &str) -> Vec<PathBuf> {
        let mut names = self.store.read(|state| {
            let flows = state.children(Kind::Timeflow, vdb);
            flows
                .filter(|flow| has_data(state, flow))
                .map(|flow| directory(vdb, flow))
                .collect::<Vec<_>>()
        });
        names.push(vdb.to_owned());
        names.sort();
        names.dedup();
        names
            .into_iter()
            .map(|name| self.settings.vdbs().join(name))
            .collect()
    }

    /// What the next switch takes the data of: the timeflow before the current one.
    pub(crate) fn retired(&self, vdb: &str) -> Option<PathBuf> {
        let id = self.store.read(|state| {
            let vdb = state.any(Kind::Vdb, vdb)?;
            Some(vdb.doc.get("previous_timeflow_id")?.as_str()?.to_owned())
        })?;
        Some(self.timeflow_root(vdb, &id))
    }
}
