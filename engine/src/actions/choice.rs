//! Which snapshot a copy is made from, and what dataset that is of.

use dct::types::{Bookmark, BySnapshot, DSource, FromBookmark, ProvisionBySnapshot, Snapshot, Vdb};

use super::{Refusal, typed};
use crate::model::{Intent, JobRecord, Kind, Object};
use crate::store::{self, State};

/// A dSource or a virtual database, as far as copies of it need it.
pub(crate) struct Dataset {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) is_vdb: bool,
    pub(crate) dsource_id: Option<String>,
    pub(crate) dsource_name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) size: Option<i64>,
}

pub(crate) struct Chosen {
    pub(crate) snapshot: Snapshot,
    pub(crate) dataset: Dataset,
    /// A place in the log behind the snapshot.
    pub(crate) at: Option<String>,
}

impl Dataset {
    /// Whose snapshot this is.
    pub(crate) fn of(state: &State, snapshot: &Object) -> Result<Option<Self>, store::Error> {
        let Some(parent) = snapshot.parent.as_deref() else {
            return Ok(None);
        };
        if let Some(object) = state.any(Kind::DSource, parent) {
            let doc: DSource = typed(object)?;
            return Ok(Some(Self {
                dsource_id: Some(doc.id.clone()),
                dsource_name: doc.name.clone(),
                id: doc.id,
                name: doc.name,
                is_vdb: false,
                version: doc.database_version,
                size: doc.size,
            }));
        }
        let Some(object) = state.any(Kind::Vdb, parent) else {
            return Ok(None);
        };
        let doc: Vdb = typed(object)?;
        Ok(Some(Self {
            id: doc.id,
            name: doc.name,
            is_vdb: true,
            dsource_id: doc.parent_dsource_id,
            dsource_name: doc.parent_dsource_name,
            version: doc.database_version,
            size: doc.size,
        }))
    }
}

/// The snapshot to copy: the one asked for, else the one with the latest data.
pub(super) fn chosen(state: &State, request: &ProvisionBySnapshot) -> Result<Chosen, Refusal> {
    let dataset = request
        .source_data_id
        .as_deref()
        .map(|wanted| dataset(state, wanted))
        .transpose()?;
    let snapshot = match (request.snapshot_id.as_deref(), dataset) {
        (Some(wanted), _) => snapshot(state, wanted)?,
        (None, Some(dataset)) => latest_of(state, dataset)?,
        (None, None) => {
            return Err(Refusal::Invalid(
                "neither snapshot_id nor source_data_id is given".to_owned(),
            ));
        }
    };
    if dataset.is_some_and(|dataset| Some(&dataset.id) != snapshot.parent.as_ref()) {
        return Err(Refusal::Invalid(format!(
            "snapshot {} is not one of source_data_id",
            snapshot.id
        )));
    }
    usable(state, snapshot)
}

/// With what a VDB is refreshed: a snapshot of something else, else its parent's latest.
pub(super) fn for_refresh(
    state: &State,
    vdb: &Object,
    request: &BySnapshot,
) -> Result<Chosen, Refusal> {
    let wanted = if let Some(wanted) = request.snapshot_id.as_deref() {
        snapshot(state, wanted)?
    } else {
        let parent = vdb.doc.get("parent_id").and_then(|v| v.as_str());
        let parent = parent.ok_or_else(|| {
            Refusal::Conflict(format!("{} has no parent to be refreshed from", vdb.name))
        })?;
        latest_of(state, dataset(state, parent)?)?
    };
    if wanted.parent.as_deref() == Some(&vdb.id) {
        return Err(Refusal::Invalid(format!(
            "snapshot {} is of {} itself: going back to it is rollback_by_snapshot",
            wanted.id, vdb.name
        )));
    }
    usable(state, wanted)
}

/// To what a VDB is rewound: a snapshot of its own, else the latest of these.
pub(super) fn for_rollback(
    state: &State,
    vdb: &Object,
    request: &BySnapshot,
) -> Result<Chosen, Refusal> {
    let wanted = match request.snapshot_id.as_deref() {
        Some(wanted) => snapshot(state, wanted)?,
        None => latest_of(state, vdb)?,
    };
    if wanted.parent.as_deref() != Some(&vdb.id) {
        return Err(Refusal::Invalid(format!(
            "snapshot {} is not one of {}: taking another's data is refresh_by_snapshot",
            wanted.id, vdb.name
        )));
    }
    usable(state, wanted)
}

