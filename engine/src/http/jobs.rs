//! Jobs as callers poll them. One that is not over is STARTED: official clients know no other word for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use dct::types::{Job, JobStatus, SearchBody};
use serde_json::Value;

use super::error::ApiError;
use super::extract::Body;
use super::page::{List, Wanted, page};
use crate::document;
use crate::engine::Engine;
use crate::model::JobRecord;

const FIELDS: [&str; 12] = [
    "id",
    "status",
    "type",
    "localized_type",
    "percent_complete",
    "error_details",
    "warning_message",
    "target_id",
    "target_name",
    "start_time",
    "update_time",
    "tags",
];

type Shared = State<Arc<Engine>>;

fn seen(record: &JobRecord) -> Job {
    let mut job = record.job.clone();
    if job.status == JobStatus::Pending {
        job.status = JobStatus::Started;
    }
    job
}

fn all(engine: &Engine) -> Vec<Arc<Value>> {
    engine
        .store
        .read(|state| state.jobs().map(|j| document(&seen(j)).into()).collect())
}

pub(super) async fn list(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    page(all(&engine), &FIELDS, &SearchBody::default(), &wanted)
}

pub(super) async fn search(
    State(engine): Shared,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    page(all(&engine), &FIELDS, &search, &wanted)
}

pub(super) async fn one(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<Job>, ApiError> {
    let job = engine.store.read(|state| state.job(&id).map(seen));
    job.map(Json).ok_or_else(|| ApiError::not_found("job", &id))
}

pub(super) async fn abandon(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    engine.abandon(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
