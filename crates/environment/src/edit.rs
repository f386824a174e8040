//! Edits of a values file that leave the rest of it byte for byte: comments, order, quotes and whatever people wrote.
//!
//! The file is changed by lines. What comes out is read back and held against what the edit means, so that an edit
//! either does exactly what was asked for or is refused with the line that stands in its way.

mod lines;
mod write;

use serde_json::{Map, Value};

use self::lines::{Document, Entry, Shape};
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
    let mut document = Document::new(text);
    let Some(mut block) = document.root() else {
        let at = document.end();
        document.insert(at, write::block(intended, 0));
        return Ok((document.text(), at + 1));
    };
    let parts = path(edit.pointer());
    let (mut node, mut place) = (before, String::new());
    let mut holder: Option<(Entry, String)> = None;
    for (depth, part) in parts.iter().enumerate() {
        let is_last = depth + 1 == parts.len();
        let above = place.clone();
        place = format!("{place}/{}", escape(part));
        let is_list = node.is_array();
        let entries = document.entries(&block, is_list);
        let Some(entry) = lines::find(&entries, part, is_list) else {
            let (Some(last), Some(value)) = (entries.last(), added(intended, &above, &place))
            else {
                return Err(refuse(
                    block.lines.start + 1,
                    edit,
                    "its map is written in flow style",
                ));
            };
            let at = last.end;
            document.insert(at, write::member(part, value, block.indent, is_list));
            return Ok((document.text(), at + 1));
        };
        let line = entry.first + 1;
        if is_last && matches!(edit, Edit::Remove { .. }) {
            return match (entries.len(), holder) {
                (1, Some((above_it, name))) => {
                    rewrite(&mut document, &above_it, &name, edit, intended)
                }
                _ => {
                    document.remove(entry.first..entry.end);
                    Ok((document.text(), line))
                }
            };
        }
        let child = node
            .pointer(&format!("/{}", escape(part)))
            .unwrap_or(&Value::Null);
        let shape = document.shape(entry);
        match shape {
            Shape::Block(inner) if !is_last && (child.is_object() || child.is_array()) => {
                holder = Some((entry.clone(), place.clone()));
                document.enter(entry);
                (block, node) = (inner, child);
            }
            _ => return rewrite(&mut document, &entry.clone(), &place, edit, intended),
        }
    }
    Err(edit.no_place("it names the whole file"))
}

/// Writes the value of one entry anew, as it is meant to be.
fn rewrite(
    document: &mut Document,
    entry: &Entry,
    place: &str,
    edit: &Edit,
    intended: &Value,
) -> Result<(String, usize), Refusal> {
    let value = intended.pointer(place).unwrap_or(&Value::Null);
    document
        .replace(entry, value)
        .map_err(|(line, why)| refuse(line, edit, why))?;
    Ok((document.text(), entry.first + 1))
}

/// What a new member of a map or list is to be.
fn added<'a>(intended: &'a Value, above: &str, place: &str) -> Option<&'a Value> {
    match intended.pointer(above)? {
        Value::Array(items) => items.last(),
        _ => intended.pointer(place),
    }
}

fn refuse(line: usize, edit: &Edit, why: &'static str) -> Refusal {
    Refusal::Unsafe {
        line,
        pointer: edit.pointer().to_owned(),
        why,
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
