//! An order: what somebody fills in to get one database. The input of the portal's actions and of `vdb env create`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::names::EnvironmentName;
use crate::problem::{Problem, Problems};
use crate::quantity::{self, Quantity};
use crate::schema;
use crate::spec::{PostgresVdbSpec, Setting};
use crate::validate;

/// The fields are flat: forms, command-line flags and agents fill them in one by one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// Name of the environment: lower-case letters, digits and '-', at most 36 characters
    #[schemars(
        length(min = 1, max = 36),
        regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Who owns it: a catalog entity, for example group:default/team-orders
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^([a-z]+:)?([A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+$")
    )]
    pub owner: String,
    /// The source of the data, for example 10.0.1.54:largedb
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    )]
    pub source: String,
    /// A snapshot of the source; the latest where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 128),
        regex(pattern = r"^([A-Za-z0-9][A-Za-z0-9._:@-]*)?$")
    )]
    pub snapshot_id: Option<String>,
    /// The database that the application connects to
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_-]*$")
    )]
    pub database: String,
    /// The application's role
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_-]*$")
    )]
    pub user: String,
    /// Creates the database when the copy lacks it
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_if_missing: bool,
    /// The image; postgres:16.9 where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 255),
        regex(pattern = r"^([a-zA-Z0-9][a-zA-Z0-9._:/@-]*)?$")
    )]
    pub image: Option<String>,
    /// CPU of the database, for example 500m or 2
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = quantity::PATTERN))]
    pub cpu: Option<String>,
    /// Memory of the database, for example 512Mi
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = quantity::PATTERN))]
    pub memory: Option<String>,
    /// Settings of the server
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub postgres_config: Vec<Setting>,
    /// SQL that runs once, as the application's role, before anybody gets in
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub init_sql: Option<String>,
    /// What it is for
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub description: Option<String>,
    /// Idempotency key: the same key never leads to a second pull request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9._:-]*$"))]
    pub request_id: Option<String>,
}

impl Order {
    /// Reads and checks the input of an action. Empty texts of a form count as absent.
    ///
    /// # Errors
    /// Every problem, each with the form's field.
    pub fn parse(input: &Value) -> Result<Self, Problems> {
        let input = without_empty(input);
        let mut problems = schema::check_order(&input);
        if let Some(name) = input.get("name").and_then(Value::as_str)
            && let Err(problem) = EnvironmentName::parse(name)
        {
            problems.retain(|p| p.pointer != "/name");
            problems.push(problem);
        }
        hostile_text(&input, &mut problems);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let order: Self = serde_json::from_value(input).map_err(|error| {
            Problems::from(Problem::at(
                "",
                format!("the order is not readable: {error}"),
            ))
        })?;
        let problems: Vec<_> = validate::spec_problems(&order.spec())
            .into_iter()
            .filter(|p| !p.warning)
            .map(form_field)
            .collect();
        if problems.is_empty() {
            Ok(order)
        } else {
            Err(Problems(problems))
        }
    }

    /// The environment's name, which [`Order::parse`] has checked.
    ///
    /// # Errors
    /// The order was not made by [`Order::parse`].
    pub fn environment(&self) -> Result<EnvironmentName, Problem> {
        EnvironmentName::parse(&self.name)
    }

    /// The spec that this order asks for. Of what it may use it reserves half the memory and a tenth of the CPU:
    /// copies are idle most of the time.
    pub fn spec(&self) -> PostgresVdbSpec {
        serde_json::from_value(self.spec_json())
            .expect("an order has all that a spec requires: a test holds it")
    }

    /// The spec as the values file writes it: only what the order says.
    pub fn spec_json(&self) -> Value {
        let mut spec = Map::new();
        let mut source = json!({ "type": "dct-source", "reference": self.source });
        if let Some(snapshot) = &self.snapshot_id {
            source["snapshotId"] = json!(snapshot);
        }
        spec.insert("source".into(), source);
        let mut database = json!({ "name": self.database, "user": self.user });
        if self.create_if_missing {
            database["createIfMissing"] = json!(true);
        }
        spec.insert("database".into(), database);
        if let Some(image) = &self.image {
            spec.insert("image".into(), json!(image));
        }
        if self.cpu.is_some() || self.memory.is_some() {
            spec.insert("resources".into(), self.resources());
        }
        if !self.postgres_config.is_empty() {
            spec.insert("postgresConfig".into(), json!(self.postgres_config));
        }
        if let Some(script) = &self.init_sql {
            spec.insert("hooks".into(), json!([{ "name": "init", "stage": "post-create", "type": "sql", "script": script }]));
        }
        Value::Object(spec)
    }

    fn resources(&self) -> Value {
        let mut requests = Map::new();
        let mut limits = Map::new();
        for (key, value, parts) in [("cpu", &self.cpu, 10), ("memory", &self.memory, 2)] {
            if let Some(value) = value {
                requests.insert(key.into(), json!(part(value, parts)));
                limits.insert(key.into(), json!(value));
            }
        }
        json!({ "requests": requests, "limits": limits })
    }
}

