//! Characters to tokens.

use super::Error;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword or an identifier; which of them is decided by its place.
    Word(String),
    Text(String),
    Number(f64),
    Time(jiff::Timestamp),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Comma,
}

/// Tokens with the character at which each begins.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Error> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        at += 1;
        let token = match c {
            _ if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '[' => Token::OpenBracket,
            ']' => Token::CloseBracket,
            '{' => Token::OpenBrace,
            '}' => Token::CloseBrace,
            ',' => Token::Comma,
            '\'' | '"' => {
                let length = chars[at..].iter().position(|&d| d == c);
                let length =
                    length.ok_or_else(|| syntax("a text without its closing quote", start))?;
                let text = chars[at..at + length].iter().collect();
                at += length + 1;
                Token::Text(text)
            }
            _ if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+') => {
                at = start + chars[start..].iter().take_while(|&&d| is_bare(d)).count();
                bare(&chars[start..at].iter().collect::<String>(), start)?
            }
            other => return Err(syntax(&format!("{other:?} means nothing"), start)),
        };
        tokens.push((token, start + 1));
    }
    Ok(tokens)
}

pub(super) fn syntax(what: &str, index: usize) -> Error {
    Error::Syntax {
        what: what.to_owned(),
        at: index + 1,
    }
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+' | ':')
}

/// A word, a number (`1e3` too) or a point in time.
fn bare(text: &str, start: usize) -> Result<Token, Error> {
    if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        let fits = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        return if fits {
            Ok(Token::Word(text.to_owned()))
        } else {
            Err(syntax(&format!("{text:?} is no name; quote texts"), start))
        };
    }
    // Neither infinity nor what is too large for a number: no attribute holds it.
    if let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite()) {
        return Ok(Token::Number(number));
    }
    match text.parse() {
        Ok(time) => Ok(Token::Time(time)),
        Err(_) => Err(syntax(
            &format!("{text:?} is neither a number nor a point in time"),
            start,
        )),
    }
}
