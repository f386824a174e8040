//! What orders may use, checked where they run: commits can be made by hand, past every form.

use std::time::Duration;

use environment::PostgresVdbSpec;
use environment::schedule::Schedule;
use environment::spec::{HookStage, HookType, Mode, SourceType};
use jiff::Timestamp;

use crate::clock::{between, parse};
use crate::reason::Reason;
use crate::settings::{Allow, parse_duration};

/// Role and marker owner of the platform in every copy.
pub const ADMIN: &str = "vdb_admin";

const LONGEST_PERIOD: Duration = Duration::from_hours(8760);

/// Ready is False while a server that is to be stopped waits for its sessions.
pub const LONGEST_GRACE: Duration = Duration::from_mins(10);

/// A refusal: reason and one sentence.
pub type Refusal = (Reason, String);

/// Everything about the order that can be refused without asking anybody.
pub fn check(spec: &PostgresVdbSpec, allow: &Allow, now: Timestamp) -> Result<(), Refusal> {
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
    life(spec.expires_at.as_deref(), allow.max_life, now)?;
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
    allowed("source", &spec.source.reference, &allow.sources)?;
    allowed("image", &spec.image, &allow.images)?;
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
    Ok(())
}

/// How long it may live from now on. What was allowed once stays so: time only comes nearer to its end.
fn life(
    expires_at: Option<&str>,
    longest: Option<Duration>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(longest) = longest else {
        return Ok(());
    };
    let end = expires_at.and_then(parse);
    if end.is_some_and(|end| between(now, end) <= longest) {
        return Ok(());
    }
    let hours = longest.as_secs() / 3600;
    let found = match expires_at {
        Some(at) => format!("expiresAt {at:?} is too far away"),
        None => "expiresAt is missing".to_owned(),
    };
    Err((
        Reason::NotAllowed,
        format!(
            "{found}: a database may live at most {hours} hours from now on (allow.maxLife of the operator's settings)"
        ),
    ))
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

fn allowed(what: &str, value: &str, patterns: &[String]) -> Result<(), Refusal> {
    if patterns.iter().any(|pattern| matches(pattern, value)) {
        return Ok(());
    }
    let rule = if patterns.is_empty() {
        "nothing is allowed".to_owned()
    } else {
        format!("allowed are {}", patterns.join(", "))
    };
    Err((
        Reason::NotAllowed,
        format!(
            "{what} {value:?} is not allowed: {rule} (allow.{what}s of the operator's settings)"
        ),
    ))
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
    fn a_life_is_no_longer_than_allowed_and_has_an_end() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let day = Some(Duration::from_hours(24));
        let life = |at, longest| life(at, longest, now);
        assert_eq!(life(None, None), Ok(()));
        for allowed in ["2026-11-24T10:00:00Z", "2020-01-01T00:00:00Z"] {
            assert_eq!(life(Some(allowed), day), Ok(()));
        }
        for (wrong, says) in [
            (None, "is missing"),
            (Some("2026-11-24T10:00:01Z"), "24 hours"),
        ] {
            let (reason, why) = life(wrong, day).unwrap_err();
            assert!(reason == Reason::NotAllowed && why.contains(says), "{why}");
        }
    }

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
