//! What a schema cannot say about a values file: rules between fields, and what has no effect.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::capabilities;
use crate::databases::{self, Database};
use crate::names::{EnvironmentName, quoted};
use crate::problem::Problem;
use crate::spec::{HookStage, HookType, PostgresVdbSpec, SourceType};
use crate::values::Values;
use crate::{schema, yaml};

/// Everything that is wrong with a values file, warnings included.
pub fn values(name: &EnvironmentName, text: &str) -> Vec<Problem> {
    read(name, text).1
}

/// The file as far as it can be read, and everything that is wrong with it.
pub(crate) fn read(name: &EnvironmentName, text: &str) -> (Option<Values>, Vec<Problem>) {
    check(name, yaml::read(text))
}

/// Checks what was read from a file.
pub(crate) fn check(
    name: &EnvironmentName,
    read: Result<Value, String>,
) -> (Option<Values>, Vec<Problem>) {
    let instance = match read {
        Ok(value) => value,
        Err(error) => {
            return (
                None,
                vec![
                    Problem::at("", format!("the file is not readable as YAML: {error}"))
                        .hint("mend the line it names"),
                ],
            );
        }
    };
    let instance = if instance.is_null() {
        Value::Object(serde_json::Map::new())
    } else {
        instance
    };
    let mut problems = schema::check_values(&instance);
    template_syntax("", &instance, &mut problems);
    if instance.get("platform").is_some() {
        problems.push(
            Problem::at(
                "/platform",
                "platform is set for every environment by the ApplicationSet",
            )
            .hint("remove it"),
        );
    }
    no_effect(&instance, &mut problems);
    let values: Option<Values> = serde_json::from_value(instance).ok();
    if let Some(values) = &values {
        let (databases, keys) = databases::of(name, values);
        problems.extend(keys);
        if databases.is_empty() {
            problems.push(
                Problem::at("", "the file orders no database")
                    .hint("add vdb, or remove the file")
                    .warning(),
            );
        }
        for database in &databases {
            check_database(database, &mut problems);
        }
    }
    (values, problems)
}

fn check_database(database: &Database, problems: &mut Vec<Problem>) {
    let pointer = &database.pointer;
    if database.spec.get("source").is_none() {
        problems.push(
            Problem::at(
                format!("{pointer}/source"),
                format!("{} has no source", database.cr_name),
            )
            .hint("set source.reference here, or global.sourceDatabase for all"),
        );
    }
    // What does not parse has been reported by the schema.
    let Ok(spec) = serde_json::from_value::<PostgresVdbSpec>(database.spec.clone()) else {
        return;
    };
    problems.extend(spec_problems(&spec).into_iter().map(|p| Problem {
        pointer: format!("{pointer}{}", p.pointer),
        ..p
    }));
}

/// Rules between the fields of a spec. The CRD's CEL rules refuse the same.
pub fn spec_problems(spec: &PostgresVdbSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    source(spec, &mut problems);
    resources(spec, &mut problems);
    settings(spec, &mut problems);
    hooks(spec, &mut problems);
    problems.extend(capabilities::problems(spec));
    if spec.database.password.is_some() {
        if spec.database.password_secret_ref.is_some() {
            problems.push(
                Problem::at(
                    "/database",
                    "password and passwordSecretRef are two password sources",
                )
                .hint("keep one, or none for a generated password"),
            );
        }
        problems.push(
            Problem::at(
                "/database/password",
                "a password stands in clear text in a file that Git keeps for ever",
            )
            .hint("remove it for a generated password, or name a Secret in passwordSecretRef")
            .warning(),
        );
    }
    if let (Some(one), Some(other)) = (&spec.ownership_spec, &spec.vendor_ownership_spec)
        && one != other
    {
        problems.push(
            Problem::at(
                "/OwnershipSpec",
                "ownershipSpec and OwnershipSpec are two spellings of one field and differ",
            )
            .hint("keep one of them"),
        );
    }
    problems
}

