//! The document of an object as it is kept in memory: its values in one piece of text, the names of its attributes
//! shared with every document that has the same ones.
//!
//! Ten thousand documents are kept, and searches look at all of them: a tree of small allocations for each would take
//! several times the memory and most of the time.

pub(crate) mod flat;
mod lean;
mod row;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap as _;
use serde_json::{Map, Value};

pub(crate) use lean::Lean;
pub use row::Row;

#[derive(Clone)]
pub struct Doc {
    shape: Arc<Shape>,
    /// For each attribute where its value ends in the text, which begins where the one before ends; then the text. One
    /// piece: a search that looks at all documents waits for memory more than for anything else.
    bytes: Arc<[u8]>,
}

/// Of the end of a value.
const WIDTH: usize = size_of::<u32>();

/// Names and kinds of attributes, in their order.
pub(crate) type Shape = Box<[(Box<str>, Is)]>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Is {
    Null,
    Bool,
    Number,
    /// Without quotes and escapes.
    Text,
    /// A list or an object, as JSON.
    Nested,
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    is: Is,
    text: &'a str,
}

/// Shapes that some document has. There are few: a kind of object differs in the attributes that are absent.
static SHAPES: LazyLock<Mutex<Shapes>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Shapes {
    known: HashSet<Arc<Shape>>,
    /// How many make a look for those that nobody has any more worthwhile.
    tidy_at: usize,
}

fn shared(shape: Shape) -> Arc<Shape> {
    let mut shapes = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = shapes.known.get(&shape) {
        return Arc::clone(known);
    }
    if shapes.known.len() >= shapes.tidy_at {
        shapes.known.retain(|shape| Arc::strong_count(shape) > 1);
        shapes.tidy_at = 2 * shapes.known.len() + 64;
    }
    let shape = Arc::new(shape);
    shapes.known.insert(Arc::clone(&shape));
    shape
}

impl Doc {
    pub fn get(&self, name: &str) -> Option<Field<'_>> {
        let at = self.shape.iter().position(|(own, _)| **own == *name)?;
        Some(self.field(at))
    }

    pub fn value(&self) -> Value {
        let fields = self.fields();
        Value::Object(fields.map(|(n, f)| (n.to_owned(), f.value())).collect())
    }

    /// The document as its type.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(self.value())
    }

    /// With these attributes, in place of its own of the same names.
    pub(crate) fn with(&self, more: &Self) -> Self {
        let own = self.fields().filter(|(name, _)| more.get(name).is_none());
        Self::of(own.chain(more.fields()))
    }

    fn of<'a>(fields: impl Iterator<Item = (&'a str, Field<'a>)>) -> Self {
        let (mut shape, mut ends, mut text) = (Vec::new(), Vec::new(), String::new());
        for (name, field) in fields {
            text.push_str(field.text);
            shape.push((name.into(), field.is));
            // What is kept is smaller by far.
            let end = u32::try_from(text.len()).expect("a document is smaller than 4 GiB");
            ends.extend_from_slice(&end.to_le_bytes());
        }
        ends.extend_from_slice(text.as_bytes());
        Self {
            shape: shared(shape.into()),
            bytes: ends.into(),
        }
    }

    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Every value, one behind the other.
    pub(crate) fn text(&self) -> &[u8] {
        &self.bytes[WIDTH * self.shape.len()..]
    }

    /// Where the value of the attribute at this place of the shape lies in the text.
    pub(crate) fn range(&self, at: usize) -> Range<usize> {
        at.checked_sub(1).map_or(0, |before| self.end(before))..self.end(at)
    }

    fn end(&self, at: usize) -> usize {
        let end = self.bytes[WIDTH * at..].first_chunk();
        end.map_or(0, |end| u32::from_le_bytes(*end) as usize)
    }

    pub(crate) fn field(&self, at: usize) -> Field<'_> {
        let text = std::str::from_utf8(&self.text()[self.range(at)]);
        Field {
            is: self.shape[at].1,
            // It was put together from texts.
            text: text.unwrap_or_default(),
        }
    }

    fn fields(&self) -> impl Iterator<Item = (&str, Field<'_>)> {
        let names = self.shape.iter().enumerate();
        names.map(|(at, (name, _))| (&**name, self.field(at)))
    }
}

