//! Where a page begins or ends: at an object, by what it was sorted by and by its number. So a page neither repeats nor
//! skips what stays, whatever was deleted, or came, since the page before it.

use std::cmp::Ordering;

use sha2::{Digest as _, Sha256};

use crate::doc::{Field, Is};

/// Texts are sorted by so many bytes alone, so that a cursor stays below the 4096 characters that the interface allows.
const LONGEST: usize = 1500;

/// What an object has where the list is sorted by an attribute; then comes its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a>(pub(super) Option<Field<'a>>, pub(super) u64);

#[derive(Debug)]
pub(super) enum Cursor {
    /// What comes after or before this place.
    After(Place),
    Before(Place),
    /// Pages around which everything is gone.
    Start,
    End,
}

#[derive(Debug)]
pub(super) struct Place {
    is: Is,
    text: String,
    number: u64,
}

impl Place {
    pub(super) fn key(&self) -> Key<'_> {
        Key(Some(Field::new(self.is, &self.text)), self.number)
    }
}

impl From<Key<'_>> for Place {
    fn from(Key(field, number): Key<'_>) -> Self {
        let is = field.map_or(Is::Null, |field| field.is());
        let text = match (is, field) {
            (Is::Null | Is::Nested, _) | (_, None) => "",
            (_, Some(field)) => cut(field.text()),
        };
        Self {
            is,
            text: text.to_owned(),
            number,
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

impl Cursor {
    /// Opaque to callers. `of` is what it belongs to: it means nothing in another list or order.
    pub(super) fn written(&self, of: &str) -> String {
        let mut bytes = match self {
            Self::Start => vec![b's'],
            Self::End => vec![b'e'],
            Self::After(_) => vec![b'a'],
            Self::Before(_) => vec![b'b'],
        };
        if let Self::After(place) | Self::Before(place) = self {
            bytes.extend(place.number.to_be_bytes());
            bytes.push(code(place.is));
            bytes.extend(place.text.as_bytes());
        }
        bytes.extend(check(&bytes, of));
        hex::encode(bytes)
    }

    pub(super) fn read(text: &str, of: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        let (bytes, seal) = bytes.split_last_chunk::<8>()?;
        if check(bytes, of) != *seal {
            return None;
        }
        let place = |rest: &[u8]| {
            let (number, rest) = rest.split_first_chunk()?;
            let (is, text) = rest.split_first()?;
            Some(Place {
                is: [Is::Null, Is::Bool, Is::Number, Is::Text, Is::Nested]
                    .into_iter()
                    .find(|kind| code(*kind) == *is)?,
                text: std::str::from_utf8(text).ok()?.to_owned(),
                number: u64::from_be_bytes(*number),
            })
        };
        match bytes {
            [b's'] => Some(Self::Start),
            [b'e'] => Some(Self::End),
            [b'a', rest @ ..] => Some(Self::After(place(rest)?)),
            [b'b', rest @ ..] => Some(Self::Before(place(rest)?)),
            _ => None,
        }
    }
}

fn code(is: Is) -> u8 {
    match is {
        Is::Null => b'-',
        Is::Bool => b'b',
        Is::Number => b'n',
        Is::Text => b't',
        Is::Nested => b'l',
    }
}

/// No secret: it tells what was cut, mixed up or made up from what was given out.
fn check(bytes: &[u8], of: &str) -> [u8; 8] {
    let digest = Sha256::new().chain_update(of).chain_update(b"\n");
    let digest = digest.chain_update(bytes).finalize();
    *digest.first_chunk().expect("a digest has 32 bytes")
}

/// Equal ones stay in the order of creation, in both directions.
pub(super) fn compare(a: &Key<'_>, b: &Key<'_>, descending: bool) -> Ordering {
    let order = by_value(a.0, b.0);
    let order = if descending { order.reverse() } else { order };
    order.then(a.1.cmp(&b.1))
}

/// Absent before present, and each kind by itself; numbers as numbers; points in time sort as texts because all are
/// written alike.
fn by_value(a: Option<Field<'_>>, b: Option<Field<'_>>) -> Ordering {
    let kind = |field: Option<Field<'_>>| field.map_or(Is::Null, |field| field.is());
    match (a, b) {
        (Some(a), Some(b)) if a.is() == b.is() => match a.is() {
            Is::Number => a.as_f64().partial_cmp(&b.as_f64()),
            Is::Text => Some(cut(a.text()).cmp(cut(b.text()))),
            Is::Bool => a.as_bool().partial_cmp(&b.as_bool()),
            Is::Null | Is::Nested => None,
        }
        .unwrap_or(Ordering::Equal),
        (a, b) => kind(a).cmp(&kind(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_only_where_it_belongs() {
        let long = "ü".repeat(5_000);
        for (is, text) in [
            (Is::Text, "a\"b\n"),
            (Is::Text, &long),
            (Is::Number, "-7.5"),
            (Is::Null, ""),
        ] {
            let place = Place::from(Key(Some(Field::new(is, text)), 42));
            let written = Cursor::After(place).written("/vdbs name");
            assert!((1..=4096).contains(&written.len()));
            let Some(Cursor::After(read)) = Cursor::read(&written, "/vdbs name") else {
                panic!("{written}");
            };
            let own = Key(Some(Field::new(is, text)), 42);
            assert_eq!(compare(&read.key(), &own, false), Ordering::Equal);
            assert!(Cursor::read(&written, "/vdbs -name").is_none());
            assert!(Cursor::read(&written[2..], "/vdbs name").is_none());
            assert!(Cursor::read(&written.replacen("61", "62", 1), "/vdbs name").is_none());
        }
        for wrong in ["", "p100", "61", "6", "ü"] {
            assert!(Cursor::read(wrong, "").is_none(), "{wrong}");
        }
    }
}