/// The snapshot of a VDB that a bookmark names; without a VDB, of the only one.
pub(super) fn of_bookmark(
    state: &State,
    request: &FromBookmark,
    vdb: Option<&Object>,
) -> Result<BySnapshot, Refusal> {
    let wanted = request.bookmark_id.as_deref().unwrap_or_default();
    let bookmark = state
        .resolve(Kind::Bookmark, wanted)
        .ok_or_else(|| Refusal::NotFound(format!("there is no bookmark {wanted:?}")))?;
    let doc: Bookmark = typed(bookmark)?;
    let entries = doc.vdbs.unwrap_or_default();
    let own = vdb.and_then(|vdb| {
        entries
            .iter()
            .find(|e| e.vdb_id.as_deref() == Some(&vdb.id))
    });
    let entry = match (own, entries.as_slice()) {
        (Some(own), _) => own,
        (None, [only]) => only,
        (None, _) => {
            return Err(Refusal::Invalid(format!(
                "bookmark {} is of {} datasets; one of exactly one is needed",
                bookmark.name,
                entries.len()
            )));
        }
    };
    Ok(BySnapshot {
        snapshot_id: entry.snapshot_id.clone(),
    })
}

pub(crate) fn dataset<'a>(state: &'a State, wanted: &str) -> Result<&'a Object, Refusal> {
    state
        .resolve(Kind::DSource, wanted)
        .or_else(|| state.resolve(Kind::Vdb, wanted))
        .ok_or_else(|| {
            Refusal::NotFound(format!(
                "there is no dSource {wanted:?} and no virtual database of that id or name"
            ))
        })
}

pub(crate) fn snapshot<'a>(state: &'a State, wanted: &str) -> Result<&'a Object, Refusal> {
    state
        .resolve(Kind::Snapshot, wanted)
        .ok_or_else(|| Refusal::NotFound(format!("there is no snapshot {wanted:?}")))
}

fn usable(state: &State, snapshot: &Object) -> Result<Chosen, Refusal> {
    let of_dataset = snapshot.parent.as_deref().and_then(|id| going(state, id));
    if let Some(job) = state.busy(&snapshot.id).or(of_dataset) {
        return Err(Refusal::Conflict(format!(
            "snapshot {} is being deleted by job {}",
            snapshot.id, job.job.id
        )));
    }
    let dataset = Dataset::of(state, snapshot)?.ok_or_else(|| {
        Refusal::NotFound(format!("the dataset of snapshot {} is gone", snapshot.id))
    })?;
    Ok(Chosen {
        snapshot: typed(snapshot)?,
        dataset,
        at: None,
    })
}

/// The job that deletes a dataset, with all its snapshots.
pub(crate) fn going<'a>(state: &'a State, dataset: &str) -> Option<&'a JobRecord> {
    let deletes = |job: &&JobRecord| {
        matches!(
            job.intent,
            Some(Intent::Delete { .. } | Intent::DeleteDSource { .. })
        )
    };
    state.busy(dataset).filter(deletes)
}

fn latest_of<'a>(state: &'a State, dataset: &Object) -> Result<&'a Object, Refusal> {
    let of_dataset = state
        .live(Kind::Snapshot)
        .filter(|s| s.parent.as_deref() == Some(&dataset.id));
    let latest = of_dataset.max_by(|a, b| {
        timestamp(a)
            .cmp(&timestamp(b))
            .then(a.number.cmp(&b.number))
    });
    latest.ok_or_else(|| {
        Refusal::Conflict(if dataset.kind == Kind::DSource {
            format!(
                "dSource {} has no snapshot yet; its first base backup is not over",
                dataset.name
            )
        } else {
            format!("virtual database {} has no snapshot", dataset.name)
        })
    })
}

pub(super) fn timestamp(snapshot: &Object) -> Option<&str> {
    snapshot.doc.get("timestamp")?.as_str()
}
