//! The cluster: whether it answers, has our definition of a database, and runs what the platform is made of.

use environment::names::{GROUP, PART_OF, PART_OF_LABEL};
use serde_json::Value;

use super::Check;
use crate::env::cluster::{Cluster, Reference};
use crate::env::settings::Settings;

const ANSWERS: &str = "cluster";
const DEFINITION: &str = "definition of PostgresVDB";
const OPERATOR: &str = "operator";
const SIDECAR: &str = "sidecar";
const APPLICATION_SET: &str = "ApplicationSet";
const PROJECT: &str = "AppProject";

const INSTALL: &str = "install charts/postgres-vdb-platform into namespace vdb-system";
const APPLY: &str =
    "apply applications/ with the repository's address filled in (applications/README.md)";

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let Ok(kubeconfig) = settings.kubeconfig() else {
        return vec![Check::skipped(ANSWERS, "VDB_KUBECONFIG")];
    };
    let connected = async {
        let cluster = Cluster::connect(kubeconfig).await?;
        let version = cluster.version().await?;
        anyhow::Ok((cluster, version))
    };
    let (cluster, version) = match connected.await {
        Ok(connected) => connected,
        Err(error) => {
            let remedy = "check that the cluster is up and the kubeconfig file is its own";
            return vec![Check::problem(ANSWERS, said(&error), remedy)];
        }
    };
    let expected = settings.push.as_ref().map(|push| push.repo_url.as_str());
    let mut checks = vec![Check::ok(ANSWERS, version)];
    for (name, reference, judge) in LOOKED_AT {
        checks.push(match cluster.object(reference).await {
            Ok(found) => judge(name, found.as_ref(), expected),
            Err(error) => Check::warning(
                name,
                said(&error),
                format!("use a kubeconfig file that may read {}", reference.plural),
            ),
        });
    }
    checks
}

fn said(error: &anyhow::Error) -> String {
    crate::web::one_line(&format!("{error:#}"), 300)
}

