//! The health check, run by Argo CD's own Lua: the cached `argocd`, without a cluster.

use std::process::Command;

use serde_json::{Value, json};

use super::root;

fn argocd() -> Option<std::path::PathBuf> {
    let folder = Command::new(root().join("stack/build-go.sh"))
        .args(["--path", "argocd"])
        .output()
        .ok()?;
    Some(std::path::PathBuf::from(String::from_utf8_lossy(&folder.stdout).trim()).join("argocd"))
        .filter(|file| file.exists())
}

fn health(argocd: &std::path::Path, resource: &Value) -> String {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("resource.yaml");
    std::fs::write(&file, resource.to_string()).unwrap();
    let output = Command::new(argocd)
        .args(["admin", "settings", "resource-overrides", "health"])
        .arg(&file)
        .args(["--argocd-cm-path", "applications/argocd-cm.yaml"])
        .current_dir(root())
        .env("HOME", home.path())
        .env("ARGOCD_BINARY_NAME", "argocd")
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |key: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or(&said)
            .trim()
            .to_owned()
    };
    format!("{} {}", line("STATUS:"), line("MESSAGE:"))
}

fn resource(observed: Option<i64>, conditions: &[(&str, &str, Option<i64>)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, status, generation)| {
            let mut condition =
                json!({"type": kind, "status": status, "reason": "R", "message": "m"});
            if let Some(generation) = generation {
                condition["observedGeneration"] = json!(generation);
            }
            condition
        })
        .collect();
    json!({
        "apiVersion": "core.delphix.com/v1alpha1", "kind": "PostgresVDB",
        "metadata": {"name": "a", "namespace": "b", "generation": 2},
        "status": {"observedGeneration": observed, "conditions": conditions},
    })
}

#[test]
fn health_is_what_the_conditions_say_of_this_generation() {
    let Some(argocd) = argocd() else {
        println!("SKIPPED health: there is no argocd; `stack/build-go.sh argocd` builds it");
        return;
    };
    let mut deleting = resource(Some(2), &[("Ready", "True", None)]);
    deleting["metadata"]["deletionTimestamp"] = json!("2026-11-23T00:00:00Z");
    let mut new = resource(None, &[]);
    new.as_object_mut().unwrap().remove("status");
    let cases = [
        (
            resource(Some(2), &[("Ready", "True", Some(2))]),
            "Healthy R: m",
        ),
        (
            resource(
                Some(2),
                &[("Ready", "False", Some(2)), ("Reconciling", "True", None)],
            ),
            "Progressing R: m",
        ),
        (
            resource(
                Some(2),
                &[("Ready", "False", None), ("Stalled", "True", None)],
            ),
            "Degraded R: m",
        ),
        (
            resource(
                Some(2),
                &[("Ready", "False", None), ("Suspended", "True", None)],
            ),
            "Suspended R: m",
        ),
        (
            resource(Some(1), &[("Ready", "True", None)]),
            "Progressing Waiting for the operator to read this change",
        ),
        (
            resource(Some(2), &[("Ready", "True", Some(1))]),
            "Progressing Waiting for Ready to be assessed again",
        ),
        (new, "Progressing Waiting for the operator"),
        (deleting, "Progressing Pending deletion"),
    ];
    for (resource, wanted) in cases {
        assert_eq!(health(&argocd, &resource), wanted, "{resource}");
    }
}
