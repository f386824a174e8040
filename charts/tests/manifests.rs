//! What Argo CD is given by hand: ApplicationSet, AppProject, health check.

use std::collections::BTreeSet;

use environment::yaml;
use serde_json::{Value, json};

use super::{helm, root};

fn read(file: &str) -> Value {
    let text = std::fs::read_to_string(root().join("applications").join(file)).unwrap();
    yaml::read(&text).unwrap()
}

#[test]
fn only_the_directorys_name_steers_an_application() {
    let set = read("postgres-vdb-appset.yaml");
    let text = set.to_string();
    let parameters: Vec<&str> = text
        .split("{{")
        .skip(1)
        .map(|rest| rest.split("}}").next().unwrap())
        .collect();
    assert!(!parameters.is_empty());
    assert!(
        parameters
            .iter()
            .all(|parameter| *parameter == ".path.basename"),
        "{parameters:?}"
    );
    let template = &set["spec"]["template"];
    assert_eq!(
        set["spec"]["generators"][0]["git"]["directories"],
        json!([{"path": "environments/*"}])
    );
    assert_eq!(
        template["spec"]["source"]["helm"]["valueFiles"],
        json!(["/environments/{{.path.basename}}/values.yaml"])
    );
    assert!(template["spec"]["source"]["helm"]["ignoreMissingValueFiles"].is_null());
    assert_eq!(
        template["metadata"]["finalizers"],
        json!(["resources-finalizer.argocd.argoproj.io/background"])
    );
    assert_eq!(
        template["spec"]["destination"]["namespace"],
        "postgres-vdbs-{{.path.basename}}"
    );
    assert!(!text.contains("CreateNamespace=true"));
}

#[test]
fn the_project_allows_the_charts_kinds_and_no_others() {
    if helm::missing("the_project_allows_the_charts_kinds_and_no_others") {
        return;
    }
    let values = root().join("environments/qa/values.yaml");
    let rendered = helm::template(
        "qa",
        "charts/postgres-vdb",
        &["--values", &values.to_string_lossy()],
    )
    .unwrap();
    let kinds: BTreeSet<(String, String)> = rendered
        .iter()
        .map(|document| {
            let version = document["apiVersion"].as_str().unwrap();
            (
                version
                    .rsplit_once('/')
                    .map_or("", |(group, _)| group)
                    .to_owned(),
                document["kind"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let project = read("project.yaml");
    let listed = |list: &str| -> BTreeSet<(String, String)> {
        let entries = project["spec"][list].as_array().unwrap().iter();
        entries
            .map(|e| {
                (
                    e["group"].as_str().unwrap().to_owned(),
                    e["kind"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    };
    let mut allowed = listed("namespaceResourceWhitelist");
    allowed.extend(listed("clusterResourceWhitelist"));
    assert_eq!(kinds, allowed);
    assert_eq!(
        listed("clusterResourceWhitelist"),
        BTreeSet::from([(String::new(), "Namespace".to_owned())])
    );
}
