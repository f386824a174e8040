//! Which moments can be given: from a snapshot to the last commit that was received of the log behind it. Without a log
//! a range has no length.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::Body;
use super::vdbs::begin;
use crate::actions::{Refusal, snapshot, times};
use crate::clock;
use crate::engine::Engine;
use crate::model::{Kind, Object};
use crate::origin::{Commit, Until};

type Shared = State<Arc<Engine>>;

/// Of one snapshot.
pub(super) async fn of_snapshot(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let range = begin(&engine, move |engine| {
        let snapshot = engine.store.read(|state| snapshot(state, &id).cloned())?;
        let mut range = reached(engine, &snapshot, None)?;
        if let Some(flow) = snapshot.doc.get("timeflow_id") {
            range["timeflow_id"] = flow.value();
        }
        Ok(range)
    });
    Ok(Json(range.await?))
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Between {
    start_date: Option<String>,
    end_date: Option<String>,
}

/// Of every snapshot of a timeflow, each to the next one at most.
pub(super) async fn of_timeflow(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(between): Body<Between>,
) -> Result<Json<Value>, ApiError> {
    let from = moment("start_date", between.start_date.as_deref())?;
    let to = moment("end_date", between.end_date.as_deref())?;
    let items = begin(&engine, move |engine| {
        let known = engine.store.read(|state| on(state, &id))?;
        let mut items = Vec::new();
        for (index, snapshot) in known.iter().enumerate() {
            let mut range = reached(engine, snapshot, known.get(index + 1))?;
            if wanted(&range, from, to) {
                range["snapshot_id"] = snapshot.id.clone().into();
                items.push(range);
            }
        }
        Ok(items)
    });
    Ok(Json(json!({ "items": items.await? })))
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let known = clock::instant(text).map(Some);
    known.ok_or_else(|| {
        ApiError::invalid(format!("{name} {text:?} is not like 2026-11-23T10:00:00Z"))
    })
}

/// Whether a range has anything of what lies between.
fn wanted(range: &Value, from: Option<i64>, to: Option<i64>) -> bool {
    let at = |name: &str| clock::instant(range[name].as_str()?);
    let ends_before = from.is_some_and(|from| at("end_point_timestamp") < Some(from));
    let begins_after = to.is_some_and(|to| at("start_point_timestamp") > Some(to));
    !ends_before && !begins_after
}

/// The snapshots of a timeflow, oldest data first.
fn on(state: &crate::store::State, timeflow: &str) -> Result<Vec<Object>, Refusal> {
    let flow = state
        .get(Kind::Timeflow, timeflow)
        .ok_or_else(|| Refusal::NotFound(format!("there is no timeflow {timeflow:?}")))?;
    let dataset = flow.parent.as_deref().unwrap_or_default();
    let known = times(state, dataset).into_iter().map(|(_, s)| s.clone());
    Ok(known
        .filter(|s| s.doc.get("timeflow_id").and_then(|v| v.as_str()) == Some(timeflow))
        .collect())
}

fn reached(engine: &Engine, snapshot: &Object, next: Option<&Object>) -> Result<Value, Refusal> {
    let time = |object: &Object| clock::micros(object.doc.get("timestamp")?.as_str()?);
    let until = next.and_then(time).unwrap_or(i64::MAX);
    let dataset = snapshot.parent.as_deref().unwrap_or_default();
    let log = engine.look_behind(dataset, &snapshot.id, Until::Time(until))?;
    // What the log passes, it holds to there.
    let end = match (&log, next) {
        (Some(log), Some(next)) if log.passed => End::Next(next),
        (Some(log), _) => log.last.map_or(End::Own, End::Commit),
        (None, _) => End::Own,
    };
    Ok(range(snapshot, &end))
}

enum End<'a> {
    Own,
    Next(&'a Object),
    Commit(Commit),
}

fn range(snapshot: &Object, end: &End<'_>) -> Value {
    let mut range = json!({ "provisionable": true });
    for (from, start_point, end_point) in [
        ("timestamp", "start_point_timestamp", "end_point_timestamp"),
        ("location", "start_point_location", "end_point_location"),
    ] {
        let Some(own) = snapshot.doc.get(from) else {
            continue;
        };
        let last = match end {
            End::Own => None,
            End::Next(next) => next.doc.get(from).map(|v| v.value()),
            End::Commit(commit) if from == "location" => Some(commit.location.to_string().into()),
            End::Commit(commit) => clock::from_micros(commit.time).map(Value::from),
        };
        range[start_point] = own.value();
        range[end_point] = last.unwrap_or_else(|| own.value());
    }
    range
}
