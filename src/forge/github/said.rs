//! How GitHub says no: by REST in the body of a refusal, by GraphQL with status 200.

use serde::Deserialize;
use serde_json::Value;

use super::budget::Signs;
use crate::forge;
use crate::web::{self, Answer};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Graph {
    #[serde(default)]
    pub(super) data: Value,
    #[serde(default)]
    pub(super) errors: Vec<GraphError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct GraphError {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) message: String,
}

impl Graph {
    /// The answer, unless it is an error.
    pub(super) fn data(self, what: &str) -> Result<Value, forge::Error> {
        let Some(first) = self.errors.first() else {
            return Ok(self.data);
        };
        let call = format!("POST /graphql ({what})");
        let messages: Vec<&str> = self.errors.iter().map(|e| e.message.as_str()).collect();
        let message = web::one_line(&messages.join(" | "), 300);
        Err(match first.kind.as_str() {
            "FORBIDDEN" | "INSUFFICIENT_SCOPES" => forge::Error::Forbidden { call, message },
            "NOT_FOUND" => forge::Error::NotFound {
                what: format!("{what}: {message}"),
            },
            // GitHub's own trouble comes without a kind, and passes.
            kind => forge::Error::Refused {
                call,
                status: if kind.is_empty() || kind.starts_with("INTERNAL") {
                    502
                } else {
                    422
                },
                message,
            },
        })
    }
}

/// GraphQL answers 200 when its limit is reached.
pub(super) fn is_limited(answer: &Answer) -> bool {
    // Only GraphQL's answers begin with errors or data; the others are not read twice.
    answer.call.ends_with("/graphql")
        && serde_json::from_slice::<Graph>(&answer.body)
            .is_ok_and(|graph| graph.errors.iter().any(|e| e.kind == "RATE_LIMITED"))
}

/// What GitHub says about a refusal, with its details.
pub(super) fn refusal(answer: &Answer) -> String {
    if answer.is_success() {
        return String::new();
    }
    let detail = |error: &Value| {
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        match error.as_str() {
            Some(text) => text.to_owned(),
            None if error["message"].is_string() => text("message"),
            None => format!("{} {} {}", text("resource"), text("field"), text("code")),
        }
    };
    let details = serde_json::from_slice::<Value>(&answer.body)
        .ok()
        .and_then(|body| Some(body["errors"].as_array()?.iter().map(detail).collect()))
        .unwrap_or_default();
    web::one_line(&[vec![answer.said()], details].concat().join("; "), 300)
}

/// What an answer says about limits.
pub(super) fn signs<'a>(answer: &Answer, message: &'a str) -> Signs<'a> {
    let number = |name: &str| answer.header(name).parse().ok();
    Signs {
        status: answer.status,
        retry_after: number("retry-after"),
        remaining: number("x-ratelimit-remaining"),
        reset: number("x-ratelimit-reset"),
        message,
        graphql_limited: answer.is_success() && is_limited(answer),
    }
}
