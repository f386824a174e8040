//! What the operator of this version does with a database that exists: one closed table.
//!
//! What it cannot do is refused with the reason, by the sidecar and the command line alike: a field that nobody acts
//! on must not look like a promise.

use jiff::Timestamp;

use crate::names::quoted;
use crate::problem::Problem;
use crate::schedule::Schedule;
use crate::spec::PostgresVdbSpec;

/// Something to do with a database after it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayTwo {
    Update,
    Refresh,
    Extend,
    Bookmark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Support {
    Yes,
    No {
        reason: &'static str,
        /// What to do instead; `{env}` stands for the environment.
        instead: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities([(DayTwo, Support); 4]);

/// What the operator of this version can do.
pub const OPERATOR: Capabilities = Capabilities([
    (DayTwo::Update, Support::Yes),
    (DayTwo::Refresh, Support::Yes),
    (DayTwo::Extend, Support::Yes),
    (DayTwo::Bookmark, Support::Yes),
]);

/// One that makes databases and updates them, for tests of what is said where something cannot be done.
pub const ORDERS_ALONE: Capabilities = Capabilities([
    (DayTwo::Update, Support::Yes),
    (
        DayTwo::Refresh,
        Support::No {
            reason: "the operator of this platform cannot refresh yet",
            instead: "retire {env} and order it again for newer data",
        },
    ),
    (
        DayTwo::Extend,
        Support::No {
            reason: "databases of this platform do not expire yet, there is nothing to extend",
            instead: "{env} stays until somebody retires it",
        },
    ),
    (
        DayTwo::Bookmark,
        Support::No {
            reason: "the operator of this platform cannot keep bookmarks yet",
            instead: "keep the state of {env} by a dump of its database, or order another copy",
        },
    ),
]);

impl Capabilities {
    /// Why this cannot be done, and what can be done instead; `None` if it can.
    pub fn missing(&self, what: DayTwo, environment: &str) -> Option<Problem> {
        let support = self.0.iter().find(|(known, _)| *known == what)?.1;
        match support {
            Support::Yes => None,
            Support::No { reason, instead } => {
                Some(Problem::at("", reason).hint(instead.replace("{env}", environment)))
            }
        }
    }

    pub fn can(&self, what: DayTwo) -> bool {
        self.missing(what, "").is_none()
    }
}

/// What is wrong with the fields of a spec that belong to the life of a database, and which of them nobody acts on.
pub(crate) fn problems(spec: &PostgresVdbSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(at) = &spec.expires_at
        && at.parse::<Timestamp>().is_err()
    {
        problems.push(
            Problem::at("/expiresAt", format!("{} is no point in time", quoted(at)))
                .hint("write it as 2030-01-31T12:00:00Z"),
        );
    }
    if let Some(schedule) = spec.refresh.as_ref().and_then(|r| r.schedule.as_deref())
        && let Err(why) = Schedule::parse(schedule)
    {
        problems.push(
            Problem::at("/refresh/schedule", why)
                .hint("write it as 0 3 * * 1-5 for working days at three (UTC)"),
        );
    }
    for (field, is_set, what) in [
        ("expiresAt", spec.expires_at.is_some(), DayTwo::Extend),
        ("refresh", spec.refresh.is_some(), DayTwo::Refresh),
    ] {
        if is_set && !OPERATOR.can(what) {
            problems.push(
                Problem::at(
                    format!("/{field}"),
                    format!("{field} is accepted and has no effect"),
                )
                .hint("remove it")
                .warning(),
            );
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [DayTwo; 4] = [
        DayTwo::Update,
        DayTwo::Refresh,
        DayTwo::Extend,
        DayTwo::Bookmark,
    ];

    #[test]
    fn each_table_knows_everything_there_is_to_do() {
        for table in [OPERATOR, ORDERS_ALONE] {
            assert_eq!(table.0.map(|(what, _)| what), ALL);
        }
        assert!(ALL.iter().all(|what| OPERATOR.can(*what)));
    }

    #[test]
    fn what_cannot_be_done_comes_with_a_reason_and_a_way_out() {
        for what in &ALL[1..] {
            let problem = ORDERS_ALONE.missing(*what, "feat-1").unwrap();
            let hint = problem.hint.unwrap();
            assert!(problem.message.contains("yet"), "{}", problem.message);
            assert!(hint.contains("feat-1") && !hint.contains('{'), "{hint}");
        }
    }
}
