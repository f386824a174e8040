//! A request's progress, computed anew from forge, Argo CD and cluster each time: any replica gives the same answer.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::argocd::Application;
use crate::forge::{Pull, PullState};
use crate::serve::app::App;
use crate::serve::environments::{EndpointView, endpoint};
use crate::serve::error::ApiError;
use crate::serve::readiness::{
    Argo, Observation, OnBase, Readiness, Reason, State, decide, of_database, readiness,
};
use crate::serve::request::{Marker, Operation, RequestId};
use crate::serve::timeline::{self, Event};
use crate::serve::watch::Branch;

/// While a reviewer thinks; a webhook wakes earlier. A look costs no call: what was seen is shared.
const OPEN_INTERVAL: Duration = Duration::from_secs(3);
/// While Argo CD and the operator work; what their streams say wakes earlier.
const BUSY_INTERVAL: Duration = Duration::from_secs(1);

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    pub(crate) request_id: String,
    pub(crate) environment: String,
    /// create, update, refresh, extend or retire
    pub(crate) operation: String,
    #[serde(flatten)]
    pub(crate) readiness: Readiness,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pull_request_number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requested_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<EndpointView>,
    /// What has happened so far.
    #[serde(skip)]
    pub(crate) events: Vec<Event>,
}

/// Looks once. `known` is the request's pull request where it was just read.
pub(crate) async fn observe(
    app: &App,
    request: &RequestId,
    known: Option<Arc<Pull>>,
) -> Result<Progress, ApiError> {
    let branch = match known {
        Some(pull) => Branch::Pull(pull),
        None => app.watch.forge.branch(request).await?,
    };
    let Branch::Pull(pull) = branch else {
        return without_pull(app, request, &branch).await;
    };
    let mut seen = Observation {
        request,
        pull: &pull,
        base: OnBase::Absent,
        argo: Argo::NotAsked,
        databases: Vec::new(),
        namespace: None,
        set: None,
        holds_merge: None,
        now: Timestamp::now(),
    };
    if pull.state == PullState::Merged {
        look_beyond_the_forge(app, &mut seen).await?;
    }
    let name = request.environment().cr_name(None);
    let database = seen.databases.iter().find(|d| d.name == name);
    let endpoint = database
        .filter(|database| database.is_ready())
        .and_then(|database| endpoint(database));
    let readiness = decide(&seen);
    let events = timeline::of(&seen, &readiness);
    Ok(progress(request, readiness, events, endpoint, Some(&pull)))
}

