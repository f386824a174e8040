//! What orders may use, checked where they run: commits can be made by hand, past every form.

use std::time::Duration;

use environment::schedule::Schedule;
use environment::spec::{HookStage, HookType, Mode, SourceType};
use jiff::Timestamp;

use crate::crd::PostgresVdb;
use crate::limits;
use crate::reason::Reason;
use crate::settings::{Allow, parse_duration};

/// Role and marker owner of the platform in every copy.
pub const ADMIN: &str = "vdb_admin";

const LONGEST_PERIOD: Duration = Duration::from_hours(8760);

/// Ready is False while a server that is to be stopped waits for its sessions.
pub const LONGEST_GRACE: Duration = Duration::from_mins(10);

/// `MAX_ARG_STRLEN`, without the sign between name and value and the end. A values file is never so long, a manifest may be.
const LONGEST_VARIABLE: usize = 128 * 1024 - 2;

/// A refusal: reason and one sentence.
pub type Refusal = (Reason, String);

/// Everything about the order that can be refused without asking anybody.
pub fn check(cr: &PostgresVdb, allow: &Allow, now: Timestamp) -> Result<(), Refusal> {
    let spec = &cr.spec;
    if spec.mode == Mode::Standby {
        let why = "mode Standby is not supported: a read-only copy allows no password, hook or query as the application's user";
        return Err((Reason::ModeUnsupported, why.to_owned()));
    }
    let other = match spec.source.kind {
        SourceType::DctSource => None,
        SourceType::PvcClone => Some("pvc-clone"),
        SourceType::K8sSnapshot => Some("k8s-snapshot"),
        SourceType::PvcAdopt => Some("pvc-adopt"),
    };
    if let Some(other) = other {
        return Err((
            Reason::SourceTypeUnsupported,
            format!(
                "source.type {other} is not delivered: copies are made by Data Control Tower alone, of a dct-source; nothing was ordered and no claim was touched"
            ),
        ));
    }
    period("errorBackoffPeriod", &spec.error_backoff_period)?;
    moment("source.timestamp", spec.source.timestamp.as_deref())?;
    moment("expiresAt", spec.expires_at.as_deref())?;
    if let Some(schedule) = spec.refresh.as_ref().and_then(|r| r.schedule.as_deref())
        && let Err(why) = Schedule::parse(schedule)
    {
        return Err((Reason::InvalidSpec, format!("refresh.schedule: {why}")));
    }
    if let Some(grace) = &spec.session_grace
        && parse_duration(grace).is_none_or(|found| found > LONGEST_GRACE)
    {
        let why = format!("sessionGrace {grace:?} is no length of time up to 10m, as 30s");
        return Err((Reason::InvalidSpec, why));
    }
    if spec.database.user == ADMIN || spec.database.user.starts_with("pg_") {
        return Err((
            Reason::InvalidSpec,
            format!("database.user {:?} is reserved", spec.database.user),
        ));
    }
    if spec.database.password.as_deref() == Some("") {
        let why = "database.password is empty; write one of 8 to 128 characters, or none";
        return Err((Reason::InvalidSpec, why.to_owned()));
    }
    for hook in &spec.hooks {
        if let Some(deadline) = &hook.deadline {
            period(&format!("deadline of hook {:?}:", hook.name), deadline)?;
        }
        let size = |(name, value): &(&String, &String)| name.len() + value.len();
        let mut long = hook.env.iter().filter(|env| size(env) > LONGEST_VARIABLE);
        if let Some(env) = long.next() {
            let why = format!(
                "hook {:?}: env {:?} has {} bytes with its name, and Linux starts a program with at most {LONGEST_VARIABLE}; write the text into the script, or into several variables",
                hook.name,
                env.0,
                size(&env)
            );
            return Err((Reason::InvalidSpec, why));
        }
        let outside = matches!(hook.stage, HookStage::PreCreate | HookStage::PostDelete);
        if outside && hook.kind == HookType::Sql {
            return Err((
                Reason::InvalidSpec,
                format!(
                    "hook {:?}: at its stage there is no database; use type command",
                    hook.name
                ),
            ));
        }
    }
    let namespace = cr.metadata.namespace.as_deref().unwrap_or_default();
    let breaches = limits::breaches(spec, namespace, allow, now);
    if breaches.is_empty() {
        return Ok(());
    }
    Err((Reason::NotAllowed, breaches.join("; ")))
}

/// A length of time that a program can wait for: at least a second, at most a year.
fn period(field: &str, text: &str) -> Result<(), Refusal> {
    let found = parse_duration(text);
    if found.is_some_and(|found| (Duration::from_secs(1)..=LONGEST_PERIOD).contains(&found)) {
        return Ok(());
    }
    let why = format!("{field} {text:?} is not between 1s and 8760h");
    Err((Reason::InvalidSpec, why))
}

/// A point in time, where one is named.
pub fn moment(field: &str, text: Option<&str>) -> Result<(), Refusal> {
    match text {
        Some(text) if text.parse::<jiff::Timestamp>().is_err() => Err((
            Reason::InvalidSpec,
            format!("{field} {text:?} is no point in time; write it as 2030-01-31T12:00:00Z"),
        )),
        _ => Ok(()),
    }
}

/// `*` stands for any text, everything else for itself.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    if rest.is_empty() {
        return true;
    }
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("postgres:*", "postgres:16.9"));
        assert!(matches("*", ""));
        assert!(matches("10.*:large*", "10.0.1.54:largedb"));
        assert!(!matches("postgres:*", "evil/postgres:16"));
        assert!(!matches("postgres", "postgres:16"));
        assert!(!matches("*:x", "a:xy"));
    }
}
