//! Environments as people see them: status, timeline, how to connect. Computed from the cluster and the forge.

use std::collections::BTreeMap;

use environment::EnvironmentName;
use environment::capabilities::{Capabilities, DayTwo};
use environment::names::NAMESPACE_PREFIX;
use environment::status::Stage;
use jiff::Timestamp;
use serde::Serialize;

use crate::forge::{Pull, PullState};
use crate::serve::app::App;
use crate::serve::cluster::LiveDatabase;
use crate::serve::error::ApiError;
use crate::serve::readiness::{Readiness, Reason, State, of_database, readiness};
use crate::serve::request::{Marker, Operation, RequestId};

#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct EndpointView {
    host: String,
    port: u16,
    database: String,
    user: String,
    /// Holds the password; read it with your own rights.
    secret: String,
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StageView {
    name: String,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

/// The state of one database.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DatabaseView {
    name: String,
    phase: String,
    state: State,
    pub(crate) ready: bool,
    reason: String,
    message: String,
    hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The point in time whose data the copy holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<EndpointView>,
    stages: Vec<StageView>,
}

/// The order that an environment came from, or that is about to change it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestView {
    id: String,
    state: State,
    /// Address of the pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// An environment: its first database at the top, all of them below.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct EnvironmentView {
    #[serde(flatten)]
    main: DatabaseView,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestView>,
    databases: Vec<DatabaseView>,
    /// What can be done with it; absent in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<CapabilityView>,
}

/// One thing to do with an environment that exists, and why not where the platform cannot.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct CapabilityView {
    action: Doing,
    possible: bool,
    /// Why it is not possible
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What to do instead
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Doing {
    Update,
    Refresh,
    Extend,
    Bookmark,
    Retire,
}

#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct EnvironmentList {
    items: Vec<EnvironmentView>,
}

/// Read from what the watch knows: a portal that asks every few seconds costs the API server nothing.
pub(crate) async fn list(app: &App) -> Result<EnvironmentList, ApiError> {
    let pulls = app.pulls.recent(app.forge.as_ref()).await?;
    let all = app.watch.cluster.all().await?;
    let requests = requests(&pulls);
    let mut by_name: BTreeMap<&str, Vec<&LiveDatabase>> = BTreeMap::new();
    for database in &all {
        if let Some(name) = database.namespace.strip_prefix(NAMESPACE_PREFIX) {
            by_name.entry(name).or_default().push(database);
        }
    }
    for (name, requests) in &requests {
        if requests.iter().any(|(_, p)| p.state == PullState::Open) {
            by_name.entry(name).or_default();
        }
    }
    let items = by_name
        .into_iter()
        .filter_map(|(name, databases)| {
            let requests = requests.get(name).map_or(&[][..], Vec::as_slice);
            view(&EnvironmentName::parse(name).ok()?, databases, requests)
        })
        .collect();
    Ok(EnvironmentList { items })
}

pub(crate) async fn one(app: &App, name: &EnvironmentName) -> Result<EnvironmentView, ApiError> {
    let (databases, pulls) = (
        app.cluster.databases(name).await?,
        app.pulls.recent(app.forge.as_ref()).await,
    );
    // The status of a database does not depend on the forge.
    let pulls = match pulls {
        Ok(pulls) => pulls,
        Err(error) if databases.is_empty() => return Err(error.into()),
        Err(_) => std::sync::Arc::default(),
    };
    let requests = requests(&pulls).remove(name.as_str()).unwrap_or_default();
    let view = view(name, databases.iter().collect(), &requests)
        .ok_or_else(|| ApiError::not_found(format!("there is no environment {name}")))?;
    Ok(EnvironmentView {
        capabilities: capabilities(&app.capabilities, name),
        ..view
    })
}

/// In the order in which people are offered them. Retiring takes no operator that knows how.
fn capabilities(of: &Capabilities, name: &EnvironmentName) -> Vec<CapabilityView> {
    [
        (Doing::Update, Some(DayTwo::Update)),
        (Doing::Refresh, Some(DayTwo::Refresh)),
        (Doing::Extend, Some(DayTwo::Extend)),
        (Doing::Bookmark, Some(DayTwo::Bookmark)),
        (Doing::Retire, None),
    ]
    .into_iter()
    .map(|(action, what)| {
        let missing = what.and_then(|what| of.missing(what, name.as_str()));
        CapabilityView {
            action,
            possible: missing.is_none(),
            reason: missing.as_ref().map(|problem| problem.message.clone()),
            hint: missing.and_then(|problem| problem.hint),
        }
    })
    .collect()
}

/// The requests of each environment, with their pull requests. Each branch is read once: lists are long.
fn requests(pulls: &[Pull]) -> BTreeMap<String, Vec<(RequestId, &Pull)>> {
    let mut of: BTreeMap<String, Vec<(RequestId, &Pull)>> = BTreeMap::new();
    for pull in pulls {
        if let Some(request) = RequestId::of_branch(&pull.branch) {
            let name = request.environment().to_string();
            of.entry(name).or_default().push((request, pull));
        }
    }
    of
}

