//! The actions that the portal lists and invokes: steps of templates and tools of agents.

mod bookmark;
mod change;
mod environments;
mod list;
mod publish;
mod render;
mod retire;
mod validate;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use environment::{Change, Problem};
use serde_json::{Map, Value};

use crate::forge::UserToken;
use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::error::ApiError;
pub(crate) use list::list;

/// The portal's agents give up after a minute, its scaffolder after five; both get their answer before.
const LONGEST_CALL: Duration = Duration::from_secs(45);

/// The ids, as the portal writes them.
pub(crate) const VALIDATE: &str = "vdb:validate";
pub(crate) const RENDER: &str = "vdb:render";
pub(crate) const PUBLISH: &str = "vdb:publish";
pub(crate) const WAIT: &str = "vdb:wait";
pub(crate) const RETIRE: &str = "vdb:retire";
pub(crate) const UPDATE: &str = "vdb:update";
pub(crate) const REFRESH: &str = "vdb:refresh";
pub(crate) const EXTEND: &str = "vdb:extend";
pub(crate) const BOOKMARK: &str = "vdb:bookmark";
pub(crate) const LIST: &str = "vdb:list";
pub(crate) const STATUS: &str = "vdb:status";

/// The field of a person's own token for the forge.
const USER_TOKEN: &str = "userToken";

const ALL: [&str; 11] = [
    VALIDATE, RENDER, PUBLISH, WAIT, RETIRE, UPDATE, REFRESH, EXTEND, BOOKMARK, LIST, STATUS,
];

/// Those that open pull requests, and may do so with the caller's own token.
const PROPOSING: [&str; 5] = [PUBLISH, RETIRE, UPDATE, REFRESH, EXTEND];

/// Runs one action to its end and counts it.
///
/// A token is taken out of the input first: nothing that reads, compares, keeps or prints inputs ever sees it.
pub(crate) async fn invoke(
    app: Arc<App>,
    id: &str,
    mut input: Value,
    caller: Caller,
) -> Result<Value, ApiError> {
    let token = input
        .as_object_mut()
        .and_then(|fields| fields.shift_remove(USER_TOKEN));
    let token = token.map(|given| user_token(&given)).transpose()?.flatten();
    if token.is_some() && !PROPOSING.contains(&id) {
        return Err(token_problem(
            "this action opens no pull request",
            "leave it out here, and give it to vdb:publish, vdb:update or vdb:retire alone",
        ));
    }
    invoke_as(app, id, input, caller, token).await
}

/// The token that somebody gives; an empty field is none.
pub(crate) fn user_token(given: &Value) -> Result<Option<UserToken>, ApiError> {
    const HINT: &str = "write ${{ secrets.USER_OAUTH_TOKEN }}, or leave it out";
    match given {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => UserToken::parse(text)
            .map(Some)
            .map_err(|why| token_problem(why, HINT)),
        _ => Err(token_problem("it is no text", HINT)),
    }
}

fn token_problem(why: &str, hint: &str) -> ApiError {
    let message = format!("{USER_TOKEN}: {why}");
    ApiError::problem(Problem::field(USER_TOKEN, "/userToken", message).hint(hint))
}

/// As `invoke`, with the token by itself.
pub(crate) async fn invoke_as(
    app: Arc<App>,
    id: &str,
    input: Value,
    caller: Caller,
    token: Option<UserToken>,
) -> Result<Value, ApiError> {
    let Some(name) = ALL.into_iter().find(|name| *name == id) else {
        return Err(ApiError::not_found(format!(
            "there is no action {}",
            environment::names::quoted(id)
        )));
    };
    let counted = Arc::clone(&app);
    // In a task of its own: a caller that hangs up must not stop a proposal between two calls.
    let task = tokio::spawn(async move { run(&app, name, &input, &caller, token.as_ref()).await });
    let result = match tokio::time::timeout(LONGEST_CALL, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ApiError::unavailable(
            "the action broke off; run it again, it continues where it stopped",
        )),
        Err(_) => Err(ApiError::unavailable(
            "the action takes longer than 45 seconds; run it again, it continues where it stopped",
        )),
    };
    counted.metrics.action(
        name,
        result
            .as_ref()
            .map_or_else(|error| error.status.as_u16(), |_| 200),
    );
    if let Err(error) = &result {
        tracing::info!(
            action = name,
            status = error.status.as_u16(),
            message = error.message,
            "action refused"
        );
    }
    result
}

async fn run(
    app: &App,
    name: &str,
    input: &Value,
    caller: &Caller,
    token: Option<&UserToken>,
) -> Result<Value, ApiError> {
    match name {
        VALIDATE => validate::run(app, input, caller).await,
        RENDER => render::run(input, caller),
        PUBLISH => publish::run(app, input, caller, token).await,
        WAIT => wait::run(app, input).await,
        UPDATE => change::run(app, Change::update, input, caller, token).await,
        REFRESH => change::run(app, Change::refresh, input, caller, token).await,
        EXTEND => change::run(app, Change::extend, input, caller, token).await,
        BOOKMARK => bookmark::run(app, input, caller).await,
        LIST => environments::list(app, input, caller).await,
        STATUS => environments::status(app, input).await,
        _ => retire::run(app, input, caller, token).await,
    }
}

/// Reads the input of an action that is no order.
fn read<T: serde::de::DeserializeOwned>(input: &Value) -> Result<T, ApiError> {
    // Empty fields of a form are absent fields.
    let given: Map<String, Value> = match input {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, v)| !v.is_null() && v.as_str() != Some(""))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        _ => return Err(ApiError::input("the input is not an object")),
    };
    serde_json::from_value(Value::Object(given))
        .map_err(|error| ApiError::input(format!("the input cannot be read: {error}")))
}
