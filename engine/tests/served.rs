//! What is served, held against a list: every operation of the vendor's document in the families that the engine knows
//! stands in `schema/served.txt` with what it is, and the router does as the list says.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
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

/// An attribute that the document allows and no object has is nil; it is no reason to refuse a search.
#[tokio::test]
async fn every_attribute_of_the_document_can_be_searched_and_sorted_by() {
    let app = App::new();
    let vdb = app.provisioned("dev").await;
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (operation, mark) in list() {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path.replace("{vdbId}", &vdb);
        for attribute in schema::attributes(operation).filter(|_| mark != "-") {
            let sorted = format!("{path}?sort=-{attribute}");
            let filter = format!("{attribute} EQ NIL OR {attribute} NE NIL");
            let body = json!({ "filter_expression": filter });
            let (status, answer) = app.call(method, &sorted, body).await;
            asked += 1;
            if status != StatusCode::OK {
                wrong.push(format!("{operation} {attribute}: {answer}"));
            }
        }
    }
    assert!(asked > 500, "{asked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
