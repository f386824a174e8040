//! From an order to the two files of its pull request. The only file that names the template engine.
//!
//! The skeletons are those that the portal's own templating would render: `${{ x }}`, `{% if %}`, `{% for %}` and the
//! filter `dump`. What comes out is read back and held against the order: no value can change the structure.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value as TemplateValue};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::order::Order;
use crate::problem::{Problem, Problems};
use crate::values::{Request, Values};
use crate::yaml;

const VALUES: &str = include_str!("../../../backstage-templates/create/skeleton/values.yaml");
const CATALOG_INFO: &str =
    include_str!("../../../backstage-templates/create/skeleton/catalog-info.yaml");

/// Defaults of the form, for an order that leaves a field out.
pub const DEFAULT_IMAGE: &str = "postgres:16.9";
pub const DEFAULT_CPU: &str = "1";
pub const DEFAULT_MEMORY: &str = "512Mi";

/// Steps that a skeleton may take; a hundred times what the largest order needs.
const FUEL: u64 = 200_000;

/// The files of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub values: String,
    pub catalog_info: String,
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .variable_delimiters("${{", "}}")
            .block_delimiters("{%", "%}")
            .comment_delimiters("{#", "#}")
            .keep_trailing_newline(true)
            .build()
            .expect("the delimiters differ"),
    );
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("dump", dump);
    environment
        .add_template("values.yaml", VALUES)
        .expect("a test compiles the skeleton");
    environment
        .add_template("catalog-info.yaml", CATALOG_INFO)
        .expect("a test compiles the skeleton");
    environment
});

/// `JSON.stringify`, which is what the portal's filter of this name does.
fn dump(value: &TemplateValue) -> Result<String, minijinja::Error> {
    serde_json::to_string(value).map_err(|error| {
        minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string())
    })
}

/// Renders the files of an order.
///
/// # Errors
/// The skeleton does not render, or what it renders is not what was ordered.
pub fn files(order: &Order, request: &Request) -> Result<Files, Problems> {
    let name = order.environment()?;
    let files = draft(order, request)?;
    let written = Values::checked(&name, yaml::read_rendered(&files.values))?;
    let expected = completed(order).spec_json();
    if written.vdb.as_ref().map(|vdb| &vdb.0) != expected.as_object()
        || written.owner.as_deref() != Some(&order.owner)
        || written.request.as_ref().unwrap_or(&Request::default()) != request
    {
        return Err(Problem::at("", "the rendered values are not what was ordered")
            .hint("the skeleton values.yaml writes something else than the order says; mend the skeleton")
            .into());
    }
    let entity = yaml::read_rendered(&files.catalog_info).map_err(|error| {
        Problem::at(
            "",
            format!("the rendered catalog file is not readable as YAML: {error}"),
        )
    })?;
    if entity["metadata"]["name"] != order.name
        || entity["spec"]["owner"] != order.owner
        || entity["metadata"]["description"].as_str() != order.description.as_deref()
    {
        return Err(Problem::at("", "the rendered catalog file is not what was ordered")
            .hint("the skeleton catalog-info.yaml writes something else than the order says; mend the skeleton")
            .into());
    }
    Ok(files)
}

/// What the skeletons make of an order, whatever it holds and before it is held against the order.
///
/// # Errors
/// The skeleton does not render.
pub fn draft(order: &Order, request: &Request) -> Result<Files, Problems> {
    let context = json!({ "values": template_values(order, request) });
    let render = |template: &str| -> Result<String, Problems> {
        TEMPLATES
            .get_template(template)
            .and_then(|t| t.render(minijinja::value::Serde(&context)))
            .map_err(|error| {
                Problem::at(
                    "",
                    format!("the skeleton {template} does not render: {error}"),
                )
                .into()
            })
    };
    Ok(Files {
        values: render("values.yaml")?,
        catalog_info: render("catalog-info.yaml")?,
    })
}

/// Ten hex digits that name the wanted content: equal orders get equal branches.
pub fn digest(operation: &str, content: &str, n: u32) -> String {
    let mut hash = Sha256::new();
    for part in [operation.as_bytes(), content.as_bytes(), &n.to_be_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..5])
}

