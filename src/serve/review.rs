//! The check `vdb/validate` on every pull request, hand-made ones included: whether what it does to the environments may
//! be merged. A pull request that touches no environment passes, so that the check can be required.
//!
//! A verdict belongs to a commit. Judging twice says the same twice, so nothing of this survives a restart.

mod audited;
mod catalog;
mod judge;
mod paths;
mod read;
mod say;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use environment::EnvironmentName;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::forge::{Check, Error, Forge, Pull, PullState};
use crate::serve::app::App;
use crate::serve::audit;
use crate::serve::proposal::rival;
use crate::web;
use judge::{Content, Files};
pub(crate) use judge::{UNPROTECT, Verdict};
use paths::Touched;
pub(crate) use say::REQUIRED_CHECK;

const MARKER: &str = "<!-- postgres-vdb-platform: review -->";
/// How soon a new head is judged where no webhook wakes us.
const INTERVAL: Duration = Duration::from_secs(5);
/// One pull request that takes longer does not keep the others waiting.
const LONGEST_LOOK: Duration = Duration::from_mins(1);
/// A pull request that cannot be judged is not tried every few seconds.
const PAUSE: Duration = Duration::from_secs(30);

/// What was judged and seen. Only saves calls: after a restart everything is judged again.
#[derive(Default)]
pub(crate) struct Memory {
    judged: HashMap<u64, Judged>,
    quiet: HashMap<u64, Instant>,
    /// Merges that the audit has.
    merged: HashSet<u64>,
    /// Withdrawn pull requests whose branch is gone.
    cleared: HashSet<u64>,
}

impl Memory {
    fn is_quiet(&self, number: u64) -> bool {
        let until = self.quiet.get(&number);
        until.is_some_and(|until| Instant::now() < *until)
    }

    pub(crate) fn is_cleared(&self, number: u64) -> bool {
        self.cleared.contains(&number)
    }

    pub(crate) fn cleared(&mut self, number: u64) {
        self.cleared.insert(number);
    }
}

#[derive(Clone)]
struct Judged {
    head: String,
    /// The base branch that it was held against; none where no environment is touched.
    base: Option<String>,
    said: Check,
    changes: Vec<audit::Change>,
}

/// A verdict and what it was reached from.
struct Finding {
    verdict: Verdict,
    changes: Vec<audit::Change>,
}

