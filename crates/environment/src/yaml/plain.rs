//! The plain part of YAML that the skeletons write: block mappings and lists of quoted texts and words.
//!
//! Whoever renders reads back what came out, and the library takes two thirds of that time. What is not read here,
//! down to a word that some reader of YAML takes for a boolean, is left to the library; the fuzz target `values`
//! holds that both read alike.

use serde_json::{Map, Value};

/// The skeletons need five; each level is one call deeper.
const DEEPEST: usize = 16;

/// None for a document that has anything else in it.
pub(super) fn read(text: &str) -> Option<Value> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let content = line.trim_start_matches(' ');
        if content.starts_with('#') && content.bytes().all(|b| matches!(b, b' '..=b'~')) {
            continue;
        }
        if !line.is_empty() {
            lines.push((line.len() - content.len(), content));
        }
    }
    let mut lines = Lines { lines, at: 0 };
    let value = lines.block(0, DEEPEST)?;
    lines.peek().is_none().then_some(value)
}

/// Lines with their indentation.
struct Lines<'a> {
    lines: Vec<(usize, &'a str)>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn peek(&self) -> Option<(usize, &'a str)> {
        self.lines.get(self.at).copied()
    }

    /// What begins at this line and is indented at least so far.
    fn block(&mut self, least: usize, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        let (indent, content) = self.peek().filter(|(indent, _)| *indent >= least)?;
        if content.starts_with("- ") {
            self.list(indent, depth)
        } else {
            self.mapping(indent, depth)
        }
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut fields = Map::new();
        while let Some((_, content)) = self.peek().filter(|(of, _)| *of == indent) {
            let (key, rest) = entry(content)?;
            self.at += 1;
            let value = match rest {
                "" => self.block(indent + 1, depth)?,
                rest => scalar(rest)?,
            };
            if fields.insert(key.to_owned(), value).is_some() {
                return None;
            }
        }
        Some(Value::Object(fields))
    }

    fn list(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        while let Some((_, content)) = self.peek().filter(|(of, _)| *of == indent) {
            let item = content.strip_prefix("- ")?;
            if entry(item).is_some() {
                // The item's first key stands where its other keys do.
                self.lines[self.at] = (indent + 2, item);
                items.push(self.block(indent + 2, depth)?);
            } else {
                self.at += 1;
                items.push(scalar(item)?);
            }
        }
        Some(Value::Array(items))
    }
}

/// `key: value`, or `key:` with the value below.
fn entry(content: &str) -> Option<(&str, &str)> {
    let (key, rest) = match content.split_once(": ") {
        Some((key, rest)) if !rest.is_empty() => (key, rest),
        _ => (content.strip_suffix(':')?, ""),
    };
    (is_word(key) && !key.contains(':')).then_some((key, rest))
}

fn scalar(text: &str) -> Option<Value> {
    match text {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        "null" => return Some(Value::Null),
        _ => {}
    }
    if text.starts_with('"') {
        return quoted(text).map(Value::String);
    }
    if let Some(words) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let words = words
            .split(", ")
            .map(|word| is_word(word).then(|| word.into()));
        return words.collect::<Option<_>>().map(Value::Array);
    }
    is_word(text).then(|| text.into())
}

/// A text as JSON writes it. Of its escapes those are left out that JSON and YAML may read differently, and of its
/// characters those that YAML takes for line breaks or not at all.
fn quoted(text: &str) -> Option<String> {
    let odd = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            )
    };
    if text.contains("\\u") || text.contains("\\/") || text.chars().any(odd) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// A text that nobody takes for anything else.
fn is_word(text: &str) -> bool {
    const OTHERS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b':' | b'-'))
        && !text.ends_with(':')
        && !OTHERS.iter().any(|other| text.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::values::Request;
    use crate::{Order, render};

    const TEXT: &str = "\
# A comment.
name: \"a: b # c\"
tags: [one, two]
of: template:default/x
spec:
  on-top: true
  items:
    - name: \"\\\"\"
      value: null
    - plain
";

    #[test]
    fn what_the_skeletons_write_is_read_as_the_library_reads_it() {
        let read = read(TEXT).unwrap();
        assert_eq!(
            read,
            json!({
                "name": "a: b # c", "tags": ["one", "two"], "of": "template:default/x",
                "spec": {"on-top": true, "items": [{"name": "\"", "value": null}, "plain"]},
            })
        );
        assert_eq!(crate::yaml::read::<Value>(TEXT), Ok(read));
    }

    #[test]
    fn all_that_the_skeletons_write_is_plain() {
        let order = Order::parse(&json!({
            "name": "feat-1", "owner": "group:default/a", "source": "10.0.1.54:largedb", "database": "d", "user": "app",
            "snapshotId": "s-1", "createIfMissing": true, "description": "\"it's\" for #1: ü",
            "postgresConfig": [{"name": "work_mem", "value": "8MB"}], "initSql": "select 1;\n\tselect 2;\n",
        }))
        .unwrap();
        let files = render::draft(&order, &Request::default()).unwrap();
        for text in [files.values, files.catalog_info] {
            assert!(read(&text).is_some(), "{text}");
        }
    }

    #[rstest]
    #[case::empty("")]
    #[case::number("a: 1")]
    #[case::boolean_to_some("a: No")]
    #[case::boolean_as_key("y: a")]
    #[case::twice("a: b\na: c")]
    #[case::nothing_below("a:\nb: c")]
    #[case::goes_on("a: b\n  c")]
    #[case::anchor("a: &x b")]
    #[case::merge("<<: b")]
    #[case::block_text("a: |\n  b")]
    #[case::marker("---\na: b")]
    #[case::comment_behind("a: b # c")]
    #[case::comment_behind_a_text("a: \"b\" # c")]
    #[case::single_quotes("a: 'b'")]
    #[case::surrogates("a: \"\\ud83d\\ude00\"")]
    #[case::line_separator("a: \"\u{2028}\"")]
    #[case::tab("a:\n\tb: c")]
    #[case::carriage_return("a: b\r\nc: d")]
    #[case::shifted("a:\n    b: c\n  d: e")]
    #[case::list_beside_its_key("a:\n- b")]
    fn everything_else_is_left_to_the_library(#[case] text: &str) {
        assert_eq!(read(text), None);
    }
}
