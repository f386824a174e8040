//! dSources and snapshots.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use dct::types::{JobAnswer, LinkAnswer, LinkAppdata, SearchBody, UpdateDSource};
use serde_json::{Value, json};

use super::attributes;
use super::catalog::{numbered, one};
use super::error::ApiError;
use super::extract::Body;
use super::page::{List, Numbered, Shown, Wanted, page};
use super::vdbs::{begin, started};
use crate::doc::Doc;
use crate::engine::Engine;
use crate::model::{Kind, Object};
use crate::storage::Bytes;

type Shared = State<Arc<Engine>>;

pub(super) async fn dsources(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    page(
        &measured(&engine),
        &attributes::DSOURCE,
        &SearchBody::default(),
        &wanted,
    )
}

pub(super) async fn search_dsources(
    State(engine): Shared,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    page(&measured(&engine), &attributes::DSOURCE, &search, &wanted)
}

/// With what their snapshots took when somebody last looked.
fn measured(engine: &Engine) -> Vec<Numbered> {
    engine.store.read(|state| {
        let seen = |object: &Object| match engine.last_size_of_snapshots(state, &object.id) {
            Some(bytes) => object.doc.with(&sizes(bytes)),
            None => object.doc.clone(),
        };
        let all = state.live(Kind::DSource);
        all.map(|object| (object.number, seen(object))).collect()
    })
}

fn sizes(bytes: Bytes) -> Doc {
    json!({ "storage_size": bytes.held, "unvirtualized_space": bytes.whole }).into()
}

/// With what its snapshots take, and with how many depend on it.
pub(super) async fn dsource(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<Shown>, ApiError> {
    let Json(Shown(kept)) = one(&engine, Kind::DSource, "dSource", &id)?;
    let dsource = kept.clone();
    let doc = begin(&engine, move |engine| {
        let id = dsource
            .get("id")
            .and_then(|v| v.as_str())
            .unwrap_or_default();
        let mut doc = dsource.value();
        let vdbs = engine.store.read(|state| {
            let all = state.live(Kind::Vdb);
            let of = |vdb: &&Object| {
                vdb.doc.get("parent_dsource_id").and_then(|v| v.as_str()) == Some(id)
            };
            all.filter(of).count()
        });
        doc["dependant_vdbs"] = vdbs.into();
        let doc = Doc::from(doc);
        Ok(match engine.size_of_snapshots(id) {
            Some(bytes) => doc.with(&sizes(bytes)),
            None => doc,
        })
    });
    Ok(Json(Shown(doc.await?)))
}

pub(super) async fn link(
    State(engine): Shared,
    Body(request): Body<LinkAppdata>,
) -> Result<Json<LinkAnswer>, ApiError> {
    let answer = engine.link(&request)?;
    if let Some(job) = &answer.job {
        engine.start(&job.id);
    }
    Ok(Json(answer))
}

pub(super) async fn update(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<UpdateDSource>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = begin(&engine, move |engine| engine.update_dsource(&id, &request)).await?;
    Ok(started(&engine, job))
}

pub(super) async fn take_snapshot(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(_): Body<Value>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = engine.snapshot(&id)?;
    engine.start(&job.id);
    Ok(Json(JobAnswer { job: Some(job) }))
}

pub(super) async fn snapshots_of(
    State(engine): Shared,
    Path(id): Path<String>,
    wanted: Wanted,
) -> Result<List, ApiError> {
    let found = engine.store.read(|state| {
        let dsource = state.resolve(Kind::DSource, &id)?;
        let of_dsource = state
            .live(Kind::Snapshot)
            .filter(|s| s.parent.as_deref() == Some(dsource.id.as_str()));
        Some(of_dsource.map(numbered).collect::<Vec<_>>())
    });
    let found = found.ok_or_else(|| ApiError::not_found("dSource", &id))?;
    page(
        &found,
        &attributes::SNAPSHOT,
        &SearchBody::default(),
        &wanted,
    )
}
