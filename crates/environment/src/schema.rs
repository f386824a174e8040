//! JSON Schemas generated from the types: for values files and forms (draft-07) and for the CRD (structural).
//! The only file that names the schema validator.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::change::{Extend, Refresh, Update};
use crate::names::quoted;
use crate::order::Order;
use crate::problem::Problem;
use crate::spec::PostgresVdbSpec;
use crate::status::PostgresVdbStatus;
use crate::values::Values;

/// Schema of a values file; the chart's `values.schema.json`.
pub fn values() -> Value {
    draft07::<Values>("Values of one environment")
}

/// Schema of an order: the input of the portal's actions and the shape of its form.
pub fn order() -> Value {
    draft07::<Order>("Order of a database")
}

/// Input of an update.
pub fn update() -> Value {
    draft07::<Update>("Change of a database")
}

/// Input of a refresh.
pub fn refresh() -> Value {
    draft07::<Refresh>("Refresh of a database")
}

/// Input of an extension.
pub fn extend() -> Value {
    draft07::<Extend>("New expiry of a database")
}

/// `spec` for the CRD: structural, with CEL rules.
pub fn spec_structural() -> Value {
    structural::<PostgresVdbSpec>()
}

/// `spec` of a kind of action.
pub fn action_structural(kind: crate::actions::Kind) -> Value {
    use crate::actions::{Kind, RefreshSpec, RewindSpec, SnapshotSpec, TaskSpec};
    match kind {
        Kind::PostgresRefresh => structural::<RefreshSpec>(),
        Kind::PostgresRewind => structural::<RewindSpec>(),
        Kind::PostgresSnapshot => structural::<SnapshotSpec>(),
        Kind::PostgresTask => structural::<TaskSpec>(),
    }
}

/// `status` of every action.
pub fn action_status_structural() -> Value {
    structural::<crate::actions::ActionStatus>()
}

/// `status` for the CRD.
pub fn status_structural() -> Value {
    structural::<PostgresVdbStatus>()
}

fn draft07<T: JsonSchema>(title: &str) -> Value {
    let settings = SchemaSettings::draft07().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(plain).transform(&mut schema);
    schema.insert("title".into(), title.into());
    schema.to_value()
}

fn structural<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(structure).transform(&mut schema);
    schema.remove("title");
    schema.to_value()
}

/// Keywords of Kubernetes and number formats mean nothing to a JSON Schema reader.
fn plain(schema: &mut Schema) {
    without_null(schema);
    for key in [
        "x-kubernetes-validations",
        "x-kubernetes-int-or-string",
        "format",
        "nullable",
    ] {
        schema.remove(key);
    }
}

/// A structural schema has neither closed objects nor unsigned formats, and says "absent", never null.
fn structure(schema: &mut Schema) {
    without_null(schema);
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.remove("additionalProperties");
    }
    if schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|f| f.starts_with("uint"))
    {
        schema.remove("format");
    }
    schema.remove("nullable");
    schema.remove("title");
}

/// An optional field is one that may be absent: null is refused, so that nobody has to handle two kinds of nothing.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(options)) = schema.get_mut("enum") {
        options.retain(|o| !o.is_null());
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else {
        return;
    };
    choices.retain(|c| {
        c.get("type").and_then(Value::as_str) != Some("null")
            && c.get("enum") != Some(&Value::Array(vec![Value::Null]))
    });
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        for (key, value) in only {
            if schema.get(&key).is_none() {
                schema.insert(key, value);
            }
        }
    }
}

static VALUES: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(&values()));
static ORDER: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(&order()));
static UPDATE: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(&update()));
static REFRESH: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(&refresh()));
static EXTEND: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator(&extend()));

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::validator_for(schema).expect("the generated schema is a schema: a test compiles it")
}

/// Everything in which a values file departs from its schema.
pub fn check_values(instance: &Value) -> Vec<Problem> {
    VALUES
        .iter_errors(instance)
        .flat_map(|error| explain(&error))
        .collect()
}

/// Everything in which an order departs from its schema.
pub fn check_order(instance: &Value) -> Vec<Problem> {
    check_input(&ORDER, instance)
}

/// Everything in which the input of an update departs from its schema.
pub fn check_update(instance: &Value) -> Vec<Problem> {
    check_input(&UPDATE, instance)
}

/// Everything in which the input of a refresh departs from its schema.
pub fn check_refresh(instance: &Value) -> Vec<Problem> {
    check_input(&REFRESH, instance)
}

