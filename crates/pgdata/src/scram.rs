//! SCRAM verifiers: what the server stores and accepts in place of a password, so that no log of it can hold one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The server's own default (`scram_iterations`).
pub const ITERATIONS: u32 = 4096;

/// Whether a verifier was made from this password.
pub fn verifies(stored: &str, password: &str) -> bool {
    let made = stored
        .split('$')
        .nth(1)
        .and_then(|part| part.split_once(':'))
        .and_then(|(count, salt)| Some((count.parse().ok()?, STANDARD.decode(salt).ok()?)));
    made.is_some_and(|(count, salt)| verifier_of(password, &salt, count) == stored)
}

/// Text that the server accepts in place of a password; the salt is random.
pub fn verifier(password: &str, salt: &[u8]) -> String {
    verifier_of(password, salt, ITERATIONS)
}

/// The same with another number of iterations than the server's own.
pub fn verifier_of(password: &str, salt: &[u8], iterations: u32) -> String {
    let mut salted = [0u8; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    let stored = Sha256::digest(keyed(&salted, b"Client Key"));
    let server = keyed(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
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
    fn a_verifier_says_how_often_its_password_was_hashed() {
        let made = verifier_of("pencil", b"0123456789abcdef", 7);
        assert!(made.starts_with("SCRAM-SHA-256$7:"));
        assert!(verifies(&made, "pencil") && !verifies(&made, "pen"));
        assert!(!verifies(&made.replace("$7:", "$8:"), "pencil"));
    }
}
