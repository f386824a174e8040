//! Snapshots, timeflows, bookmarks and VDB groups beyond lists.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use dct::types::{
    BookmarkAnswer, CreateBookmark, DeleteDSource, DeleteSnapshot, Job, JobAnswer, UpdateBookmark,
    UpdateSnapshot, VdbGroup, VdbGroupAnswer, VdbGroupBody,
};
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::Body;
use super::page::Shown;
use super::vdbs::{begin, started};
use crate::actions::{Refusal, dataset, locations, snapshot, times};
use crate::doc::Doc;
use crate::engine::Engine;
use crate::origin::{Location, Until};
use crate::{clock, deletion};

type Shared = State<Arc<Engine>>;
type Begun = Result<Json<JobAnswer>, ApiError>;

async fn job(
    engine: Arc<Engine>,
    action: impl FnOnce(&Engine) -> Result<Job, Refusal> + Send + 'static,
) -> Begun {
    let job = begin(&engine, action).await?;
    Ok(started(&engine, job))
}

pub(super) async fn create_bookmark(
    State(engine): Shared,
    Body(request): Body<CreateBookmark>,
) -> Result<(StatusCode, Json<BookmarkAnswer>), ApiError> {
    let answer = begin(&engine, move |engine| engine.bookmark(&request)).await?;
    if let Some(job) = &answer.job {
        engine.start(&job.id);
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn update_bookmark(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<UpdateBookmark>,
) -> Begun {
    job(engine, move |engine| engine.update_bookmark(&id, &request)).await
}

pub(super) async fn delete_bookmark(State(engine): Shared, Path(id): Path<String>) -> Begun {
    job(engine, move |engine| engine.delete_bookmark(&id)).await
}

pub(super) async fn update_snapshot(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<UpdateSnapshot>,
) -> Begun {
    job(engine, move |engine| engine.update_snapshot(&id, &request)).await
}

pub(super) async fn delete_snapshot(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<DeleteSnapshot>,
) -> Begun {
    job(engine, move |engine| engine.delete_snapshot(&id, &request)).await
}

pub(super) async fn delete_dsource(
    State(engine): Shared,
    Body(request): Body<DeleteDSource>,
) -> Begun {
    job(engine, move |engine| engine.delete_dsource(&request)).await
}

/// The last snapshot whose data is not newer than asked for: from it on, nothing but a log could go.
pub(super) async fn find_by_timestamp(
    State(engine): Shared,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, ApiError> {
    let text = query.get("timestamp").map_or("", String::as_str);
    let wanted = clock::instant(text).ok_or_else(|| {
        ApiError::invalid(format!(
            "timestamp {text:?} is not like 2026-11-23T10:00:00Z"
        ))
    })?;
    found(&engine, &query, |state, id| {
        let known = times(state, id);
        let last = known.iter().rev().find(|(time, _)| *time <= wanted);
        last.map(|(_, s)| s.doc.clone()).into_iter().collect()
    })
}

/// The last snapshot from which the log reaches this place, or which holds it exactly.
pub(super) async fn find_by_location(
    State(engine): Shared,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, ApiError> {
    let text = query.get("location").map_or("", String::as_str);
    let wanted: Location = text
        .parse()
        .map_err(|()| ApiError::invalid(format!("location {text:?} is not like 0/3000028")))?;
    let of = query.get("dataset_id").cloned().unwrap_or_default();
    let found = begin(&engine, move |engine| {
        let before = engine.store.read(|state| {
            let dataset = dataset(state, &of)?.id.clone();
            let known = locations(state, &dataset);
            let last = known
                .iter()
                .rev()
                .find(|(at, _)| *at <= wanted.0.cast_signed());
            let found = last.map(|(at, s)| (*at, s.id.clone(), s.doc.clone()));
            Ok::<_, Refusal>(found.map(|found| (dataset, found)))
        })?;
        let Some((dataset, (at, id, doc))) = before else {
            return Ok(None);
        };
        let exactly = at == wanted.0.cast_signed();
        let until = Until::Location(wanted);
        let reached = || {
            Ok::<bool, Refusal>(
                engine
                    .look_behind(&dataset, &id, until)?
                    .is_some_and(|f| f.passed),
            )
        };
        Ok((exactly || reached()?).then_some(doc))
    })
    .await?;
    let items: Vec<Shown> = found.into_iter().map(Shown).collect();
    Ok(Json(json!({ "items": items })))
}

fn found(
    engine: &Engine,
    query: &HashMap<String, String>,
    look: impl FnOnce(&crate::store::State, &str) -> Vec<Doc>,
) -> Result<Json<Value>, ApiError> {
    let wanted = query.get("dataset_id").map_or("", String::as_str);
    let items = engine.store.read(|state| {
        let id = dataset(state, wanted)?.id.clone();
        Ok::<_, Refusal>(look(state, &id))
    })?;
    let items: Vec<Shown> = items.into_iter().map(Shown).collect();
    Ok(Json(json!({ "items": items })))
}

pub(super) async fn runtime(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let busy = engine.store.read(|state| {
        let object = snapshot(state, &id)?;
        Ok::<_, Refusal>(state.busy(&object.id).is_some())
    })?;
    Ok(Json(json!({ "provisionable": !busy })))
}

/// What has to go before the snapshot can.
pub(super) async fn snapshot_dependencies(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let found = engine.store.read(|state| {
        let object = snapshot(state, &id)?;
        Ok::<_, Refusal>(deletion::on_snapshot(state, &object.id))
    })?;
    let vdbs = found.iter().filter(|d| d.kind != "bookmark");
    let dependencies: Vec<Value> = vdbs
        .map(|d| json!({ "object_id": d.id, "object_type": "VDB", "object_name": d.name }))
        .collect();
    Ok(Json(json!({ "object_dependencies": dependencies })))
}

pub(super) async fn create_vdb_group(
    State(engine): Shared,
    Body(request): Body<VdbGroupBody>,
) -> Result<(StatusCode, Json<VdbGroupAnswer>), ApiError> {
    let answer = begin(&engine, move |engine| engine.create_vdb_group(&request)).await?;
    if let Some(job) = &answer.job {
        engine.start(&job.id);
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The group itself with its job beside its fields, unlike every other change.
#[derive(serde::Serialize)]
pub(super) struct UpdatedGroup {
    #[serde(flatten)]
    group: VdbGroup,
    job: Option<Job>,
}

pub(super) async fn update_vdb_group(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<VdbGroupBody>,
) -> Result<Json<UpdatedGroup>, ApiError> {
    let answer = begin(&engine, move |engine| {
        engine.update_vdb_group(&id, &request)
    })
    .await?;
    if let Some(job) = &answer.job {
        engine.start(&job.id);
    }
    Ok(Json(UpdatedGroup {
        group: answer.vdb_group.unwrap_or_default(),
        job: answer.job,
    }))
}

pub(super) async fn delete_vdb_group(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    begin(&engine, move |engine| engine.delete_vdb_group(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
