//! A request's progress, computed anew from forge, Argo CD and cluster each time: any replica gives the same answer.

use std::time::Duration;

use environment::EnvironmentName;
use environment::values::Values;
use serde::Serialize;
use tokio::time::Instant;

use crate::forge::{Pull, PullState};
use crate::serve::app::App;
use crate::serve::environments::{EndpointView, endpoint};
use crate::serve::error::ApiError;
use crate::serve::readiness::{Argo, Observation, OnBase, Readiness, State, decide, of_database};
use crate::serve::request::{Marker, Operation, RequestId};
use crate::serve::timeline::{self, Event};
use crate::web;

/// While a reviewer thinks; a webhook wakes earlier.
const OPEN_INTERVAL: Duration = Duration::from_secs(3);
/// While Argo CD and the operator work.
const BUSY_INTERVAL: Duration = Duration::from_millis(700);

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
    #[serde(skip)]
    pub(crate) pull: Option<Pull>,
    /// What has happened so far.
    #[serde(skip)]
    pub(crate) events: Vec<Event>,
}

/// Looks once. `merged` is the pull request if it is known to be merged: that never changes again.
pub(crate) async fn observe(
    app: &App,
    request: &RequestId,
    merged: Option<Pull>,
) -> Result<Progress, ApiError> {
    let pull = match merged {
        Some(pull) => pull,
        None => match app.forge.find(&request.branch()).await? {
            Some(pull) => pull,
            None => return without_pull(app, request).await,
        },
    };
    let mut seen = Observation {
        request,
        pull: &pull,
        base: OnBase::Absent,
        argo: Argo::NotAsked,
        databases: Vec::new(),
        namespace: None,
    };
    if pull.state == PullState::Merged {
        look_beyond_the_forge(app, &mut seen).await?;
    }
    let database = seen
        .databases
        .iter()
        .find(|database| database.name == request.environment().cr_name(None));
    let endpoint = database
        .filter(|database| database.is_ready())
        .and_then(endpoint);
    let readiness = decide(&seen);
    let events = timeline::of(&seen, &readiness);
    Ok(progress(
        request,
        readiness,
        events,
        endpoint,
        Some(pull.clone()),
    ))
}

async fn look_beyond_the_forge(app: &App, seen: &mut Observation<'_>) -> Result<(), ApiError> {
    let environment = seen.request.environment();
    seen.databases = app.cluster.databases(&environment).await?;
    let carries = |id: &str| {
        seen.databases
            .iter()
            .any(|database| database.request_id() == Some(id))
    };
    if seen.request.operation() != Operation::Retire && carries(seen.request.as_str()) {
        seen.base = OnBase::Request(Some(seen.request.to_string()));
        return Ok(());
    }
    seen.base = on_base(app, &environment).await?;
    seen.argo = match app.argocd.application(environment.as_str()).await {
        Ok(Some(application)) => Argo::Present(Box::new(application)),
        Ok(None) => Argo::Absent,
        Err(error) => Argo::Unknown {
            message: web::error_chain(&error),
            hint: error.hint().to_owned(),
        },
    };
    if seen.request.operation() == Operation::Retire {
        seen.namespace = app.cluster.namespace(&environment).await?;
    }
    Ok(())
}

async fn on_base(app: &App, environment: &EnvironmentName) -> Result<OnBase, ApiError> {
    let base = app.forge.base().await?;
    let Some(text) = app.forge.read(&base, &environment.values_path()).await? else {
        return Ok(OnBase::Absent);
    };
    Ok(OnBase::Request(
        Values::parse(environment, &text)
            .ok()
            .and_then(|values| values.request?.id),
    ))
}

/// An environment that came into Git by hand has no pull request of ours; its resource still says how it is.
async fn without_pull(app: &App, request: &RequestId) -> Result<Progress, ApiError> {
    let environment = request.environment();
    let databases = app.cluster.databases(&environment).await?;
    let database = databases
        .iter()
        .find(|database| database.name == environment.cr_name(None));
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
    pull: Option<Pull>,
) -> Progress {
    let requested_by = pull
        .as_ref()
        .map(|pull| Marker::of(pull).requested_by)
        .filter(|by| !by.is_empty());
    Progress {
        request_id: request.to_string(),
        environment: request.environment().to_string(),
        operation: request.operation().as_str().to_owned(),
        readiness,
        remote_url: pull.as_ref().map(|pull| pull.url.clone()),
        pull_request_number: pull.as_ref().map(|pull| pull.number),
        requested_by,
        endpoint,
        pull,
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
    let mut wake = app.wake.subscribe();
    let mut merged = None;
    let mut first: Option<(State, String)> = None;
    app.metrics.waiters.inc();
    let _counted = Counted(app);
    loop {
        wake.borrow_and_update();
        let seen = match observe(app, request, merged.clone()).await {
            // Something is down for a moment: who waits already goes on waiting.
            Err(error)
                if first.is_some()
                    && error.status == http::StatusCode::SERVICE_UNAVAILABLE
                    && Instant::now() < deadline =>
            {
                tokio::time::sleep_until(deadline.min(Instant::now() + OPEN_INTERVAL)).await;
                continue;
            }
            other => other?,
        };
        let first = first.get_or_insert((seen.readiness.state, seen.readiness.reason.clone()));
        if seen.readiness.state.is_final()
            || is_news(&seen, first, until)
            || Instant::now() >= deadline
        {
            return Ok(seen);
        }
        if let Some(pull) = seen
            .pull
            .as_ref()
            .filter(|pull| pull.state == PullState::Merged)
        {
            merged = Some(pull.clone());
        }
        let interval = if seen.readiness.state == State::Proposed {
            OPEN_INTERVAL
        } else {
            BUSY_INTERVAL
        };
        let next = deadline.min(Instant::now() + interval);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            changed = wake.changed() => if changed.is_err() { tokio::time::sleep_until(next).await },
        }
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
