//! Bodies as the interface reads them: none is an empty object, and one that cannot be read is refused with a text.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A JSON body, or nothing at all.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| {
            let why = match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    "the body is larger than any that is served here".to_owned()
                }
                _ => error.body_text(),
            };
            ApiError::new(error.status(), why).into_response()
        })?;
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) {
            b"{}"
        } else {
            &bytes
        };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            let why = format!("Input is not readable. Either no input was provided or it is not the JSON expected: {error}");
            (StatusCode::UNPROCESSABLE_ENTITY, why).into_response()
        })
    }
}
