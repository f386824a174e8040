//! `vdb:bookmark`: a state of the data to come back to. It is a resource beside the database, no change in Git.
//!
//! The resource's name is made from the environment and the caller's key, so a call that is repeated finds what the
//! first one made, on any replica.

use std::time::Duration;

use environment::actions::{ActionPhase, SnapshotSpec};
use environment::capabilities::DayTwo;
use environment::{EnvironmentName, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bookmark::resource_name;
use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::cluster::{LiveBookmark, LiveDatabase, NewBookmark};
use crate::serve::error::ApiError;
use crate::serve::{audit, checks, proposal};

/// With what comes before it, below the 45 seconds of a call.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    name: String,
    #[serde(default)]
    bookmark: Option<String>,
    #[serde(default)]
    database: Option<String>,
    #[serde(default)]
    retention_days: Option<u16>,
    #[serde(default)]
    request_id: Option<String>,
}

/// A bookmark's resource: `<environment>.bookmark-<digest>` as a request's id, the part behind the dot as its name.
pub(super) struct Kept {
    environment: EnvironmentName,
    resource: String,
}

impl Kept {
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (environment, resource) = id.split_once('.')?;
        let digest = resource.strip_prefix("bookmark-")?;
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (digest.len() == 10 && digest.bytes().all(hex)).then_some(Self {
            environment: EnvironmentName::parse(environment).ok()?,
            resource: resource.to_owned(),
        })
    }

    fn id(&self) -> String {
        format!("{}.{}", self.environment, self.resource)
    }
}

pub(super) async fn run(app: &App, input: &Value, caller: &Caller) -> Result<Value, ApiError> {
    let by = caller.user()?;
    let input: Input = super::read(input)?;
    let environment = EnvironmentName::parse(&input.name).map_err(ApiError::problem)?;
    let Some(key) = input.request_id.as_deref().or(input.bookmark.as_deref()) else {
        let message = "neither requestId nor bookmark is given, so a repeated call could not be told from a new one";
        let problem = Problem::field("requestId", "/requestId", message);
        return Err(ApiError::problem(
            problem.hint("write ${{ context.task.id }}, or name the bookmark"),
        ));
    };
    if key.len() > 200 {
        return Err(ApiError::input("requestId has more than 200 characters"));
    }
    proposal::possible(app, DayTwo::Bookmark, &environment)?;
    let owner = proposal::owner_in_git(app, &environment).await?;
    checks::owner(app, by, &owner).await?;
    let databases = app.cluster.databases(&environment).await?;
    let database = chosen(&environment, &databases, input.database.as_deref())?;
    let kept = Kept {
        resource: resource_name(&environment, &database.name, key),
        environment,
    };
    let wanted = NewBookmark {
        name: kept.resource.clone(),
        by: by.to_owned(),
        spec: SnapshotSpec {
            vdb: database.name.clone(),
            name: input.bookmark,
            retention_days: input.retention_days,
        },
    };
    let made = app.cluster.keep(&kept.environment, &wanted).await?;
    if made.spec != wanted.spec {
        return Err(ApiError::conflict(format!(
            "this requestId has made another bookmark of {}; give another requestId for another bookmark",
            made.spec.vdb
        )));
    }
    audit::kept(by, &kept.environment, &database.name, &kept.resource);
    wait(app, &kept, LONGEST_WAIT).await
}

/// The database that is meant: the only one, or the one that is named.
fn chosen<'a>(
    environment: &EnvironmentName,
    databases: &'a [LiveDatabase],
    wanted: Option<&str>,
) -> Result<&'a LiveDatabase, ApiError> {
    let there: Vec<&LiveDatabase> = databases.iter().filter(|d| !d.deleting).collect();
    let all: Vec<&str> = there.iter().map(|d| d.name.as_str()).collect();
    let hint = format!("name one of {}", all.join(", "));
    match (wanted, there.as_slice()) {
        (_, []) => Err(ApiError::conflict(format!(
            "environment {environment} has no database in the cluster yet; bookmark it when it is ready"
        ))),
        (None, [one]) => Ok(one),
        (None, _) => {
            let message = format!("environment {environment} has several databases");
            let problem = Problem::field("database", "/database", message);
            Err(ApiError::problem(problem.hint(hint)))
        }
        (Some(name), _) => there
            .iter()
            .find(|d| d.name == name)
            .copied()
            .ok_or_else(|| {
                let quoted = environment::names::quoted(name);
                let message = format!("environment {environment} has no database {quoted}");
                let problem = Problem::field("database", "/database", message);
                ApiError::problem(problem.hint(hint))
            }),
    }
}

/// Looks until the bookmark is made or the time is over. "Not yet" is an answer.
pub(super) async fn wait(app: &App, kept: &Kept, time: Duration) -> Result<Value, ApiError> {
    let deadline = Instant::now() + time;
    loop {
        let found = app
            .cluster
            .bookmark(&kept.environment, &kept.resource)
            .await?;
        let Some(found) = found else {
            return Err(ApiError::not_found(format!(
                "there is no PostgresSnapshot {} in environment {}; it was deleted, or never made",
                kept.resource, kept.environment
            )));
        };
        if found.status.phase.is_over() || Instant::now() >= deadline {
            return answer(kept, &found);
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + INTERVAL)).await;
    }
}

fn answer(kept: &Kept, found: &LiveBookmark) -> Result<Value, ApiError> {
    let status = &found.status;
    let reason = status.reason.clone().unwrap_or_default();
    // In the portal a failure must not look like a success.
    if status.phase == ActionPhase::Failed {
        return Err(ApiError::conflict(format!("{reason}: {}", status.message)));
    }
    let (state, message, hint) = match status.phase {
        ActionPhase::Succeeded => ("READY", status.message.as_str(), ""),
        ActionPhase::Pending if status.message.is_empty() => (
            "REQUESTED",
            "the operator has not seen it yet",
            "run it again to wait longer",
        ),
        ActionPhase::Pending => (
            "REQUESTED",
            status.message.as_str(),
            "run it again to wait longer",
        ),
        _ => (
            "PROVISIONING",
            status.message.as_str(),
            "run it again to wait longer",
        ),
    };
    let mut output = json!({
        "requestId": kept.id(),
        "entityRef": format!("resource:default/{}", kept.environment),
        "database": found.spec.vdb,
        "state": state,
        "ready": status.phase == ActionPhase::Succeeded,
        "reason": reason,
        "message": message,
        "hint": hint,
        "remoteUrl": "",
    });
    for (field, value) in [
        ("bookmark", &status.bookmark),
        ("dataAsOf", &status.data_as_of),
    ] {
        if let Some(value) = value {
            output[field] = json!(value);
        }
    }
    Ok(output)
}
