//! An object as a search looks at it.

use super::{Doc, Field};

/// A document with its object's number, which is its place in the order of creation, and with what is known of the
/// object only while the engine runs: that counts before what the document says.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub(crate) number: u64,
    pub(crate) doc: &'a Doc,
    pub(crate) beside: Option<&'a Doc>,
}

impl<'a> Row<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<Field<'a>> {
        let beside = self.beside.and_then(|beside| beside.get(name));
        beside.or_else(|| self.doc.get(name))
    }
}

impl<'a> From<&'a Doc> for Row<'a> {
    fn from(doc: &'a Doc) -> Self {
        Self {
            number: 0,
            doc,
            beside: None,
        }
    }
}

impl<'a> From<&'a (u64, Doc)> for Row<'a> {
    fn from((number, doc): &'a (u64, Doc)) -> Self {
        Self {
            number: *number,
            doc,
            beside: None,
        }
    }
}