fn completed(order: &Order) -> Order {
    let or = |value: &Option<String>, default: &str| {
        Some(value.clone().unwrap_or_else(|| default.to_owned()))
    };
    Order {
        image: or(&order.image, DEFAULT_IMAGE),
        cpu: or(&order.cpu, DEFAULT_CPU),
        memory: or(&order.memory, DEFAULT_MEMORY),
        ..order.clone()
    }
}

/// `values` of the skeletons: what the portal's own templating would be given.
pub fn template_values(order: &Order, request: &Request) -> Value {
    let order = completed(order);
    let spec = order.spec_json();
    let dataset = order.source.rsplit(':').next().unwrap_or_default();
    let legal = !dataset.is_empty()
        && dataset.len() <= 63
        && dataset
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    json!({
        "name": order.name,
        "owner": order.owner,
        "source": order.source,
        "sourceEntity": legal.then(|| format!("resource:default/{dataset}")),
        "snapshotId": order.snapshot_id,
        "database": order.database,
        "user": order.user,
        "createIfMissing": order.create_if_missing,
        "image": order.image,
        "cpu": order.cpu,
        "memory": order.memory,
        "requests": spec["resources"]["requests"],
        "postgresConfig": order.postgres_config,
        "initSql": order.init_sql,
        "description": order.description,
        "request": { "id": request.id, "by": request.by },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::EnvironmentName;

    fn order() -> Order {
        Order {
            name: "feat-1".into(),
            owner: "group:default/team-orders".into(),
            source: "10.0.1.54:largedb".into(),
            database: "largedb".into(),
            user: "app".into(),
            ..Order::default()
        }
    }

    fn request() -> Request {
        Request {
            id: Some("feat-1.create-0123456789".into()),
            by: Some("user:default/guest".into()),
        }
    }

    #[test]
    fn a_plain_order_renders_to_values_that_say_just_that() {
        let files = files(&order(), &request()).unwrap();
        let values =
            Values::parse(&EnvironmentName::parse("feat-1").unwrap(), &files.values).unwrap();
        assert_eq!(values.request, Some(request()));
        assert_eq!(
            values.vdb.unwrap().0["resources"]["requests"]["cpu"],
            "100m"
        );
        let entity: Value = yaml::read(&files.catalog_info).unwrap();
        assert_eq!(entity["metadata"]["name"], "feat-1");
        assert_eq!(entity["spec"]["owner"], "group:default/team-orders");
    }

    #[test]
    fn the_skeletons_keep_to_the_dialect_that_both_engines_read_alike() {
        let name = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
        };
        let tag = |text: &str| match text.split(' ').collect::<Vec<_>>()[..] {
            ["endif" | "endfor"] => true,
            // An empty list is true to one engine and false to the other.
            ["if", value] => name(value) && value != "values.postgresConfig",
            ["if", value, "|", "length"] => name(value),
            ["for", item, "in", list] => name(item) && name(list),
            _ => false,
        };
        for skeleton in [VALUES, CATALOG_INFO] {
            assert_eq!(
                skeleton.matches("{%").count(),
                skeleton.matches("{%- ").count()
            );
            for part in skeleton.split("{%- ").skip(1) {
                let text = part.split(" %}").next().unwrap();
                assert!(tag(text), "{text}");
            }
            for part in skeleton.split("${{ ").skip(1) {
                let text = part.split(" }}").next().unwrap();
                let plain = text == "values.name";
                assert!(
                    plain || text.strip_suffix(" | dump").is_some_and(name),
                    "{text}"
                );
            }
            assert!(!skeleton.contains("{#"));
        }
    }

    #[test]
    fn a_digest_tells_operation_content_and_number_apart() {
        assert_eq!(digest("create", "a", 0).len(), 10);
        let all = [
            digest("create", "a", 0),
            digest("create", "a", 1),
            digest("create", "b", 0),
            digest("retire", "a", 0),
        ];
        assert_eq!(
            all.iter().collect::<std::collections::BTreeSet<_>>().len(),
            all.len()
        );
    }
}