fn source(spec: &PostgresVdbSpec, problems: &mut Vec<Problem>) {
    let source = &spec.source;
    if source.kind != SourceType::DctSource {
        problems.push(
            Problem::at(
                "/source/type",
                "only dct-source is delivered by this version",
            )
            .hint("use dct-source")
            .warning(),
        );
    }
    let pins = [&source.snapshot_id, &source.timestamp, &source.bookmark];
    if pins.iter().filter(|p| p.is_some()).count() > 1 {
        problems.push(
            Problem::at(
                "/source",
                "snapshotId, timestamp and bookmark exclude each other",
            )
            .hint("keep one, or none for the latest snapshot"),
        );
    }
    if let Some(at) = &source.timestamp
        && at.parse::<jiff::Timestamp>().is_err()
    {
        problems.push(
            Problem::at(
                "/source/timestamp",
                format!("{} is no point in time", crate::names::quoted(at)),
            )
            .hint("write it as 2030-01-31T12:00:00Z"),
        );
    }
}

fn resources(spec: &PostgresVdbSpec, problems: &mut Vec<Problem>) {
    let (limits, requests) = (&spec.resources.limits, &spec.resources.requests);
    for (what, limit, request) in [
        ("cpu", &limits.cpu, &requests.cpu),
        ("memory", &limits.memory, &requests.memory),
    ] {
        if let (Some(limit), Some(request)) = (limit, request)
            && let (Some(most), Some(least)) = (limit.milli(), request.milli())
            && most < least
        {
            problems.push(
                Problem::at(
                    format!("/resources/limits/{what}"),
                    format!("limit {limit} is below the request {request}"),
                )
                .hint("raise the limit or lower the request"),
            );
        }
    }
}

fn settings(spec: &PostgresVdbSpec, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (i, setting) in spec.postgres_config.iter().enumerate() {
        if !seen.insert(setting.name.to_lowercase()) {
            problems.push(
                Problem::at(
                    format!("/postgresConfig/{i}/name"),
                    format!("setting {} stands twice", quoted(&setting.name)),
                )
                .hint("keep one of them"),
            );
        }
    }
}

fn hooks(spec: &PostgresVdbSpec, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (i, hook) in spec.hooks.iter().enumerate() {
        if !seen.insert(&hook.name) {
            problems.push(
                Problem::at(
                    format!("/hooks/{i}/name"),
                    format!("two hooks are named {}", quoted(&hook.name)),
                )
                .hint("give each a name of its own"),
            );
        }
        let without_database = matches!(hook.stage, HookStage::PreCreate | HookStage::PostDelete);
        if without_database && hook.kind == HookType::Sql {
            problems.push(
                Problem::at(
                    format!("/hooks/{i}/type"),
                    "there is no database to run SQL in at this stage",
                )
                .hint("use type command, or another stage"),
            );
        }
    }
}

/// Text that a later template engine would take for its own has no place in any field.
fn template_syntax(pointer: &str, value: &Value, problems: &mut Vec<Problem>) {
    match value {
        Value::String(text) if text.contains("{{") || text.contains("{%") => problems.push(
            Problem::at(pointer, format!("{} has template syntax", quoted(text)))
                .hint("write the value itself, without {{ or {%"),
        ),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                template_syntax(&format!("{pointer}/{i}"), item, problems);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                template_syntax(&format!("{pointer}/{key}"), field, problems);
            }
        }
        _ => {}
    }
}

/// Keys that are accepted so that existing files keep working, and do nothing.
const NO_EFFECT: [&str; 9] = [
    "operator",
    "syncWave",
    "service",
    "monitoring",
    "nodeSelector",
    "tolerations",
    "affinity",
    "podAnnotations",
    "securityContext",
];

