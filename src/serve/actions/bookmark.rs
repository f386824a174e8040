//! `vdb:bookmark`: a state of the data to come back to. It would be a resource of its own, no change in Git.

use environment::EnvironmentName;
use environment::capabilities::DayTwo;
use serde::Deserialize;
use serde_json::Value;

use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::error::ApiError;
use crate::serve::proposal;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    name: String,
}

/// No version of the operator has a resource for it, so there is nothing that could be made: it is refused.
pub(super) async fn run(app: &App, input: &Value, caller: &Caller) -> Result<Value, ApiError> {
    caller.user()?;
    let input: Input = super::read(input)?;
    let environment = EnvironmentName::parse(&input.name).map_err(ApiError::problem)?;
    // A name that is wrong is the nearer reason.
    crate::serve::environments::one(app, &environment).await?;
    proposal::possible(app, DayTwo::Bookmark, &environment)?;
    Err(ApiError::conflict(
        "the operator of this platform has no resource for bookmarks; update the platform",
    ))
}
