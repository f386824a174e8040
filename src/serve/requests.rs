//! Orders, changes and retirements over HTTP, for a portal that has the platform's own module: ask once, then follow
//! the events.
//!
//! What is done, and what is refused, is what the actions of the same names do: they are called here, so that both ways
//! in cannot differ.

pub(super) mod body;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use environment::Problem;
use environment::names::quoted;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::serve::app::App;
use crate::serve::error::ApiError;
use crate::serve::extract::{Body, Path, Query};
use crate::serve::progress::{self, Until};
use crate::serve::request::RequestId;
use crate::serve::{actions, timeline};
pub(crate) use body::Refusal;
use body::{Check, Checked, Files, Following, NewRequest, Proposed};

/// Proxies cut idle connections after a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
const KEY: &str = "Idempotency-Key";

/// Opens the pull request of an order, a change or a retirement, once for each idempotency key.
///
/// 201: the pull request is open, made now or before. 200: it is merged, or Git holds what was asked for already.
#[utoipa::path(post, path = "/v1/requests", request_body = NewRequest,
    params(("Idempotency-Key" = String, Header, description = "The same for every repetition of one call")),
    responses((status = 201, body = Proposed), (status = 200, body = Proposed), (status = 400, body = Refusal), (status = 401, body = Refusal), (status = 403, body = Refusal),
        (status = 404, body = Refusal), (status = 409, body = Refusal), (status = 413, body = Refusal), (status = 429, body = Refusal), (status = 503, body = Refusal)))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Body(bytes): Body,
) -> Result<
    (
        StatusCode,
        [(header::HeaderName, String); 1],
        Json<Proposed>,
    ),
    ApiError,
> {
    let caller = app.authenticator.plugin(&headers).await?;
    let key = idempotency_key(&headers)?;
    let (action, input, token) = match read::<NewRequest>(&bytes)? {
        NewRequest::Create { order, user_token } => {
            (actions::PUBLISH, with_key(order, key), user_token)
        }
        NewRequest::Update { change, user_token } => {
            (actions::UPDATE, with_key(change, key), user_token)
        }
        NewRequest::Refresh { change, user_token } => {
            (actions::REFRESH, with_key(change, key), user_token)
        }
        NewRequest::Extend { change, user_token } => {
            (actions::EXTEND, with_key(change, key), user_token)
        }
        NewRequest::Retire {
            name,
            reason,
            user_token,
        } => (
            actions::RETIRE,
            json!({"name": name, "reason": reason, "requestId": key}),
            user_token,
        ),
    };
    let token = actions::user_token(&token)?;
    let made = actions::invoke_as(app, action, input, caller, token).await?;
    let proposed: Proposed = typed(made)?;
    let location = format!("/api/vdb/v1/requests/{}", proposed.request_id);
    let status = if proposed.is_open() {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, [(header::LOCATION, location)], Json(proposed)))
}

/// Everything that is wrong with an order, as an answer and not as a refusal.
#[utoipa::path(post, path = "/v1/validate", request_body = Check, responses((status = 200, body = Checked), (status = 400, body = Refusal), (status = 401, body = Refusal), (status = 413, body = Refusal), (status = 503, body = Refusal)))]
pub(super) async fn validate(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Body(bytes): Body,
) -> Result<Json<Checked>, ApiError> {
    let caller = app.authenticator.plugin(&headers).await?;
    let Check { mut order } = read(&bytes)?;
    if let Some(fields) = order.as_object_mut() {
        fields.insert("reportOnly".into(), json!(true));
    }
    let output = actions::invoke(app, actions::VALIDATE, order, caller).await?;
    Ok(Json(typed(output)?))
}

