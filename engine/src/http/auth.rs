//! `Authorization: apk <key>`. Memory holds hashes alone, compared in constant time; a changed key file counts at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use crate::settings::ApiKey;

pub struct Keys(Mutex<Vec<Key>>);

struct Key {
    name: String,
    file: PathBuf,
    seen: Option<(SystemTime, u64)>,
    hash: Option<[u8; 32]>,
}

impl Keys {
    pub fn new(settings: &[ApiKey]) -> Self {
        let key = |key: &ApiKey| Key {
            name: key.name.clone(),
            file: key.key_file.clone(),
            seen: None,
            hash: None,
        };
        let keys = Self(Mutex::new(settings.iter().map(key).collect()));
        keys.owner("");
        keys
    }

    /// Whose key this is. Every key is compared, whichever fits.
    fn owner(&self, presented: &str) -> Option<String> {
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owner = None;
        for key in keys.iter_mut() {
            key.refresh();
            if key
                .hash
                .is_some_and(|hash| bool::from(hash.ct_eq(&presented)))
            {
                owner = Some(key.name.clone());
            }
        }
        owner
    }
}

impl Key {
    /// A file that cannot be read or is empty keeps the key as it was: a change in two steps locks nobody out.
    fn refresh(&mut self) {
        let Ok(meta) = std::fs::metadata(&self.file) else {
            return self.warn_once("cannot be read");
        };
        let now = meta.modified().ok().map(|at| (at, meta.len()));
        if now.is_some() && now == self.seen {
            return;
        }
        match std::fs::read_to_string(&self.file) {
            Ok(text) if !text.trim().is_empty() => {
                let text = text.trim();
                let key = text.strip_prefix("apk ").unwrap_or(text).trim();
                self.hash = Some(Sha256::digest(key).into());
                self.seen = now;
                tracing::info!(name = self.name, "api key read");
            }
            _ => self.warn_once("is empty or cannot be read"),
        }
    }

    fn warn_once(&mut self, what: &str) {
        let marker = Some((SystemTime::UNIX_EPOCH, 0));
        if self.seen != marker {
            tracing::warn!(name = self.name, file = %self.file.display(), "api key file {what}");
            self.seen = marker;
        }
    }
}

pub(super) async fn require(
    State(keys): State<Arc<Keys>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let presented = header.and_then(|value| {
        let (scheme, key) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("apk").then(|| key.trim())
    });
    let why = match presented {
        None => "no api key: send the header Authorization: apk <key>",
        Some("") => "the api key is empty",
        Some(key) => match keys.owner(key) {
            Some(owner) => {
                let client = request
                    .headers()
                    .get(dct::CLIENT_NAME_HEADER)
                    .and_then(|v| v.to_str().ok())
                    .unwrap_or("-");
                tracing::debug!(owner, client, method = %request.method(), path = request.uri().path(), "call");
                return Ok(next.run(request).await);
            }
            None => "the api key is not known",
        },
    };
    Err(ApiError::new(StatusCode::UNAUTHORIZED, why))
}
