//! The platform's chart with the values that `vdb install` writes.

use serde_json::{Value, json};

use super::{helm, root};

const FILES: [&str; 5] = [
    "forge-token",
    "argocd-token",
    "largedb-password",
    "github-app.pem",
    "dct-key",
];

/// Renders what the settings file of the command's own tests means.
pub(crate) fn rendered(file: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    for name in FILES.iter().chain(&["forge-webhook"]) {
        std::fs::write(
            folder.path().join("secrets").join(name),
            format!("the {name}"),
        )
        .unwrap();
    }
    let settings = std::fs::read_to_string(root().join("src/install/tests").join(file)).unwrap();
    let values = vdb::install::chart_values(&settings, folder.path());
    let values = values.unwrap_or_else(|problems| panic!("{problems}"));
    let path = folder.path().join("values.json");
    std::fs::write(&path, values.to_string()).unwrap();
    let path = path.to_string_lossy();
    let arguments = ["--namespace", "vdb-system", "--values", path.as_ref()];
    let rendered = helm::template("vdb", "charts/postgres-vdb-platform", &arguments);
    let rendered = rendered.unwrap_or_else(|said| panic!("{said}"));
    for document in &rendered {
        let text = document.to_string();
        for name in FILES {
            assert!(!text.contains(&format!("the {name}")), "{name} in {text}");
        }
    }
    rendered
}

pub(crate) fn named<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    helm::of_kind(documents, kind)
        .into_iter()
        .find(|document| document["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn settings(documents: &[Value], name: &str) -> Value {
    let map = named(documents, "ConfigMap", name);
    environment::yaml::read(map["data"]["settings.yaml"].as_str().unwrap()).unwrap()
}

/// Every file that a program's settings name lies in a Secret that its pod mounts.
fn reads_only_what_it_mounts(documents: &[Value], name: &str) {
    let pod = &named(documents, "Deployment", name)["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let mounted: Vec<&str> = mounts
        .iter()
        .filter_map(|m| m["mountPath"].as_str())
        .collect();
    let text = settings(documents, name).to_string();
    for path in text
        .split('"')
        .filter(|part| part.starts_with("/etc/vdb/secrets/"))
    {
        let folder = path.rsplit_once('/').unwrap().0;
        assert!(
            mounted.contains(&folder),
            "{name} does not mount {path}: {mounted:?}"
        );
    }
}

#[test]
fn gitea_and_the_engine() {
    if helm::missing("gitea_and_the_engine") {
        return;
    }
    let documents = rendered("gitea-engine.yaml");
    assert_eq!(helm::of_kind(&documents, "Deployment").len(), 3);
    for name in ["vdb-operator", "vdb-sidecar", "vdb-engine"] {
        reads_only_what_it_mounts(&documents, name);
        let account = named(&documents, "ServiceAccount", name);
        assert_eq!(
            account["imagePullSecrets"],
            json!([{"name": "registry-login"}])
        );
    }
    let engine = named(&documents, "Deployment", "vdb-engine");
    let image = &engine["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(
        image,
        &json!(format!(
            "registry.example.com/platform/engine:{}",
            env!("CARGO_PKG_VERSION")
        ))
    );
    // Operator and engine must mean the same directory of the same node.
    let (operator, engine) = (
        settings(&documents, "vdb-operator"),
        settings(&documents, "vdb-engine"),
    );
    assert_eq!(operator["export"]["prefix"], engine["exportPrefix"]);
    let volume = named(&documents, "PersistentVolume", "vdb-engine-pool");
    let path = volume["spec"]["local"]["path"].as_str().unwrap();
    assert_eq!(engine["exportPrefix"], format!("{path}/vdbs"));
    assert_eq!(engine["sources"][0]["maxRate"], "100M");
    assert!(helm::of_kind(&documents, "Secret").is_empty());
}

#[test]
fn github_and_data_control_tower() {
    if helm::missing("github_and_data_control_tower") {
        return;
    }
    let documents = rendered("github-dct.yaml");
    assert_eq!(helm::of_kind(&documents, "Deployment").len(), 2);
    for name in ["vdb-operator", "vdb-sidecar"] {
        reads_only_what_it_mounts(&documents, name);
    }
    let (operator, sidecar) = (
        settings(&documents, "vdb-operator"),
        settings(&documents, "vdb-sidecar"),
    );
    assert_eq!(
        operator["export"],
        json!({"kind": "nfs", "server": "10.0.1.20", "prefix": "/domain0"})
    );
    assert_eq!(operator["deletionDeadline"], "3m");
    assert_eq!(operator["dct"]["pollMax"], "10s");
    assert_eq!(sidecar["forge"]["app"]["installationId"], 42);
    assert_eq!(operator["dct"]["url"], sidecar["dct"]["url"]);
    assert_eq!(
        operator["allow"]["sources"],
        sidecar["orders"]["allowedSources"]
    );
    assert_eq!(sidecar["forge"]["kind"], "github");
    assert_eq!(
        sidecar["argocd"]["repoUrl"],
        "https://github.com/acme/databases.git"
    );
    assert_eq!(sidecar["portal"]["registerCatalog"], false);
    let pod = &named(&documents, "Deployment", "vdb-sidecar")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["imagePullPolicy"], "Always");
}
