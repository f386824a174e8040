//! The identity of a request and what its pull request keeps about it.
//!
//! The id is the branch without its prefix, `<env>.<operation>-<digest>`: everything about a request is found from it,
//! on any replica and after any restart. The marker in the pull request's body holds what the branch cannot.

use std::fmt;

use environment::EnvironmentName;
use serde::{Deserialize, Serialize};

use crate::forge::Pull;

const BRANCH_PREFIX: &str = "vdb/";
const MARKER: &str = "<!-- postgres-vdb-platform: ";
const MARKER_END: &str = " -->";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Create,
    Retire,
    Update,
    Refresh,
    Extend,
}

impl Operation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Retire => "retire",
            Self::Update => "update",
            Self::Refresh => "refresh",
            Self::Extend => "extend",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Create,
            Self::Retire,
            Self::Update,
            Self::Refresh,
            Self::Extend,
        ]
        .into_iter()
        .find(|operation| operation.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId {
    text: String,
    /// Where the environment's name ends.
    name_end: usize,
    operation: Operation,
}

impl RequestId {
    pub(crate) fn new(environment: &EnvironmentName, operation: Operation, digest: &str) -> Self {
        Self {
            text: format!("{environment}.{}-{digest}", operation.as_str()),
            name_end: environment.as_str().len(),
            operation,
        }
    }

    /// Reads an id that somebody sends; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('.')?;
        EnvironmentName::parse(name).ok()?;
        let (operation, digest) = rest.rsplit_once('-')?;
        let operation = Operation::parse(operation)?;
        let hex = digest.len() == 10
            && digest
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| Self {
            text: text.to_owned(),
            name_end: name.len(),
            operation,
        })
    }

    /// The request whose branch this is.
    pub(crate) fn of_branch(branch: &str) -> Option<Self> {
        Self::parse(branch.strip_prefix(BRANCH_PREFIX)?)
    }

    pub(crate) fn branch(&self) -> String {
        format!("{BRANCH_PREFIX}{}", self.text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn environment(&self) -> EnvironmentName {
        EnvironmentName::parse(&self.text[..self.name_end]).expect("checked when the id was made")
    }

    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the body of the pull request keeps for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Marker {
    pub(crate) request_id: String,
    pub(crate) digest: String,
    /// Idempotency key of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) requested_by: String,
    /// Who is told about what becomes of it.
    pub(crate) owner: String,
    /// The pull request of the same environment that was opened first: this one was closed by the platform, not by people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) withdrawn_for: Option<u64>,
}

impl Marker {
    /// As an HTML comment. JSON's own escapes keep a value from ending the comment.
    pub(crate) fn comment(&self) -> String {
        let json = serde_json::to_string(self)
            .expect("plain texts")
            .replace('>', "\\u003e")
            .replace("--", "-\\u002d");
        format!("{MARKER}{json}{MARKER_END}")
    }

    pub(crate) fn of(pull: &Pull) -> Self {
        // The last one is ours: texts of the order stand before it.
        let text = pull
            .body
            .rsplit_once(MARKER)
            .and_then(|(_, rest)| rest.split_once(MARKER_END));
        text.and_then(|(json, _)| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_its_branch_are_one_thing() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        for operation in ["create", "retire", "update", "refresh", "extend"] {
            let operation = Operation::parse(operation).unwrap();
            let id = RequestId::new(&name, operation, "0123456789");
            let branch = format!("vdb/feat-1.{}-0123456789", operation.as_str());
            assert_eq!(id.branch(), branch);
            assert_eq!(RequestId::of_branch(&branch).unwrap(), id);
            assert_eq!(
                (id.environment(), id.operation()),
                (name.clone(), operation)
            );
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "feat-1",
            "feat-1.create",
            "feat-1.create-xyz",
            "../x.create-0123456789",
            "feat-1.drop-0123456789",
            "A.create-0123456789",
        ] {
            assert_eq!(RequestId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_value_cannot_end_the_comment() {
        let marker = Marker {
            key: Some("--> x".into()),
            requested_by: "user:default/a--b".into(),
            ..Marker::default()
        };
        let comment = marker.comment();
        assert_eq!(comment.matches("-->").count(), 1);
        let forged = Marker {
            owner: "group:default/evil".into(),
            ..Marker::default()
        };
        let body = format!("Hello {}\n{comment}\nbye", forged.comment());
        let pull = crate::serve::fakes::pull(1, "b", &body);
        assert_eq!(Marker::of(&pull), marker);
    }
}
