//! Edits of a values file that leave the rest of it byte for byte: comments, order, quotes and whatever people wrote.
//!
//! The file is changed by lines. What comes out is read back and held against what the edit means, so that an edit
//! either does exactly what was asked for or is refused with the line that stands in its way.

mod lines;
mod tokens;
mod write;

use serde_json::{Map, Value};

use self::lines::{Block, Document, Entry, Shape};
use crate::yaml;

/// One change, at a JSON pointer. Missing maps on the way are made.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The last part `-` appends to a list.
    Set { pointer: String, value: Value },
    /// What is not there stays so.
    Remove { pointer: String },
}

impl Edit {
    pub fn set(pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::Set {
            pointer: pointer.into(),
            value: value.into(),
        }
    }

    pub fn remove(pointer: impl Into<String>) -> Self {
        Self::Remove {
            pointer: pointer.into(),
        }
    }

    pub fn pointer(&self) -> &str {
        match self {
            Self::Set { pointer, .. } | Self::Remove { pointer } => pointer,
        }
    }

    /// The edit as it changes what the file says.
    ///
    /// # Errors
    /// The pointer leads through something that is neither map nor list.
    pub fn on(&self, values: &mut Value) -> Result<(), Refusal> {
        let path = path(self.pointer());
        let Some((last, way)) = path.split_last() else {
            return Err(self.no_place("it names the whole file"));
        };
        let mut node = values;
        for part in way {
            node = self.step(node, part)?;
        }
        if node.is_null() {
            *node = Value::Object(Map::new());
        }
        match (node, self) {
            (Value::Object(fields), Self::Set { value, .. }) => {
                fields.insert(last.clone(), value.clone());
            }
            (Value::Object(fields), Self::Remove { .. }) => {
                fields.shift_remove(last);
            }
            (Value::Array(items), Self::Set { value, .. }) if last == "-" => {
                items.push(value.clone());
            }
            (Value::Array(items), edit) => {
                let at = last.parse().ok().filter(|at| *at < items.len());
                match (at, edit) {
                    (Some(at), Self::Set { value, .. }) => items[at] = value.clone(),
                    (Some(at), Self::Remove { .. }) => {
                        items.remove(at);
                    }
                    (None, _) => return Err(self.no_place("the list has no such item")),
                }
            }
            _ => return Err(self.no_place("what holds it is neither a map nor a list")),
        }
        Ok(())
    }

    fn step<'a>(&self, node: &'a mut Value, part: &str) -> Result<&'a mut Value, Refusal> {
        if node.is_null() {
            *node = Value::Object(Map::new());
        }
        match node {
            Value::Object(fields) => Ok(fields.entry(part).or_insert(Value::Null)),
            Value::Array(items) => part
                .parse::<usize>()
                .ok()
                .and_then(|at| items.get_mut(at))
                .ok_or_else(|| self.no_place("the list has no such item")),
            _ => Err(self.no_place("what holds it is neither a map nor a list")),
        }
    }

    fn no_place(&self, why: &'static str) -> Refusal {
        Refusal::NoPlace {
            pointer: self.pointer().to_owned(),
            why,
        }
    }
}

/// Why a file was not edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the file is not readable as YAML: {0}")]
    Unreadable(String),
    #[error("{pointer} cannot be changed: {why}")]
    NoPlace { pointer: String, why: &'static str },
    #[error(
        "line {line}: {pointer} cannot be changed without touching more of the file than it: {why}"
    )]
    Unsafe {
        line: usize,
        pointer: String,
        why: &'static str,
    },
}

impl Refusal {
    /// What somebody can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "mend the file by a pull request",
            Self::NoPlace { .. } | Self::Unsafe { .. } => {
                "change the file by a pull request of your own, or write that part as plain block YAML"
            }
        }
    }
}

/// The file after the edits. Where they change nothing it is the same text.
///
/// # Errors
/// The first edit that cannot be made safely; nothing is half done.
pub fn apply(text: &str, edits: &[Edit]) -> Result<String, Refusal> {
    let mut text = text.to_owned();
    let mut before: Value = yaml::read(&text).map_err(Refusal::Unreadable)?;
    for edit in edits {
        let mut intended = before.clone();
        edit.on(&mut intended)?;
        if intended == before {
            continue;
        }
        let (edited, line) = splice(&text, edit, &before, &intended)?;
        if yaml::read::<Value>(&edited).as_ref() != Ok(&intended) {
            return Err(Refusal::Unsafe {
                line,
                pointer: edit.pointer().to_owned(),
                why: "its neighbourhood is written in a way that reads otherwise afterwards",
            });
        }
        (text, before) = (edited, intended);
    }
    Ok(text)
}

