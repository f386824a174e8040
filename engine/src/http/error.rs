//! Refusals as callers get them: a status and an `ErrorResponse`.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use dct::types::ErrorResponse;

use crate::actions::Refusal;
use crate::error_chain;

const UNTIL_AGAIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    description: String,
    /// Seconds after which it is worth asking again.
    retry_after: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, description: impl Into<String>) -> Self {
        Self {
            status,
            description: description.into(),
            retry_after: None,
        }
    }

    pub(super) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let why = format!(
            "this key asks more often than rateLimit in the engine's settings allows; ask again in {seconds} s"
        );
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, why)
        }
    }

    /// The engine cannot work now, and will once somebody has done something, or it was started again.
    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self {
            retry_after: Some(UNTIL_AGAIN.as_secs()),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
        }
    }

    pub(super) fn late(deadline: Duration) -> Self {
        let seconds = deadline.as_secs_f32();
        let why = format!(
            "the engine did not answer within {seconds} s; look whether it was done before asking again"
        );
        Self::new(StatusCode::GATEWAY_TIMEOUT, why)
    }

    pub(super) fn invalid(description: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, description)
    }

    pub(super) fn not_found(what: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} {id:?}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = self
            .status
            .canonical_reason()
            .unwrap_or("failed")
            .to_lowercase();
        // 1024 characters is what the interface allows.
        let description: String = self.description.chars().take(1024).collect();
        let body = ErrorResponse {
            error: Some(error),
            error_description: Some(description),
        };
        let after = self.retry_after.map(|s| [(RETRY_AFTER, s.to_string())]);
        (self.status, after, Json(body)).into_response()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Refusal::Store(error) => {
                tracing::error!("{}: {}", refusal, error_chain(error));
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, refusal.to_string())
    }
}

/// The interface has hundreds of operations; this engine serves those that the platform needs.
pub(super) async fn not_served(method: Method, uri: Uri) -> ApiError {
    let path = uri.path();
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        format!("the embedded engine does not serve {method} {path}"),
    )
}

pub(super) async fn nothing(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        format!(
            "nothing is served at {}; the interface is below {}",
            uri.path(),
            dct::BASE_PATH
        ),
    )
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer wants this signature"
)]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(
        "a request ended in a panic: {}",
        what.unwrap_or("no message")
    );
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "an error of the engine; its log says more",
    )
    .into_response()
}