/// One of `parts` equal parts of a quantity, without fractions: half of `1Gi` is `512Mi`, a tenth of `1` is `100m`.
pub(crate) fn part(quantity: &str, parts: u128) -> String {
    let Some(milli) = Quantity::new(quantity).milli() else {
        return quantity.to_owned();
    };
    let part = milli / parts;
    if quantity.ends_with('i') && part.is_multiple_of(1_000 << 20) {
        return format!("{}Mi", part / (1_000 << 20));
    }
    if part.is_multiple_of(1_000) {
        (part / 1_000).to_string()
    } else {
        format!("{part}m")
    }
}

pub(crate) fn without_empty(input: &Value) -> Value {
    match input {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, v)| !v.is_null() && v.as_str() != Some(""))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// What no field may hold, whatever its schema says: template syntax, and characters that cannot be seen.
pub(crate) fn hostile_text(input: &Value, problems: &mut Vec<Problem>) {
    let Value::Object(fields) = input else { return };
    for (key, value) in fields {
        if problems.iter().any(|p| p.field.as_deref() == Some(key)) {
            continue;
        }
        let problem = |message: String, hint: &str| {
            Problem::field(key, format!("/{key}"), message).hint(hint)
        };
        if any_text(value, &|text| text.contains("{{") || text.contains("{%")) {
            problems.push(problem(
                format!("{key} has template syntax"),
                "write the value itself, without {{ or {%",
            ));
        } else if any_text(value, &|text| text.chars().any(invisible)) {
            problems.push(problem(
                format!("{key} has control characters"),
                "remove the characters that cannot be seen",
            ));
        }
    }
}

fn any_text(value: &Value, matches: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => matches(text),
        Value::Array(items) => items.iter().any(|i| any_text(i, matches)),
        Value::Object(fields) => fields.values().any(|f| any_text(f, matches)),
        _ => false,
    }
}

fn invisible(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        // Line breaks to some readers of YAML and none to others, and what no reader takes.
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Which form field a problem of the spec belongs to.
fn form_field(problem: Problem) -> Problem {
    let field = match problem.pointer.split('/').nth(1) {
        Some("resources") if problem.pointer.ends_with("memory") => "memory",
        Some("resources") => "cpu",
        Some("postgresConfig") => "postgresConfig",
        Some("hooks") => "initSql",
        Some("source") => "source",
        _ => "database",
    };
    Problem {
        field: Some(field.into()),
        ..problem
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    pub(crate) fn input() -> Value {
        json!({
            "name": "feat-1", "owner": "group:default/team-orders", "source": "10.0.1.54:largedb",
            "database": "largedb", "user": "app", "cpu": "1", "memory": "512Mi", "snapshotId": "",
            "postgresConfig": [{ "name": "work_mem", "value": "8MB" }], "initSql": "create table t();\nselect 'a';",
            "requestId": "task-1",
        })
    }

    #[test]
    fn a_good_order_becomes_a_spec() {
        let order = Order::parse(&input()).unwrap();
        assert_eq!(order.snapshot_id, None, "an empty text of a form is absent");
        let spec = order.spec();
        assert_eq!(spec.resources.requests.memory.unwrap().as_str(), "256Mi");
        assert_eq!(spec.resources.requests.cpu.unwrap().as_str(), "100m");
        assert_eq!(spec.hooks.len(), 1);
    }

    #[rstest]
    #[case("name", json!("../x"))]
    #[case("name", json!("Feat"))]
    #[case("name", json!("a\nb"))]
    #[case("name", json!("main"))]
    #[case("owner", json!("a b"))]
    #[case("source", json!("x; drop"))]
    #[case("memory", json!("1GB"))]
    #[case("user", json!("${{ secrets.x }}"))]
    #[case("initSql", json!("select '{{ x }}'"))]
    #[case("initSql", json!("select \u{0}"))]
    #[case("postgresConfig", json!([{ "name": "a", "value": "x'y" }]))]
    #[case("postgresConfig", json!([{ "name": "a", "value": "1" }, { "name": "A", "value": "2" }]))]
    #[case("surprise", json!(1))]
    fn each_wrong_field_is_named(#[case] field: &str, #[case] value: Value) {
        let mut input = input();
        input[field] = value;
        let Problems(problems) = Order::parse(&input).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        let problem = &problems[0];
        assert!(
            problem.field.as_deref() == Some(field) || problem.message.contains(field),
            "{problem:?}"
        );
    }

    #[test]
    fn all_problems_come_at_once() {
        let Problems(problems) =
            Order::parse(&json!({ "name": "X", "memory": "1GB" })).unwrap_err();
        assert!(problems.len() >= 5, "{problems:#?}");
    }

    #[test]
    fn parts_are_written_without_fractions() {
        for (whole, parts, expected) in [
            ("1Gi", 2, "512Mi"),
            ("512Mi", 2, "256Mi"),
            ("500m", 10, "50m"),
            ("2", 2, "1"),
            ("1", 10, "100m"),
            ("1G", 2, "500000000"),
        ] {
            assert_eq!(part(whole, parts), expected);
        }
    }
}
