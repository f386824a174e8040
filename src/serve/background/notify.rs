//! The owner is told once of each transition that matters: ready, failed, blocked, rejected, retired.
//!
//! What was told last stands in one comment of the pull request: a restarted or another replica reads it there. First it
//! is told, then marked: a crash in between tells it once more, in the same place, and never loses it.

mod text;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::forge::{Error as ForgeError, Pull, PullState};
use crate::serve::app::App;
use crate::serve::error::ApiError;
use crate::serve::portal;
use crate::serve::progress::{Progress, observe};
use crate::serve::readiness::State;
use crate::serve::request::{Marker, RequestId};
use crate::web;

const MARKER: &str = "<!-- postgres-vdb-platform: progress -->";
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// A request that is older is nobody's news any more.
const NEWS: SignedDuration = SignedDuration::from_hours(24);
/// An Argo CD that restarts, or a source that is busy, is nobody's news: only what stays so is told.
const BLOCKED_FOR: Duration = Duration::from_mins(1);

/// Tells owners.
pub(crate) struct Teller {
    blocked_for: Duration,
    /// Pull requests about which nothing is left to tell. Only saves calls: it is learnt anew from the comments.
    done: HashSet<u64>,
    /// What was told last, as the comments say it. Only saves calls, too.
    told: HashMap<u64, String>,
    /// Since when a request is blocked for one reason.
    blocked: HashMap<u64, (String, Instant)>,
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

impl Default for Teller {
    fn default() -> Self {
        Self {
            blocked_for: BLOCKED_FOR,
            done: HashSet::new(),
            told: HashMap::new(),
            blocked: HashMap::new(),
            failures: HashMap::new(),
        }
    }
}

impl Teller {
    /// Looks at every request whose end was not told yet.
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
            .filter(|pull| pull.state != PullState::Open && is_news(pull))
        {
            let Some(request) = RequestId::of_branch(&pull.branch) else {
                continue;
            };
            if self.done.contains(&pull.number) || self.is_quiet(pull.number) {
                continue;
            }
            match self.tell(app, &request, pull).await {
                Ok(true) => {
                    self.done.insert(pull.number);
                }
                Ok(false) => {
                    self.failures.remove(&pull.number);
                }
                Err(error) => self.failed(&request, pull, &error),
            }
        }
        let known = |number: &u64| pulls.iter().any(|pull| pull.number == *number);
        self.done.retain(known);
        self.told.retain(|number, _| known(number));
        self.blocked.retain(|number, _| known(number));
        self.failures.retain(|number, _| known(number));
    }

    fn failed(&mut self, request: &RequestId, pull: &Pull, error: &Error) {
        let (until, pause) = self
            .failures
            .entry(pull.number)
            .or_insert((Instant::now(), FIRST_PAUSE));
        *until = Instant::now() + *pause;
        *pause = LONGEST_PAUSE.min(*pause * 2);
        tracing::warn!(
            error = web::error_chain(error),
            request = request.as_str(),
            "cannot tell the owner yet"
        );
    }

    /// Tells the state if it is one that is told and was not told yet; whether nothing is left to tell.
    async fn tell(&mut self, app: &App, request: &RequestId, pull: &Pull) -> Result<bool, Error> {
        let marker = Marker::of(pull);
        if marker.owner.is_empty() && marker.requested_by.is_empty() {
            // A pull request that was opened by hand names nobody to tell.
            return Ok(true);
        }
        let seen = observe(app, request, Some(Arc::new(pull.clone()))).await?;
        if !self.is_told(pull.number, &seen) {
            return Ok(seen.readiness.state == State::Superseded);
        }
        // What failed or is blocked may be mended; then Ready is still to be told.
        let last = !matches!(seen.readiness.state, State::Failed | State::Blocked);
        let headline = text::headline(&seen);
        if self.last_told(app, pull.number).await?.as_deref() == Some(&headline) {
            return Ok(last);
        }
        let notification = text::notification(app, request, &seen, &marker);
        // After a crash between telling and marking the same scope makes the second telling replace the first.
        let result = app.portal.notify(&notification).await;
        app.metrics
            .notification(if result.is_ok() { "sent" } else { "failed" });
        result?;
        refresh(app, request).await;
        let text = text::comment(&seen);
        app.forge.upsert_comment(pull.number, MARKER, &text).await?;
        self.told.insert(pull.number, headline);
        tracing::info!(
            request = request.as_str(),
            state = ?seen.readiness.state,
            reason = seen.readiness.reason,
            recipient = notification.recipient,
            "told the owner"
        );
        Ok(last)
    }

    /// Whether this state is told at all, and now.
    fn is_told(&mut self, number: u64, seen: &Progress) -> bool {
        let readiness = &seen.readiness;
        if readiness.state != State::Blocked {
            self.blocked.remove(&number);
            return matches!(
                readiness.state,
                State::Ready | State::Failed | State::Rejected | State::Retired
            );
        }
        let now = Instant::now();
        let (reason, since) = self
            .blocked
            .entry(number)
            .or_insert_with(|| (readiness.reason.clone(), now));
        if *reason != readiness.reason {
            (*reason, *since) = (readiness.reason.clone(), now);
        }
        since.elapsed() >= self.blocked_for
    }

    async fn last_told(&mut self, app: &App, number: u64) -> Result<Option<String>, Error> {
        if let Some(told) = self.told.get(&number) {
            return Ok(Some(told.clone()));
        }
        let comment = app.forge.comment(number, MARKER).await?;
        let first = comment.and_then(|text| text.lines().next().map(|line| line.trim().to_owned()));
        if let Some(first) = &first {
            self.told.insert(number, first.clone());
        }
        Ok(first)
    }

    fn is_quiet(&self, number: u64) -> bool {
        self.failures
            .get(&number)
            .is_some_and(|(until, _)| Instant::now() < *until)
    }
}

fn is_news(pull: &Pull) -> bool {
    let finished = pull
        .finished_at
        .as_deref()
        .and_then(|at| at.parse::<Timestamp>().ok());
    finished.is_some_and(|finished| Timestamp::now().duration_since(finished) < NEWS)
}

/// The page of the environment shows the new state at once; that it lags does not stop the telling.
async fn refresh(app: &App, request: &RequestId) {
    let entity = format!("resource:default/{}", request.environment());
    if let Err(error) = app.portal.refresh(&entity).await {
        tracing::warn!(
            error = web::error_chain(&error),
            entity,
            "the catalog reads the entity later"
        );
    }
}

#[cfg(test)]
mod tests;
