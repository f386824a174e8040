//! What the charts render.

use serde_json::{Value, json};

use super::helm;

const CHART: &str = "charts/postgres-vdb";
const PLATFORM: &str = "charts/postgres-vdb-platform";
const ENGINE: [&str; 6] = [
    "--set",
    "engine.enabled=true",
    "--set",
    "engine.pool.hostPath=/pool",
    "--set",
    "engine.pool.node=node1",
];

/// Renders values that stand in a file, as Argo CD does.
pub(crate) fn render(name: &str, values: &str) -> Result<Vec<Value>, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    helm::template(name, CHART, &["--values", &file.to_string_lossy()])
}

#[test]
fn the_charts_lint() {
    if helm::missing("the_charts_lint") {
        return;
    }
    for chart in [CHART, PLATFORM] {
        helm::lint(chart).unwrap_or_else(|said| panic!("{said}"));
    }
}

#[test]
fn defaults_render_a_namespace_and_no_database() {
    if helm::missing("defaults_render_a_namespace_and_no_database") {
        return;
    }
    let rendered = helm::template("feat-1", CHART, &[]).unwrap();
    assert!(helm::of_kind(&rendered, "PostgresVDB").is_empty());
    assert!(helm::of_kind(&rendered, "Secret").is_empty());
    let namespace = helm::of_kind(&rendered, "Namespace")[0];
    assert_eq!(namespace["metadata"]["name"], "postgres-vdbs-feat-1");
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    for document in &rendered {
        assert_eq!(
            document["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"], "0",
            "{document}"
        );
        assert!(document["metadata"]["annotations"]["argocd.argoproj.io/hook"].is_null());
    }
}

#[test]
fn the_operator_gets_its_role_and_databases_no_egress() {
    if helm::missing("the_operator_gets_its_role_and_databases_no_egress") {
        return;
    }
    let set = [
        "--set",
        "platform.operator.namespace=ops",
        "--set",
        "platform.operator.serviceAccount=me",
        "--set",
        "platform.sidecar.serviceAccount=it",
    ];
    let rendered = helm::template("feat-1", CHART, &set).unwrap();
    let binding = helm::of_kind(&rendered, "RoleBinding")[0];
    assert_eq!(
        binding["roleRef"]["name"],
        "postgres-vdb-platform-environment"
    );
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": "me", "namespace": "ops"}])
    );
    let bindings = helm::of_kind(&rendered, "RoleBinding");
    assert_eq!(bindings.len(), 2);
    assert_eq!(
        bindings[1]["roleRef"]["name"],
        "postgres-vdb-platform-bookmarks"
    );
    assert_eq!(
        bindings[1]["subjects"],
        json!([{"kind": "ServiceAccount", "name": "it", "namespace": "vdb-system"}])
    );
    let policies = helm::of_kind(&rendered, "NetworkPolicy");
    let deny = policies
        .iter()
        .find(|p| p["spec"]["podSelector"] == json!({}))
        .unwrap();
    assert_eq!(deny["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(deny["spec"]["egress"].is_null() && deny["spec"]["ingress"].is_null());
    let to_databases = policies.iter().filter(|p| {
        p["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "database"
    });
    for policy in to_databases {
        assert!(policy["spec"]["egress"].is_null(), "{policy}");
    }
}

#[test]
fn the_schema_is_closed() {
    if helm::missing("the_schema_is_closed") {
        return;
    }
    let good =
        "vdb: {source: {type: dct-source, reference: 'a:b'}, database: {name: a, user: b}}\n";
    assert!(render("feat-1", good).is_ok());
    for (typo, names) in [
        (good.replace("vdb:", "vbd:"), "vbd"),
        (good.replace("user:", "usr:"), "usr"),
        (format!("{good}monitoring: 3\n"), "monitoring"),
    ] {
        let said = render("feat-1", &typo).expect_err(&typo);
        assert!(said.contains(names), "{said}");
    }
}

#[test]
fn a_name_that_is_no_environments_is_refused() {
    if helm::missing("a_name_that_is_no_environments_is_refused") {
        return;
    }
    assert!(
        helm::template("feat.1", CHART, &[])
            .unwrap_err()
            .contains("no environment name")
    );
    assert!(
        helm::template(&"a".repeat(37), CHART, &[])
            .unwrap_err()
            .contains("at most 36")
    );
}

#[test]
fn the_platform_renders_three_programs_with_their_settings() {
    if helm::missing("the_platform_renders_three_programs_with_their_settings") {
        return;
    }
    let mut arguments = vec![
        "--namespace",
        "vdb-system",
        "--set",
        "operator.settings.dct.url=http://dct",
    ];
    arguments.extend(ENGINE);
    let rendered = helm::template("vdb", PLATFORM, &arguments).unwrap();
    let deployments = helm::of_kind(&rendered, "Deployment");
    assert_eq!(deployments.len(), 3);
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(
            container["securityContext"]["capabilities"]["drop"],
            json!(["ALL"])
        );
        assert!(container["livenessProbe"].is_object() && container["readinessProbe"].is_object());
        assert!(
            pod["securityContext"]["fsGroup"].is_null(),
            "an fsGroup changes the group of every file"
        );
    }
    let settings = rendered
        .iter()
        .find(|d| d["kind"] == "ConfigMap" && d["metadata"]["name"] == "vdb-operator")
        .unwrap();
    assert_eq!(
        settings["data"]["settings.yaml"],
        "dct:\n  url: http://dct\n"
    );
    assert!(helm::of_kind(&rendered, "Secret").is_empty());
    let crd = helm::of_kind(&rendered, "CustomResourceDefinition")[0];
    assert_eq!(
        crd["metadata"]["labels"]["app.kubernetes.io/part-of"],
        "postgres-vdb-platform"
    );
    assert_eq!(
        crd["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
}

#[test]
fn a_change_of_settings_rolls_the_pods_and_a_typo_is_refused() {
    if helm::missing("a_change_of_settings_rolls_the_pods_and_a_typo_is_refused") {
        return;
    }
    let pods = |value: &str| {
        let rendered = helm::template("vdb", PLATFORM, &["--set", value]).unwrap();
        let operator = rendered
            .iter()
            .find(|d| d["kind"] == "Deployment" && d["metadata"]["name"] == "vdb-operator")
            .unwrap();
        operator["spec"]["template"].clone()
    };
    assert_ne!(pods("operator.settings.a=1"), pods("operator.settings.a=2"));
    assert!(
        helm::template("vdb", PLATFORM, &["--set", "operator.setings.a=1"])
            .unwrap_err()
            .contains("setings")
    );
    assert!(
        helm::template("vdb", PLATFORM, &["--set", "engine.enabled=true"])
            .unwrap_err()
            .contains("engine.pool")
    );
}