/// Everything in which the input of an extension departs from its schema.
pub fn check_extend(instance: &Value) -> Vec<Problem> {
    check_input(&EXTEND, instance)
}

fn check_input(validator: &jsonschema::Validator, instance: &Value) -> Vec<Problem> {
    validator
        .iter_errors(instance)
        .flat_map(|error| explain(&error))
        .map(with_field)
        .collect()
}

fn with_field(problem: Problem) -> Problem {
    let field = problem
        .pointer
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    if field.is_empty() {
        problem
    } else {
        Problem {
            field: Some(field),
            ..problem
        }
    }
}

fn explain(error: &jsonschema::ValidationError<'_>) -> Vec<Problem> {
    use jsonschema::error::ValidationErrorKind as Kind;
    let pointer = error.instance_path().as_str().to_owned();
    let value = match error.instance().as_ref() {
        Value::String(text) => quoted(text),
        other => other.to_string().chars().take(60).collect(),
    };
    let at = |message: String| Problem::at(pointer.clone(), message);
    vec![match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            return unexpected
                .iter()
                .map(|key| {
                    at(format!("unknown key {}", quoted(key)))
                        .hint("remove it, or check its spelling")
                })
                .collect();
        }
        Kind::Required { property } => at(format!("{property} is missing")).hint("add it"),
        Kind::Type { .. } => at(format!("{value} has the wrong type: {}", tail(error))),
        Kind::Enum { options } => {
            at(format!("{value} is none of the choices")).hint(format!("use one of {options}"))
        }
        Kind::Pattern { pattern } => {
            at(format!("{value} is not allowed here")).hint(pattern_hint(pattern))
        }
        Kind::MaxLength { limit } => {
            at(format!("{value} is too long")).hint(format!("use at most {limit} characters"))
        }
        Kind::MinLength { limit } => {
            at(format!("{value} is too short")).hint(format!("use at least {limit} characters"))
        }
        Kind::Maximum { limit } => {
            at(format!("{value} is too large")).hint(format!("use at most {limit}"))
        }
        Kind::Minimum { limit } => {
            at(format!("{value} is too small")).hint(format!("use at least {limit}"))
        }
        Kind::MaxItems { limit } => {
            at("the list is too long".to_owned()).hint(format!("keep at most {limit} entries"))
        }
        Kind::AnyOf { .. } => {
            at(format!("{value} has the wrong type")).hint("write a number or a text")
        }
        _ => at(tail(error)),
    }]
}

fn tail(error: &jsonschema::ValidationError<'_>) -> String {
    error.to_string().chars().take(200).collect()
}

/// What to write, for the patterns that people meet.
fn pattern_hint(pattern: &str) -> String {
    if pattern == crate::quantity::PATTERN {
        return "write a Kubernetes quantity, for example 500m, 2, 512Mi or 1Gi".into();
    }
    if pattern.starts_with("^('[^'") {
        return "write the value bare or in one pair of single quotes, without other quotes, backslashes or line breaks".into();
    }
    if pattern.contains("(s|m|h)") {
        return "write a duration, for example 30s, 5m or 1h".into();
    }
    format!("it has to match {pattern}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_schemas_compile() {
        LazyLock::force(&VALUES);
        for inputs in [&ORDER, &UPDATE, &REFRESH, &EXTEND] {
            LazyLock::force(inputs);
        }
    }

    #[test]
    fn nothing_of_kubernetes_is_left_for_json_schema_readers() {
        for schema in [values(), order(), update(), refresh(), extend()] {
            let text = schema.to_string();
            assert!(!text.contains("x-kubernetes"), "{text}");
            assert!(!text.contains("\"null\""), "{text}");
            assert!(!text.contains("$ref"), "{text}");
        }
    }

    #[test]
    fn the_structural_schema_keeps_its_rules() {
        let schema = spec_structural();
        assert!(schema["x-kubernetes-validations"].is_array());
        let text = schema.to_string();
        for absent in [
            "additionalProperties\":false",
            "$ref",
            "\"null\"",
            "nullable",
            "uint16",
        ] {
            assert!(!text.contains(absent), "{absent}");
        }
        assert_eq!(
            schema["properties"]["resources"]["properties"]["limits"]["properties"]["cpu"]["x-kubernetes-int-or-string"],
            true
        );
        assert!(
            schema["properties"]["hooks"]["items"]
                .to_string()
                .find("\"default\"")
                .is_none(),
            "Argo CD compares lists whole"
        );
    }
}
