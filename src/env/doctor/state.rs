//! What was found of one environment, as it was found. Recorded ones are the tests' inputs.

use serde::Deserialize;
use serde_json::Value;

/// The answer to one question.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Asked<T> {
    /// Why it was not asked; what has to be set.
    Not(String),
    Failed(String),
    Is(T),
}

impl<T> Default for Asked<T> {
    fn default() -> Self {
        Self::Not("nobody asked".to_owned())
    }
}

impl<T> From<anyhow::Result<T>> for Asked<T> {
    fn from(answer: anyhow::Result<T>) -> Self {
        match answer {
            Ok(found) => Self::Is(found),
            Err(error) => Self::Failed(crate::web::one_line(&format!("{error:#}"), 300)),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct State {
    pub(super) environment: String,
    pub(super) git: Asked<Git>,
    pub(super) application: Asked<Option<Value>>,
    pub(super) namespace: Asked<Option<Value>>,
    pub(super) databases: Asked<Vec<Database>>,
    /// Values that must not be shown.
    pub(super) secrets: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Git {
    pub(super) branch: String,
    pub(super) head: String,
    pub(super) values: Option<String>,
    pub(super) last_commit: Option<String>,
    /// Title and address of the environment's open pull request.
    pub(super) pull: Option<String>,
}

/// One database: its resource, and everything behind it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Database {
    pub(super) resource: Value,
    pub(super) vdb: Asked<Option<Value>>,
    pub(super) job: Option<Asked<Option<Value>>>,
    pub(super) volume: Asked<Option<Value>>,
    pub(super) claim: Asked<Option<Value>>,
    pub(super) pod: Asked<Option<Value>>,
    /// Warnings about the pod, its set, its claim; the newest last.
    pub(super) events: Vec<String>,
    /// The end of the server's log, where the pod does not run as it should.
    pub(super) log: String,
    pub(super) service: Asked<Option<Value>>,
    /// How many addresses answer behind the Service.
    pub(super) endpoints: Asked<usize>,
    /// The keys of the Secret, never its values.
    pub(super) secret: Asked<Option<Vec<String>>>,
    pub(super) query: Asked<String>,
}