/// From an object, or none, to what is to be said of it; the text is the repository that push events name.
type Judge = fn(&'static str, Option<&Value>, Option<&str>) -> Check;

const LOOKED_AT: [(&str, Reference, Judge); 5] = [
    (
        DEFINITION,
        Reference {
            group: "apiextensions.k8s.io",
            version: "v1",
            kind: "CustomResourceDefinition",
            plural: "customresourcedefinitions",
            namespace: None,
            name: "postgresvdbs.core.delphix.com",
        },
        definition,
    ),
    (OPERATOR, deployment("vdb-operator"), running),
    (SIDECAR, deployment("vdb-sidecar"), running),
    (
        APPLICATION_SET,
        argo("ApplicationSet", "applicationsets"),
        application_set,
    ),
    (PROJECT, argo("AppProject", "appprojects"), project),
];

const fn deployment(name: &'static str) -> Reference {
    Reference {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        namespace: Some("vdb-system"),
        name,
    }
}

const fn argo(kind: &'static str, plural: &'static str) -> Reference {
    Reference {
        group: "argoproj.io",
        version: "v1alpha1",
        kind,
        plural,
        namespace: Some("argocd"),
        name: PART_OF,
    }
}

fn definition(name: &'static str, found: Option<&Value>, _: Option<&str>) -> Check {
    let Some(found) = found else {
        return Check::problem(name, "there is none", INSTALL);
    };
    if found["metadata"]["labels"][PART_OF_LABEL] != PART_OF {
        return Check::problem(
            name,
            format!("it is another operator's ({GROUP})"),
            "a cluster has one such operator: remove the other one with its definition, or use another cluster",
        );
    }
    Check::ok(name, "ours")
}

fn running(name: &'static str, found: Option<&Value>, _: Option<&str>) -> Check {
    let Some(found) = found else {
        return Check::problem(name, "it is not installed", INSTALL);
    };
    let wanted = found["spec"]["replicas"].as_u64().unwrap_or(1);
    let ready = found["status"]["readyReplicas"].as_u64().unwrap_or(0);
    let detail = format!("{ready} of {wanted} replicas ready");
    let remedy = format!("look at its pods: kubectl -n vdb-system logs deployment/vdb-{name}");
    match ready {
        0 => Check::problem(name, detail, remedy),
        _ if ready < wanted => Check::warning(name, detail, remedy),
        _ => Check::ok(name, detail),
    }
}

fn application_set(name: &'static str, found: Option<&Value>, expected: Option<&str>) -> Check {
    let Some(found) = found else {
        return Check::problem(name, "there is none", APPLY);
    };
    let conditions = found["status"]["conditions"].as_array();
    let error = conditions
        .into_iter()
        .flatten()
        .find(|c| c["type"] == "ErrorOccurred" && c["status"] == "True");
    if let Some(error) = error {
        let message = error["message"].as_str().unwrap_or_default();
        return Check::problem(
            name,
            crate::web::one_line(message, 300),
            "mend what it names; no environment is made or removed until then",
        );
    }
    let repository = found["spec"]["template"]["spec"]["source"]["repoURL"].as_str();
    match (repository, expected) {
        (Some(is), Some(expected)) if is != expected => Check::warning(
            name,
            format!("it reads {is}, push events name {expected}"),
            "write both the same, letter by letter; until then each change waits for a poll",
        ),
        _ => Check::ok(name, repository.unwrap_or(PART_OF)),
    }
}

fn project(name: &'static str, found: Option<&Value>, _: Option<&str>) -> Check {
    match found {
        Some(_) => Check::ok(name, PART_OF),
        None => Check::problem(name, "there is none", APPLY),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::Outcome::{self, Ok, Problem, Warning};
    use super::*;

    #[rstest]
    #[case::no_definition(definition, None, Problem, "there is none")]
    #[case::foreign(definition, Some(json!({"metadata": {"labels": {}}})), Problem, "another operator")]
    #[case::ours(definition, Some(json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "postgres-vdb-platform"}}})), Ok, "ours")]
    #[case::not_installed(running, None, Problem, "not installed")]
    #[case::down(running, Some(json!({"spec": {"replicas": 2}, "status": {}})), Problem, "0 of 2")]
    #[case::one_down(running, Some(json!({"spec": {"replicas": 2}, "status": {"readyReplicas": 1}})), Warning, "1 of 2")]
    #[case::up(running, Some(json!({"status": {"readyReplicas": 1}})), Ok, "1 of 1")]
    #[case::no_set(application_set, None, Problem, "there is none")]
    #[case::set_fails(application_set, Some(json!({"status": {"conditions": [{"type": "ErrorOccurred", "status": "True", "message": "no\nrights"}]}})), Problem, "no rights")]
    #[case::set_reads_another(application_set, Some(json!({"spec": {"template": {"spec": {"source": {"repoURL": "http://x/y"}}}}})), Warning, "it reads http://x/y")]
    #[case::set(application_set, Some(json!({"spec": {"template": {"spec": {"source": {"repoURL": "http://x/y.git"}}}}, "status": {"conditions": [{"type": "ErrorOccurred", "status": "False"}]}})), Ok, "y.git")]
    #[case::no_project(project, None, Problem, "there is none")]
    #[case::a_project(project, Some(json!({})), Ok, "postgres-vdb-platform")]
    fn each_object_is_judged(
        #[case] judge: Judge,
        #[case] found: Option<Value>,
        #[case] outcome: Outcome,
        #[case] says: &str,
    ) {
        let check = judge("x", found.as_ref(), Some("http://x/y.git"));
        assert_eq!(check.outcome, outcome, "{check:?}");
        assert!(check.detail.contains(says), "{check:?}");
        assert_eq!(outcome == Ok, check.remedy.is_empty());
    }
}
