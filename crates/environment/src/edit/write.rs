//! New lines: block YAML in which every string is quoted, so that every reader takes it for a string.

use serde_json::Value;

/// One line's worth of value; `None` for a map or list that has something in it.
pub(super) fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) if !fields.is_empty() => None,
        Value::Array(items) if !items.is_empty() => None,
        // JSON's escapes are YAML's, too.
        other => Some(other.to_string()),
    }
}

/// The lines of a map or list, without line ends.
pub(super) fn block(value: &Value, indent: usize) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| member(key, value, indent, false))
            .collect(),
        Value::Array(items) => items
            .iter()
            .flat_map(|item| member("-", item, indent, true))
            .collect(),
        scalar => vec![format!("{}{scalar}", " ".repeat(indent))],
    }
}

/// One entry of a map, or one item of a list.
pub(super) fn member(key: &str, value: &Value, indent: usize, is_item: bool) -> Vec<String> {
    let margin = " ".repeat(indent);
    let head = if is_item {
        format!("{margin}-")
    } else {
        format!("{margin}{}:", name(key))
    };
    if let Some(text) = inline(value) {
        return vec![format!("{head} {text}")];
    }
    let mut lines = block(value, indent + 2);
    if is_item {
        // The first line of the item stands beside its dash.
        lines[0].replace_range(indent..=indent, "-");
        return lines;
    }
    lines.insert(0, head);
    lines
}

fn name(key: &str) -> String {
    let plain = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && key.starts_with(|c: char| c.is_ascii_alphabetic())
        && !matches!(
            key.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if plain {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}
