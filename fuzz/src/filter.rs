//! Whatever a search holds: no panic, what is taken prints as what reads back the same, and means the same.

use engine::filter::Filter;
use serde_json::json;

const FIELDS: [&str; 9] = [
    "id",
    "name",
    "size",
    "enabled",
    "at",
    "list",
    "tags",
    "hosts",
    "engine_id",
];

/// Bytes as a `filter_expression`.
///
/// # Panics
/// Where something that was taken does not keep its word.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(filter) = Filter::parse(text, &FIELDS) else {
        return;
    };
    let printed = filter.to_string();
    // What is printed may be longer than what callers may send.
    if printed.chars().count() <= 50_000 {
        let again = Filter::parse(&printed, &FIELDS);
        assert_eq!(again.as_ref(), Ok(&filter), "{printed}");
    }
    let negated = Filter::Not(Box::new(filter.clone()));
    for object in [
        json!({}),
        json!({"id": "1", "name": "a", "size": 1, "enabled": true, "at": "2026-11-23T10:00:00Z", "list": ["a", 1, null],
               "tags": [{"key": "k", "value": "v"}], "hosts": {"tags": [{"key": 1}]}}),
        json!({"id": null, "name": [], "size": "1", "tags": "k", "hosts": [[{"a": {"b": 1}}]]}),
    ] {
        let object = object.into();
        assert_ne!(
            filter.ready(&FIELDS).matches(&object),
            negated.ready(&FIELDS).matches(&object)
        );
    }
}
