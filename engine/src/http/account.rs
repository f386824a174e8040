//! Logging in with a key gives a token for an hour. Tokens live in memory: a restart ends them all.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Keys, TOKEN_LIFE, presented};
use super::error::ApiError;
use super::extract::Body;
use super::renewal::ACCOUNT;
use crate::clock;
use crate::engine::Engine;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Login {
    username: Option<String>,
    api_key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenInfo {
    token: Option<String>,
}

type Shared = Extension<Arc<Keys>>;

pub(super) async fn login(
    Extension(keys): Shared,
    Body(request): Body<Login>,
) -> Result<Json<Value>, ApiError> {
    let refused = |why: &str| ApiError::new(StatusCode::UNAUTHORIZED, why);
    let Some(key) = request.api_key else {
        return Err(refused(if request.username.is_some() {
            "this engine knows no passwords: log in with an api_key"
        } else {
            "api_key is missing"
        }));
    };
    let key = key.trim();
    let key = key.strip_prefix("apk ").unwrap_or(key).trim();
    let token = keys
        .log_in(key)
        .ok_or_else(|| refused("the api key is not known"))?;
    Ok(Json(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFE.as_secs(),
    })))
}

/// Ends the token that it is called with; a key stays valid.
pub(super) async fn logout(Extension(keys): Shared, headers: HeaderMap) -> StatusCode {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    if let Some((_, token)) = header.and_then(presented) {
        keys.log_out(token);
    }
    StatusCode::OK
}

pub(super) async fn token_info(
    State(_): State<Arc<Engine>>,
    Extension(keys): Shared,
    Body(request): Body<TokenInfo>,
) -> Json<Value> {
    let token = request.token.unwrap_or_default();
    let token = token.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    match keys.token(token) {
        Some((owner, left)) => Json(json!({
            "active": true,
            "token_type": "Bearer",
            "account_id": ACCOUNT,
            "username": owner,
            "exp": clock::unix_seconds().saturating_add_unsigned(left.as_secs()),
        })),
        None => Json(json!({ "active": false })),
    }
}
