//! Which snapshot holds a moment.

use dct::types::{BySnapshot, PointInTime};

use super::Refusal;
use super::choice::{dataset, timestamp};
use crate::clock;
use crate::model::{Kind, Object};
use crate::store::State;

/// The snapshot that holds exactly this moment. Nothing between snapshots can be served.
pub(super) fn at(
    state: &State,
    request: &PointInTime,
    fallback: Option<&str>,
) -> Result<BySnapshot, Refusal> {
    let text = request
        .timestamp
        .as_deref()
        // Data is kept in UTC, and so is the zone that snapshots name.
        .map(str::to_owned)
        .or_else(|| {
            Some(format!(
                "{}Z",
                request.timestamp_in_database_timezone.as_deref()?
            ))
        })
        .ok_or_else(|| Refusal::Invalid("timestamp is missing".to_owned()))?;
    let wanted = clock::instant(&text).ok_or_else(|| {
        Refusal::Invalid(format!(
            "timestamp {text:?} is not like 2026-11-23T10:00:00Z"
        ))
    })?;
    let flow = match request.timeflow_id.as_deref() {
        None => None,
        Some(id) => Some(
            state
                .get(Kind::Timeflow, id)
                .ok_or_else(|| Refusal::NotFound(format!("there is no timeflow {id:?}")))?,
        ),
    };
    let of = flow
        .and_then(|flow| flow.parent.as_deref())
        .or(request.dataset_id.as_deref())
        .or(fallback)
        .ok_or_else(|| Refusal::Invalid("neither timeflow_id nor a dataset is given".to_owned()))?;
    let dataset = dataset(state, of)?;
    let mut known = times(state, &dataset.id);
    if let Some(flow) = flow {
        known.retain(|(_, s)| s.doc.get("timeflow_id").and_then(|v| v.as_str()) == Some(&flow.id));
    }
    match known.iter().rev().find(|(time, _)| *time == wanted) {
        Some((_, snapshot)) => Ok(BySnapshot {
            snapshot_id: Some(snapshot.id.clone()),
        }),
        None => Err(Refusal::Invalid(between(
            &dataset.name,
            &text,
            wanted,
            &known,
        ))),
    }
}

/// Snapshots of a dataset by the time of their data, in milliseconds: what clients can name.
pub(crate) fn times<'a>(state: &'a State, dataset: &'a str) -> Vec<(i64, &'a Object)> {
    let mut known: Vec<(i64, &Object)> = state
        .live(Kind::Snapshot)
        .filter(|s| s.parent.as_deref() == Some(dataset))
        .filter_map(|s| Some((clock::instant(timestamp(s)?)?, s)))
        .collect();
    known.sort_by_key(|(time, snapshot)| (*time, snapshot.number));
    known
}

fn between(name: &str, text: &str, wanted: i64, known: &[(i64, &Object)]) -> String {
    let show = |found: Option<&(i64, &Object)>| {
        found.map_or_else(
            || "none".to_owned(),
            |(_, s)| format!("{} ({})", timestamp(s).unwrap_or_default(), s.id),
        )
    };
    format!(
        "no snapshot of {name} holds exactly {text}, and this engine replays no logs between snapshots; the last before: {}; the first after: {}",
        show(known.iter().rev().find(|(time, _)| *time < wanted)),
        show(known.iter().find(|(time, _)| *time > wanted)),
    )
}
