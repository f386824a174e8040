//! Draws a mutant of a good order: one to three places of the schema get another value, most of them near an edge.

use environment::PostgresVdbSpec;
use serde_json::{Map, Value, json};

use super::Random;

/// One mutant and where it differs.
pub(crate) struct Mutant {
    pub(crate) spec: Value,
    pub(crate) paths: Vec<Vec<String>>,
}

/// The good order that all are mutants of, with the defaults of the schema.
pub(crate) fn base() -> Value {
    let spec: PostgresVdbSpec = serde_json::from_value(json!({
        "source": { "type": "dct-source", "reference": "10.0.1.54:largedb" },
        "database": { "name": "orders", "user": "app" },
        "errorBackoffPeriod": "1m",
    }))
    .unwrap();
    json!(spec)
}

/// Texts that some field takes and others do not.
const TEXTS: [&str; 32] = [
    "",
    "a",
    "Ä",
    "x y",
    "'",
    "0s",
    "1s",
    "90m",
    "5124095576030431h",
    "99999999999999999999h",
    "2026-11-23T10:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-13-41T25:61:61Z",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "*/1 * * * *",
    "0 0 31 2 *",
    "61 * * * *",
    "postgres",
    "pg_monitor",
    "vdb_admin",
    "template1",
    "postgres:16.9",
    "postgres:99",
    "elsewhere.example/postgres:16",
    "largedb",
    "10.0.1.54:largedb",
    "of-d",
    "of-other",
    "999:999",
    "1:1",
    "0:0",
    "a-name",
];
const QUANTITIES: [&str; 8] = [
    "0",
    "1m",
    "2",
    "512Mi",
    "0.5",
    "99999999999999999999P",
    "1GB",
    "-1",
];

pub(crate) fn mutant(random: &mut Random, schema: &Value, base: &Value) -> Mutant {
    let mut mutant = Mutant {
        spec: base.clone(),
        paths: Vec::new(),
    };
    for _ in 0..=random.below(3) {
        let mut path = Vec::new();
        change(random, schema, &mut mutant.spec, &mut path);
        mutant.paths.push(path);
    }
    mutant
}

/// Goes down the schema to one place and puts something else there.
fn change(random: &mut Random, schema: &Value, value: &mut Value, path: &mut Vec<String>) {
    let fields = schema["properties"].as_object();
    if let Some(fields) = fields.filter(|fields| !fields.is_empty() && !random.per_mille(20)) {
        let names: Vec<_> = fields.keys().collect();
        let name = names[random.below(names.len())];
        path.push(name.clone());
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        if random.per_mille(50) {
            value.as_object_mut().unwrap().remove(name);
            return;
        }
        let mut inner = value[name].take();
        change(random, &fields[name], &mut inner, path);
        value[name] = inner;
        return;
    }
    *value = drawn(random, schema);
}

/// Some value for a place: of its type nearly always.
fn drawn(random: &mut Random, schema: &Value) -> Value {
    if random.per_mille(30) {
        return [
            json!(null),
            json!(7),
            json!("seven"),
            json!([]),
            json!({}),
            json!(1.5),
        ][random.below(6)]
        .clone();
    }
    if let Some(all) = schema["enum"].as_array() {
        return all[random.below(all.len())].clone();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return match random.below(QUANTITIES.len() + 2) {
            0 => json!(random.below(9)),
            1 => json!(u64::MAX),
            _ => json!(random.of(&QUANTITIES)),
        };
    }
    match schema["type"].as_str().unwrap_or_default() {
        "string" => text(random, schema),
        "integer" => integer(random, schema),
        "boolean" => json!(random.per_mille(500)),
        "array" => {
            let items = (0..random.below(4)).map(|_| drawn(random, &schema["items"]));
            Value::Array(items.collect())
        }
        "object" => object(random, schema),
        other => panic!("a type that is new: {other:?} in {schema}"),
    }
}

fn text(random: &mut Random, schema: &Value) -> Value {
    if random.per_mille(100) {
        let longest = schema["maxLength"].as_u64().unwrap_or(300);
        let length = usize::try_from(longest).unwrap() + random.below(2);
        return json!("a".repeat(length));
    }
    json!(random.of(&TEXTS))
}

fn integer(random: &mut Random, schema: &Value) -> Value {
    let edge = |name: &str, otherwise| schema[name].as_i64().unwrap_or(otherwise);
    let (least, most) = (edge("minimum", -5), edge("maximum", 70_000));
    let all = [least, most, least - 1, most + 1, 0, i64::MAX, i64::MIN];
    json!(random.of(&all))
}

fn object(random: &mut Random, schema: &Value) -> Value {
    let mut made = Map::new();
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array();
        let required = required.is_some_and(|all| all.iter().any(|r| r == name));
        if random.per_mille(if required { 970 } else { 300 }) {
            made.insert(name.clone(), drawn(random, inner));
        }
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|a| a.is_object()) {
        for name in ["A", "PGOPTIONS", "", "=", "a b"] {
            if random.per_mille(300) {
                made.insert(name.to_owned(), drawn(random, inner));
            }
        }
    }
    Value::Object(made)
}
