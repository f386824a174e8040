//! A person's own token for the forge: what it writes is that person's, so the forge itself knows who asked.
//!
//! It is used for one call of an action and then gone: nothing keeps it, prints it or compares it with anything.

use std::fmt;

/// The longest tokens of the forges are JSON Web Tokens of some hundred characters.
const LONGEST: usize = 4096;

#[derive(Clone, PartialEq, Eq)]
pub struct UserToken(String);

impl UserToken {
    /// # Errors
    /// What is wrong with it, without a part of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty");
        }
        if text.len() > LONGEST {
            return Err("it is longer than any token");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("it holds characters that no token has");
        }
        Ok(Self(text.to_owned()))
    }

    /// For the header of a call, and to take it out of what comes back.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_never_printed() {
        let token = UserToken::parse(" gho_swordfish\n").unwrap();
        assert_eq!(token.expose(), "gho_swordfish");
        assert_eq!(format!("{token:?}"), "UserToken(…)");
        for text in ["", " ", "two words", "line\nbreak", "ü"] {
            let why = UserToken::parse(text).unwrap_err();
            assert!(text.trim().is_empty() || !why.contains(text), "{why}");
        }
        assert!(UserToken::parse(&"x".repeat(4097)).is_err());
    }
}
