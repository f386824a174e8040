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
