//! `SEARCH`: somewhere in any filterable attribute, whatever the case.
//!
//! Almost every document is ASCII. Its whole text is put into lower case once, and most documents show there that they
//! do not hold what is looked for; only the others are looked at attribute by attribute.

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::Literal;
use crate::doc::{Doc, Is, Lean, Row, Shape};

pub(super) struct Anywhere<'a> {
    fields: &'a [&'a str],
    wanted: HashMap<*const Literal, Wanted>,
    /// Places of the filterable attributes, for each shape that a document had so far.
    places: HashMap<*const Shape, (Arc<Shape>, Box<[usize]>)>,
    /// The present document in lower case, once it was needed.
    lower: Vec<u8>,
    is_lower: bool,
}

struct Wanted {
    lower: String,
    finder: Finder<'static>,
    /// In the JSON of a nested value it looks like itself.
    plain: bool,
}

impl Wanted {
    fn new(literal: &Literal) -> Self {
        let lower = plain(literal).to_lowercase();
        Self {
            finder: Finder::new(lower.as_bytes()).into_owned(),
            plain: !lower
                .chars()
                .any(|c| matches!(c, '"' | '\\') || c.is_control()),
            lower,
        }
    }

    /// Also in the elements and attributes of a value.
    fn is_in(&self, value: &Lean<'_>) -> bool {
        match value {
            Lean::Text(text) => self.is_in_text(text),
            Lean::Number(number) => number.to_string().contains(&self.lower),
            Lean::Bool(bool) => bool.to_string().contains(&self.lower),
            Lean::List(values) => values.iter().any(|value| self.is_in(value)),
            Lean::Object(fields) => fields.iter().any(|(_, value)| self.is_in(value)),
            Lean::Null => false,
        }
    }

    fn is_in_text(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.lower)
    }
}

impl<'a> Anywhere<'a> {
    pub(super) fn new(fields: &'a [&'a str]) -> Self {
        Self {
            fields,
            wanted: HashMap::new(),
            places: HashMap::new(),
            lower: Vec::new(),
            is_lower: false,
        }
    }

    /// Another document comes.
    pub(super) fn next(&mut self) {
        self.is_lower = false;
    }

    pub(super) fn in_row(&mut self, literal: &'a Literal, row: Row<'_>) -> bool {
        let wanted = self
            .wanted
            .entry(literal)
            .or_insert_with(|| Wanted::new(literal));
        // Numbers, of which most show at once that they are not it.
        let is_in = |beside: &Doc| {
            let mut values = self.fields.iter().filter_map(|name| beside.get(name));
            wanted.finder.find(beside.text()).is_some() && values.any(|v| wanted.is_in(&v.lean()))
        };
        if row.beside.is_some_and(is_in) {
            return true;
        }
        let doc = row.doc;
        let text = doc.text();
        let ascii = text.is_ascii();
        if ascii && !self.is_lower {
            self.lower.clear();
            self.lower.extend_from_slice(text);
            self.lower.make_ascii_lowercase();
            self.is_lower = true;
        }
        let shows = |range| wanted.finder.find(&self.lower[range]).is_some();
        if ascii && wanted.plain && !shows(0..text.len()) {
            return false;
        }
        let shape = doc.shape();
        let (_, places) = self.places.entry(Arc::as_ptr(shape)).or_insert_with(|| {
            let filterable = |at: &usize| self.fields.contains(&&*shape[*at].0);
            let places = (0..shape.len()).filter(filterable).collect();
            (Arc::clone(shape), places)
        });
        let replaced = |at: usize| row.beside.is_some_and(|b| b.get(&shape[at].0).is_some());
        places.iter().any(|at| {
            if replaced(*at) {
                return false;
            }
            let field = doc.field(*at);
            match field.is() {
                Is::Null => false,
                Is::Nested if ascii && wanted.plain && !shows(doc.range(*at)) => false,
                Is::Nested => wanted.is_in(&field.lean()),
                _ if ascii => shows(doc.range(*at)),
                _ => wanted.is_in_text(field.text()),
            }
        })
    }

    pub(super) fn in_element<'b>(
        &mut self,
        literal: &'a Literal,
        attribute: impl Fn(&str) -> Option<Lean<'b>>,
    ) -> bool {
        let wanted = self
            .wanted
            .entry(literal)
            .or_insert_with(|| Wanted::new(literal));
        let mut values = self.fields.iter().filter_map(|field| attribute(field));
        values.any(|value| wanted.is_in(&value))
    }
}

pub(super) fn plain(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => text.clone(),
        Literal::Number(number) => number.to_string(),
        Literal::Bool(bool) => bool.to_string(),
        Literal::Time(time) => time.to_string(),
        Literal::Nil => "nil".to_owned(),
        Literal::List(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
    }
}
