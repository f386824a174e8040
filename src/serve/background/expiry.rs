//! Environments whose life ends: the owner is told once before, and after a grace the pull request that retires them is
//! opened once. People merge it; a later `expiresAt` in Git is the end of it.
//!
//! An environment's life is that of the database that lives longest. One that has no end keeps it for ever.

use std::collections::{BTreeMap, HashSet};

use environment::names::NAMESPACE_PREFIX;
use environment::{EnvironmentName, Values, databases};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::serve::app::App;
use crate::serve::cluster::LiveDatabase;
use crate::serve::portal::Notification;
use crate::serve::proposal::{self, Asker, Retirement};
use crate::web;

/// Who asks for what the platform does by itself.
const PLATFORM: &str = "postgres-vdb-platform";
/// So long before the end its owner is told.
const NOTICE: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// It ends soon.
    Notice,
    /// It is over for longer than the grace.
    Retirement,
}

/// What was done. Only saves calls: a notification of the same scope takes the place of the first, and a pull request is
/// found again by its key.
#[derive(Default)]
pub(crate) struct Expiry(HashSet<(String, Timestamp, bool)>);

impl Expiry {
    pub(crate) async fn sweep(&mut self, app: &App) {
        let live = match app.cluster.all_databases().await {
            Ok(live) => live,
            Err(error) => {
                return tracing::debug!(
                    error = web::error_chain(&error),
                    "cannot look which databases expire"
                );
            }
        };
        for (environment, databases) in by_environment(live) {
            let Some((due, end)) = due(&databases, Timestamp::now(), app.settings.expiry.grace())
            else {
                continue;
            };
            let done = (environment.to_string(), end, due == Due::Retirement);
            if self.0.contains(&done) {
                continue;
            }
            let ended = match due {
                Due::Notice => tell(app, &environment, &databases, end).await,
                Due::Retirement => retire(app, &environment, end).await,
            };
            match ended {
                Ok(()) => {
                    self.0.insert(done);
                }
                // Another pull request of the environment is open, or something is down: it is tried again.
                Err(why) => {
                    tracing::info!(environment = environment.as_str(), %end, why, "expiry is not acted on yet");
                }
            }
        }
    }
}

fn by_environment(live: Vec<LiveDatabase>) -> BTreeMap<EnvironmentName, Vec<LiveDatabase>> {
    let mut by_name: BTreeMap<EnvironmentName, Vec<LiveDatabase>> = BTreeMap::new();
    for database in live {
        let name = database.namespace.strip_prefix(NAMESPACE_PREFIX);
        if let Some(name) = name.and_then(|name| EnvironmentName::parse(name).ok()) {
            by_name.entry(name).or_default().push(database);
        }
    }
    by_name
}

/// The end of an environment's life: the latest of its databases' ends, none where one of them has none.
fn end<'a>(specs: impl Iterator<Item = &'a Value>) -> Option<Timestamp> {
    let ends: Option<Vec<Timestamp>> = specs
        .map(|spec| spec["expiresAt"].as_str()?.parse().ok())
        .collect();
    ends?.into_iter().max()
}

/// The same from a values file.
pub(crate) fn end_in_git(environment: &EnvironmentName, values: &str) -> Option<Timestamp> {
    let values = Values::parse(environment, values).ok()?;
    let (databases, _) = databases::of(environment, &values);
    end(databases.iter().map(|database| &database.spec))
}

/// What is to be done now; without a grace nothing is retired.
fn due(
    databases: &[LiveDatabase],
    now: Timestamp,
    grace: Option<SignedDuration>,
) -> Option<(Due, Timestamp)> {
    let end = end(databases.iter().map(|database| &database.spec))?;
    let protected = databases.iter().any(|d| d.spec["protected"] == true);
    if now < end {
        return (end.duration_since(now) <= NOTICE).then_some((Due::Notice, end));
    }
    let over = grace.is_some_and(|grace| now.duration_since(end) >= grace);
    (over && !protected && !databases.iter().any(|d| d.deleting)).then_some((Due::Retirement, end))
}

async fn tell(
    app: &App,
    environment: &EnvironmentName,
    databases: &[LiveDatabase],
    end: Timestamp,
) -> Result<(), String> {
    let Some(owner) = databases.iter().find_map(LiveDatabase::owner) else {
        // Nobody is named who could be told.
        return Ok(());
    };
    let then = match app.settings.expiry.grace() {
        Some(grace) => format!(
            "{} hours later a pull request to retire it is opened",
            grace.as_hours()
        ),
        None => "nothing retires it by itself".to_owned(),
    };
    let notification = Notification {
        recipient: owner.to_owned(),
        title: format!("Database {environment} expires soon"),
        description: format!(
            "At {end} it is stopped and its data is kept; {then}. Extend it if it is still needed."
        ),
        link: format!(
            "{}/catalog/default/resource/{environment}",
            app.settings.portal.people_url()
        ),
        severity: "high",
        scope: format!("vdb:{environment}:expiry:{end}"),
    };
    let result = app.portal.notify(&notification).await;
    app.metrics
        .notification(if result.is_ok() { "sent" } else { "failed" });
    result.map_err(|error| web::error_chain(&error))
}

async fn retire(app: &App, environment: &EnvironmentName, end: Timestamp) -> Result<(), String> {
    let key = format!("expiry:{environment}:{end}");
    let reason = format!("it expired at {end} and was not extended");
    let wanted = Retirement {
        environment,
        reason: Some(&reason),
        key: Some(&key),
        asker: Asker {
            by: PLATFORM,
            token: None,
        },
        expired: Some(end),
    };
    let proposal = proposal::retire(app, &wanted).await;
    let pull = proposal.map_err(|error| error.message)?.pull;
    let pull = pull.map_or(0, |pull| pull.number);
    tracing::info!(environment = environment.as_str(), %end, pull, "expired, and its retirement is proposed");
    Ok(())
}

#[cfg(test)]
mod tests;
