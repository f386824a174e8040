//! The audit's lines of merges, without a gap: what was merged while no sidecar ran gets its line when one runs again.
//!
//! Which merges have a line stands where it survives every sidecar: in one comment of the pull request. Lines are written
//! in the order of the merges, each before its mark, and none before the one of an earlier merge. So whatever is older than
//! a marked merge has its line, and a crash in between writes one line twice and never none.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{LONGEST_LOOK, Memory, PAUSE, noted, paths, read};
use crate::forge::{Error, Forge, Pull, PullState};
use crate::serve::app::App;
use crate::serve::audit;
use crate::web;

const MARKER: &str = "<!-- postgres-vdb-platform: audit -->";
/// Pages of finished pull requests that are looked through after a pause.
const MOST_PAGES: usize = 20;
/// So many merges without a mark were not forgotten: there was no audit yet.
const MOST_UNMARKED: usize = 300;
/// What was merged before the audit began belongs to the time before it.
const BEGINNING: SignedDuration = SignedDuration::from_hours(1);

/// Writes the lines that are missing. `recent` is the forge's latest page.
pub(super) async fn sweep(app: &App, recent: &[Pull]) -> Result<(), Error> {
    let (fresh, followed) = {
        let memory = app.reviews.lock().await;
        let mut merged = recent.iter().filter(|p| p.state == PullState::Merged);
        let fresh = merged
            .clone()
            .any(|pull| !memory.merged.contains(&pull.number));
        // Where nothing of the page was seen before, there may be more behind it.
        (
            fresh,
            merged.any(|pull| memory.merged.contains(&pull.number)),
        )
    };
    if !fresh {
        return Ok(());
    }
    let missing = if followed {
        unmarked(app, recent.to_vec()).await?.0
    } else {
        let all = app.forge.finished_pulls(MOST_PAGES).await?;
        let (mut missing, marked) = unmarked(app, all).await?;
        if !marked {
            missing.retain(is_new);
        }
        missing
    };
    for pull in &missing {
        if app.reviews.lock().await.is_quiet(pull.number) {
            return Ok(());
        }
        let why = match tokio::time::timeout(LONGEST_LOOK, note(app, pull)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => format!("{}; {}", web::error_chain(&error), error.hint()),
            Err(_) => "it takes longer than a minute".to_owned(),
        };
        tracing::warn!(
            error = why,
            number = pull.number,
            "cannot audit the merge yet"
        );
        app.metrics.review("failed");
        app.reviews.lock().await.pause(pull.number, PAUSE);
        // The later ones wait: a mark of theirs would say that this one has its line.
        return Ok(());
    }
    // All that was not missing has its line, or is older than the audit.
    let mut memory = app.reviews.lock().await;
    let merged = recent.iter().filter(|p| p.state == PullState::Merged);
    memory.merged.extend(merged.map(|pull| pull.number));
    Ok(())
}

/// The merges that are later than the latest marked one, the earliest first; and whether there is a marked one.
async fn unmarked(app: &App, pulls: Vec<Pull>) -> Result<(Vec<Pull>, bool), Error> {
    let mut merged = pulls;
    merged.retain(|pull| pull.state == PullState::Merged);
    merged.sort_by_key(|pull| std::cmp::Reverse(finished(pull)));
    let mut missing = Vec::new();
    for pull in merged.into_iter().take(MOST_UNMARKED) {
        let known = app.reviews.lock().await.merged.contains(&pull.number);
        if known || app.forge.comment(pull.number, MARKER).await?.is_some() {
            missing.reverse();
            return Ok((missing, true));
        }
        missing.push(pull);
    }
    missing.reverse();
    Ok((missing, false))
}

fn finished(pull: &Pull) -> Option<Timestamp> {
    pull.finished_at.as_deref()?.parse().ok()
}

fn is_new(pull: &Pull) -> bool {
    finished(pull).is_some_and(|at| Timestamp::now().duration_since(at) < BEGINNING)
}

/// The line of each environment of a merge, then the mark.
async fn note(app: &App, pull: &Pull) -> Result<(), Error> {
    let forge = app.forge.as_ref();
    let judged = app.reviews.lock().await.judged.get(&pull.number).cloned();
    let changes = match judged.filter(|judged| judged.head == pull.head_sha) {
        Some(judged) => judged.changes,
        None => seen_late(forge, pull).await?,
    };
    if !changes.is_empty() {
        // Some forges name the merger only where one pull request is asked for.
        let whole = match pull.merged_by {
            None => forge.pull(pull.number).await?,
            Some(_) => None,
        };
        for change in &changes {
            audit::merged(change, whole.as_ref().unwrap_or(pull));
        }
        let words: Vec<String> = changes.iter().map(audit::Change::words).collect();
        let text = format!("Written to the audit log: {}.", words.join(", "));
        forge.upsert_comment(pull.number, MARKER, &text).await?;
    }
    app.reviews.lock().await.merged.insert(pull.number);
    Ok(())
}

/// A merge that was not judged here before: the base branch as it was is not known any more.
async fn seen_late(forge: &dyn Forge, pull: &Pull) -> Result<Vec<audit::Change>, Error> {
    let changes = match forge.changes(pull.number).await {
        Ok(changes) => changes,
        // Too many to list: asking again would not help, and the later merges must not wait for ever.
        Err(Error::Refused { status: 413, .. }) => return Ok(vec![audit::Change::unknown()]),
        Err(error) => return Err(error),
    };
    let touched = paths::touched(&changes);
    let at = pull.merge_sha.as_deref().unwrap_or(&pull.head_sha);
    let files = read::base(forge, at, &touched).await?;
    Ok(noted(&touched, None, &files))
}

impl Memory {
    fn pause(&mut self, number: u64, pause: Duration) {
        self.quiet.insert(number, Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests;
