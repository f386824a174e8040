//! An expression against one object. An attribute that is absent equals `nil` alone and is never less or greater.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Filter, Literal, Operator};

pub(super) fn matches(filter: &Filter, object: &Value, fields: &[&str]) -> bool {
    match filter {
        Filter::Not(inner) => !matches(inner, object, fields),
        Filter::And(all) => all.iter().all(|one| matches(one, object, fields)),
        Filter::Or(any) => any.iter().any(|one| matches(one, object, fields)),
        Filter::Compare {
            field,
            operator,
            literal,
        } => compare(attribute(object, field), *operator, literal),
        Filter::Contains { field, literal } => {
            attribute(object, field).is_some_and(|value| contains(value, literal))
        }
        Filter::Any { field, inner } => match attribute(object, field) {
            Some(Value::Array(elements)) => elements
                .iter()
                .any(|element| matches(inner, element, fields)),
            Some(element @ Value::Object(_)) => matches(inner, element, fields),
            _ => false,
        },
        Filter::In { field, list } => list
            .iter()
            .any(|literal| equals(attribute(object, field), literal)),
        Filter::Search(literal) => {
            let wanted = plain(literal).to_lowercase();
            fields
                .iter()
                .filter_map(|field| attribute(object, field))
                .any(|value| holds(value, &wanted))
        }
    }
}

/// A dot leads into an object.
fn attribute<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    let mut value = object;
    for part in field.split('.') {
        value = value.get(part)?;
    }
    (!value.is_null()).then_some(value)
}

fn compare(value: Option<&Value>, operator: Operator, literal: &Literal) -> bool {
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

fn equals(value: Option<&Value>, literal: &Literal) -> bool {
    match (value, literal) {
        (None, Literal::Nil) => true,
        (None, _) | (Some(_), Literal::Nil) => false,
        (Some(Value::Bool(value)), Literal::Bool(wanted)) => value == wanted,
        (Some(Value::Array(values)), Literal::List(wanted)) => {
            values.len() == wanted.len()
                && values.iter().zip(wanted).all(|(v, l)| equals(Some(v), l))
        }
        (Some(Value::String(value)), Literal::Text(wanted)) if value == wanted => true,
        (Some(_), _) => order(value, literal) == Some(Ordering::Equal),
    }
}

/// Numbers as numbers, points in time as such even where they are written differently, texts by their characters.
fn order(value: Option<&Value>, literal: &Literal) -> Option<Ordering> {
    match (value?, literal) {
        (Value::Number(value), Literal::Number(wanted)) => value.as_f64()?.partial_cmp(wanted),
        (Value::String(value), Literal::Time(wanted)) => {
            Some(value.parse::<jiff::Timestamp>().ok()?.cmp(wanted))
        }
        (Value::String(value), Literal::Text(wanted)) => {
            let times = time(value).zip(time(wanted));
            Some(times.map_or_else(|| value.cmp(wanted), |(value, wanted)| value.cmp(&wanted)))
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

fn contains(value: &Value, literal: &Literal) -> bool {
    match (value, literal) {
        (Value::String(value), Literal::Text(part)) => value.contains(part.as_str()),
        (Value::Array(values), literal) => values.iter().any(|value| equals(Some(value), literal)),
        _ => false,
    }
}

/// Also in the elements and attributes of a value; `wanted` is in lower case.
fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => holds_text(text, wanted),
        Value::Number(number) => number.to_string().contains(wanted),
        Value::Bool(bool) => bool.to_string().contains(wanted),
        Value::Array(values) => values.iter().any(|value| holds(value, wanted)),
        Value::Object(object) => object.values().any(|value| holds(value, wanted)),
        Value::Null => false,
    }
}

/// Almost every text is ASCII, and is compared where it lies.
fn holds_text(text: &str, wanted: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(wanted);
    }
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some(first) = wanted.first() else {
        return true;
    };
    text.windows(wanted.len())
        .any(|part| part[0].to_ascii_lowercase() == *first && part.eq_ignore_ascii_case(wanted))
}

fn plain(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => text.clone(),
        Literal::Number(number) => number.to_string(),
        Literal::Bool(bool) => bool.to_string(),
        Literal::Time(time) => time.to_string(),
        Literal::Nil => "nil".to_owned(),
        Literal::List(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
    }
}