fn no_effect(instance: &Value, problems: &mut Vec<Problem>) {
    for key in NO_EFFECT {
        if instance.get(key).is_some() {
            problems.push(
                Problem::at(
                    format!("/{key}"),
                    format!("{key} is accepted and has no effect"),
                )
                .hint("remove it")
                .warning(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GOOD: &str = "\
owner: group:default/team-orders
vdb:
  source: {type: dct-source, reference: '10.0.1.54:largedb'}
  database: {name: largedb, user: app}
  resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {cpu: 1, memory: 512Mi}}
  postgresConfig: [{name: work_mem, value: 8MB}, {name: search_path, value: '''*'''}]
  hooks: [{name: init, stage: post-create, type: sql, script: 'select 1'}]
";

    fn name() -> EnvironmentName {
        EnvironmentName::parse("feat-1").unwrap()
    }

    #[test]
    fn a_good_file_has_no_problem() {
        assert_eq!(values(&name(), GOOD), []);
        let parsed = Values::parse(&name(), GOOD).unwrap();
        let (databases, _) = databases::of(&name(), &parsed);
        assert_eq!(databases[0].cr_name, "feat-1-vdb");
        assert_eq!(
            databases[0].annotations["postgres-vdb-platform/owner"],
            "group:default/team-orders"
        );
    }

    #[rstest]
    #[case("  database:", "  databse:", "/vdb", "unknown key \"databse\"")]
    #[case(
        "owner: group:default/team-orders",
        "owner: a\nowner: b",
        "",
        "duplicate"
    )]
    #[case(
        "memory: 512Mi",
        "memory: 1GB",
        "/vdb/resources/limits/memory",
        "\"1GB\" is not allowed"
    )]
    #[case(
        "memory: 512Mi",
        "memory: 128Mi",
        "/vdb/resources/limits/memory",
        "below the request 256Mi"
    )]
    #[case(
        "value: 8MB",
        "value: '\"x'",
        "/vdb/postgresConfig/0/value",
        "not allowed"
    )]
    #[case(
        "value: 8MB",
        "value: \"8\\nMB\"",
        "/vdb/postgresConfig/0/value",
        "not allowed"
    )]
    #[case(
        "value: 8MB",
        "value: '${{ x }}'",
        "/vdb/postgresConfig/0/value",
        "template syntax"
    )]
    #[case(
        "{name: largedb, user: app}",
        "{name: a, password: longenough, passwordSecretRef: s}",
        "/vdb/database",
        "two password sources"
    )]
    #[case(
        "name: search_path",
        "name: work_mem",
        "/vdb/postgresConfig/1/name",
        "stands twice"
    )]
    #[case("post-create", "sometime", "/vdb/hooks/0/stage", "none of the choices")]
    #[case(
        "stage: post-create",
        "stage: pre-create",
        "/vdb/hooks/0/type",
        "no database"
    )]
    #[case("user: app", "user: 'a;b'", "/vdb/database/user", "not allowed")]
    #[case(
        "owner: group",
        "platform: {}\nowner: group",
        "/platform",
        "set for every environment"
    )]
    #[case(
        "  source: {type: dct-source, reference: '10.0.1.54:largedb'}\n",
        "",
        "/vdb/source",
        "has no source"
    )]
    fn each_mistake_is_named(
        #[case] from: &str,
        #[case] to: &str,
        #[case] pointer: &str,
        #[case] message: &str,
    ) {
        assert!(GOOD.contains(from));
        let problems = values(&name(), &GOOD.replacen(from, to, 1));
        assert!(
            problems
                .iter()
                .any(|p| p.pointer == pointer && p.message.contains(message) && !p.warning),
            "{problems:#?}"
        );
        assert!(Values::parse(&name(), &GOOD.replacen(from, to, 1)).is_err());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = GOOD
            .replace("512Mi", "1GB")
            .replace("user: app", "user: 'a b'")
            .replace("work_mem", "work mem");
        assert_eq!(values(&name(), &text).len(), 3);
    }

    #[test]
    fn a_password_in_clear_text_works_and_is_warned_about() {
        let text = GOOD.replace("user: app", "user: app, password: longenough");
        assert!(Values::parse(&name(), &text).is_ok());
        assert!(
            values(&name(), &text)
                .iter()
                .any(|p| p.warning && p.pointer == "/vdb/database/password")
        );
    }
}
