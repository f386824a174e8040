//! Every answer of a test against the vendor's document: which status an operation may answer with, and which shape.
//!
//! `tests/schema/answers.json` is what `reduce.py` beside it leaves of the document: types, required fields, enumerations.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// Served although the document at hand does not have them; the vendor's later ones do.
const NOT_IN_THE_DOCUMENT: [&str; 3] = [
    "GET /reporting/storage-savings-report",
    "GET /reporting/virtualization-storage-summary-report",
    "POST /reporting/virtualization-storage-summary-report/search",
];

/// Their answers: one is that of the search beside it, the others are what is known of the later documents.
static LATER: LazyLock<Value> = LazyLock::new(|| {
    let (text, integer) = (json!({"type": "string"}), json!({"type": "integer"}));
    let row = json!({
        "type": "object",
        "required": ["engine_id", "engine_name", "dsource_count", "vdb_count"],
        "properties": {
            "engine_id": text, "engine_name": text, "engine_hostname": text, "total_capacity": integer, "free_storage": integer,
            "used_storage": integer, "dsource_count": integer, "vdb_count": integer, "total_object_count": integer,
        },
        "additionalProperties": false,
    });
    let metadata = json!({"$ref": "#/$defs/PaginatedResponseMetadata"});
    let summary = json!({"type": "object", "required": ["items", "response_metadata"],
        "properties": {"items": {"type": "array", "items": row}, "response_metadata": metadata}});
    let savings = &DOCUMENT["operations"]["POST /reporting/storage-savings-report/search"];
    let [one, two, three] = NOT_IN_THE_DOCUMENT;
    json!({one: savings, two: {"200": summary}, three: {"200": summary}})
});

/// Operations that answered a test of this program as they should.
static DONE: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

pub(crate) fn done() -> BTreeSet<String> {
    let done = DONE.lock();
    done.unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone()
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../schema/answers.json")).expect("generated JSON")
});

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// What the document has of the families that the engine serves something of, and what is served besides.
pub(crate) fn operations() -> impl Iterator<Item = &'static str> {
    let document: &'static Value = &DOCUMENT;
    let operations = document["operations"].as_object().into_iter().flatten();
    operations
        .map(|(name, _)| name.as_str())
        .chain(NOT_IN_THE_DOCUMENT)
}

/// By which attributes an operation can be asked to filter and sort.
pub(crate) fn attributes(operation: &str) -> impl Iterator<Item = &'static str> {
    let document: &'static Value = &DOCUMENT;
    let all = document["attributes"][operation].as_array();
    all.into_iter().flatten().filter_map(Value::as_str)
}

/// Fails the test if the answer is none that the document allows.
pub(crate) fn check(method: &str, path: &str, status: u16, body: &str) {
    let Some(path) = path.strip_prefix("/dct/v3") else {
        return;
    };
    let path = path.split('?').next().unwrap_or_default();
    if !(200..300).contains(&status) {
        return refusal(method, path, status, body);
    }
    let served = format!("{method} {path}");
    let later = LATER
        .as_object()
        .and_then(|later| later.get_key_value(&served));
    let Some((operation, answers)) = later
        .map(|(name, answers)| (name.as_str(), answers))
        .or_else(|| operation(method, path))
    else {
        panic!("the document has no {served}");
    };
    let shape = answers
        .get(status.to_string())
        .unwrap_or_else(|| panic!("{operation} does not answer {status} but {answers}"));
    let done = || {
        let done = DONE.lock();
        let mut done = done.unwrap_or_else(std::sync::PoisonError::into_inner);
        done.insert(operation.to_owned());
    };
    if shape.is_null() {
        // Nothing is promised, so nobody reads it.
        assert!(body.is_empty(), "{operation} answers {status} with {body}");
        done();
        return;
    }
    let value: Value = serde_json::from_str(body).expect("JSON");
    let key = format!("{operation} {status}");
    fits(&key, shape, &value);
    no_null(&key, &value);
    done();
}

/// `ErrorResponse` with a text for people, or the plain text that unreadable bodies are answered with.
fn refusal(method: &str, path: &str, status: u16, body: &str) {
    if status == 422 && body.starts_with("Input is not readable.") {
        return;
    }
    let what = format!("{method} {path} {status}");
    let value: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{what}: {body}"));
    fits(
        "ErrorResponse",
        &json!({"$ref": "#/$defs/ErrorResponse"}),
        &value,
    );
    let said = value["error_description"].as_str().unwrap_or_default();
    assert!((1..=1024).contains(&said.chars().count()), "{what}: {body}");
}

fn fits(key: &str, shape: &Value, value: &Value) {
    let mut known = VALIDATORS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let validator = Arc::clone(known.entry(key.to_owned()).or_insert_with(|| {
        let mut schema = shape.clone();
        schema["$defs"] = DOCUMENT["schemas"].clone();
        Arc::new(jsonschema::validator_for(&schema).expect("a schema"))
    }));
    drop(known);
    let wrong: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{key}: {wrong:#?}\n{value}");
}

/// A literal segment is nearer than a parameter: `/vdbs/search` is no id.
fn operation<'a>(method: &str, path: &str) -> Option<(&'a str, &'a Value)> {
    let operations: &'static Map<String, Value> = DOCUMENT["operations"].as_object()?;
    let fits = |(name, _): &(&'a String, &'a Value)| {
        name.strip_prefix(method)
            .and_then(|template| template.strip_prefix(' '))
            .is_some_and(|template| {
                let (mut want, mut have) = (template.split('/'), path.split('/'));
                loop {
                    match (want.next(), have.next()) {
                        (None, None) => return true,
                        (Some(w), Some(h)) if w == h || w.starts_with('{') => {}
                        _ => return false,
                    }
                }
            })
    };
    operations
        .iter()
        .filter(fits)
        .min_by_key(|(name, _)| name.matches('{').count())
        .map(|(name, answers)| (name.as_str(), answers))
}

/// Official clients take null for an error in most places. What a caller sent comes back as it was.
fn no_null(what: &str, value: &Value) {
    match value {
        Value::Null => panic!("{what}: null"),
        Value::Array(items) => items.iter().for_each(|item| no_null(what, item)),
        Value::Object(fields) => {
            for (name, field) in fields {
                if !name.starts_with("appdata_") {
                    no_null(&format!("{what}.{name}"), field);
                }
            }
        }
        _ => {}
    }
}
