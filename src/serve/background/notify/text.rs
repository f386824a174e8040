//! What the owner reads: environment, state, reason, what to do, and where to look.

use crate::serve::app::App;
use crate::serve::portal::Notification;
use crate::serve::progress::Progress;
use crate::serve::readiness::State;
use crate::serve::request::{Marker, RequestId};
use crate::web;

/// The first line of the comment: what was told last.
pub(super) fn headline(seen: &Progress) -> String {
    let state = format!("{:?}", seen.readiness.state).to_uppercase();
    format!("**{state}** {}", seen.readiness.reason)
}

pub(super) fn comment(seen: &Progress) -> String {
    let hint = if seen.readiness.hint.is_empty() {
        String::new()
    } else {
        format!("\n\nWhat to do: {}", foreign(&seen.readiness.hint))
    };
    let message = foreign(&seen.readiness.message);
    format!("{}\n\n{message}{hint}", headline(seen))
}

/// Text of clusters and servers must not become markup, a mention or our marker.
fn foreign(text: &str) -> String {
    text.replace('<', "&lt;").replace('@', "&#64;")
}

pub(super) fn notification(
    app: &App,
    request: &RequestId,
    seen: &Progress,
    marker: &Marker,
) -> Notification {
    let environment = request.environment();
    let (what, severity) = match seen.readiness.state {
        State::Ready => ("is ready", "normal"),
        State::Retired => ("is retired", "normal"),
        State::Rejected => ("will not be made: the request was rejected", "normal"),
        State::Blocked => ("is blocked", "high"),
        _ => ("has failed", "high"),
    };
    let what = match (seen.readiness.state, seen.operation.as_str()) {
        (State::Ready, "update") => "is updated and ready",
        (State::Ready, "refresh") => "is refreshed and ready",
        (State::Ready, "extend") => "is extended",
        (State::Rejected, "update" | "refresh" | "extend") => {
            "stays as it is: the request was rejected"
        }
        (State::Rejected, "retire") => "stays: the request to retire it was rejected",
        (State::Blocked | State::Failed, "retire") => "cannot be retired yet",
        _ => what,
    };
    let recipient = if marker.owner.is_empty() {
        &marker.requested_by
    } else {
        &marker.owner
    };
    Notification {
        recipient: recipient.clone(),
        title: format!("Database {environment} {what}"),
        description: description(seen),
        link: link(app, request, seen),
        severity,
        scope: format!("vdb:{environment}"),
    }
}

fn description(seen: &Progress) -> String {
    let readiness = &seen.readiness;
    let mut text = format!("{}: {}", readiness.reason, readiness.message);
    if !readiness.hint.is_empty() {
        text = format!("{text} – {}", readiness.hint);
    }
    web::one_line(&text, 400)
}

/// The environment's page, or the pull request where there is no such page (any more).
fn link(app: &App, request: &RequestId, seen: &Progress) -> String {
    let there = !matches!(seen.readiness.state, State::Retired | State::Rejected);
    match &seen.remote_url {
        Some(url) if !there => url.clone(),
        _ => format!(
            "{}/catalog/default/resource/{}",
            app.settings.portal.people_url(),
            request.environment()
        ),
    }
}