async fn look_beyond_the_forge(app: &App, seen: &mut Observation<'_>) -> Result<(), ApiError> {
    let environment = seen.request.environment();
    match app.watch.cluster.databases(&environment).await {
        Ok(databases) => seen.databases = databases,
        // Who reads the cluster for us does not answer, or refuses: that is an answer to the one who waits.
        Err(error) if app.watch.cluster.is_read_one_by_one() => {
            seen.base = app.watch.forge.on_base(&environment).await?;
            seen.argo = Argo::Unknown {
                message: error.message,
                hint: Reason::ArgoCdUnknown.hint().to_owned(),
            };
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let carries = |id: &str| seen.databases.iter().any(|d| d.request_id() == Some(id));
    if seen.request.operation() != Operation::Retire && carries(seen.request.as_str()) {
        seen.base = OnBase::Request(Some(seen.request.to_string()));
        return Ok(());
    }
    seen.base = app.watch.forge.on_base(&environment).await?;
    seen.argo = app.watch.argo.application(environment.as_str()).await;
    match (seen.request.operation(), &seen.argo) {
        (Operation::Retire, _) => {
            seen.namespace = app.watch.cluster.namespace(&environment).await?;
        }
        (_, Argo::Absent) => seen.set = app.watch.argo.set().await,
        (_, Argo::Present(application)) => {
            if !application.syncs_by_itself() {
                seen.set = app.watch.argo.set().await;
            }
            seen.holds_merge = holds_merge(app, application, seen.pull).await;
        }
        _ => {}
    }
    Ok(())
}

/// Whether the last operation applied a commit that contains the merge. With several sources one of them is enough.
async fn holds_merge(app: &App, application: &Application, pull: &Pull) -> Option<bool> {
    let merge = pull.merge_sha.as_deref()?;
    let operation = application.status.operation_state.as_ref()?;
    let mut answer = None;
    for revision in operation.revisions() {
        match app.watch.forge.contains(revision, merge).await {
            Some(true) => return Some(true),
            Some(false) => answer = Some(false),
            None => {}
        }
    }
    answer
}

/// An environment that came into Git by hand has no pull request of ours; its resource still says how it is.
async fn without_pull(
    app: &App,
    request: &RequestId,
    branch: &Branch,
) -> Result<Progress, ApiError> {
    let environment = request.environment();
    if *branch == Branch::Bare {
        let message = format!(
            "branch {} exists, its pull request does not",
            request.branch()
        );
        let readiness = readiness(Reason::NoPullRequest, message);
        return Ok(progress(request, readiness, Vec::new(), None, None));
    }
    let databases = app.watch.cluster.databases(&environment).await?;
    let name = environment.cr_name(None);
    let database = databases.iter().find(|database| database.name == name);
    match database {
        Some(database)
            if database
                .request_id()
                .is_none_or(|id| id == request.as_str()) =>
        {
            let readiness = of_database(database);
            let events = timeline::without_pull(database, &readiness);
            Ok(progress(
                request,
                readiness,
                events,
                endpoint(database),
                None,
            ))
        }
        _ => Err(ApiError::not_found(format!(
            "there is no request {request}; its branch and pull request do not exist"
        ))),
    }
}

fn progress(
    request: &RequestId,
    readiness: Readiness,
    events: Vec<Event>,
    endpoint: Option<EndpointView>,
    pull: Option<&Pull>,
) -> Progress {
    let requested_by = pull
        .map(|pull| Marker::of(pull).requested_by)
        .filter(|by| !by.is_empty());
    Progress {
        request_id: request.to_string(),
        environment: request.environment().to_string(),
        operation: request.operation().as_str().to_owned(),
        readiness,
        remote_url: pull.map(|pull| pull.url.clone()),
        pull_request_number: pull.map(|pull| pull.number),
        requested_by,
        endpoint,
        events,
    }
}

/// What a wait ends for before its time is over. Nothing more to come ends both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    End,
    /// An event after this position, or another state or reason than at the beginning of the call.
    News {
        after: u32,
    },
}

/// Looks again and again until there is an answer or the time is over. "Not yet" is an answer.
pub(crate) async fn wait(
    app: &App,
    request: &RequestId,
    time: Duration,
    until: Until,
) -> Result<Progress, ApiError> {
    let deadline = Instant::now() + time;
    let topic = app.watch.topic(&request.environment());
    let mut wake = app.wake.subscribe();
    let mut first: Option<(State, String)> = None;
    app.metrics.waiters.inc();
    let _counted = Counted(app);
    loop {
        wake.borrow_and_update();
        // Listens before it looks: what changes in between is not missed.
        let changed = topic.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        // Kept apart: what a look needs is large, and most of the time a wait is none.
        let interval = match Box::pin(observe(app, request, None)).await {
            // Something is down for a moment: who waits already goes on waiting.
            Err(error)
                if first.is_some()
                    && error.status == http::StatusCode::SERVICE_UNAVAILABLE
                    && Instant::now() < deadline =>
            {
                OPEN_INTERVAL
            }
            Err(error) => return Err(error),
            Ok(seen) => {
                let first =
                    first.get_or_insert((seen.readiness.state, seen.readiness.reason.clone()));
                if seen.readiness.state.is_final()
                    || is_news(&seen, first, until)
                    || Instant::now() >= deadline
                {
                    return Ok(seen);
                }
                interval(seen.readiness.state)
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(deadline.min(Instant::now() + interval)) => {}
            () = changed => app.watch.cluster.expire(&request.environment()),
            _ = wake.changed() => {}
        }
    }
}

fn interval(state: State) -> Duration {
    match state {
        State::Requested | State::Proposed => OPEN_INTERVAL,
        _ => BUSY_INTERVAL,
    }
}

fn is_news(seen: &Progress, first: &(State, String), until: Until) -> bool {
    let Until::News { after } = until else {
        return false;
    };
    seen.events.iter().any(|event| event.position > after)
        || (seen.readiness.state, &seen.readiness.reason) != (first.0, &first.1)
}

/// Counts a waiter out however the wait ends.
struct Counted<'a>(&'a App);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.waiters.dec();
    }
}
