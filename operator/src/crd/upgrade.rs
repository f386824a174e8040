//! Objects that an earlier definition let in stay valid: the schema only ever becomes wider.

use serde_json::Value;

const FIRST: &str = include_str!("../../tests/manifests/first-definition.yaml");

/// Where the later schema refuses, or drops, what the earlier one let in.
fn narrower(at: &str, earlier: &Value, later: &Value, out: &mut Vec<String>) {
    let mut say = |what: String| out.push(format!("{at}: {what}"));
    let list = |schema: &Value, key: &str| schema[key].as_array().cloned().unwrap_or_default();
    for same in ["type", "format", "x-kubernetes-int-or-string"] {
        if !later[same].is_null() && earlier[same] != later[same] {
            say(format!("{same} {} is now {}", earlier[same], later[same]));
        }
    }
    // Patterns cannot be compared by what they match: a change needs a look.
    if !later["pattern"].is_null() && earlier["pattern"] != later["pattern"] {
        say(format!("pattern {}", later["pattern"]));
    }
    for (key, sign) in [
        ("minimum", 1.0),
        ("minLength", 1.0),
        ("minItems", 1.0),
        ("maximum", -1.0),
        ("maxLength", -1.0),
        ("maxItems", -1.0),
        ("maxProperties", -1.0),
    ] {
        let limit = |schema: &Value| schema[key].as_f64().map(|limit| limit * sign);
        match (limit(earlier), limit(later)) {
            (_, None) => {}
            (Some(before), Some(now)) if now <= before => {}
            (before, now) => say(format!("{key} from {before:?} to {now:?}")),
        }
    }
    for required in list(later, "required") {
        if !list(earlier, "required").contains(&required) {
            say(format!("{required} is now required"));
        }
    }
    if !later["enum"].is_null() {
        for choice in list(earlier, "enum") {
            if !list(later, "enum").contains(&choice) {
                say(format!("{choice} is no choice any more"));
            }
        }
    }
    let rules = |schema: &Value| -> Vec<Value> {
        list(schema, "x-kubernetes-validations")
            .iter()
            .map(|rule| rule["rule"].clone())
            .collect()
    };
    let known = rules(earlier);
    for rule in rules(later) {
        if !known.contains(&rule) {
            say(format!("new rule {rule}"));
        }
    }
    let open = !later["additionalProperties"].is_null();
    for (name, schema) in earlier["properties"].as_object().into_iter().flatten() {
        match &later["properties"][name] {
            Value::Null if open => {}
            Value::Null => out.push(format!("{at}/{name}: dropped")),
            now => narrower(&format!("{at}/{name}"), schema, now, out),
        }
    }
    for inner in ["items", "additionalProperties"] {
        if earlier[inner].is_object() {
            narrower(
                &format!("{at}/{inner}"),
                &earlier[inner],
                &later[inner],
                out,
            );
        }
    }
}

fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

#[test]
fn what_the_first_definition_let_in_is_let_in() {
    let first: Value = environment::yaml::read(FIRST).unwrap();
    let now = super::definition();
    for kept in ["group", "scope"] {
        assert_eq!(first["spec"][kept], now["spec"][kept]);
    }
    for kept in ["kind", "plural", "singular", "listKind"] {
        assert_eq!(first["spec"]["names"][kept], now["spec"]["names"][kept]);
    }
    let version = |of: &Value| of["spec"]["versions"][0]["name"].clone();
    assert_eq!(version(&first), version(&now));
    let mut found = Vec::new();
    narrower("", schema(&first), schema(&now), &mut found);
    // The first definition forbade every change of the source; this one forbids it once something was ordered.
    found.retain(|what| !what.contains("self.spec.source == oldSelf.spec.source"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_narrower_schema_is_seen() {
    let now = super::definition();
    let mut changed = now.clone();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let at = |path: &str| format!("{spec}{path}");
    let set = |definition: &mut Value, path: &str, value: Value| {
        *definition.pointer_mut(&at(path)).unwrap() = value;
    };
    set(
        &mut changed,
        "/required",
        serde_json::json!(["source", "database", "image"]),
    );
    set(&mut changed, "/properties/port/minimum", 5000.into());
    set(&mut changed, "/properties/image/maxLength", 10.into());
    set(
        &mut changed,
        "/properties/mode/enum",
        serde_json::json!(["Primary"]),
    );
    set(&mut changed, "/properties/mountPath/pattern", "^/$".into());
    set(
        &mut changed,
        "/properties/hooks/items/properties/stage/type",
        "integer".into(),
    );
    let gone = at("/properties/database/properties");
    let database = changed.pointer_mut(&gone).unwrap().as_object_mut().unwrap();
    database.remove("createIfMissing");
    let mut found = Vec::new();
    narrower("", schema(&now), schema(&changed), &mut found);
    assert_eq!(found.len(), 7, "{found:#?}");
    found.clear();
    narrower("", schema(&now), schema(&now), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}