/// Judges for as long as this replica leads: at once when something happened at the forge, else every few seconds.
pub(crate) async fn run(app: &App, mut leads: watch::Receiver<bool>) {
    let mut woken = app.wake.subscribe();
    loop {
        let leading = *leads.borrow_and_update();
        if leading {
            sweep(app).await;
        }
        tokio::select! {
            _ = woken.changed() => {}
            _ = leads.changed() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Looks at every pull request once: judges the open ones, notes the merged ones.
pub(crate) async fn sweep(app: &App) {
    if let Err(error) = try_sweep(app).await {
        tracing::debug!(error = web::error_chain(&error), "cannot review");
    }
}

async fn try_sweep(app: &App) -> Result<(), Error> {
    let mut pulls = app.pulls.recent(app.forge.as_ref()).await?;
    match rival::sweep(app, &pulls).await {
        Ok(false) => {}
        Ok(true) => {
            app.wake().await;
            pulls = app.pulls.recent(app.forge.as_ref()).await?;
        }
        Err(error) => tracing::warn!(
            error = web::error_chain(&error),
            "cannot end the later of two pull requests of one environment yet"
        ),
    }
    let base = app.forge.base().await?;
    for pull in pulls.iter() {
        let look = async {
            match pull.state {
                PullState::Open => open(app, pull, &base).await,
                PullState::Merged | PullState::Closed => Ok(()),
            }
        };
        let why = match tokio::time::timeout(LONGEST_LOOK, look).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{}; {}", web::error_chain(&error), error.hint())),
            Err(_) => Some("it takes longer than a minute".to_owned()),
        };
        if let Some(error) = why {
            tracing::warn!(
                error,
                number = pull.number,
                "cannot review the pull request yet"
            );
            app.metrics.review("failed");
            let mut memory = app.reviews.lock().await;
            memory.quiet.insert(pull.number, Instant::now() + PAUSE);
        }
    }
    let audited = audited::sweep(app, &pulls).await;
    forget(app, &pulls).await;
    audited
}

async fn forget(app: &App, pulls: &Arc<Vec<Pull>>) {
    let mut memory = app.reviews.lock().await;
    let known: HashSet<u64> = pulls.iter().map(|pull| pull.number).collect();
    memory.judged.retain(|number, _| known.contains(number));
    memory.quiet.retain(|number, _| known.contains(number));
    memory.merged.retain(|number| known.contains(number));
    memory.cleared.retain(|number| known.contains(number));
}

/// What was said of this head before, if it is to be judged now.
async fn due(app: &App, pull: &Pull, base: &str) -> Option<Option<Check>> {
    let memory = app.reviews.lock().await;
    if memory.is_quiet(pull.number) {
        return None;
    }
    let judged = memory.judged.get(&pull.number);
    let known = judged.filter(|known| known.head == pull.head_sha);
    let holds = |known: &Judged| known.base.as_deref().is_none_or(|at| at == base);
    (!known.is_some_and(holds)).then(|| known.map(|known| known.said.clone()))
}

/// Judges the head of an open pull request unless that was done.
async fn open(app: &App, pull: &Pull, base: &str) -> Result<(), Error> {
    let Some(known) = due(app, pull, base).await else {
        return Ok(());
    };
    let finding = find(app, base, &pull.head_sha, pull.number).await?;
    // The files belong to whatever the head was when they were listed: a head that moved meanwhile is judged by itself.
    let now = app.forge.pull(pull.number).await?;
    if now.is_none_or(|now| now.head_sha != pull.head_sha) {
        return Ok(());
    }
    let said = say::check(&finding.verdict);
    if known.as_ref() != Some(&said) {
        app.forge.status(&pull.head_sha, &said).await?;
        app.metrics.review(if finding.verdict.ok {
            "passed"
        } else {
            "refused"
        });
        tracing::info!(
            number = pull.number,
            head = pull.head_sha,
            ok = finding.verdict.ok,
            problems = finding.verdict.problems.len(),
            "judged"
        );
    }
    explain(app, pull.number, &finding.verdict).await;
    let judged = Judged {
        head: pull.head_sha.clone(),
        base: (finding.verdict.environments > 0).then(|| base.to_owned()),
        said,
        changes: finding.changes,
    };
    app.reviews.lock().await.judged.insert(pull.number, judged);
    Ok(())
}

/// Judges a commit that is not the head of its pull request: that of a merge queue which holds it. Sets the check there.
pub(crate) async fn head(app: &App, sha: &str, number: u64) -> Result<Verdict, Error> {
    let base = app.forge.base().await?;
    let verdict = find(app, &base, sha, number).await?.verdict;
    app.forge.status(sha, &say::check(&verdict)).await?;
    Ok(verdict)
}

async fn find(app: &App, base: &str, sha: &str, number: u64) -> Result<Finding, Error> {
    let forge: &dyn Forge = app.forge.as_ref();
    let changes = match forge.changes(number).await {
        Ok(changes) => changes,
        // Too many to list: asking again would not help.
        Err(error @ Error::Refused { status: 413, .. }) => {
            return Ok(Finding {
                verdict: Verdict {
                    problems: vec![format!("{error}; change fewer at once")],
                    ..Verdict::default()
                },
                changes: Vec::new(),
            });
        }
        Err(error) => return Err(error),
    };
    let touched = paths::touched(&changes);
    let now = read::head(forge, sha, &touched).await?;
    let before = read::base(forge, base, &touched).await?;
    Ok(Finding {
        verdict: judge::judge(&changes, &before, &now, &app.settings.orders),
        changes: noted(&touched, Some(&before), &now),
    })
}

/// What the audit is told of each environment. Of too many nothing was read.
fn noted(touched: &Touched, before: Option<&Files>, after: &Files) -> Vec<audit::Change> {
    let looked_at: HashSet<_> = judge::looked_at(touched).collect();
    let names = touched.environments.keys();
    let noted = names.map(|name| {
        let read = looked_at.contains(name);
        let before = state(before.filter(|_| read), name);
        let after = state(Some(after).filter(|_| read), name);
        audit::Change::new(name, before, after)
    });
    noted.collect()
}

fn state<'a>(files: Option<&'a Files>, name: &EnvironmentName) -> audit::State<'a> {
    let Some(files) = files else {
        return audit::State::Unknown;
    };
    match files.get(&name.values_path()) {
        None => audit::State::Absent,
        Some(Content::Text(text)) => audit::State::Text(text),
        Some(_) => audit::State::Unknown,
    }
}

/// All problems in one comment, which says so when they are mended. The check itself is there already.
async fn explain(app: &App, number: u64, verdict: &Verdict) {
    if let Err(error) = try_explain(app.forge.as_ref(), number, verdict).await {
        tracing::warn!(
            error = web::error_chain(&error),
            number,
            "cannot write the problems to the pull request"
        );
    }
}

async fn try_explain(forge: &dyn Forge, number: u64, verdict: &Verdict) -> Result<(), Error> {
    let there = forge.comment(number, MARKER).await?;
    let text = match &there {
        None if verdict.ok => return Ok(()),
        _ if verdict.ok => say::FIXED.to_owned(),
        _ => say::comment(verdict),
    };
    if there.is_some_and(|there| there.starts_with(&text)) {
        return Ok(());
    }
    forge.upsert_comment(number, MARKER, &text).await
}

#[cfg(test)]
mod tests;
