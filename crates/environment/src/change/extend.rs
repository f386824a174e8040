//! Another day on which a database is no longer needed.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Circumstances;
use crate::edit::Edit;
use crate::names::quoted;
use crate::problem::Problem;

/// Either a point in time or days to add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extend {
    /// Name of the environment
    #[schemars(length(min = 1, max = 36))]
    pub name: String,
    /// Until when it is needed, for example 2030-01-31T12:00:00Z
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub expires_at: Option<String>,
    /// Days to add to its expiry, or from now on where it has none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub days: Option<u32>,
    /// Shown in the pull request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub reason: Option<String>,
    /// Idempotency key: the same key never leads to a second pull request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9._:-]*$"))]
    pub request_id: Option<String>,
}

/// When the file lets the database expire.
pub(super) fn on(values: &Value) -> Option<Timestamp> {
    values.pointer("/vdb/expiresAt")?.as_str()?.parse().ok()
}

impl Extend {
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.expires_at.as_deref()?.parse().ok()
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        match (&self.expires_at, self.days) {
            (Some(text), None) if self.at().is_none() => vec![
                Problem::field(
                    "expiresAt",
                    "/expiresAt",
                    format!("{} is no point in time", quoted(text)),
                )
                .hint("write it as 2030-01-31T12:00:00Z"),
            ],
            (Some(_), Some(_)) => vec![
                Problem::field("days", "/days", "expiresAt and days exclude each other")
                    .hint("give one of them"),
            ],
            (None, None) => vec![
                Problem::field("expiresAt", "/expiresAt", "expiresAt or days is missing")
                    .hint("say until when the database is needed"),
            ],
            _ => Vec::new(),
        }
    }

    pub(super) fn edits(
        &self,
        values: &Value,
        under: &Circumstances<'_>,
    ) -> Result<Vec<Edit>, Problem> {
        let days = |days: u32| SignedDuration::from_hours(24 * i64::from(days));
        let field = if self.days.is_some() {
            "days"
        } else {
            "expiresAt"
        };
        let until = match (self.at(), self.days) {
            (Some(at), _) => Some(at),
            (None, more) => {
                let from = on(values).map_or(under.now, |expiry| expiry.max(under.now));
                from.checked_add(days(more.unwrap_or_default())).ok()
            }
        };
        let latest = under.now.checked_add(days(under.longest_life_days)).ok();
        let problem = |message: String| Problem::field(field, format!("/{field}"), message);
        let until = until.filter(|until| latest.is_none_or(|latest| *until <= latest));
        let Some(until) = until else {
            return Err(problem(format!(
                "a database may live at most {} days from now on",
                under.longest_life_days
            ))
            .hint("choose an earlier day and extend it again later"));
        };
        if until <= under.now {
            return Err(problem(format!("{until} is over")).hint("choose a later day"));
        }
        let text = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Ok(vec![Edit::set("/vdb/expiresAt", text)])
    }
}
