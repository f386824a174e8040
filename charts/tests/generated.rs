//! Generated files of the charts are those that the types make now. `make generate` writes them.

use std::path::Path;

use environment::schema;

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

/// One row for each value of the platform's chart: its path, what it is set to, and the comment `# --` above it.
fn rows(values: &str) -> Vec<String> {
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
            let keys: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
            rows.push(format!(
                "| `{}` | `{}` | {comment} |",
                keys.join("."),
                value.trim()
            ));
        }
        comment = "";
    }
    rows
}

#[test]
fn the_platform_charts_page_lists_its_values() {
    let folder = root().join("charts/postgres-vdb-platform");
    let values = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
    let rows = rows(&values);
    let wanted = format!(
        "\
# postgres-vdb-platform

The operator of `PostgresVDB`, the portal's sidecar and, where there is no Data Control Tower, the embedded engine.
`vdb install` writes the values for you (docs/install.md); this list is for those who write them by hand.
It is generated from the comments of values.yaml; values.schema.json refuses what does not stand here.

| value | default | meaning |
|---|---|---|
{}
",
        rows.join("\n")
    );
    assert!(rows.len() > 30 && rows.iter().all(|row| !row.contains("``")));
    fresh(&folder.join("README.md"), &wanted);
}