impl<'a> Field<'a> {
    pub(crate) fn new(is: Is, text: &'a str) -> Self {
        Self { is, text }
    }

    pub fn as_str(&self) -> Option<&'a str> {
        (self.is == Is::Text).then_some(self.text)
    }

    pub fn as_bool(&self) -> Option<bool> {
        (self.is == Is::Bool).then_some(self.text == "true")
    }

    pub fn as_i64(&self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    pub fn as_f64(&self) -> Option<f64> {
        self.number()?.parse().ok()
    }

    pub fn value(&self) -> Value {
        match self.is {
            Is::Text => Value::String(self.text.to_owned()),
            // Written by this module: it can be read.
            _ => serde_json::from_str(self.text).unwrap_or_default(),
        }
    }

    pub(crate) fn is(&self) -> Is {
        self.is
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn lean(&self) -> Lean<'a> {
        match self.is {
            Is::Text => Lean::Text(self.text.into()),
            _ => serde_json::from_str(self.text).unwrap_or(Lean::Null),
        }
    }

    fn number(&self) -> Option<&'a str> {
        (self.is == Is::Number).then_some(self.text)
    }
}

impl From<Value> for Doc {
    /// Anything but an object has no attributes.
    fn from(value: Value) -> Self {
        let fields = match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let texts: Vec<(String, Is, String)> = fields
            .into_iter()
            .map(|(name, value)| {
                let is = match &value {
                    Value::Null => Is::Null,
                    Value::Bool(_) => Is::Bool,
                    Value::Number(_) => Is::Number,
                    Value::String(_) => Is::Text,
                    Value::Array(_) | Value::Object(_) => Is::Nested,
                };
                let text = match value {
                    Value::String(value) => value,
                    value => value.to_string(),
                };
                (name, is, text)
            })
            .collect();
        Self::of(
            texts
                .iter()
                .map(|(name, is, text)| (&**name, Field { is: *is, text })),
        )
    }
}

impl serde::Serialize for Doc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.shape.len()))?;
        for (name, field) in self.fields() {
            match field.is {
                Is::Text => map.serialize_entry(name, field.text)?,
                _ => map.serialize_entry(name, &field.lean())?,
            }
        }
        map.end()
    }
}

/// As JSON.
impl fmt::Display for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let value = json!({
            "id": "1-X-1", "quoted": "a \"b\" \\ \n ß", "size": 1_073_741_824, "share": 0.25, "most": u64::MAX, "less": -7,
            "enabled": true, "off": false, "none": null, "empty": "", "tags": [{"key": "ü\"", "value": "1"}], "params": {"a": {"b": [1, 2.5]}}
        });
        let doc = Doc::from(value.clone());
        assert_eq!(doc.value(), value);
        assert_eq!(doc.to_string(), value.to_string());
        for (name, value) in value.as_object().unwrap() {
            let field = doc.get(name).unwrap();
            assert_eq!(field.as_str(), value.as_str(), "{name}");
            assert_eq!(field.as_bool(), value.as_bool(), "{name}");
            assert_eq!(field.as_i64(), value.as_i64(), "{name}");
            assert_eq!(field.as_f64(), value.as_f64(), "{name}");
        }
        assert!(doc.get("nothing").is_none());
        assert_eq!(Doc::from(json!({})).to_string(), "{}");
    }

    #[test]
    fn what_comes_along_replaces_what_was_there() {
        let doc = Doc::from(json!({"id": "1", "size": 1, "tags": ["a"]}));
        let more = Doc::from(json!({"size": 2, "storage_size": 3}));
        let whole = json!({"id": "1", "tags": ["a"], "size": 2, "storage_size": 3});
        assert_eq!(doc.with(&more).value(), whole);
        let row = Row {
            beside: Some(&more),
            ..Row::from(&doc)
        };
        assert_eq!(row.get("size").unwrap().as_i64(), Some(2));
        assert_eq!(row.get("id").unwrap().as_str(), Some("1"));
    }

    #[test]
    fn documents_with_the_same_attributes_share_their_names() {
        let (one, other) = (Doc::from(json!({"a": 1})), Doc::from(json!({"a": 2})));
        assert!(Arc::ptr_eq(&one.shape, &other.shape));
        assert!(!Arc::ptr_eq(
            &one.shape,
            &Doc::from(json!({"a": "1"})).shape
        ));
    }
}
