//! Whether the programs run, and whether portal and forge have been heard of: their own metrics say so.

use serde_json::Value;

use crate::doctor::Check;
use crate::install::settings::Settings;
use crate::install::tools::Tools;
use crate::install::{NAMESPACE, apply};

pub(super) async fn all(tools: &Tools, settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in apply::deployments(settings) {
        checks.push(program(tools, name).await);
    }
    let path =
        format!("--raw=/api/v1/namespaces/{NAMESPACE}/services/vdb-sidecar:metrics/proxy/metrics");
    match tools.ask(&["get", &path]).await {
        Ok(metrics) => checks.extend([webhook(&metrics, settings), portal(&metrics)]),
        Err(error) => checks.push(Check::problem(
            "sidecar metrics",
            format!("{error:#}"),
            "the API server must reach the sidecar's port 7813; look at vdb-sidecar first",
        )),
    }
    checks.push(order(tools).await);
    checks
}

async fn program(tools: &Tools, name: &'static str) -> Check {
    let deployment = match tools.get("deployment", NAMESPACE, name).await {
        Ok(Some(deployment)) => deployment,
        Ok(None) => return Check::problem(name, "not installed", "run `make install` (step 6)"),
        Err(error) => return Check::problem(name, format!("{error:#}"), "see what kubectl says"),
    };
    if is_ready(&deployment) {
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        return Check::ok(name, image.as_str().unwrap_or_default());
    }
    let why = apply::why_not(tools, name).await;
    Check::problem(
        name,
        format!("not ready: {why}"),
        "correct that, then run this again",
    )
}

fn is_ready(deployment: &Value) -> bool {
    let status = &deployment["status"];
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && status["updatedReplicas"].as_u64() >= Some(wanted)
        && status["availableReplicas"].as_u64() >= Some(wanted)
}

/// Without webhooks everything works, some seconds later.
fn webhook(metrics: &str, settings: &Settings) -> Check {
    const NAME: &str = "webhook";
    let count = |result: &str| {
        let series = format!("vdb_sidecar_webhook_deliveries_total{{result=\"{result}\"}}");
        sum(metrics, &series)
    };
    let kind = settings.forge.kind;
    if count("accepted") > 0 {
        return Check::ok(NAME, "deliveries arrive and their signature is right");
    }
    if count("refused") > 0 {
        return Check::problem(
            NAME,
            "deliveries arrive, but are refused",
            "give the forge the secret that stands in Secret vdb-forge, key webhook-secret (step 3)",
        );
    }
    Check::warning(
        NAME,
        "no delivery since the sidecar started; merges are noticed by looking every five seconds",
        format!(
            "add a webhook to the repository that reaches port 7812, path /webhooks/{kind} (step 3)"
        ),
    )
}

fn portal(metrics: &str) -> Check {
    const NAME: &str = "portal";
    if sum(metrics, "vdb_sidecar_actions_total{") > 0 {
        return Check::ok(NAME, "it has called the sidecar's actions");
    }
    Check::warning(
        NAME,
        "it has called no action since the sidecar started",
        "add the keys of step 7 to app-config.yaml, restart Backstage, and order a database",
    )
}

/// The sum over all series that begin so.
fn sum(metrics: &str, series: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(series));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

async fn order(tools: &Tools) -> Check {
    const NAME: &str = "first order";
    let listed = tools
        .json(&["get", "postgresvdbs", "--all-namespaces"])
        .await;
    match listed {
        Ok(list) => ordered(&list),
        Err(error) => Check::problem(NAME, format!("{error:#}"), "run `make install` (step 6)"),
    }
}

fn ordered(list: &Value) -> Check {
    const NAME: &str = "first order";
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let is_ready = |item: &&Value| {
        let conditions = item["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            all.iter()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
        })
    };
    let ready = items.iter().filter(is_ready).count();
    if ready > 0 {
        return Check::ok(
            NAME,
            format!("{ready} of {} databases are ready", items.len()),
        );
    }
    let detail = if items.is_empty() {
        "there is no database yet".to_owned()
    } else {
        format!("none of {} databases is ready", items.len())
    };
    Check::warning(
        NAME,
        detail,
        "order one from the portal, or by `make create-env ENV=feat-1` (step 8)",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Outcome;
    use crate::install::tests::{GITEA, settings};

    #[test]
    fn refused_deliveries_are_told_from_missing_ones() {
        let (settings, _folder) = settings(GITEA);
        let of = |result: &str| {
            let line = format!("vdb_sidecar_webhook_deliveries_total{{result=\"{result}\"}} 2\n");
            webhook(&line, &settings).outcome
        };
        assert_eq!(of("accepted"), Outcome::Ok);
        assert_eq!(of("refused"), Outcome::Problem);
        assert_eq!(of("other"), Outcome::Warning);
        assert!(webhook("", &settings).remedy.contains("/webhooks/gitea"));
    }

    #[test]
    fn series_are_added_up_whatever_their_labels() {
        let text = "# TYPE vdb_sidecar_actions counter\n\
            vdb_sidecar_actions_total{action=\"vdb:validate\",code=\"400\"} 1\n\
            vdb_sidecar_actions_total{action=\"vdb:publish\",code=\"200\"} 2\n";
        assert_eq!(sum(text, "vdb_sidecar_actions_total{"), 3);
        assert_eq!(portal(text).outcome, Outcome::Ok);
        assert_eq!(portal("").outcome, Outcome::Warning);
    }

    #[test]
    fn a_deployment_of_an_older_generation_is_not_ready() {
        let of = |observed: u64| {
            is_ready(&json!({
                "metadata": {"generation": 2}, "spec": {"replicas": 1},
                "status": {"observedGeneration": observed, "updatedReplicas": 1, "availableReplicas": 1},
            }))
        };
        assert!(of(2) && !of(1));
    }

    #[test]
    fn one_ready_database_is_enough() {
        let item =
            |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert_eq!(
            ordered(&json!({"items": [item("False"), item("True")]})).outcome,
            Outcome::Ok
        );
        assert_eq!(
            ordered(&json!({"items": [item("False")]})).outcome,
            Outcome::Warning
        );
        assert_eq!(ordered(&json!({"items": []})).outcome, Outcome::Warning);
    }
}