/// None where there is neither a database nor an order that is under way.
fn view(
    name: &EnvironmentName,
    mut databases: Vec<&LiveDatabase>,
    requests: &[(RequestId, &Pull)],
) -> Option<EnvironmentView> {
    let main_name = name.cr_name(None);
    databases.sort_by_key(|database| (database.name != main_name, &database.name));
    let main = databases.first().copied();
    let views: Vec<_> = databases.into_iter().map(database_view).collect();
    let under_way = requests
        .iter()
        .filter(|(_, pull)| pull.state != PullState::Closed)
        .find(|(request, pull)| {
            let carried = main.and_then(LiveDatabase::request_id) == Some(request.as_str());
            // Of an environment without databases only what is still to come counts.
            carried
                || pull.state == PullState::Open
                || (main.is_none() && request.operation() == Operation::Create)
        });
    let (top, request, owner) = match (main, under_way) {
        (Some(main), pull) => {
            let top = DatabaseView {
                name: name.to_string(),
                ..views.first().cloned()?
            };
            (
                top,
                request_view(main, pull),
                main.owner().map(str::to_owned),
            )
        }
        (None, Some((request, pull))) => {
            let marker = Marker::of(pull);
            let readiness = match pull.state {
                PullState::Open => readiness(Reason::PullRequestOpen, "waits for review and merge"),
                _ => readiness(Reason::NotApplied, "merged; not in the cluster yet"),
            };
            let state = readiness.state;
            let by = Some(marker.requested_by).filter(|by| !by.is_empty());
            let view = RequestView {
                id: request.to_string(),
                state,
                pull_request: Some(pull.url.clone()),
                by,
            };
            (
                empty_view(name.as_str(), readiness),
                Some(view),
                Some(marker.owner).filter(|owner| !owner.is_empty()),
            )
        }
        (None, None) => return None,
    };
    Some(EnvironmentView {
        main: top,
        owner,
        request,
        databases: views,
        capabilities: Vec::new(),
    })
}

fn request_view(
    main: &LiveDatabase,
    under_way: Option<&(RequestId, &Pull)>,
) -> Option<RequestView> {
    let carried = main.request_id();
    if let Some((request, pull)) = under_way {
        let ours = carried == Some(request.as_str());
        let state = if ours {
            of_database(main).state
        } else {
            State::Proposed
        };
        let by = if ours {
            main.requested_by().map(str::to_owned)
        } else {
            Some(Marker::of(pull).requested_by)
        };
        return Some(RequestView {
            id: request.to_string(),
            state,
            pull_request: Some(pull.url.clone()),
            by: by.filter(|by| !by.is_empty()),
        });
    }
    let by = main.requested_by().map(str::to_owned);
    Some(RequestView {
        id: carried?.to_owned(),
        state: of_database(main).state,
        pull_request: None,
        by,
    })
}

fn empty_view(name: &str, readiness: Readiness) -> DatabaseView {
    let Readiness {
        state,
        ready,
        reason,
        message,
        hint,
    } = readiness;
    DatabaseView {
        name: name.to_owned(),
        phase: "Pending".into(),
        state,
        ready,
        reason,
        message,
        hint,
        source: None,
        data_as_of: None,
        endpoint: None,
        stages: Vec::new(),
    }
}

fn database_view(database: &LiveDatabase) -> DatabaseView {
    let status = &database.status;
    let phase = status
        .phase
        .map_or_else(|| "Pending".to_owned(), |phase| format!("{phase:?}"));
    DatabaseView {
        phase: if database.deleting {
            "Deleting".into()
        } else {
            phase
        },
        source: database.spec_text("/source/reference").map(str::to_owned),
        data_as_of: status.data_as_of.clone(),
        endpoint: endpoint(database),
        stages: status.stages.iter().map(stage).collect(),
        ..empty_view(&database.name, of_database(database))
    }
}

/// Where the database answers, once the operator has said so.
pub(crate) fn endpoint(database: &LiveDatabase) -> Option<EndpointView> {
    let endpoint = database.status.endpoint.as_ref()?;
    let text = |pointer, default: &str| database.spec_text(pointer).unwrap_or(default).to_owned();
    let secret = database
        .status
        .credentials_secret
        .clone()
        .unwrap_or_else(|| format!("{}-credentials", database.name));
    Some(EndpointView {
        host: endpoint.host.clone(),
        port: endpoint.port,
        database: text("/database/name", "postgres"),
        user: text("/database/user", "postgres"),
        secret,
        namespace: database.namespace.clone(),
    })
}

fn stage(stage: &Stage) -> StageView {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let finished = stage.finished_at.as_deref().and_then(time);
    let seconds = time(&stage.started_at).zip(finished).map(|(from, to)| {
        to.duration_since(from)
            .round(jiff::Unit::Millisecond)
            .map_or(0.0, |d| d.as_secs_f64())
    });
    StageView {
        name: stage.name.clone(),
        started_at: stage.started_at.clone(),
        finished_at: stage.finished_at.clone(),
        seconds,
    }
}
