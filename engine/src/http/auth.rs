//! `Authorization: apk <key>`, or `Bearer <token>` after a login. Memory holds hashes alone, compared in constant time,
//! and no key is ever written down; a changed key file counts at once, and ends the tokens it was logged in with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use super::limit::Limits;
use crate::settings::{ApiKey, Settings};

/// Longer ones would outlive a key that was taken away without a restart.
pub(super) const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// More logins at once push the oldest out.
const MOST_TOKENS: usize = 1000;

pub struct Keys {
    limits: Limits,
    known: Mutex<Vec<Key>>,
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
    read_only: bool,
    /// None if the settings hold the hash itself.
    file: Option<PathBuf>,
    seen: Option<(SystemTime, u64)>,
    hash: Option<[u8; 32]>,
}

impl Keys {
    pub fn new(settings: &Settings) -> Self {
        let key = |key: &ApiKey| Key {
            name: key.name.clone(),
            read_only: key.read_only,
            file: key.key_file.clone(),
            seen: None,
            hash: key.hash(),
        };
        let keys = Self {
            limits: Limits::new(settings.rate_limit),
            known: Mutex::new(settings.api_keys.iter().map(key).collect()),
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

    fn is_read_only(&self, owner: &str) -> bool {
        let keys = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|key| key.read_only && key.name == owner)
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
        let mut keys = self.known.lock().unwrap_or_else(PoisonError::into_inner);
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
        let Some(file) = self.file.clone() else {
            return;
        };
        let Ok(meta) = std::fs::metadata(&file) else {
            return self.warn_once(&file, "cannot be read");
        };
        let now = meta.modified().ok().map(|at| (at, meta.len()));
        if now.is_some() && now == self.seen {
            return;
        }
        // Overwritten before the memory is given back.
        let text = std::fs::read(&file).map(Zeroizing::new);
        let text = text.as_deref().map_or(&[][..], |text| text.trim_ascii());
        let key = text.strip_prefix(b"apk ").unwrap_or(text).trim_ascii();
        if key.is_empty() {
            return self.warn_once(&file, "is empty or cannot be read");
        }
        self.hash = Some(Sha256::digest(key).into());
        self.seen = now;
        tracing::info!(name = self.name, "api key read");
    }

    fn warn_once(&mut self, file: &Path, what: &str) {
        let marker = Some((SystemTime::UNIX_EPOCH, 0));
        if self.seen != marker {
            tracing::warn!(name = self.name, file = %file.display(), "api key file {what}");
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
                if let Err(wait) = keys.limits.take(&owner, Instant::now()) {
                    return Err(ApiError::too_many(wait));
                }
                if !is_read(request.method(), request.uri().path()) && keys.is_read_only(&owner) {
                    let why = format!(
                        "the api key {owner:?} is readOnly in the engine's settings: it looks and searches, and changes nothing"
                    );
                    return Err(ApiError::new(StatusCode::FORBIDDEN, why));
                }
                tracing::debug!(owner, client, method = %request.method(), path = request.uri().path(), "call");
                return Ok(next.run(request).await);
            }
            None if scheme == Scheme::Bearer => "the token is not known or has expired",
            None => "the api key is not known",
        },
    };
    Err(ApiError::new(StatusCode::UNAUTHORIZED, why))
}

/// What looks and changes nothing: some questions of the interface are too long for an address.
pub(super) fn is_read(method: &Method, path: &str) -> bool {
    const ASKED: [&str; 3] = [
        "/search",
        "/compatible_repositories_by_snapshot",
        "/timeflow_snapshot_ranges",
    ];
    method.is_safe() || *method == Method::POST && ASKED.iter().any(|end| path.ends_with(end))
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
