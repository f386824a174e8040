//! Public keys of the portal and its plugins, fetched when needed and kept.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::serve::error::ApiError;
use crate::web;

/// A key that we do not know is looked for again, but a stream of made-up key ids must not become a stream of requests.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(3);

pub(super) struct Keys {
    http: reqwest::Client,
    /// By address. The addresses are as many as there are plugins in the settings.
    sets: Mutex<HashMap<String, Set>>,
}

struct Set {
    keys: HashMap<String, DecodingKey>,
    fetched: Instant,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

impl Keys {
    pub(super) fn new(http: reqwest::Client) -> Self {
        Self {
            http,
            sets: Mutex::default(),
        }
    }

    pub(super) async fn key(&self, url: &str, kid: &str) -> Result<DecodingKey, ApiError> {
        let mut sets = self.sets.lock().await;
        if let Some(set) = sets.get(url) {
            if let Some(key) = set.keys.get(kid) {
                return Ok(key.clone());
            }
            if set.fetched.elapsed() < SHORTEST_INTERVAL {
                return Err(unknown());
            }
        }
        let keys = match self.fetch(url).await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(
                    error = web::error_chain(&error),
                    url,
                    "cannot fetch the keys of callers"
                );
                return Err(ApiError::unavailable(format!(
                    "the keys to check the token with cannot be read; check portal.url of the sidecar's settings ({})",
                    web::error_chain(&error)
                )));
            }
        };
        let found = keys.get(kid).cloned();
        sets.insert(
            url.to_owned(),
            Set {
                keys,
                fetched: Instant::now(),
            },
        );
        found.ok_or_else(unknown)
    }

    async fn fetch(&self, url: &str) -> Result<HashMap<String, DecodingKey>, web::Error> {
        let answer = web::send(&self.http, "the portal", self.http.get(url)).await?;
        if !answer.is_success() {
            let why = format!("status {}", answer.status);
            return Err(web::Error::Malformed {
                server: answer.server,
                call: answer.call,
                why,
            });
        }
        let document: Document = answer.json()?;
        let usable = document.keys.into_iter().filter(|key| key.crv == "P-256");
        Ok(usable
            .filter_map(|key| {
                Some((
                    key.kid,
                    DecodingKey::from_ec_components(&key.x, &key.y).ok()?,
                ))
            })
            .collect())
    }
}

fn unknown() -> ApiError {
    ApiError::unauthenticated("the token is signed with a key that the portal does not publish")
}
