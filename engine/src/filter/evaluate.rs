//! An expression against one document. An attribute that is absent equals `nil` alone and is never less or greater.

use std::cmp::Ordering;

use super::anywhere::Anywhere;
use super::{Filter, Literal, Operator};
use crate::doc::{Doc, Is, Lean, Row, flat};

/// An expression that is held against one document after the other.
pub struct Ready<'a> {
    filter: &'a Filter,
    anywhere: Anywhere<'a>,
}

impl<'a> Ready<'a> {
    pub(super) fn new(filter: &'a Filter, fields: &'a [&'a str]) -> Self {
        Self {
            filter,
            anywhere: Anywhere::new(fields),
        }
    }

    pub fn matches(&mut self, doc: &Doc) -> bool {
        self.matches_row(doc.into())
    }

    pub fn matches_row(&mut self, row: Row<'_>) -> bool {
        self.anywhere.next();
        matches(self.filter, Object::Row(row), &mut self.anywhere)
    }
}

/// What attributes are looked up in: a document, or an element of one of its lists.
#[derive(Clone, Copy)]
enum Object<'a> {
    Row(Row<'a>),
    Element(&'a Lean<'a>),
    /// An element whose attributes are all plain texts.
    Flat(&'a [(&'a str, &'a str)]),
}

fn matches<'a>(filter: &'a Filter, object: Object<'_>, anywhere: &mut Anywhere<'a>) -> bool {
    match filter {
        Filter::Not(inner) => !matches(inner, object, anywhere),
        Filter::And(all) => all.iter().all(|one| matches(one, object, anywhere)),
        Filter::Or(any) => any.iter().any(|one| matches(one, object, anywhere)),
        Filter::Compare {
            field,
            operator,
            literal,
        } => compare(attribute(object, field).as_ref(), *operator, literal),
        Filter::Contains { field, literal } => {
            attribute(object, field).is_some_and(|value| contains(&value, literal))
        }
        Filter::Any { field, inner } => any(field, inner, object, anywhere),
        Filter::In { field, list } => {
            let value = attribute(object, field);
            list.iter().any(|literal| equals(value.as_ref(), literal))
        }
        Filter::Search(literal) => match object {
            Object::Row(row) => anywhere.in_row(literal, row),
            element => anywhere.in_element(literal, |field| attribute(element, field)),
        },
    }
}

/// Whether some element of a list is like this.
fn any<'a>(
    field: &str,
    inner: &'a Filter,
    object: Object<'_>,
    anywhere: &mut Anywhere<'a>,
) -> bool {
    if let Object::Row(row) = object
        && let Some(list) = row.get(field).filter(|list| list.is() == Is::Nested)
        && let Some(found) = flat::any(list.text(), |element| {
            matches(inner, Object::Flat(element), anywhere)
        })
    {
        return found;
    }
    match attribute(object, field) {
        // Kept as lists by the moment of their run; the search language knows one list, each with its moment.
        Some(Lean::Object(lists)) if field == "hooks" => lists.iter().any(|(moment, hooks)| {
            let Lean::List(hooks) = hooks else {
                return false;
            };
            hooks.iter().any(|hook| {
                let hook = with_moment(hook, moment);
                matches(inner, Object::Element(&hook), anywhere)
            })
        }),
        Some(Lean::List(elements)) => elements
            .iter()
            .any(|element| matches(inner, Object::Element(element), anywhere)),
        Some(element @ Lean::Object(_)) => matches(inner, Object::Element(&element), anywhere),
        _ => false,
    }
}

fn with_moment<'a>(hook: &Lean<'a>, moment: &'a str) -> Lean<'a> {
    let mut hook = hook.clone();
    if let Lean::Object(fields) = &mut hook {
        fields.push(("hook_point".into(), Lean::Text(moment.into())));
    }
    hook
}

/// A dot leads into an object.
fn attribute<'a>(object: Object<'a>, field: &str) -> Option<Lean<'a>> {
    let (first, rest) = match field.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (field, None),
    };
    let value = match object {
        Object::Row(row) => row.get(first)?.lean(),
        Object::Element(element) => element.get(first)?.clone(),
        Object::Flat(fields) => {
            let (_, text) = fields.iter().find(|(name, _)| *name == first)?;
            Lean::Text((*text).into())
        }
    };
    let found = match rest {
        Some(rest) => value.descend(rest)?,
        None => value,
    };
    (!matches!(found, Lean::Null)).then_some(found)
}

fn compare(value: Option<&Lean<'_>>, operator: Operator, literal: &Literal) -> bool {
    match operator {
        Operator::Equal => equals(value, literal),
        Operator::NotEqual => !equals(value, literal),
        Operator::Greater => order(value, literal) == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(
            order(value, literal),
            Some(Ordering::Greater | Ordering::Equal)
        ),
        Operator::Less => order(value, literal) == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(
            order(value, literal),
            Some(Ordering::Less | Ordering::Equal)
        ),
    }
}

fn equals(value: Option<&Lean<'_>>, literal: &Literal) -> bool {
    match (value, literal) {
        (None, Literal::Nil) => true,
        (None, _) | (Some(_), Literal::Nil) => false,
        (Some(Lean::Bool(value)), Literal::Bool(wanted)) => value == wanted,
        (Some(Lean::List(values)), Literal::List(wanted)) => {
            values.len() == wanted.len()
                && values.iter().zip(wanted).all(|(v, l)| equals(Some(v), l))
        }
        (Some(Lean::Text(value)), Literal::Text(wanted)) if value == wanted => true,
        (Some(_), _) => order(value, literal) == Some(Ordering::Equal),
    }
}

/// Numbers as numbers, points in time as such even where they are written differently, texts by their characters.
fn order(value: Option<&Lean<'_>>, literal: &Literal) -> Option<Ordering> {
    match (value?, literal) {
        (Lean::Number(value), Literal::Number(wanted)) => value.as_f64()?.partial_cmp(wanted),
        (Lean::Text(value), Literal::Time(wanted)) => {
            Some(value.parse::<jiff::Timestamp>().ok()?.cmp(wanted))
        }
        (Lean::Text(value), Literal::Text(wanted)) => {
            let times = time(value).zip(time(wanted));
            Some(times.map_or_else(
                || (**value).cmp(wanted.as_str()),
                |(value, wanted)| value.cmp(&wanted),
            ))
        }
        _ => None,
    }
}

/// Reading a time costs more than a whole comparison, and a search looks at thousands of texts: most show at once that
/// they are none.
pub(super) fn time(text: &str) -> Option<jiff::Timestamp> {
    let bytes = text.as_bytes();
    let dashes = bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
    // A year beyond four digits has a sign.
    let begins = dashes || matches!(bytes.first(), Some(b'+' | b'-'));
    begins.then(|| text.parse().ok())?
}

fn contains(value: &Lean<'_>, literal: &Literal) -> bool {
    match (value, literal) {
        (Lean::Text(value), Literal::Text(part)) => value.contains(part.as_str()),
        // Parameters are free objects, which the interface calls texts.
        (Lean::Object(_), Literal::Text(part)) => {
            serde_json::to_string(value).is_ok_and(|text| text.contains(part.as_str()))
        }
        (Lean::List(values), literal) => values.iter().any(|value| equals(Some(value), literal)),
        _ => false,
    }
}
