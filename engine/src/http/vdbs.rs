//! Virtual databases.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use dct::types::{
    DeleteVdb, DisableVdb, EnableVdb, Job, JobAnswer, ProvisionAnswer, ProvisionBySnapshot,
    SearchBody, UpdateVdb,
};

use super::attributes;
use super::catalog::found;
use super::error::ApiError;
use super::extract::Body;
use super::page::{List, Shown, Wanted, page_of};
use crate::actions::Refusal;
use crate::edits::no_vdb;
use crate::engine::Engine;
use crate::model::Kind;
use crate::sizes::measured;

type Shared = State<Arc<Engine>>;

pub(super) async fn list(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    page_of(
        |filter, cut| found(&engine, Kind::Vdb, filter, cut),
        &attributes::VDB,
        &SearchBody::default(),
        &wanted,
    )
}

pub(super) async fn search(
    State(engine): Shared,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    page_of(
        |filter, cut| found(&engine, Kind::Vdb, filter, cut),
        &attributes::VDB,
        &search,
        &wanted,
    )
}

/// With what the copy takes now, which only the disk knows. Lists and searches show what was last seen.
pub(super) async fn one(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<Shown>, ApiError> {
    let vdb = engine
        .store
        .read(|state| state.resolve(Kind::Vdb, &id).cloned())
        .ok_or_else(|| ApiError::not_found("virtual database", &id))?;
    let id = vdb.id.clone();
    let bytes = begin(&engine, move |engine| Ok(engine.size_of(&id))).await?;
    Ok(Json(Shown(match bytes {
        Some(bytes) => vdb.doc.with(&measured(bytes)),
        None => vdb.doc,
    })))
}

/// Begins an action off the request's thread, since writing the intent down waits for the disk.
pub(super) async fn begin<T: Send + 'static>(
    engine: &Arc<Engine>,
    action: impl FnOnce(&Engine) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, ApiError> {
    let engine = Arc::clone(engine);
    let begun = tokio::task::spawn_blocking(move || action(&engine)).await;
    begun
        .map_err(|_| {
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "an error of the engine; its log says more",
            )
        })?
        .map_err(ApiError::from)
}

pub(super) fn started(engine: &Arc<Engine>, job: Job) -> Json<JobAnswer> {
    engine.start(&job.id);
    Json(JobAnswer { job: Some(job) })
}

pub(super) async fn provision(
    State(engine): Shared,
    Body(request): Body<ProvisionBySnapshot>,
) -> Result<Json<ProvisionAnswer>, ApiError> {
    let answer = begin(&engine, move |engine| engine.provision(&request)).await?;
    if let Some(job) = &answer.job {
        engine.start(&job.id);
    }
    Ok(Json(answer))
}

/// Clients use names where the interface says id.
pub(super) fn id_of(engine: &Engine, id: &str) -> Result<String, Refusal> {
    engine
        .store
        .read(|state| state.resolve(Kind::Vdb, id).map(|o| o.id.clone()))
        .ok_or_else(|| no_vdb(id))
}

pub(super) async fn enable(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<EnableVdb>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = begin(&engine, move |engine| {
        engine.enable(&id_of(engine, &id)?, &request)
    })
    .await?;
    Ok(started(&engine, job))
}

pub(super) async fn disable(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<DisableVdb>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = begin(&engine, move |engine| {
        engine.disable(&id_of(engine, &id)?, &request)
    })
    .await?;
    Ok(started(&engine, job))
}

pub(super) async fn delete(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<DeleteVdb>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = begin(&engine, move |engine| {
        engine.delete(&id_of(engine, &id)?, &request)
    })
    .await?;
    Ok(started(&engine, job))
}

pub(super) async fn update(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<UpdateVdb>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = begin(&engine, move |engine| {
        engine.update(&id_of(engine, &id)?, &request)
    })
    .await?;
    Ok(started(&engine, job))
}