/// The files that the pull request of an order would add.
#[utoipa::path(post, path = "/v1/render", request_body = Check, responses((status = 200, body = Files), (status = 400, body = Refusal), (status = 401, body = Refusal), (status = 413, body = Refusal), (status = 503, body = Refusal)))]
pub(super) async fn render(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Body(bytes): Body,
) -> Result<Json<Files>, ApiError> {
    let caller = app.authenticator.plugin(&headers).await?;
    let Check { order } = read(&bytes)?;
    let output = actions::invoke(app, actions::RENDER, order, caller).await?;
    Ok(Json(typed(output)?))
}

#[derive(serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wait {
    /// How long to hold the answer back, at most 25 seconds: `25s` or `25`.
    wait: Option<String>,
    /// The cursor of the answer before: it is answered when there is an event after it, or another state.
    /// Without a cursor it is answered when the request has come to an end.
    cursor: Option<String>,
}

/// How far a request has come, and what has happened since.
#[utoipa::path(get, path = "/v1/requests/{id}", params(("id" = String, Path), Wait),
    responses((status = 200, body = Following), (status = 400, body = Refusal), (status = 401, body = Refusal), (status = 404, body = Refusal), (status = 503, body = Refusal)))]
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<Wait>,
    headers: HeaderMap,
) -> Result<Json<Following>, ApiError> {
    app.authenticator.reader(&headers).await?;
    // They would keep the connection's buffer as long as the wait lasts.
    drop(headers);
    let request = RequestId::parse(&id)
        .ok_or_else(|| ApiError::not_found(format!("{} is no request", quoted(&id))))?;
    let time = seconds(query.wait.as_deref())?;
    let after = position(query.cursor.as_deref())?;
    let until = after.map_or(Until::End, |after| Until::News { after });
    let mut seen = progress::wait(&app, &request, LONGEST_WAIT.min(time), until).await?;
    let after = after.unwrap_or_default();
    let mut events = std::mem::take(&mut seen.events);
    events.retain(|event| event.position > after);
    Ok(Json(Following {
        cursor: timeline::cursor(&events, after),
        events,
        progress: seen,
    }))
}

fn seconds(text: Option<&str>) -> Result<Duration, ApiError> {
    let text = text.unwrap_or("0");
    let seconds = text.strip_suffix('s').unwrap_or(text).parse();
    seconds.map(Duration::from_secs).map_err(|_| {
        let message = format!("wait {} is no number of seconds", quoted(text));
        ApiError::problem(Problem::field("wait", "/wait", message).hint("write wait=25s"))
    })
}

fn position(text: Option<&str>) -> Result<Option<u32>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let message = format!("cursor {} is none", quoted(text));
        let hint = "send the cursor of the answer before; the first call sends 0";
        ApiError::problem(Problem::field("cursor", "/cursor", message).hint(hint))
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<&str, ApiError> {
    let wrong = |message: String| {
        let hint = "send 1 to 200 letters, digits, '.', '_', ':' or '-', the same for every repetition of one call";
        ApiError::problem(Problem::field(KEY, "", message).hint(hint))
    };
    let Some(value) = headers.get(KEY) else {
        return Err(wrong(format!("header {KEY} is missing")));
    };
    let allowed = |key: &&str| {
        (1..=200).contains(&key.len())
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
    };
    value.to_str().ok().filter(allowed).ok_or_else(|| {
        let value = String::from_utf8_lossy(value.as_bytes());
        wrong(format!("header {KEY} {} is none", quoted(&value)))
    })
}

/// The header is the key, whatever the input says; what is no object is refused by the action.
fn with_key(mut input: Value, key: &str) -> Value {
    if let Some(fields) = input.as_object_mut() {
        fields.insert("requestId".into(), json!(key));
    }
    input
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::input(format!("the body cannot be read: {error}")))
}

/// An action's output as the type that the API's description promises.
fn typed<T: DeserializeOwned>(output: Value) -> Result<T, ApiError> {
    serde_json::from_value(output).map_err(|error| {
        tracing::error!(
            error = error.to_string(),
            "an action's output has not its type"
        );
        ApiError::unavailable("the answer cannot be written; look into the log of the sidecar")
    })
}

#[cfg(test)]
mod tests;
