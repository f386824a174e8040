//! What is served, held against a list: every operation of the vendor's document in the families that the engine knows
//! stands in `schema/served.txt` with what it is, and the router does as the list says.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::Value;
use support::app::App;
use support::schema;

/// Operation by mark: E, S or -; with a star if the known clients call it.
fn list() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("schema/served.txt").lines();
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut list = BTreeMap::new();
    for line in entries {
        let (mark, operation) = line.split_once(' ').unwrap();
        assert!(["E*", "S*", "E", "S", "-"].contains(&mark), "{line}");
        assert!(
            list.insert(operation.trim(), mark).is_none(),
            "{line} twice"
        );
    }
    list
}

#[test]
fn no_operation_of_the_document_is_forgotten() {
    let listed: Vec<&str> = list().into_keys().collect();
    let mut known: Vec<&str> = schema::operations().collect();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[tokio::test]
async fn the_router_serves_what_the_list_says_and_nothing_else() {
    let app = App::new();
    let mut wrong = Vec::new();
    for (operation, mark) in list() {
        let (method, path) = operation.split_once(' ').unwrap();
        let parameters = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part });
        let path = parameters.collect::<Vec<_>>().join("/");
        let (status, _) = app.call(method, &path, Value::Null).await;
        if (status != StatusCode::NOT_IMPLEMENTED) != (mark != "-") {
            wrong.push(format!("{mark} {operation} answers {status}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
