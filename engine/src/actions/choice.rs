//! Which snapshot a copy is made from.

use dct::types::{DSource, ProvisionBySnapshot, Snapshot};

use super::{Refusal, typed};
use crate::model::{Kind, Object};
use crate::store::State;

/// The snapshot to copy: the one asked for, else the one with the latest data.
pub(super) fn chosen(
    state: &State,
    request: &ProvisionBySnapshot,
) -> Result<(Snapshot, DSource), Refusal> {
    let dsource = match request.source_data_id.as_deref() {
        None => None,
        Some(wanted) if state.resolve(Kind::Vdb, wanted).is_some() => {
            return Err(Refusal::Invalid(format!(
                "{wanted:?} is a virtual database; this engine copies from dSources alone"
            )));
        }
        Some(wanted) => Some(
            state
                .resolve(Kind::DSource, wanted)
                .ok_or_else(|| Refusal::NotFound(format!("there is no dSource {wanted:?}")))?,
        ),
    };
    let snapshot = match (request.snapshot_id.as_deref(), dsource) {
        (Some(wanted), _) => state
            .resolve(Kind::Snapshot, wanted)
            .ok_or_else(|| Refusal::NotFound(format!("there is no snapshot {wanted:?}")))?,
        (None, Some(dsource)) => latest(state, &dsource.id).ok_or_else(|| {
            Refusal::Conflict(format!(
                "dSource {} has no snapshot yet; its first base backup is not over",
                dsource.name
            ))
        })?,
        (None, None) => {
            return Err(Refusal::Invalid(
                "neither snapshot_id nor source_data_id is given".to_owned(),
            ));
        }
    };
    let parent = snapshot.parent.as_deref().unwrap_or_default();
    if dsource.is_some_and(|dsource| dsource.id != parent) {
        return Err(Refusal::Invalid(format!(
            "snapshot {} is not one of source_data_id",
            snapshot.id
        )));
    }
    let dsource = state.get(Kind::DSource, parent).ok_or_else(|| {
        Refusal::NotFound(format!("the dSource of snapshot {} is gone", snapshot.id))
    })?;
    Ok((typed(snapshot)?, typed(dsource)?))
}

fn latest<'a>(state: &'a State, dsource: &str) -> Option<&'a Object> {
    let of_dsource = state
        .live(Kind::Snapshot)
        .filter(|s| s.parent.as_deref() == Some(dsource));
    of_dsource.max_by(|a, b| {
        timestamp(a)
            .cmp(&timestamp(b))
            .then(a.number.cmp(&b.number))
    })
}

fn timestamp(snapshot: &Object) -> Option<&str> {
    snapshot.doc.get("timestamp")?.as_str()
}
