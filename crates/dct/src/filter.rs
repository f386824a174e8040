//! Writing expressions of the search language without letting a value become syntax.
//!
//! The grammar documents two quotes and no escape, so a value that needs an escape cannot be asked for: `None`.

/// A text literal; `None` if no quoting is known for it.
pub fn literal(text: &str) -> Option<String> {
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return None;
    }
    let quote = if !text.contains('\'') {
        '\''
    } else if !text.contains('"') {
        '"'
    } else {
        return None;
    };
    Some(format!("{quote}{text}{quote}"))
}

/// `field EQ 'value'`
pub fn equals(field: &str, value: &str) -> Option<String> {
    Some(format!("{field} EQ {}", literal(value)?))
}

/// `field IN ['a', 'b']`. The server takes at most 100 values.
pub fn one_of<'a>(field: &str, values: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let values: Option<Vec<String>> = values.into_iter().map(literal).collect();
    Some(format!("{field} IN [{}]", values?.join(", ")))
}

/// Objects that carry this tag.
pub fn tag(key: &str, value: &str) -> Option<String> {
    Some(format!(
        "tags CONTAINS {{ key EQ {} AND value EQ {} }}",
        literal(key)?,
        literal(value)?
    ))
}

/// All of them.
pub fn all<'a>(expressions: impl IntoIterator<Item = &'a str>) -> String {
    joined(expressions, " AND ")
}

/// Any of them.
pub fn any<'a>(expressions: impl IntoIterator<Item = &'a str>) -> String {
    joined(expressions, " OR ")
}

fn joined<'a>(expressions: impl IntoIterator<Item = &'a str>, with: &str) -> String {
    expressions
        .into_iter()
        .map(|e| format!("({e})"))
        .collect::<Vec<_>>()
        .join(with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_value_cannot_end_the_literal() {
        assert_eq!(literal("a'b").as_deref(), Some("\"a'b\""));
        assert_eq!(literal("a\"b").as_deref(), Some("'a\"b'"));
        assert_eq!(literal("a'\"b"), None);
        assert_eq!(literal("a\\"), None);
        assert_eq!(literal("a\nb"), None);
    }

    #[test]
    fn expressions_nest() {
        let name = equals("name", "dev-vdb").unwrap();
        let tagged = tag("cr-uid", "1-2").unwrap();
        assert_eq!(
            all([name.as_str(), &tagged]),
            "(name EQ 'dev-vdb') AND (tags CONTAINS { key EQ 'cr-uid' AND value EQ '1-2' })"
        );
        assert_eq!(one_of("id", ["a", "b"]).unwrap(), "id IN ['a', 'b']");
    }
}
