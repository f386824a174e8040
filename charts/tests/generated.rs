//! Generated files of the charts are those that the types make now. `make generate` writes them.

use std::path::Path;

use environment::schema;
use serde_json::Value;

use super::root;

fn fresh(path: &Path, wanted: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, wanted).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == wanted,
        "{} is not fresh: run make generate",
        path.display()
    );
}

#[test]
fn the_charts_schema_is_the_models() {
    let wanted = serde_json::to_string_pretty(&schema::values()).unwrap() + "\n";
    fresh(
        &root().join("charts/postgres-vdb/values.schema.json"),
        &wanted,
    );
}

#[test]
fn the_platform_chart_carries_the_generated_crds() {
    for entry in std::fs::read_dir(root().join("crds")).unwrap() {
        let path = entry.unwrap().path();
        let wanted = std::fs::read_to_string(&path).unwrap();
        fresh(
            &root()
                .join("charts/postgres-vdb-platform/files/crds")
                .join(path.file_name().unwrap()),
            &wanted,
        );
    }
}

#[test]
fn argocd_cm_holds_the_health_check() {
    let script = std::fs::read_to_string(root().join("applications/health.lua")).unwrap();
    let indented: String = script
        .lines()
        .map(|line| {
            if line.is_empty() {
                "\n".into()
            } else {
                format!("    {line}\n")
            }
        })
        .collect();
    let head = "\
# Merge into argocd-cm (README.md). The script is health.lua, word by word.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/part-of: argocd
data:
  resource.customizations.health.core.delphix.com_PostgresVDB: |
";
    fresh(
        &root().join("applications/argocd-cm.yaml"),
        &format!("{head}{indented}"),
    );
}

/// One value of a chart: where it stands, what it is set to, and the comment `# --` above it.
struct Row<'a> {
    path: Vec<&'a str>,
    value: &'a str,
    comment: &'a str,
}

fn rows(values: &str) -> Vec<Row<'_>> {
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment = "";
    let mut rows = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        if let Some(said) = text.strip_prefix("# -- ") {
            comment = said;
        }
        let Some((key, value)) = text.split_once(':').filter(|_| !text.starts_with('#')) else {
            continue;
        };
        let depth = line.len() - text.len();
        path.retain(|(above, _)| *above < depth);
        path.push((depth, key));
        if !value.trim().is_empty() {
            rows.push(Row {
                path: path.iter().map(|(_, key)| *key).collect(),
                value: value.trim(),
                comment,
            });
        }
        comment = "";
    }
    rows
}

/// A chart's page: what it is, then one row for each value.
fn page(chart: &str, head: &str, least: usize) {
    let folder = root().join("charts").join(chart);
    let values = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
    let rows = rows(&values);
    assert!(rows.len() >= least, "{} rows", rows.len());
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            assert!(
                !row.comment.is_empty(),
                "{} has no comment # --",
                row.path.join(".")
            );
            format!(
                "| `{}` | `{}` | {} |",
                row.path.join("."),
                row.value,
                row.comment
            )
        })
        .collect();
    let wanted = format!(
        "# {chart}\n\n{head}\n\n| value | default | meaning |\n|---|---|---|\n{}\n",
        rows.join("\n")
    );
    fresh(&folder.join("README.md"), &wanted);
}

#[test]
fn the_platform_charts_page_lists_its_values() {
    let head = "\
The operator of `PostgresVDB`, the portal's sidecar and, where there is no Data Control Tower, the embedded engine.
`vdb install` writes the values for you (docs/install.md); this list is for those who write them by hand.
It is generated from the comments of values.yaml; values.schema.json refuses what does not stand here.
What the chart allows whom, and what it keeps from happening: docs/security.md.";
    page("postgres-vdb-platform", head, 60);
}

#[test]
fn the_environments_charts_page_lists_its_values() {
    let schema = schema::values();
    let keys: Vec<String> = schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| *key != "platform")
        .map(|(key, of)| {
            let said = of["description"].as_str();
            format!(
                "| `{key}` | {} |",
                said.unwrap_or_else(|| panic!("{key} has no description"))
            )
        })
        .collect();
    let head = format!(
        "\
One environment: its namespace with limits and policies, and its `PostgresVDB`s. Argo CD renders it from
`environments/<env>/values.yaml`, which `vdb validate` checks and whose keys are these; `vdb` and each of `vdbs` is the
spec of a `PostgresVDB`, word by word (`kubectl explain postgresvdb.spec`).

| key of the values file | meaning |
|---|---|
{}

What the platform grants stands under `platform`; the ApplicationSet sets it and a values file may not.",
        keys.join("\n")
    );
    page("postgres-vdb", &head, 4);
}

/// The schema of the platform's chart is written by hand, but for what each value means.
#[test]
fn the_platform_charts_schema_says_what_the_values_say() {
    let folder = root().join("charts/postgres-vdb-platform");
    let values = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
    let file = folder.join("values.schema.json");
    let written = std::fs::read_to_string(&file).unwrap();
    let mut schema: Value = serde_json::from_str(&written).unwrap();
    for row in rows(&values) {
        let mut at = &mut schema;
        for key in &row.path {
            at = &mut at["properties"][key];
            assert!(
                at.is_object(),
                "{} is missing in the schema",
                row.path.join(".")
            );
        }
        at["description"] = Value::from(row.comment);
    }
    fresh(
        &file,
        &(serde_json::to_string_pretty(&schema).unwrap() + "\n"),
    );
    let mut open = Vec::new();
    look(&schema, "", &mut open);
    assert!(open.is_empty(), "neither closed nor described: {open:?}");
}

/// Objects with named fields take no others, and every value says what it is.
fn look(schema: &Value, path: &str, open: &mut Vec<String>) {
    if let Some(fields) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            open.push(format!("{path}/*"));
        }
        for (key, field) in fields {
            let path = format!("{path}/{key}");
            if field["properties"].is_null()
                && field["description"].is_null()
                && !path.starts_with("/definitions")
            {
                open.push(path.clone());
            }
            look(field, &path, open);
        }
    }
    for (name, definition) in schema["definitions"].as_object().into_iter().flatten() {
        look(definition, &format!("/definitions/{name}"), open);
        look(&definition["items"], &format!("/definitions/{name}"), open);
    }
}
