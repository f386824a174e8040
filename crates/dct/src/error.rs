//! What can go wrong with a call. No message holds the key; foreign text is cut and cleaned.

use std::path::PathBuf;

/// Longest foreign text that is passed on.
const LONGEST: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("data control tower settings: {what}")]
    Settings { what: String },
    #[error("cannot read the api key file {}", path.display())]
    Key {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("data control tower did not answer {call}")]
    Unreachable {
        call: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("data control tower answered {status} to {call}{}", colon(message))]
    Refused {
        call: String,
        status: u16,
        message: String,
    },
    #[error("data control tower's answer to {call} cannot be read: {why}")]
    Malformed { call: String, why: String },
}

/// What a caller does about an error depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No answer. Whether a change was made is unknown: look before repeating it.
    Unreachable,
    /// The key is missing or refused.
    Unauthorized,
    Forbidden,
    NotFound,
    /// Refused for what was asked (409, 422 and other 4xx): repeating it changes nothing.
    Rejected,
    /// 5xx: try again later, and look first.
    Unavailable,
    /// An answer that is not one.
    Malformed,
}

impl Error {
    pub fn class(&self) -> Class {
        match self {
            Self::Settings { .. } => Class::Rejected,
            Self::Key { .. } => Class::Unauthorized,
            Self::Unreachable { .. } => Class::Unreachable,
            Self::Malformed { .. } => Class::Malformed,
            Self::Refused { status, .. } => match *status {
                401 => Class::Unauthorized,
                403 => Class::Forbidden,
                404 | 410 => Class::NotFound,
                // A proxy's or server's "later".
                408 | 425 | 429 | 500.. => Class::Unavailable,
                400..500 => Class::Rejected,
                _ => Class::Malformed,
            },
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the tower said, cleaned; empty if it said nothing.
    pub fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } => message,
            _ => "",
        }
    }

    /// The name is taken, or somebody else changes the same object.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }
}

/// The sentence in an error body: an `ErrorResponse`, JSON text, plain text, a proxy's HTML page, or nothing.
pub(crate) fn sentence(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::String(text)) => clean(&text),
        Ok(serde_json::Value::Object(object)) => {
            let part = |key: &str| {
                object
                    .get(key)
                    .and_then(|v| v.as_str())
                    .filter(|v| !v.is_empty())
            };
            let said = part("error_description")
                .or_else(|| part("message"))
                .or_else(|| part("error"));
            clean(said.unwrap_or_default())
        }
        Ok(_) => String::new(),
        Err(_) if text.starts_with('<') => clean(&title(text)),
        Err(_) => clean(text),
    }
}

/// The title of an HTML page, or a word for it.
fn title(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let found = lower
        .find("<title>")
        .map(|at| at + 7)
        .zip(lower.find("</title>"))
        .filter(|(from, to)| from < to);
    match found {
        Some((from, to)) => html[from..to].to_owned(),
        None => "an HTML page".to_owned(),
    }
}

/// Why a success cannot be read. What stands between answers with pages, and a parser's words about those help nobody.
pub(crate) fn unreadable(body: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('<') {
        return format!("it is a page, as a proxy sends it: {}", clean(&title(text)));
    }
    clean(&error.to_string())
}

/// One line without control characters, cut to a length that fits an event or a status.
pub(crate) fn clean(text: &str) -> String {
    let mut line = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.chars().count() > LONGEST {
            return line.chars().take(LONGEST).chain(['…']).collect();
        }
    }
    line
}

fn colon(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_error_body_becomes_one_line() {
        assert_eq!(
            sentence(br#"{"error":"failed","error_description":"SSL failure."}"#),
            "SSL failure."
        );
        assert_eq!(sentence(br#"{"error":"failed"}"#), "failed");
        assert_eq!(
            sentence(b"\"Input is not readable.\""),
            "Input is not readable."
        );
        assert_eq!(
            sentence(b"Input is\r\n not\x1b[31m readable."),
            "Input is not [31m readable."
        );
        assert_eq!(
            sentence(b"<html><head><title>502 Bad Gateway</title></head></html>"),
            "502 Bad Gateway"
        );
        assert_eq!(sentence(b"<html>"), "an HTML page");
        assert_eq!(sentence(b""), "");
        assert_eq!(sentence(&[0xff, 0xfe]).chars().count(), 2);
        assert_eq!(clean(&"x".repeat(4000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_page_in_place_of_an_answer_is_called_one() {
        let why = |body: &[u8]| {
            let error = serde_json::from_slice::<crate::types::Job>(body).unwrap_err();
            unreadable(body, &error)
        };
        assert_eq!(
            why(b" <!doctype html><title>Sign\nin</title>"),
            "it is a page, as a proxy sends it: Sign in"
        );
        assert!(why(b"[1]").contains("invalid"), "{}", why(b"[1]"));
    }

    #[test]
    fn a_status_decides_the_class() {
        let class = |status| {
            Error::Refused {
                call: String::new(),
                status,
                message: String::new(),
            }
            .class()
        };
        assert_eq!(class(401), Class::Unauthorized);
        assert_eq!(class(404), Class::NotFound);
        assert_eq!(class(409), Class::Rejected);
        assert_eq!(class(422), Class::Rejected);
        assert_eq!(class(429), Class::Unavailable);
        assert_eq!(class(503), Class::Unavailable);
        assert_eq!(class(302), Class::Malformed);
    }
}
