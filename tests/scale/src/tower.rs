//! A tower in memory on the project's own wire types: jobs take a moment, and every call is counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use dct::types::{
    ContainerizationState, DSource, EnableVdb, Engine, Environment, Job, JobAnswer, JobStatus,
    Page, ProvisionAnswer, ProvisionBySnapshot, SearchBody, Source, Vdb,
};

pub(crate) const ADDRESS: &str = "127.0.0.1:8080";
/// As short as a thin copy takes; the operator's polls come on top.
pub(crate) const JOB: Duration = Duration::from_millis(100);
/// From one search for jobs to the next, at least: `dct.pollMin`.
pub(crate) const POLL: Duration = Duration::from_millis(200);
pub(crate) const EXPORTS: &str = "/pool/vdbs";

#[derive(Default)]
struct Inner {
    vdbs: HashMap<String, Vdb>,
    names: HashMap<String, String>,
    jobs: HashMap<String, (Job, Instant)>,
    calls: BTreeMap<&'static str, usize>,
}

#[derive(Clone, Default)]
pub(crate) struct Tower(Arc<Mutex<Inner>>);

impl Tower {
    fn lock(&self, call: &'static str) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *inner.calls.entry(call).or_default() += 1;
        inner
    }

    /// Calls since the last time.
    pub(crate) fn take_calls(&self) -> BTreeMap<&'static str, usize> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut inner.calls)
    }

    pub(crate) async fn serve(&self) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::bind(ADDRESS).await?;
        let router = Router::new()
            .route("/management/engines", get(engines))
            .route("/dsources/search", post(dsources))
            .route("/sources/search", post(sources))
            .route("/environments/search", post(environments))
            .route("/vdbs/search", post(search_vdbs))
            .route("/jobs/search", post(search_jobs))
            .route("/vdbs/provision_by_snapshot", post(provision))
            .route("/vdbs/{id}/enable", post(enable))
            .route("/vdbs/{id}", get(vdb))
            .with_state(self.clone());
        let router = Router::new().nest(dct::BASE_PATH, router);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(())
    }
}

fn page<T>(items: Vec<T>) -> Json<Page<T>> {
    Json(Page {
        items,
        ..Page::default()
    })
}

async fn engines(State(tower): State<Tower>) -> Json<Page<Engine>> {
    drop(tower.lock("inventory"));
    page(Vec::new())
}

async fn dsources(State(tower): State<Tower>) -> Json<Page<DSource>> {
    drop(tower.lock("inventory"));
    page(vec![DSource {
        id: "d-1".into(),
        name: Some("largedb".into()),
        source_id: Some("s-1".into()),
        ..DSource::default()
    }])
}

async fn sources(State(tower): State<Tower>) -> Json<Page<Source>> {
    drop(tower.lock("inventory"));
    page(vec![Source {
        id: "s-1".into(),
        ip_address: Some("10.0.1.54".into()),
        ..Source::default()
    }])
}

async fn environments(State(tower): State<Tower>) -> Json<Page<Environment>> {
    drop(tower.lock("inventory"));
    page(Vec::new())
}

/// The texts in an expression of the search language.
fn literals(body: &SearchBody) -> Vec<&str> {
    let text = body.filter_expression.as_deref().unwrap_or_default();
    text.split('\'').skip(1).step_by(2).collect()
}

async fn search_vdbs(State(tower): State<Tower>, Json(body): Json<SearchBody>) -> Json<Page<Vdb>> {
    let inner = tower.lock("search VDBs");
    let named = literals(&body);
    let found = named.iter().filter_map(|name| inner.names.get(*name));
    page(found.filter_map(|id| inner.vdbs.get(id)).cloned().collect())
}

async fn search_jobs(State(tower): State<Tower>, Json(body): Json<SearchBody>) -> Json<Page<Job>> {
    let mut inner = tower.lock("poll");
    let mut found = Vec::new();
    for id in literals(&body) {
        if let Some((job, ends)) = inner.jobs.get_mut(id) {
            if Instant::now() >= *ends {
                job.status = JobStatus::Completed;
            }
            found.push(job.clone());
        }
    }
    page(found)
}

fn start(inner: &mut Inner, vdb: &str) -> Job {
    let job = Job {
        id: format!("j-{}", inner.jobs.len() + 1),
        status: JobStatus::Started,
        target_id: Some(vdb.to_owned()),
        ..Job::default()
    };
    let ends = Instant::now() + JOB;
    inner.jobs.insert(job.id.clone(), (job.clone(), ends));
    job
}

async fn provision(
    State(tower): State<Tower>,
    Json(body): Json<ProvisionBySnapshot>,
) -> Result<Json<ProvisionAnswer>, StatusCode> {
    let mut inner = tower.lock("provision");
    let name = body.name.unwrap_or_default();
    if inner.names.contains_key(&name) {
        return Err(StatusCode::CONFLICT);
    }
    let id = format!("v-{}", inner.vdbs.len() + 1);
    inner.names.insert(name.clone(), id.clone());
    let vdb = Vdb {
        id: id.clone(),
        name: Some(name),
        tags: body.tags,
        containerization_state: Some(ContainerizationState::ReadyForContainer),
        current_timeflow_id: Some("tf-1".into()),
        parent_timeflow_timestamp: Some("2026-01-01T00:00:00Z".into()),
        ..Vdb::default()
    };
    inner.vdbs.insert(id.clone(), vdb);
    let job = start(&mut inner, &id);
    Ok(Json(ProvisionAnswer {
        vdb_id: Some(id),
        job: Some(job),
    }))
}

async fn enable(
    State(tower): State<Tower>,
    Path(id): Path<String>,
    Json(_): Json<EnableVdb>,
) -> Result<Json<JobAnswer>, StatusCode> {
    let mut inner = tower.lock("enable");
    let vdb = inner.vdbs.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
    vdb.containerization_state = Some(ContainerizationState::RunningInContainer);
    vdb.exported_data_directory = Some(format!("{EXPORTS}/{id}"));
    let job = start(&mut inner, &id);
    Ok(Json(JobAnswer { job: Some(job) }))
}

async fn vdb(State(tower): State<Tower>, Path(id): Path<String>) -> Result<Json<Vdb>, StatusCode> {
    let inner = tower.lock("read the VDB");
    inner
        .vdbs
        .get(&id)
        .cloned()
        .map(Json)
        .ok_or(StatusCode::NOT_FOUND)
}
