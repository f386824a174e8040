//! What the status says of the collations. Pure.

use environment::status::Condition;

use super::build::Frame;
use super::observe::Observed;
use super::plan::{Outcome, Stop, Waiting};
use super::refresh;
use crate::reason::Reason;
use crate::sql::Collations;

pub const CONDITION: &str = "CollationsMatch";

/// Status, reason and message of the condition. Between two comparisons it stays what it was.
pub fn shown(
    observed: &Observed,
    frame: &Frame<'_>,
    outcome: &Outcome,
    before: &[Condition],
) -> (String, String, String) {
    let before = before.iter().find(|c| c.kind == CONDITION);
    let say = |status: &str, reason: &str, message: &str| {
        (status.to_owned(), reason.to_owned(), message.to_owned())
    };
    match outcome {
        Outcome::Waiting(Waiting {
            reason: reason @ Reason::Reindexing,
            message,
            ..
        })
        | Outcome::Stopped(Stop {
            reason: reason @ (Reason::CollationMismatch | Reason::ReindexFailed),
            message,
        }) => say("False", reason.as_str(), message),
        Outcome::Ready(_) if frame.has_own_role() => say(
            "Unknown",
            "NotCompared",
            "the platform has no role of its own in this server",
        ),
        Outcome::Ready(_) => match compared(observed) {
            None => say("Unknown", "NotCompared", ""),
            Some(found) if !found.differ.is_empty() => {
                say("False", Reason::CollationMismatch.as_str(), &found.text())
            }
            Some(found) if !found.unrecorded.is_empty() => {
                say("Unknown", "NotRecorded", &found.text())
            }
            Some(Collations {
                rebuilt: Some(rebuilt),
                ..
            }) => say("True", "Reindexed", rebuilt),
            // The same data as before: what was rebuilt for it is still told.
            Some(_) => match before.filter(|_| refresh::under_way(&observed.cr).is_none()) {
                Some(c) if c.status == "True" => say("True", &c.reason, &c.message),
                _ => say("True", "Match", ""),
            },
        },
        _ => before.map_or_else(
            || say("Unknown", "NotCompared", ""),
            |c| say(&c.status, &c.reason, &c.message),
        ),
    }
}

/// What Ready says of collations that differ; the other policies do not come so far.
pub fn warning(observed: &Observed) -> Option<String> {
    let found = compared(observed).filter(|found| !found.differ.is_empty())?;
    Some(format!(
        "; warning: text may sort otherwise here than where the data comes from, which breaks indexes of text: {}; spec.collations Reindex rebuilds them",
        found.text()
    ))
}

fn compared(observed: &Observed) -> Option<&Collations> {
    let prepared = observed.memory.prepared.as_ref()?;
    Some(&prepared.collations)
}
