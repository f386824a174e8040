//! `vdb:retire`: the pull request that removes an environment with all its data.

use environment::EnvironmentName;
use serde::Deserialize;
use serde_json::Value;

use super::publish::answer;
use crate::forge::UserToken;
use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::error::ApiError;
use crate::serve::proposal::{self, Asker, Retirement};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    name: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
}

pub(super) async fn run(
    app: &App,
    input: &Value,
    caller: &Caller,
    token: Option<&UserToken>,
) -> Result<Value, ApiError> {
    let by = caller.user()?;
    let input: Input = super::read(input)?;
    let environment = EnvironmentName::parse(&input.name).map_err(ApiError::problem)?;
    if input.request_id.as_ref().is_some_and(|key| key.len() > 200) {
        return Err(ApiError::input("requestId has more than 200 characters"));
    }
    let wanted = Retirement {
        environment: &environment,
        reason: input.reason.as_deref(),
        key: input.request_id.as_deref(),
        asker: Asker { by, token },
        expired: None,
    };
    let proposal = proposal::retire(app, &wanted).await?;
    answer(app, &proposal).await
}
