//! Who calls: plugins of the portal, on behalf of a user or not, and signed-in users who only read.
//!
//! Tokens are Backstage's: signed with ES256 by a key that the issuer publishes below its own address in the portal.
//! Anonymous are only health and our own keys.

mod keys;
mod signing;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::serve::error::ApiError;
use crate::serve::settings::{self, is_plugin_id};
use keys::Keys;
pub(crate) use signing::SigningKey;

/// Our id in the portal: audience of calls to us, subject of our own.
pub(crate) const PLUGIN_ID: &str = "vdb";
const PLUGIN: &str = "vnd.backstage.plugin";
const USER: &str = "vnd.backstage.user";
const LIMITED_USER: &str = "vnd.backstage.limited-user";
/// Clocks of two machines in one cluster differ by less.
const LEEWAY_SECONDS: u64 = 10;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The calling plugin; none where a user calls directly.
    pub(crate) plugin: Option<String>,
    /// The entity of the user who calls or on whose behalf a plugin calls.
    pub(crate) user: Option<String>,
}

impl Caller {
    /// The user, for what only a person may ask for.
    pub(crate) fn user(&self) -> Result<&str, ApiError> {
        self.user.as_deref().ok_or_else(|| {
            ApiError::not_allowed("this needs a signed-in user; call it from a task or a tool that runs on behalf of one")
        })
    }
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    obo: Option<String>,
}

pub(crate) struct Authenticator {
    keys: Keys,
    /// `{portal}/api`
    api: String,
    plugins: Vec<String>,
}

impl Authenticator {
    pub(crate) fn new(http: reqwest::Client, portal: &settings::Portal) -> Self {
        Self {
            keys: Keys::new(http),
            api: format!("{}/api", portal.url.trim_end_matches('/')),
            plugins: portal.plugins.clone(),
        }
    }

    /// A plugin of the portal, with the user if it calls on behalf of one.
    pub(crate) async fn plugin(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let token = bearer(headers)?;
        match typ(token)?.as_str() {
            PLUGIN => self.plugin_token(token).await,
            other => Err(ApiError::unauthenticated(format!(
                "only plugins of the portal may call this, with a token of type {PLUGIN}, not {other:?}"
            ))),
        }
    }

    /// A plugin or a signed-in user: whoever may read.
    pub(crate) async fn reader(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let token = bearer(headers)?;
        match typ(token)?.as_str() {
            PLUGIN => self.plugin_token(token).await,
            USER => Ok(Caller {
                plugin: None,
                user: Some(self.user_token(token, USER).await?),
            }),
            other => Err(ApiError::unauthenticated(format!(
                "a token of type {other:?} is not accepted; sign in to the portal"
            ))),
        }
    }

    async fn plugin_token(&self, token: &str) -> Result<Caller, ApiError> {
        let subject = unverified_subject(token)?;
        // Before the subject becomes part of an address.
        if !is_plugin_id(&subject) || !self.plugins.contains(&subject) {
            return Err(ApiError::not_allowed(format!(
                "plugin {} may not call; add it to portal.plugins of the sidecar's settings",
                environment::names::quoted(&subject)
            )));
        }
        let key = self
            .key(
                &format!("{}/{subject}/.backstage/auth/v1/jwks.json", self.api),
                token,
            )
            .await?;
        let claims = verified(token, &key, Some(PLUGIN_ID))?;
        let user = match &claims.obo {
            None => None,
            Some(obo) if typ(obo)? == LIMITED_USER => {
                Some(self.user_token(obo, LIMITED_USER).await?)
            }
            Some(_) => {
                return Err(ApiError::unauthenticated(
                    "the proof of the user in the token is of another type",
                ));
            }
        };
        Ok(Caller {
            plugin: Some(claims.sub),
            user,
        })
    }

    async fn user_token(&self, token: &str, expected: &str) -> Result<String, ApiError> {
        let key = self
            .key(&format!("{}/auth/.well-known/jwks.json", self.api), token)
            .await?;
        // Users' tokens name the portal as audience or, limited ones, none.
        let audience = (expected == USER).then_some("backstage");
        Ok(verified(token, &key, audience)?.sub)
    }

    async fn key(&self, url: &str, token: &str) -> Result<DecodingKey, ApiError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| unreadable())?;
        let kid = header
            .kid
            .ok_or_else(|| ApiError::unauthenticated("the token names no key"))?;
        self.keys.key(url, &kid).await
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(AUTHORIZATION).ok_or_else(|| {
        ApiError::unauthenticated("the call has no token; call through the portal")
    })?;
    let value = value.to_str().map_err(|_| unreadable())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::unauthenticated(
            "the call has no bearer token; call through the portal",
        ));
    }
    Ok(token.trim())
}

fn typ(token: &str) -> Result<String, ApiError> {
    Ok(jsonwebtoken::decode_header(token)
        .map_err(|_| unreadable())?
        .typ
        .unwrap_or_default())
}

fn unverified_subject(token: &str) -> Result<String, ApiError> {
    Ok(jsonwebtoken::dangerous::insecure_decode::<Claims>(token)
        .map_err(|_| unreadable())?
        .claims
        .sub)
}

fn verified(token: &str, key: &DecodingKey, audience: Option<&str>) -> Result<Claims, ApiError> {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.leeway = LEEWAY_SECONDS;
    validation.set_required_spec_claims(&["exp", "sub"]);
    match audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        None => validation.validate_aud = false,
    }
    let why = |error: jsonwebtoken::errors::Error| match error.kind() {
        ErrorKind::ExpiredSignature => {
            ApiError::unauthenticated("the token has expired; start again to get a new one")
        }
        ErrorKind::InvalidAudience => {
            ApiError::unauthenticated("the token is meant for another plugin")
        }
        ErrorKind::InvalidSignature => ApiError::unauthenticated("the token's signature is wrong"),
        _ => ApiError::unauthenticated("the token is not valid"),
    };
    Ok(jsonwebtoken::decode::<Claims>(token, key, &validation)
        .map_err(why)?
        .claims)
}

fn unreadable() -> ApiError {
    ApiError::unauthenticated("the token cannot be read")
}

#[cfg(test)]
pub(crate) mod tests;