/// Walks down to the place and changes its lines; the text and the number of the first changed line.
fn splice(
    text: &str,
    edit: &Edit,
    before: &Value,
    intended: &Value,
) -> Result<(String, usize), Refusal> {
    let document = Document::new(text);
    let mut splice = Splice {
        document,
        edit,
        intended,
    };
    let line = match splice.document.root() {
        Some(root) => splice.walk(root, before)?,
        None => splice.insert(splice.document.end(), write::block(intended, 0)),
    };
    Ok((splice.document.text(), line))
}

struct Splice<'a> {
    document: Document,
    edit: &'a Edit,
    intended: &'a Value,
}

impl Splice<'_> {
    fn walk(&mut self, mut block: Block, before: &Value) -> Result<usize, Refusal> {
        let parts = path(self.edit.pointer());
        let (mut node, mut place) = (before, String::new());
        let mut holder: Option<Entry> = None;
        for (depth, part) in parts.iter().enumerate() {
            let is_last = depth + 1 == parts.len();
            let step = format!("/{}", escape(part));
            let entries = self.document.entries(&block, node.is_array());
            let Some(entry) = lines::find(&entries, part, node.is_array()) else {
                return self.add(&block, entries.last(), &place, part);
            };
            let above = place.clone();
            place.push_str(&step);
            if is_last && matches!(self.edit, Edit::Remove { .. }) {
                // What held nothing else becomes empty.
                let emptied = holder.filter(|_| entries.len() == 1);
                return self.take(
                    entry,
                    emptied.as_ref().map(|parent| (parent, above.as_str())),
                );
            }
            let child = node.pointer(&step).unwrap_or(&Value::Null);
            match self.document.shape(entry) {
                Shape::Block(inner) if !is_last && (child.is_object() || child.is_array()) => {
                    self.document.enter(entry);
                    holder = Some(entry.clone());
                    (block, node) = (inner, child);
                }
                _ => return self.rewrite(entry, &place),
            }
        }
        Err(self.edit.no_place("it names the whole file"))
    }

    fn take(&mut self, entry: &Entry, emptied: Option<(&Entry, &str)>) -> Result<usize, Refusal> {
        if let Some((parent, place)) = emptied {
            return self.rewrite(parent, place);
        }
        self.document.remove(entry.first..entry.end);
        Ok(entry.first + 1)
    }

    /// Writes the value of one entry anew, as it is meant to be.
    fn rewrite(&mut self, entry: &Entry, place: &str) -> Result<usize, Refusal> {
        let value = self.intended.pointer(place).unwrap_or(&Value::Null);
        match self.document.replace(entry, value) {
            Ok(()) => Ok(entry.first + 1),
            Err((line, why)) => Err(self.refuse(line, why)),
        }
    }

    /// Writes a new member behind the last one of a map or list.
    fn add(
        &mut self,
        block: &Block,
        last: Option<&Entry>,
        above: &str,
        part: &str,
    ) -> Result<usize, Refusal> {
        let (value, is_item) = match self.intended.pointer(above) {
            Some(Value::Array(items)) => (items.last(), true),
            Some(map) => (map.get(part), false),
            None => (None, false),
        };
        let (Some(last), Some(value)) = (last, value) else {
            return Err(self.refuse(block.lines.start + 1, "it is written in flow style"));
        };
        let lines = write::member(part, value, block.indent, is_item);
        Ok(self.insert(last.end, lines))
    }

    fn insert(&mut self, at: usize, lines: Vec<String>) -> usize {
        self.document.insert(at, lines);
        at + 1
    }

    fn refuse(&self, line: usize, why: &'static str) -> Refusal {
        Refusal::Unsafe {
            line,
            pointer: self.edit.pointer().to_owned(),
            why,
        }
    }
}

/// The parts of a JSON pointer.
fn path(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
