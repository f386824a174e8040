//! Passwords: made from the system's randomness, and given to the server only as SCRAM verifiers, so that no server
//! log can hold one.

use rand::Rng as _;
use rand::distr::Alphanumeric;

pub use pgdata::scram::{ITERATIONS, verifies};

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
        self.verifier_of(ITERATIONS)
    }

    /// The same with another number of iterations than the server's own.
    pub fn verifier_of(&self, iterations: u32) -> String {
        pgdata::scram::verifier_of(&self.0, &rand::rng().random::<[u8; 16]>(), iterations)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
