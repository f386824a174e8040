//! Where the entries of a block collection stand in a text, line by line.
//!
//! It knows as much of YAML as people use in such files. What it does not know it either does not find or finds
//! wrongly, and the caller, who reads the result back, refuses.

use std::ops::Range;

use serde_json::Value;

use super::tokens::{indent, opens, value_end};
use super::write;

/// A block collection: its lines and the column of its entries.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) lines: Range<usize>,
    pub(super) indent: usize,
}

/// A key with its value, or an item of a list.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Empty for an item.
    key: String,
    pub(super) first: usize,
    pub(super) end: usize,
    indent: usize,
    /// The column after the colon or the dash.
    after: usize,
}

/// How an entry's value is written.
pub(super) enum Shape {
    Empty,
    Block(Block),
    /// On the entry's own line: the columns of the value.
    Inline(Range<usize>),
    /// A quoted text, a flow collection or plain words over several lines.
    Spread,
    /// Block scalar.
    Literal,
    Anchored,
}

pub(super) struct Document {
    /// With their line ends.
    raw: Vec<String>,
    /// Without line ends; what is no content, and the dashes of items that were entered, are blanks.
    seen: Vec<String>,
    line_end: &'static str,
}

/// The entry of a key, or the item of a number.
pub(super) fn find<'a>(entries: &'a [Entry], part: &str, is_list: bool) -> Option<&'a Entry> {
    if is_list {
        return entries.get(part.parse::<usize>().ok()?);
    }
    entries.iter().find(|entry| entry.key == part)
}

impl Document {
    pub(super) fn new(text: &str) -> Self {
        let raw: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let seen = raw
            .iter()
            .map(|line| line.trim_end_matches(['\n', '\r']).to_owned())
            .map(|line| {
                let marker = matches!(line.trim_end(), "---" | "...") || line.starts_with('%');
                if marker { String::new() } else { line }
            })
            .collect();
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self {
            raw,
            seen,
            line_end,
        }
    }

    pub(super) fn text(&self) -> String {
        self.raw.concat()
    }

    pub(super) fn end(&self) -> usize {
        self.raw.len()
    }

    /// `None` if the file has no content.
    pub(super) fn root(&self) -> Option<Block> {
        let lines = 0..self.seen.len();
        let indent = self.first_content(lines.clone())?;
        Some(Block { lines, indent })
    }

    fn first_content(&self, lines: Range<usize>) -> Option<usize> {
        self.seen[lines]
            .iter()
            .find(|line| is_content(line))
            .map(|line| indent(line))
    }

    pub(super) fn entries(&self, block: &Block, is_list: bool) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for number in block.lines.clone() {
            let line = &self.seen[number];
            if line.trim().is_empty() {
                continue;
            }
            let column = indent(line);
            if column < block.indent {
                // A comment further left ends nothing.
                if line.trim_start().starts_with('#') {
                    continue;
                }
                break;
            }
            let at_level = column == block.indent;
            if at_level && line[column..].starts_with('#') {
                continue;
            }
            match at_level.then(|| opens(&line[column..], is_list)).flatten() {
                Some((key, after)) => entries.push(Entry {
                    key,
                    first: number,
                    end: number + 1,
                    indent: column,
                    after: column + after,
                }),
                None => {
                    if let Some(last) = entries.last_mut() {
                        last.end = number + 1;
                    }
                }
            }
        }
        entries
    }

    pub(super) fn shape(&self, entry: &Entry) -> Shape {
        let line = &self.seen[entry.first];
        let rest = &line[entry.after..];
        let start = entry.after + indent(rest);
        let nested = entry.first + 1..entry.end;
        let deeper = self.first_content(nested.clone());
        match line[start.min(line.len())..].chars().next() {
            None | Some('#') => match deeper {
                Some(indent) => Shape::Block(Block {
                    lines: nested,
                    indent,
                }),
                None => Shape::Empty,
            },
            Some('&' | '!') => Shape::Anchored,
            Some('|' | '>') => Shape::Literal,
            // An item whose first key stands beside its dash.
            Some(_) if entry.key.is_empty() && opens(&line[start..], false).is_some() => {
                Shape::Block(Block {
                    lines: entry.first..entry.end,
                    indent: start,
                })
            }
            Some(_) => match value_end(&line[start..]) {
                Some(length) if deeper.is_none() => Shape::Inline(start..start + length),
                _ => Shape::Spread,
            },
        }
    }

    /// From here on the entry's content counts: the dash of an item becomes a blank.
    pub(super) fn enter(&mut self, entry: &Entry) {
        if entry.key.is_empty() {
            self.seen[entry.first].replace_range(entry.indent..=entry.indent, " ");
        }
    }

    pub(super) fn insert(&mut self, at: usize, lines: Vec<String>) {
        if at > 0
            && let Some(before) = self.raw.get_mut(at - 1)
            && !before.ends_with('\n')
        {
            before.push_str(self.line_end);
        }
        let lines: Vec<String> = lines
            .into_iter()
            .map(|line| format!("{line}{}", self.line_end))
            .collect();
        self.raw.splice(at..at, lines);
    }

    pub(super) fn remove(&mut self, lines: Range<usize>) {
        self.raw.drain(lines);
    }

    /// Gives an entry another value. What stands behind the old one on its line stays there.
    pub(super) fn replace(
        &mut self,
        entry: &Entry,
        value: &Value,
    ) -> Result<(), (usize, &'static str)> {
        let line = self.seen[entry.first].clone();
        let (tail, end) = match self.shape(entry) {
            Shape::Anchored => {
                return Err((entry.first + 1, "it has an anchor or a tag"));
            }
            Shape::Inline(columns) => (line[columns.end..].to_owned(), entry.first + 1),
            Shape::Empty => (line[entry.after..].to_owned(), entry.first + 1),
            Shape::Block(block) if block.lines.start == entry.first => {
                self.no_comment(block.lines)?;
                (String::new(), entry.end)
            }
            Shape::Block(block) => {
                self.no_comment(block.lines)?;
                (line[entry.after..].to_owned(), entry.end)
            }
            Shape::Spread => {
                self.no_comment(entry.first..entry.end)?;
                (String::new(), entry.end)
            }
            Shape::Literal => (String::new(), entry.end),
        };
        let mut lines = if entry.key.is_empty() {
            write::member("-", value, entry.indent, true)
        } else {
            let mut lines = write::member("key", value, entry.indent, false);
            // The key stays as it was written.
            let head = entry.indent + "key:".len();
            lines[0].replace_range(..head, &self.raw[entry.first][..entry.after]);
            lines
        };
        lines[0].push_str(tail.trim_end());
        self.remove(entry.first..end);
        self.insert(entry.first, lines);
        Ok(())
    }

    fn no_comment(&self, mut lines: Range<usize>) -> Result<(), (usize, &'static str)> {
        let comment = |line: &String| line.trim_start().starts_with('#') || line.contains(" #");
        match lines.find(|number| comment(&self.seen[*number])) {
            Some(number) => Err((number + 1, "a comment inside it would be lost")),
            None => Ok(()),
        }
    }
}

fn is_content(line: &str) -> bool {
    let text = line.trim();
    !text.is_empty() && !text.starts_with('#')
}
