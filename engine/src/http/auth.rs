//! `Authorization: apk <key>`, or `Bearer <token>` after a login. Memory holds hashes alone, compared in constant time;
//! a changed key file counts at once, and ends the tokens it was logged in with.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use crate::settings::ApiKey;

/// Longer ones would outlive a key that was taken away without a restart.
pub(super) const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// More logins at once push the oldest out.
const MOST_TOKENS: usize = 1000;

pub struct Keys {
    keys: Mutex<Vec<Key>>,
    tokens: Mutex<Vec<Token>>,
}

struct Token {
    hash: [u8; 32],
    /// Of the key that it was given for.
    key: [u8; 32],
    until: Instant,
}

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
        let keys = Self {
            keys: Mutex::new(settings.iter().map(key).collect()),
            tokens: Mutex::default(),
        };
        keys.owner("");
        keys
    }

    /// A token for a key that is known.
    pub(super) fn log_in(&self, key: &str) -> Option<String> {
        self.owner(key)?;
        let token = hex::encode(rand::random::<[u8; 32]>());
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        tokens.retain(|token| token.until > now);
        if tokens.len() >= MOST_TOKENS {
            tokens.remove(0);
        }
        tokens.push(Token {
            hash: Sha256::digest(&token).into(),
            key: Sha256::digest(key).into(),
            until: now + TOKEN_LIFE,
        });
        Some(token)
    }

    pub(super) fn log_out(&self, token: &str) {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|known| !bool::from(known.hash.ct_eq(&hash)));
    }

    /// Whose token this is and how long it lives, as long as its key is known.
    pub(super) fn token(&self, presented: &str) -> Option<(String, Duration)> {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let found = {
            let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            let known = tokens.iter().find(|t| bool::from(t.hash.ct_eq(&hash)))?;
            (known.key, known.until)
        };
        let left = found.1.checked_duration_since(Instant::now())?;
        Some((self.owner_of(found.0)?, left))
    }

    fn caller(&self, scheme: Scheme, secret: &str) -> Option<String> {
        match scheme {
            Scheme::Key => self.owner(secret),
            Scheme::Bearer => self.token(secret).map(|(owner, _)| owner),
        }
    }

    /// Whose key this is. Every key is compared, whichever fits.
    fn owner(&self, presented: &str) -> Option<String> {
        self.owner_of(Sha256::digest(presented).into())
    }

    fn owner_of(&self, presented: [u8; 32]) -> Option<String> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
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
    let why = match header.and_then(presented) {
        None => "no api key: send the header Authorization: apk <key>",
        Some((_, "")) => "the api key is empty",
        Some((scheme, secret)) => match keys.caller(scheme, secret) {
            Some(owner) => {
                let client = request
                    .headers()
                    .get(dct::CLIENT_NAME_HEADER)
                    .and_then(|v| v.to_str().ok())
                    .unwrap_or("-");
                tracing::debug!(owner, client, method = %request.method(), path = request.uri().path(), "call");
                return Ok(next.run(request).await);
            }
            None if scheme == Scheme::Bearer => "the token is not known or has expired",
            None => "the api key is not known",
        },
    };
    Err(ApiError::new(StatusCode::UNAUTHORIZED, why))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Key,
    Bearer,
}

/// What the header presents.
pub(super) fn presented(header: &str) -> Option<(Scheme, &str)> {
    let (scheme, secret) = header.trim().split_once(' ')?;
    let scheme = if scheme.eq_ignore_ascii_case("apk") {
        Scheme::Key
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else {
        return None;
    };
    Some((scheme, secret.trim()))
}
