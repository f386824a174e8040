//! Jobs as callers poll them. One that is not over is STARTED: official clients know no other word for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use dct::types::{Job, JobStatus, SearchBody};

use super::attributes;
use super::error::ApiError;
use super::extract::Body;
use super::page::{Cut, List, Numbered, Wanted, page_of};
use crate::doc::Row;
use crate::document;
use crate::engine::Engine;
use crate::filter::Filter;
use crate::model::JobRecord;

type Shared = State<Arc<Engine>>;

fn seen(record: &JobRecord) -> Job {
    let mut job = record.job.clone();
    if job.status == JobStatus::Pending {
        job.status = JobStatus::Started;
    }
    job
}

/// In the order of creation, without those that an id or a target of the search leaves out: to show a job costs more
/// than to look at it.
fn found(engine: &Engine, filter: Option<&Filter>, cut: &mut Cut<'_>) {
    let shown = |record: &JobRecord| (record.number, document(&seen(record)));
    let only = |field| filter.and_then(|f| f.only(field));
    let (targets, names) = (only("target_id"), only("target_name"));
    let among = |list: &Option<Vec<&str>>, have: &Option<String>| match (list, have) {
        (None, _) => true,
        (Some(list), Some(have)) => list.contains(&have.as_str()),
        (Some(_), None) => false,
    };
    let fits =
        |r: &&JobRecord| among(&targets, &r.job.target_id) && among(&names, &r.job.target_name);
    let found: Vec<Numbered> = engine.store.read(|state| match only("id") {
        None => state.jobs().filter(fits).map(shown).collect(),
        Some(ids) => {
            let records = ids.into_iter().filter_map(|id| state.job(id));
            let records: BTreeMap<_, _> = records.map(|r| (r.number, r)).collect();
            records.into_values().map(shown).collect()
        }
    });
    cut(&mut found.iter().map(Row::from), &|_| None);
}

pub(super) async fn list(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    page_of(
        |filter, cut| found(&engine, filter, cut),
        &attributes::JOB,
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
        |filter, cut| found(&engine, filter, cut),
        &attributes::JOB,
        &search,
        &wanted,
    )
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
