//! Another image, size or setting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::edit::Edit;
use crate::order::part;
use crate::problem::Problem;
use crate::quantity::{self, Quantity};
use crate::render::DEFAULT_IMAGE;
use crate::spec::Setting;

/// What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    /// Name of the environment
    #[schemars(length(min = 1, max = 36))]
    pub name: String,
    /// The image; its major version must be that of the data
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
    /// Settings of the server to set; others stay as they are
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub postgres_config: Vec<Setting>,
    /// Shown in the pull request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub reason: Option<String>,
    /// Idempotency key: the same key never leads to a second pull request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9._:-]*$"))]
    pub request_id: Option<String>,
}

/// Fields of an order that no update changes, and why.
const FIXED: [(&str, &str, &str); 8] = [
    (
        "initSql",
        "initSql ran once, when the copy was made",
        "run the SQL in the database, or retire it and order it again",
    ),
    ("source", OTHER_DATA, ORDER_AGAIN),
    ("snapshotId", OTHER_DATA, ORDER_AGAIN),
    ("database", OTHER_DATA, ORDER_AGAIN),
    ("user", OTHER_DATA, ORDER_AGAIN),
    ("createIfMissing", OTHER_DATA, ORDER_AGAIN),
    (
        "owner",
        "an update does not change the owner",
        "hand the environment over by a pull request of your own",
    ),
    (
        "description",
        "the description stands in the catalog file, which an update does not touch",
        "change catalog-info.yaml by a pull request of your own",
    ),
];
const OTHER_DATA: &str = "it was decided when the copy was made";
const ORDER_AGAIN: &str = "retire the environment and order it again";

/// A field that an order has and an update has not is refused with the reason, not as unknown.
pub(super) fn explain_fixed(input: &Value, problems: &mut Vec<Problem>) {
    for (field, why, instead) in FIXED {
        let given = |value: &Value| !value.is_null() && value.as_str() != Some("");
        if input.get(field).is_some_and(given) {
            problems.retain(|p| p.message != format!("unknown key \"{field}\""));
            problems.push(Problem::field(field, format!("/{field}"), why).hint(instead));
        }
    }
}

impl Update {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let nothing = self.image.is_none() && self.cpu.is_none() && self.memory.is_none();
        if nothing && self.postgres_config.is_empty() {
            problems.push(
                Problem::at("", "there is nothing to change")
                    .hint("give image, cpu, memory or postgresConfig"),
            );
        }
        for (i, setting) in self.postgres_config.iter().enumerate() {
            let same = |other: &Setting| other.name.eq_ignore_ascii_case(&setting.name);
            if self.postgres_config[..i].iter().any(same) {
                let at = format!("/postgresConfig/{i}/name");
                let message = format!("setting {} stands twice", setting.name);
                problems
                    .push(Problem::field("postgresConfig", at, message).hint("keep one of them"));
            }
        }
        problems
    }

    /// The order of settings and who asks do not make another wish.
    pub(super) fn content(&self) -> String {
        let mut settings: Vec<_> = self
            .postgres_config
            .iter()
            .map(|s| (s.name.to_lowercase(), &s.value))
            .collect();
        settings.sort_unstable();
        json!([self.image, self.cpu, self.memory, settings]).to_string()
    }

    /// What differs from the file.
    pub(super) fn edits(&self, values: &Value) -> Result<Vec<Edit>, Problem> {
        let at = |pointer: &str| values.pointer(pointer);
        let mut edits = Vec::new();
        if let Some(image) = &self.image {
            let now = at("/vdb/image").or_else(|| at("/global/postgresImage"));
            if now.map_or(Some(DEFAULT_IMAGE), Value::as_str) != Some(image) {
                edits.push(Edit::set("/vdb/image", image.as_str()));
            }
        }
        edits.extend(self.resources(at("/vdb/resources"), at("/global/defaultResources")));
        edits.extend(self.settings(at("/vdb/postgresConfig"))?);
        Ok(edits)
    }

    /// Limits as wanted. A request follows its limit where it was derived from it; one chosen by hand stays.
    fn resources(&self, own: Option<&Value>, default: Option<&Value>) -> Vec<Edit> {
        let now = own.or(default);
        let text = |list: &str, name: &str| match now?.get(list)?.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let mut changes: Vec<(String, String)> = Vec::new();
        for (name, wanted, parts) in [("cpu", &self.cpu, 10), ("memory", &self.memory, 2)] {
            let Some(wanted) = wanted else { continue };
            let (limit, request) = (text("limits", name), text("requests", name));
            if limit.as_ref().is_some_and(|limit| equal(limit, wanted)) {
                continue;
            }
            let follows = match (&limit, &request) {
                (None, None) => now.is_none().then(|| part(wanted, parts)),
                (Some(limit), Some(request)) if equal(limit, request) => Some(wanted.clone()),
                (Some(limit), Some(request)) if equal(&part(limit, parts), request) => {
                    Some(part(wanted, parts))
                }
                _ => None,
            };
            if let Some(request) = follows {
                changes.push((format!("/requests/{name}"), request));
            }
            changes.push((format!("/limits/{name}"), wanted.clone()));
        }
        let edit = |base: &str, (place, value): &(String, String)| {
            Edit::set(format!("{base}{place}"), value.as_str())
        };
        if own.is_some() || changes.is_empty() {
            return changes.iter().map(|c| edit("/vdb/resources", c)).collect();
        }
        // A map of its own hides the whole default: it has to say what the default said.
        let mut whole = default.cloned().unwrap_or(Value::Object(Map::new()));
        for change in &changes {
            if edit("", change).on(&mut whole).is_err() {
                return changes.iter().map(|c| edit("/vdb/resources", c)).collect();
            }
        }
        vec![Edit::set("/vdb/resources", whole)]
    }

    fn settings(&self, now: Option<&Value>) -> Result<Vec<Edit>, Problem> {
        let place = "/vdb/postgresConfig";
        let there = match now {
            None | Some(Value::Null) => &Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                return Err(Problem::at(place, "postgresConfig of the file is no list")
                    .hint("mend the file by a pull request"));
            }
        };
        let named = |item: &Value, name: &str| {
            item["name"]
                .as_str()
                .is_some_and(|n| n.eq_ignore_ascii_case(name))
        };
        let mut edits = Vec::new();
        let mut new = Vec::new();
        for setting in &self.postgres_config {
            match there.iter().position(|item| named(item, &setting.name)) {
                Some(i) if there[i]["value"] == setting.value.as_str() => {}
                Some(i) => edits.push(Edit::set(
                    format!("{place}/{i}/value"),
                    setting.value.as_str(),
                )),
                None => new.push(json!(setting)),
            }
        }
        if there.is_empty() && !new.is_empty() {
            edits.push(Edit::set(place, Value::Array(new)));
        } else {
            edits.extend(new.into_iter().map(|s| Edit::set(format!("{place}/-"), s)));
        }
        Ok(edits)
    }
}

/// Whether two quantities are one, however they are written.
fn equal(one: &str, other: &str) -> bool {
    one == other || Quantity::new(one).milli() == Quantity::new(other).milli()
}
