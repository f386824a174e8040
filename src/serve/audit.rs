//! Who changed which environment, and how: one line of the log for each change that is proposed and each merge that is
//! seen, with the target `audit`. What was changed is named by digests; no value stands in the line.

use environment::EnvironmentName;
use sha2::{Digest, Sha256};

use crate::forge::Pull;
use crate::serve::request::{Marker, RequestId};
use crate::web::one_line;

/// Of a file that is not there.
const NONE: &str = "none";
/// Of a file that was not looked at in time.
const UNKNOWN: &str = "unknown";

/// What one pull request does to one environment: digests of its values.yaml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    environment: String,
    before: String,
    after: String,
}

/// The values file of an environment before or after a change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State<'a> {
    Absent,
    Text(&'a str),
    /// It was not, or could not be, read.
    Unknown,
}

impl<'a> From<Option<&'a str>> for State<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }
}

impl Change {
    pub(crate) fn new(environment: &EnvironmentName, before: State<'_>, after: State<'_>) -> Self {
        Self {
            environment: environment.to_string(),
            before: digest(before),
            after: digest(after),
        }
    }

    /// A merge that is too large to look at.
    pub(crate) fn unknown() -> Self {
        Self {
            environment: UNKNOWN.to_owned(),
            before: UNKNOWN.to_owned(),
            after: UNKNOWN.to_owned(),
        }
    }

    /// For people: what was done to which environment.
    pub(crate) fn words(&self) -> String {
        format!("{} {}", self.action(), self.environment)
    }

    fn action(&self) -> &'static str {
        match (self.before.as_str(), self.after.as_str()) {
            (_, NONE) => "retire",
            (UNKNOWN, _) | (_, UNKNOWN) => "change",
            (NONE, _) => "create",
            _ => "update",
        }
    }
}

/// Twelve hex digits of a values file's SHA-256.
fn digest(state: State<'_>) -> String {
    match state {
        State::Absent => NONE.to_owned(),
        State::Unknown => UNKNOWN.to_owned(),
        State::Text(text) => hex::encode(&Sha256::digest(text.as_bytes())[..6]),
    }
}

/// The sidecar proposes a change for somebody whom it knows, as itself or with that person's token.
pub(crate) fn proposed(by: &str, as_user: bool, change: &Change, pull: &Pull) {
    tracing::info!(
        target: "audit",
        event = "proposed",
        by = one_line(by, 200),
        r#as = if as_user { "user" } else { "platform" },
        author = one_line(&pull.author, 200),
        action = change.action(),
        environment = change.environment,
        before = change.before,
        after = change.after,
        pull = pull.number,
        commit = pull.head_sha,
        "audit"
    );
}

/// The sidecar keeps the data of a database for somebody whom it knows. No pull request holds that.
pub(crate) fn kept(by: &str, environment: &EnvironmentName, database: &str, name: &str) {
    tracing::info!(
        target: "audit",
        event = "bookmarked",
        by = one_line(by, 200),
        environment = environment.as_str(),
        database,
        name,
        "audit"
    );
}

/// The platform closed what it had proposed: another pull request of the environment was earlier.
pub(crate) fn withdrawn(pull: &Pull, earlier: u64) {
    let marker = Marker::of(pull);
    let environment = RequestId::parse(&marker.request_id).map(|id| id.environment().to_string());
    tracing::info!(
        target: "audit",
        event = "withdrawn",
        requested_by = one_line(&marker.requested_by, 200),
        environment = environment.as_deref().unwrap_or(UNKNOWN),
        pull = pull.number,
        commit = pull.head_sha,
        earlier,
        "audit"
    );
}

/// A merge. Author and merger are the forge's accounts; who asked is what the pull request's text says.
pub(crate) fn merged(change: &Change, pull: &Pull) {
    tracing::info!(
        target: "audit",
        event = "merged",
        by = one_line(pull.merged_by.as_deref().unwrap_or(UNKNOWN), 200),
        author = one_line(&pull.author, 200),
        requested_by = one_line(&Marker::of(pull).requested_by, 200),
        action = change.action(),
        environment = change.environment,
        before = change.before,
        after = change.after,
        pull = pull.number,
        commit = pull.merge_sha.as_deref().unwrap_or(UNKNOWN),
        "audit"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::fakes::{Log, pull};

    #[test]
    fn a_line_says_who_did_what_to_which_environment_and_holds_no_value() {
        let (log, logging) = Log::everything();
        let marker = Marker {
            requested_by: "user:default/guest\nevent=merged".into(),
            ..Marker::default()
        };
        let merged_pull = Pull {
            merge_sha: Some("9fccf387".into()),
            merged_by: Some("reviewer".into()),
            ..pull(7, "vdb/feat-1.create-0123456789", &marker.comment())
        };
        let name = EnvironmentName::parse("feat-1").unwrap();
        let change = Change::new(&name, State::Absent, State::Text("password: swordfish\n"));
        merged(&change, &merged_pull);
        drop(logging);
        let text = log.text();
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (key, value) in [
            ("target", "audit"),
            ("event", "merged"),
            ("by", "reviewer"),
            ("author", "vdb-bot"),
            ("requested_by", "user:default/guest event=merged"),
            ("action", "create"),
            ("environment", "feat-1"),
            ("before", "none"),
            ("commit", "9fccf387"),
        ] {
            assert_eq!(line[key], value, "{key}: {line}");
        }
        assert_eq!(
            (&line["pull"], line["after"].as_str().unwrap().len()),
            (&7.into(), 12)
        );
        assert!(!text.contains("swordfish"), "{text}");
    }

    #[test]
    fn the_digests_say_what_kind_of_change_it_is() {
        let name = || EnvironmentName::parse("feat-1").unwrap();
        let (old, new, none) = (State::Text("a: 0\n"), State::Text("a: 1\n"), State::Absent);
        let created = Change::new(&name(), none, new);
        assert_eq!(
            (created.action(), created.before.as_str()),
            ("create", "none")
        );
        // echo 'a: 1' | sha256sum
        assert_eq!(created.after, "37b128c59f1f");
        assert_eq!(Change::new(&name(), old, new).action(), "update");
        assert_eq!(Change::new(&name(), old, none).action(), "retire");
        let late = |after| Change::new(&name(), State::Unknown, after).action();
        assert_eq!(late(new), "change");
        assert_eq!(late(none), "retire");
        assert_eq!(late(State::Unknown), "change");
    }
}
