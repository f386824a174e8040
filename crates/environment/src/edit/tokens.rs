//! What a line of block YAML begins with and where a value on it ends.

pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The key that a line begins with, or the dash, and the column after it.
pub(super) fn opens(text: &str, is_list: bool) -> Option<(String, usize)> {
    let is_item = text == "-" || text.starts_with("- ");
    if is_list || is_item {
        return (is_list && is_item).then(|| (String::new(), 1));
    }
    let (key, after) = match text.chars().next()? {
        quote @ ('"' | '\'') => {
            let end = quoted_end(text, quote)?;
            let inside = &text[1..end - 1];
            let key = if quote == '"' {
                serde_json::from_str(&text[..end]).ok()?
            } else {
                inside.replace("''", "'")
            };
            (key, end)
        }
        '[' | '{' | '&' | '*' | '!' | '|' | '>' | '%' | '@' | '`' | '#' | '?' => return None,
        _ => {
            let colon = text
                .match_indices(':')
                .map(|(at, _)| at)
                .find(|at| matches!(text[at + 1..].chars().next(), None | Some(' ')))?;
            (text[..colon].trim_end().to_owned(), colon)
        }
    };
    let rest = &text[after..];
    let colon = after + indent(rest);
    let ends = text[colon..].strip_prefix(':')?;
    (ends.is_empty() || ends.starts_with(' ')).then_some((key, colon + 1))
}

/// Length of the value that a text begins with; `None` if it does not end on this line.
pub(super) fn value_end(text: &str) -> Option<usize> {
    let end = match text.chars().next()? {
        quote @ ('"' | '\'') => quoted_end(text, quote)?,
        '[' | '{' => flow_end(text)?,
        _ => {
            let words = text.split_once(" #").map_or(text, |(words, _)| words);
            return Some(words.trim_end().len());
        }
    };
    let behind = text[end..].trim_start();
    (behind.is_empty() || behind.starts_with('#')).then_some(end)
}

fn quoted_end(text: &str, quote: char) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == '"' => at += 1,
            b'\'' if quote == '\'' && bytes.get(at + 1) == Some(&b'\'') => at += 1,
            byte if char::from(byte) == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn flow_end(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '"' | '\'' => {
                at += quoted_end(&text[at..], c)?;
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.checked_sub(1)?,
            '#' if text[..at].ends_with(' ') => return None,
            _ => {}
        }
        at += c.len_utf8();
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
