//! Takes secrets out of text that is shown to people: those that are known by value, and what looks like one.

const HIDDEN: &str = "…";
/// A value that is shorter stands in too many words to be taken out of text.
const SHORTEST: usize = 4;
/// What comes before a secret, whoever wrote it; compared without regard to case.
const BEFORE: [&str; 11] = [
    "password",
    "passwd",
    "pwd",
    "pgpassword",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "passphrase",
    "private_key",
];
/// The word after these is one.
const SCHEMES: [&str; 4] = ["bearer", "apk", "basic", "identified by"];

#[derive(Clone, Debug, Default)]
pub struct Redactor {
    known: Vec<String>,
}

impl Redactor {
    /// The longest first, so that no part of one stays because another is inside it.
    pub fn new(known: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = known
            .into_iter()
            .map(|value| value.trim().to_owned())
            .filter(|value| value.len() >= SHORTEST)
            .collect();
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        known.dedup();
        Self { known }
    }

    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.known {
            text = text.replace(value, HIDDEN);
            // As an address writes it.
            text = text.replace(&escaped(value), HIDDEN);
        }
        verifiers(&assignments(&addresses(&text)))
    }
}

/// Percent-encoding of everything that is not unreserved in a URI.
#[must_use]
pub fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// `scheme://user:password@host`
fn addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#'))
            .unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(host) => {
                let user = after[..host].split(':').next().unwrap_or_default();
                out.push_str(user);
                if user.len() < host {
                    out.push(':');
                    out.push_str(HIDDEN);
                }
                rest = &after[host..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// `password=x`, `"password": "x"`, `PASSWORD 'x'`, `Authorization: Bearer x`
fn assignments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((begin, length)) = secret_after(rest) {
        out.push_str(&rest[..begin]);
        out.push_str(HIDDEN);
        rest = &rest[begin + length..];
    }
    out.push_str(rest);
    out
}

/// Where the first secret stands, and how long it is.
fn secret_after(text: &str) -> Option<(usize, usize)> {
    // Of the same length as the text: positions hold for both.
    let lower = text.to_ascii_lowercase();
    let named = BEFORE.iter().flat_map(|word| {
        let places = lower.match_indices(word);
        places.filter_map(|(at, word)| value(text, at + word.len(), false))
    });
    let schemes = SCHEMES.iter().flat_map(|word| {
        let places = lower.match_indices(word);
        let apart = |at: usize| at == 0 || !lower.as_bytes()[at - 1].is_ascii_alphanumeric();
        places
            .filter(move |(at, _)| apart(*at))
            .filter_map(|(at, word)| value(text, at + word.len(), true))
    });
    named.chain(schemes).min()
}

/// The value behind a name: after `=` or `:`, or in quotes; after a scheme, the next word.
fn value(text: &str, from: usize, bare: bool) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let trimmed = rest.trim_start_matches(['"', '\'', '\\']);
    let blank = trimmed.trim_start();
    let spaced = blank.len() < trimmed.len();
    let behind = blank.strip_prefix(['=', ':']);
    let start = match behind {
        Some(after) => after.trim_start_matches(['=', ' ']),
        None if spaced && (bare || blank.starts_with('\'')) => blank,
        None => return None,
    };
    let opened = start.trim_start_matches('\\');
    let quote = opened.chars().next().filter(|c| matches!(c, '"' | '\''));
    let value = &opened[quote.map_or(0, char::len_utf8)..];
    let ends = |c: char| match quote {
        Some(quote) => c == quote,
        None => c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'' | '}' | '&'),
    };
    let end = value.find(ends).unwrap_or(value.len());
    let begin = text.len() - value.len();
    (end > 0 && !value.starts_with(HIDDEN)).then_some((begin, end))
}

/// What a server stores in place of a password is as good as one to whoever tries long enough.
fn verifiers(text: &str) -> String {
    let mut out = text.to_owned();
    for sign in ["SCRAM-SHA-256$", "md5"] {
        let mut from = 0;
        while let Some(at) = out[from..].find(sign).map(|at| from + at) {
            let begin = at + sign.len();
            let length = out[begin..]
                .find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ','))
                .unwrap_or(out.len() - begin);
            if length >= 32 {
                out.replace_range(begin..begin + length, HIDDEN);
            }
            from = begin;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("postgres://app:s3cr3t-Value@h:5432/d", "postgres://app:…@h:5432/d")]
    #[case(
        "see https://host/path and user@host",
        "see https://host/path and user@host"
    )]
    #[case("password=s3cr3t-Value sslmode=disable", "password=… sslmode=disable")]
    #[case("PGPASSWORD='s3cr3t-Value' psql", "PGPASSWORD='…' psql")]
    #[case(
        r#"{"password": "s3cr3t-Value", "user": "app"}"#,
        r#"{"password": "…", "user": "app"}"#
    )]
    #[case(
        "ALTER ROLE app PASSWORD 's3cr3t-Value';",
        "ALTER ROLE app PASSWORD '…';"
    )]
    #[case("Authorization: Bearer s3cr3t-Value", "Authorization: Bearer …")]
    #[case("authorization: apk s3cr3t-Value", "authorization: apk …")]
    #[case("DCT_TOKEN: s3cr3t-Value, next", "DCT_TOKEN: …, next")]
    #[case(
        "password authentication failed for user \"app\"",
        "password authentication failed for user \"app\""
    )]
    #[case("use a token of the forge", "use a token of the forge")]
    #[case(
        "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$abc:def",
        "SCRAM-SHA-256$…"
    )]
    fn what_looks_like_a_secret_is_hidden(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(Redactor::default().text(text), shown);
    }

    #[test]
    fn known_values_are_hidden_wherever_they_stand_also_in_an_address() {
        let redactor = Redactor::new(["p@ss/word".to_owned(), "p@ss".to_owned(), "ab".to_owned()]);
        let shown = redactor.text("about p@ss/word and p%40ss%2Fword, xp@ssx");
        assert_eq!(shown, "about … and …, x…x");
    }

    #[test]
    fn a_password_cannot_change_the_meaning_of_a_uri() {
        assert_eq!(escaped("a@b:c/d ü"), "a%40b%3Ac%2Fd%20%C3%BC");
    }

    #[test]
    fn any_text_is_taken() {
        for text in [
            "",
            "password",
            "password=",
            "://",
            "ß password: ä@é",
            "token=\\\"x",
        ] {
            let _ = Redactor::default().text(text);
        }
    }
}
