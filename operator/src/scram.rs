//! Passwords: made from the system's randomness, and given to the server only as SCRAM verifiers, so that no server
//! log can hold one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};

/// The server's own default (`scram_iterations`).
const ITERATIONS: u32 = 4096;
/// 32 alphanumeric characters are 190 bits.
const LENGTH: usize = 32;

/// A password that no log prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn generate() -> Self {
        Self(
            rand::rng()
                .sample_iter(Alphanumeric)
                .take(LENGTH)
                .map(char::from)
                .collect(),
        )
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Text that the server accepts in place of the password.
    pub fn verifier(&self) -> String {
        verifier(&self.0, &rand::rng().random::<[u8; 16]>())
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Whether a verifier was made from this password.
pub fn verifies(stored: &str, password: &str) -> bool {
    let salt = stored
        .split('$')
        .nth(1)
        .and_then(|part| part.split_once(':'))
        .and_then(|(_, salt)| STANDARD.decode(salt).ok());
    salt.is_some_and(|salt| verifier(password, &salt) == stored)
}

fn verifier(password: &str, salt: &[u8]) -> String {
    let mut salted = [0u8; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, ITERATIONS, &mut salted);
    let stored = Sha256::digest(keyed(&salted, b"Client Key"));
    let server = keyed(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

fn keyed(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a MAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_has_the_form_that_the_server_stores() {
        let made = verifier("pencil", b"0123456789abcdef");
        let (head, keys) = made.rsplit_once('$').unwrap();
        assert_eq!(head, "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==");
        assert_eq!(keys.split(':').map(str::len).collect::<Vec<_>>(), [44, 44]);
    }

    #[test]
    fn a_verifier_fits_its_password_alone() {
        let password = Password::generate();
        assert!(verifies(&password.verifier(), password.reveal()));
        assert!(!verifies(&password.verifier(), "another"));
    }

    #[test]
    fn no_password_is_printed() {
        let password = Password::generate();
        assert_eq!(password.reveal().len(), LENGTH);
        assert!(!format!("{password:?}").contains(password.reveal()));
    }
}
