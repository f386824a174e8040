//! The owner is told once when a database is ready, has failed or is gone.
//!
//! What was told stands in one comment of the pull request: a restarted or another replica reads it there.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::forge::{Error as ForgeError, Pull, PullState};
use crate::serve::app::App;
use crate::serve::error::ApiError;
use crate::serve::portal::{self, Notification};
use crate::serve::progress::{Progress, observe};
use crate::serve::readiness::State;
use crate::serve::request::{Marker, Operation, RequestId};
use crate::web;

const MARKER: &str = "<!-- postgres-vdb-platform: progress -->";
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// A request that is older is nobody's news any more.
const NEWS: SignedDuration = SignedDuration::from_hours(24);

/// Tells owners.
#[derive(Default)]
pub(crate) struct Teller {
    /// Pull requests about which nothing is left to tell. Only saves calls: it is learnt anew from the comments.
    done: HashSet<u64>,
    /// Where telling failed: not before this time again, and how long to wait after the next failure.
    failures: HashMap<u64, (Instant, Duration)>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Portal(#[from] portal::Error),
    #[error("{0}")]
    Progress(String),
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Progress(error.message)
    }
}

impl Teller {
    /// Looks at every merged request whose end was not told yet.
    pub(crate) async fn sweep(&mut self, app: &App) {
        let pulls = match app.pulls.recent(app.forge.as_ref()).await {
            Ok(pulls) => pulls,
            Err(error) => {
                return tracing::debug!(
                    error = web::error_chain(&error),
                    "cannot list pull requests"
                );
            }
        };
        for pull in pulls
            .iter()
            .filter(|pull| pull.state == PullState::Merged && is_news(pull))
        {
            let Some(request) = RequestId::of_branch(&pull.branch) else {
                continue;
            };
            if self.done.contains(&pull.number) || self.is_quiet(pull.number) {
                continue;
            }
            match tell(app, &request, pull).await {
                Ok(true) => {
                    self.done.insert(pull.number);
                }
                Ok(false) => {
                    self.failures.remove(&pull.number);
                }
                Err(error) => {
                    let (until, pause) = self
                        .failures
                        .entry(pull.number)
                        .or_insert((Instant::now(), FIRST_PAUSE));
                    *until = Instant::now() + *pause;
                    *pause = LONGEST_PAUSE.min(*pause * 2);
                    tracing::warn!(
                        error = web::error_chain(&error),
                        request = request.as_str(),
                        "cannot tell the owner yet"
                    );
                }
            }
        }
        let known = |number: &u64| pulls.iter().any(|pull| pull.number == *number);
        self.done.retain(known);
        self.failures.retain(|number, _| known(number));
    }

    fn is_quiet(&self, number: u64) -> bool {
        self.failures
            .get(&number)
            .is_some_and(|(until, _)| Instant::now() < *until)
    }
}

fn is_news(pull: &Pull) -> bool {
    let merged = pull
        .finished_at
        .as_deref()
        .and_then(|at| at.parse::<Timestamp>().ok());
    merged.is_some_and(|merged| Timestamp::now().duration_since(merged) < NEWS)
}

/// Tells the state if it is one that is told and was not told yet; whether nothing is left to tell.
async fn tell(app: &App, request: &RequestId, pull: &Pull) -> Result<bool, Error> {
    let marker = Marker::of(pull);
    if marker.owner.is_empty() && marker.requested_by.is_empty() {
        // A pull request that was opened by hand names nobody to tell.
        return Ok(true);
    }
    let seen = observe(app, request, Some(pull.clone())).await?;
    let state = seen.readiness.state;
    if !matches!(state, State::Ready | State::Failed | State::Retired) {
        return Ok(state == State::Superseded);
    }
    // A failure may be mended; then Ready is still to be told.
    let last = state != State::Failed;
    let told = app
        .forge
        .comment(pull.number, MARKER)
        .await?
        .unwrap_or_default();
    if told.contains(&headline(state)) {
        return Ok(last);
    }
    let notification = notification(app, request, &seen, &marker);
    // First told, then marked: after a crash in between the same scope makes the second telling replace the first.
    let result = app.portal.notify(&notification).await;
    app.metrics
        .notification(if result.is_ok() { "sent" } else { "failed" });
    result?;
    let text = format!("{}\n\n{}", headline(state), comment(&seen));
    app.forge.upsert_comment(pull.number, MARKER, &text).await?;
    tracing::info!(
        request = request.as_str(),
        ?state,
        recipient = notification.recipient,
        "told the owner"
    );
    Ok(last)
}

fn headline(state: State) -> String {
    format!("**{}**", format!("{state:?}").to_uppercase())
}

fn comment(seen: &Progress) -> String {
    let hint = if seen.readiness.hint.is_empty() {
        String::new()
    } else {
        format!("\n\nWhat to do: {}", seen.readiness.hint)
    };
    format!("{}{hint}", seen.readiness.message.replace('<', "&lt;"))
}

/// What has become of the database.
fn told(request: &RequestId) -> &'static str {
    match request.operation() {
        Operation::Update => "updated and ready",
        Operation::Refresh => "refreshed and ready",
        Operation::Extend => "extended",
        Operation::Create | Operation::Retire => "ready",
    }
}

fn notification(app: &App, request: &RequestId, seen: &Progress, marker: &Marker) -> Notification {
    let environment = request.environment();
    let portal = app.settings.portal.people_url();
    let (title, severity) = match seen.readiness.state {
        State::Ready => (
            format!("Database {environment} is {}", told(request)),
            "normal",
        ),
        State::Retired => (format!("Database {environment} is retired"), "normal"),
        _ => (format!("Database {environment} has failed"), "high"),
    };
    let link = match request.operation() {
        Operation::Retire => seen.remote_url.clone().unwrap_or_default(),
        _ => format!("{portal}/catalog/default/resource/{environment}"),
    };
    let recipient = if marker.owner.is_empty() {
        &marker.requested_by
    } else {
        &marker.owner
    };
    Notification {
        recipient: recipient.clone(),
        title,
        description: web::one_line(
            &format!("{} {}", seen.readiness.message, seen.readiness.hint),
            400,
        ),
        link,
        severity,
        scope: format!("vdb:{environment}"),
    }
}
