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

use environment::Change;
use serde_json::{Map, Value};

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

const ALL: [&str; 11] = [
    VALIDATE, RENDER, PUBLISH, WAIT, RETIRE, UPDATE, REFRESH, EXTEND, BOOKMARK, LIST, STATUS,
];

/// Runs one action to its end and counts it.
pub(crate) async fn invoke(
    app: Arc<App>,
    id: &str,
    input: Value,
    caller: Caller,
) -> Result<Value, ApiError> {
    let Some(name) = ALL.into_iter().find(|name| *name == id) else {
        return Err(ApiError::not_found(format!(
            "there is no action {}",
            environment::names::quoted(id)
        )));
    };
    let counted = Arc::clone(&app);
    // In a task of its own: a caller that hangs up must not stop a proposal between two calls.
    let task = tokio::spawn(async move { run(&app, name, &input, &caller).await });
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

async fn run(app: &App, name: &str, input: &Value, caller: &Caller) -> Result<Value, ApiError> {
    match name {
        VALIDATE => validate::run(app, input, caller).await,
        RENDER => render::run(input, caller),
        PUBLISH => publish::run(app, input, caller).await,
        WAIT => wait::run(app, input).await,
        UPDATE => change::run(app, Change::update, input, caller).await,
        REFRESH => change::run(app, Change::refresh, input, caller).await,
        EXTEND => change::run(app, Change::extend, input, caller).await,
        BOOKMARK => bookmark::run(app, input, caller).await,
        LIST => environments::list(app, input, caller).await,
        STATUS => environments::status(app, input).await,
        _ => retire::run(app, input, caller).await,
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
