//! Every right that the charts grant, in full: one more is seen here before it is given.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{helm, install};

/// One line per resource: `group/resource [names]: verbs`.
fn rights(role: &Value) -> BTreeSet<String> {
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    };
    let mut lines = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let mut verbs = texts(&rule["verbs"]);
        verbs.sort();
        let names = texts(&rule["resourceNames"]);
        let names = if names.is_empty() {
            String::new()
        } else {
            format!(" {names:?}")
        };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let line = format!("{group}/{resource}{names}: {}", verbs.join(" "));
                assert!(lines.insert(line.clone()), "{line} stands twice");
            }
        }
    }
    lines
}

fn role(documents: &[Value], kind: &str, name: &str) -> BTreeSet<String> {
    rights(install::named(documents, kind, name))
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn each_role_grants_what_its_program_calls_and_nothing_more() {
    if helm::missing("each_role_grants_what_its_program_calls_and_nothing_more") {
        return;
    }
    let rendered = install::rendered("gitea-engine.yaml");
    let roles: BTreeSet<String> = ["ClusterRole", "Role"]
        .iter()
        .flat_map(|kind| helm::of_kind(&rendered, kind))
        .map(|role| format!("{}/{}", role["kind"], role["metadata"]["name"]).replace('"', ""))
        .collect();
    assert_eq!(
        roles,
        set(&[
            "ClusterRole/postgres-vdb-platform-bookmarks",
            "ClusterRole/postgres-vdb-platform-environment",
            "ClusterRole/postgres-vdb-platform-operator",
            "ClusterRole/postgres-vdb-platform-sidecar",
            "Role/vdb-operator",
            "Role/vdb-sidecar",
        ])
    );
    assert_eq!(
        role(&rendered, "ClusterRole", "postgres-vdb-platform-operator"),
        set(&[
            "/namespaces: get",
            "actions.delphix.com/postgresrefreshes/status: patch",
            "actions.delphix.com/postgresrefreshes: get list watch",
            "actions.delphix.com/postgresrewinds/status: patch",
            "actions.delphix.com/postgresrewinds: get list watch",
            "actions.delphix.com/postgressnapshots/status: patch",
            "actions.delphix.com/postgressnapshots: get list watch",
            "actions.delphix.com/postgrestasks/status: patch",
            "actions.delphix.com/postgrestasks: get list watch",
            "/persistentvolumes: create delete get list patch",
            "/pods: get list watch",
            r#"apiextensions.k8s.io/customresourcedefinitions ["postgresvdbs.core.delphix.com"]: get"#,
            "apps/statefulsets: get list watch",
            "batch/jobs: list watch",
            "core.delphix.com/postgresvdbs: get list patch watch",
            "core.delphix.com/postgresvdbs/status: update",
        ])
    );
    assert_eq!(
        role(
            &rendered,
            "ClusterRole",
            "postgres-vdb-platform-environment"
        ),
        set(&[
            "/configmaps: create get patch",
            "/persistentvolumeclaims: create delete get patch",
            "/pods/log: get",
            "/pods: delete",
            "/secrets: create get patch",
            "/services: create get patch",
            "apps/statefulsets: create delete patch",
            "batch/jobs: create get patch",
            "events.k8s.io/events: create patch",
        ])
    );
    assert_eq!(
        role(&rendered, "Role", "vdb-operator"),
        set(&[
            r#"/configmaps ["vdb-orphans"]: get patch"#,
            "/configmaps: create",
            r#"coordination.k8s.io/leases ["vdb-operator"]: get update"#,
            "coordination.k8s.io/leases: create",
            "events.k8s.io/events: create patch",
        ])
    );
    assert_eq!(
        role(&rendered, "ClusterRole", "postgres-vdb-platform-sidecar"),
        set(&[
            "/namespaces: get list",
            "core.delphix.com/postgresvdbs: list watch",
        ])
    );
    assert_eq!(
        role(&rendered, "ClusterRole", "postgres-vdb-platform-bookmarks"),
        set(&["actions.delphix.com/postgressnapshots: create get"])
    );
    assert_eq!(
        role(&rendered, "Role", "vdb-sidecar"),
        set(&[
            r#"/secrets ["vdb-sidecar-key"]: get"#,
            "/secrets: create",
            r#"coordination.k8s.io/leases ["vdb-sidecar"]: get update"#,
            "coordination.k8s.io/leases: create",
        ])
    );
}

/// Who has no server on a target host gets no right for one.
#[test]
fn the_right_to_lead_a_service_elsewhere_comes_with_its_setting() {
    if helm::missing("the_right_to_lead_a_service_elsewhere_comes_with_its_setting") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.yaml");
    let settings = "operator: { settings: { remote: { sources: ['a:*'], hosts: [10.0.2.0/24] } } }";
    std::fs::write(&path, settings).unwrap();
    let path = path.to_string_lossy();
    let arguments = ["--namespace", "vdb-system", "--values", path.as_ref()];
    let with = helm::template("vdb", "charts/postgres-vdb-platform", &arguments).unwrap();
    let without = helm::template("vdb", "charts/postgres-vdb-platform", &arguments[..2]).unwrap();
    let more = |kind: &str, name: &str| -> Vec<String> {
        let before = role(&without, kind, name);
        role(&with, kind, name)
            .difference(&before)
            .cloned()
            .collect()
    };
    assert_eq!(
        more("ClusterRole", "postgres-vdb-platform-environment"),
        ["discovery.k8s.io/endpointslices: create delete get patch"]
    );
    for (kind, name) in [
        ("ClusterRole", "postgres-vdb-platform-operator"),
        ("Role", "vdb-operator"),
    ] {
        assert_eq!(more(kind, name), [""; 0]);
    }
}

/// A role that is bound in namespaces is bound nowhere else, and the engine has no account at all.
#[test]
fn what_names_secrets_is_bound_in_namespaces_alone() {
    if helm::missing("what_names_secrets_is_bound_in_namespaces_alone") {
        return;
    }
    let rendered = install::rendered("gitea-engine.yaml");
    for binding in helm::of_kind(&rendered, "ClusterRoleBinding") {
        let name = binding["roleRef"]["name"].as_str().unwrap();
        let lines = role(&rendered, "ClusterRole", name);
        assert!(
            !lines.iter().any(|line| line.starts_with("/secrets")
                || line.contains('*')
                || line.ends_with("postgressnapshots: create get")),
            "{name}: {lines:?}"
        );
    }
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        for binding in helm::of_kind(&rendered, kind) {
            let subjects = binding["subjects"].as_array().unwrap();
            assert_eq!(subjects.len(), 1, "{binding}");
            assert_ne!(subjects[0]["name"], "vdb-engine");
        }
    }
    let pods = |name: &str| {
        install::named(&rendered, "Deployment", name)["spec"]["template"]["spec"].clone()
    };
    assert_eq!(pods("vdb-engine")["automountServiceAccountToken"], false);
}
