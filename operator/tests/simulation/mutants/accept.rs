//! What the API server refuses before anybody sees it: the structural schema through a JSON Schema validator, and the
//! schema's few rules in CEL once more by hand, because there is no interpreter for CEL here. The source's rule, which
//! compares with the object before, is the caller's. `.ci/scale check` asks a real API server the same.

use environment::quantity::Quantity;
use serde_json::Value;

pub(crate) struct Server {
    schema: Value,
    validator: jsonschema::Validator,
}

impl Server {
    pub(crate) fn new() -> Self {
        let definition = operator::crd::definition();
        let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let schema = root["properties"]["spec"].clone();
        let rules = count(&schema);
        assert_eq!(rules, 7, "a rule in CEL is new: write it below as well");
        let validator = jsonschema::validator_for(&schema).unwrap();
        Self { schema, validator }
    }

    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }

    /// What would be stored, but for defaults: those are the types' own, too.
    pub(crate) fn accepts(&self, spec: &Value) -> Result<Value, String> {
        let mut stored = spec.clone();
        prune(&self.schema, &mut stored);
        let spec = &stored;
        if beyond(spec) {
            return Err(
                "a number beyond 64 bits is read as a fraction, and no field takes one".to_owned(),
            );
        }
        if let Some(error) = self.validator.iter_errors(spec).next() {
            return Err(error.to_string());
        }
        let rules = [
            !differ(&spec["ownershipSpec"], &spec["OwnershipSpec"]),
            unique(&spec["hooks"]),
            unique(&spec["postgresConfig"]),
            ["snapshotId", "timestamp", "bookmark"]
                .iter()
                .filter(|name| !spec["source"][**name].is_null())
                .count()
                <= 1,
            spec["database"]["password"].is_null()
                || spec["database"]["passwordSecretRef"].is_null(),
            covers(&spec["resources"], "cpu"),
            covers(&spec["resources"], "memory"),
        ];
        match rules.iter().position(|holds| !holds) {
            Some(rule) => Err(format!("rule {rule}")),
            None => Ok(stored),
        }
    }
}

/// A field that is null is taken for one that is not there.
fn prune(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            for (name, value) in fields {
                let known = schema["properties"].get(name);
                prune(known.unwrap_or(&schema["additionalProperties"]), value);
            }
        }
        Value::Array(items) => {
            for item in items {
                prune(&schema["items"], item);
            }
        }
        _ => {}
    }
}

fn beyond(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(beyond),
        Value::Array(items) => items.iter().any(beyond),
        other => other.is_u64() && !other.is_i64(),
    }
}

fn count(schema: &Value) -> usize {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value {
                Value::Array(rules) if name == "x-kubernetes-validations" => rules.len(),
                other => count(other),
            })
            .sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

fn differ(a: &Value, b: &Value) -> bool {
    !a.is_null() && !b.is_null() && a != b
}

fn unique(list: &Value) -> bool {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let times = |name: &Value| items.iter().filter(|i| i["name"] == *name).count();
    items.iter().all(|item| times(&item["name"]) == 1)
}

/// The limit is not below the request.
fn covers(resources: &Value, what: &str) -> bool {
    let amount = |list: &str| {
        let found = &resources[list][what];
        let quantity: Option<Quantity> = serde_json::from_value(found.clone()).ok();
        quantity.and_then(|q| q.milli())
    };
    match (amount("limits"), amount("requests")) {
        (Some(limit), Some(request)) => limit >= request,
        _ => true,
    }
}
