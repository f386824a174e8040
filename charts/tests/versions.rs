//! Helm 3 and Helm 4 make the same of both charts.

use super::{helm, install};

const CHARTS: [(&str, &str, &[&str]); 3] = [
    ("feat-1", "charts/postgres-vdb", &[]),
    (
        "qa",
        "charts/postgres-vdb",
        &["--values", "environments/qa/values.yaml"],
    ),
    (
        "vdb",
        "charts/postgres-vdb-platform",
        &[
            "--namespace=vdb-system",
            "--set=engine.enabled=true,engine.pool.existingClaim=pool",
            "--set=sidecar.replicas=2,networkPolicy.egress.enabled=true",
            "--set=operator.settings.export.prefix=/pool/vdbs",
        ],
    ),
];

#[test]
fn both_major_versions_lint_and_render_alike() {
    let test = "both_major_versions_lint_and_render_alike";
    if helm::missing(test) || helm::missing_4(test) {
        return;
    }
    for (release, chart, arguments) in CHARTS {
        helm::lint_4(chart).unwrap_or_else(|said| panic!("{chart}: {said}"));
        let three = helm::template(release, chart, arguments).unwrap();
        let four = helm::template_4(release, chart, arguments).unwrap();
        assert!(three.len() > 5, "{chart}");
        assert_eq!(three, four, "{chart}");
    }
}

#[test]
fn helm_4_refuses_what_the_schema_refuses() {
    if helm::missing_4("helm_4_refuses_what_the_schema_refuses") {
        return;
    }
    let typo = ["--set", "operator.setings.a=1"];
    let said = helm::template_4("vdb", "charts/postgres-vdb-platform", &typo).unwrap_err();
    assert!(said.contains("setings"), "{said}");
}

/// Every pod of the platform stays within the restricted standard, whatever values `vdb install` writes.
#[test]
fn every_pod_of_an_installation_is_restricted() {
    if helm::missing("every_pod_of_an_installation_is_restricted") {
        return;
    }
    for file in ["gitea-engine.yaml", "github-dct.yaml"] {
        let documents = install::rendered(file);
        let mut seen = 0;
        for kind in ["Deployment", "Job"] {
            for owner in helm::of_kind(&documents, kind) {
                let pod = &owner["spec"]["template"]["spec"];
                assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{owner}");
                assert_eq!(
                    pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault",
                    "{owner}"
                );
                for container in pod["containers"].as_array().unwrap() {
                    let security = &container["securityContext"];
                    assert_eq!(security["allowPrivilegeEscalation"], false, "{owner}");
                    assert_eq!(security["readOnlyRootFilesystem"], true, "{owner}");
                    assert_eq!(security["capabilities"]["drop"][0], "ALL", "{owner}");
                }
                seen += 1;
            }
        }
        assert!(seen >= 3, "{file}: {seen}");
    }
}
