//! `vdb:wait`: the state that a request reaches within a bounded time. "Not yet" is an answer, not a failure.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::serve::app::App;
use crate::serve::error::ApiError;
use crate::serve::progress::{self, Until};
use crate::serve::readiness::State;
use crate::serve::request::RequestId;

/// Below the 45 seconds of a call, so that the last look still fits in.
const LONGEST_SECONDS: u64 = 40;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    request_id: String,
    #[serde(default = "longest")]
    timeout_seconds: u64,
}

fn longest() -> u64 {
    LONGEST_SECONDS
}

pub(super) async fn run(app: &App, input: &Value) -> Result<Value, ApiError> {
    let input: Input = super::read(input)?;
    if let Some(kept) = super::bookmark::Kept::parse(&input.request_id) {
        let time = Duration::from_secs(input.timeout_seconds.min(LONGEST_SECONDS));
        let seen = super::bookmark::wait(app, &kept, time).await?;
        let fields = ["state", "ready", "reason", "message", "hint", "remoteUrl"];
        return Ok(fields.iter().map(|f| (*f, seen[*f].clone())).collect());
    }
    let request = RequestId::parse(&input.request_id).ok_or_else(|| {
        ApiError::input(
            "requestId is no request; take the output requestId of vdb:publish, vdb:update, vdb:retire or vdb:bookmark",
        )
    })?;
    let seen = progress::wait(
        app,
        &request,
        Duration::from_secs(input.timeout_seconds.min(LONGEST_SECONDS)),
        Until::End,
    )
    .await?;
    // An order that failed or was turned down must not look like a success in the portal.
    if matches!(seen.readiness.state, State::Failed | State::Rejected) {
        let hint = if seen.readiness.hint.is_empty() {
            String::new()
        } else {
            format!("; {}", seen.readiness.hint)
        };
        return Err(ApiError::conflict(format!(
            "{}: {}{hint}",
            seen.readiness.reason, seen.readiness.message
        )));
    }
    let mut output = json!({
        "state": seen.readiness.state,
        "ready": seen.readiness.ready,
        "reason": seen.readiness.reason,
        "message": seen.readiness.message,
        "hint": seen.readiness.hint,
        "remoteUrl": seen.remote_url.unwrap_or_default(),
    });
    if let Some(endpoint) = seen.endpoint {
        output["endpoint"] = json!(endpoint);
    }
    Ok(output)
}
