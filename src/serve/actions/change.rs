//! `vdb:update`, `vdb:refresh` and `vdb:extend`: the pull request that changes an environment, made exactly once.

use environment::{Change, Problems};
use serde_json::Value;

use super::publish::answer;
use crate::forge::UserToken;
use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::error::ApiError;
use crate::serve::proposal::{self, Asker};

pub(super) async fn run(
    app: &App,
    read: fn(&Value) -> Result<Change, Problems>,
    input: &Value,
    caller: &Caller,
    token: Option<&UserToken>,
) -> Result<Value, ApiError> {
    let by = caller.user()?;
    let change = read(input)?;
    let proposal = proposal::change(app, &change, Asker { by, token }).await?;
    answer(app, &proposal).await
}
