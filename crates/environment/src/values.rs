//! The values file of an environment: `environments/<env>/values.yaml`, a closed schema.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::names::EnvironmentName;
use crate::problem::Problems;
use crate::spec::{PostgresVdbSpec, Resources};
use crate::{validate, yaml};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Values {
    /// The catalog entity that owns the environment, for example group:default/team-orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 200),
        regex(pattern = r"^([a-z]+:)?([A-Za-z0-9._-]+/)?[A-Za-z0-9._-]+$")
    )]
    pub owner: Option<String>,
    /// Environments that may order from bookmarks of this one's databases; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 50),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9*-]+$"))
    )]
    pub share_with: Vec<String>,
    /// The order that this file carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The database `<env>-vdb`: the spec of its PostgresVDB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vdb: Option<VdbValues>,
    /// Further databases, `<env>-<key>-vdb` each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vdbs: BTreeMap<String, VdbValues>,
    /// What a database of this file has where it does not say itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<Global>,
    /// A name for people; the directory names the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The branch that the environment is for; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_branch: Option<String>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Map<String, Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Map<String, Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<Map<String, Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Map<String, Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_annotations: Option<Map<String, Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Map<String, Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Map<String, Value>>,
    /// Accepted so that existing files keep working; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_wave: Option<Value>,
    /// Set by the ApplicationSet for every environment; refused in a values file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "granted")]
    pub platform: Option<Map<String, Value>>,
}

impl Values {
    /// Reads and checks a values file.
    ///
    /// # Errors
    /// Every problem that is not just a warning.
    pub fn parse(name: &EnvironmentName, text: &str) -> Result<Self, Problems> {
        Self::checked(name, yaml::read(text))
    }

    /// Checks what was read from a values file.
    pub(crate) fn checked(
        name: &EnvironmentName,
        read: Result<Value, String>,
    ) -> Result<Self, Problems> {
        let (values, problems) = validate::check(name, read);
        let refused: Vec<_> = problems.into_iter().filter(|p| !p.warning).collect();
        match values {
            Some(values) if refused.is_empty() => Ok(values),
            _ => Err(Problems(refused)),
        }
    }

    /// Whether a file says that the environment, or one of its databases, may not be deleted. Read without the schema:
    /// what once was merged counts, also where the file is not valid any more.
    pub fn is_protected(text: &str) -> bool {
        let Ok(values) = yaml::read::<Value>(text) else {
            return false;
        };
        let set = |value: &Value| value.get("protected") == Some(&Value::Bool(true));
        let databases = values.get("vdbs").and_then(Value::as_object);
        set(&values)
            || values.get("vdb").is_some_and(set)
            || databases.is_some_and(|all| all.values().any(set))
    }

    /// # Errors
    /// A value that YAML cannot hold.
    pub fn to_yaml(&self) -> Result<String, String> {
        yaml::write(self)
    }
}

/// What the chart reads of `platform`.
fn granted(_: &mut SchemaGenerator) -> Schema {
    let amounts =
        json!({ "type": "object", "additionalProperties": { "type": ["string", "number"] } });
    let name = json!({ "type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$" });
    let account = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": { "namespace": name, "serviceAccount": name },
    });
    json_schema!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "operator": account,
            "sidecar": account,
            "targetHosts": { "type": "array", "maxItems": 50, "items": { "type": "string", "pattern": "^[0-9a-f.:]+/[0-9]{1,3}$" } },
            "quota": amounts,
            "limits": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "default": amounts,
                    "defaultRequest": amounts,
                    "max": amounts,
                    "min": amounts,
                    "maxLimitRequestRatio": amounts,
                },
            },
        },
    })
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// `<env>.<operation>-<digest>`: the order's branch without its prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9._-]*$"))]
    pub id: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9:/._@+-]*$"))]
    pub by: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Global {
    /// Reference of the source, for example 10.0.1.54:largedb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub source_database: Option<String>,
    /// Image of the databases that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub postgres_image: Option<String>,
    /// Storage class of the databases that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Resources of the databases that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_resources: Option<ResourcesValues>,
}

/// Resources as written: a number stays a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourcesValues(pub Map<String, Value>);

impl JsonSchema for ResourcesValues {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Resources::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Resources::json_schema(generator)
    }
}

/// The spec of one database as written: `global` and the schema's defaults complete it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VdbValues(pub Map<String, Value>);

impl JsonSchema for VdbValues {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Vdb".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = PostgresVdbSpec::json_schema(generator);
        // source may come from global; database has defaults for both of its fields
        schema.remove("required");
        schema
    }
}
