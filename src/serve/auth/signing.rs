//! Our own key: with it the sidecar acts as a plugin of the portal, for notifications and the catalog.
//!
//! The key's id is its thumbprint (RFC 7638): the portal caches keys by id, so another key must never have the same one.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{PLUGIN, PLUGIN_ID};

/// A token is used at once; five minutes cover clocks that differ.
const LIFETIME_SECONDS: u64 = 300;

pub(crate) struct SigningKey {
    key: EncodingKey,
    kid: String,
    jwks: Value,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot make a signing key")]
    Make,
    #[error("the signing key is not a P-256 key in PKCS#8 PEM")]
    Read,
}

impl SigningKey {
    /// A new key as PEM.
    pub(crate) fn generate() -> Result<String, Error> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| Error::Make)?;
        let text = STANDARD.encode(pkcs8.as_ref());
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    pub(crate) fn from_pem(pem: &str) -> Result<Self, Error> {
        let key = EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| Error::Read)?;
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(|_| Error::Read)?;
        let AlgorithmParameters::EllipticCurve(parameters) = &jwk.algorithm else {
            return Err(Error::Read);
        };
        let kid = jwk.thumbprint(ThumbprintHash::SHA256);
        let public = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": parameters.x, "y": parameters.y});
        Ok(Self {
            key,
            jwks: json!({"keys": [public]}),
            kid,
        })
    }

    /// The public half, as plugins of the portal fetch it.
    pub(crate) fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// A token with which we call another plugin.
    pub(crate) fn token_for(&self, plugin: &str) -> Result<String, Error> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| Error::Make)?
            .as_secs();
        let claims =
            json!({"sub": PLUGIN_ID, "aud": plugin, "iat": now, "exp": now + LIFETIME_SECONDS});
        self.sign(PLUGIN, &claims)
    }

    pub(super) fn sign(&self, typ: &str, claims: &Value) -> Result<String, Error> {
        let header = Header {
            typ: Some(typ.to_owned()),
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::ES256)
        };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| Error::Make)
    }
}
