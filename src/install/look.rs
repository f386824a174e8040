//! Compares what is wanted with what the cluster has. Reads only.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::plan::{Action, Plan, Step};
use super::secrets::{self, ARGOCD_SECRET, ARGOCD_WEBHOOK};
use super::settings::Settings;
use super::tools::{CHART, RELEASE, Tools};
use super::{NAMESPACE, cluster, objects, values};

/// Helm here ends within five minutes; what is pending for longer was interrupted.
const INTERRUPTED: SignedDuration = SignedDuration::from_mins(6);

/// What a step does when it is carried out.
pub(super) enum Effect {
    Apply(Value),
    /// A Secret of the programs: those that run must read a changed one anew.
    Secret(Value),
    Release,
    /// Applied when the programs run: from then on environments are made.
    Last(Value),
}

pub(super) struct Work {
    pub(super) plan: Plan,
    /// One for each step of the plan.
    pub(super) effects: Vec<Effect>,
    /// An interrupted installation must be forgotten first.
    pub(super) interrupted: bool,
}

pub(super) async fn work(tools: &Tools, settings: &Settings) -> Result<Work> {
    let cluster = cluster::identity(tools).await?;
    cluster::fits(tools, settings, &cluster.version).await?;
    let interrupted = interrupted(tools.release().await?.as_ref(), Timestamp::now())?;
    let mut steps = Vec::new();
    let mut effects = Vec::new();
    let mut add = |step: Step, effect: Effect| {
        steps.push(step);
        effects.push(effect);
    };
    // The platform's pods keep to the strictest standard; nothing else belongs here.
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}});
    add(
        object(tools, "Namespace", &namespace).await?,
        Effect::Apply(namespace),
    );
    for (step, manifest) in secret_steps(tools, settings).await? {
        let own = manifest["metadata"]["namespace"] == NAMESPACE;
        let effect = if own { Effect::Secret } else { Effect::Apply };
        add(step, effect(manifest));
    }
    for (kind, manifest) in [
        ("ConfigMap", objects::health(&tools.checkout, settings)?),
        ("AppProject", objects::project(&tools.checkout, settings)?),
    ] {
        add(
            object(tools, kind, &manifest).await?,
            Effect::Apply(manifest),
        );
    }
    let values = values::of(settings);
    add(release(tools, &values, interrupted).await?, Effect::Release);
    let set = objects::application_set(&tools.checkout, settings)?;
    add(
        object(tools, "ApplicationSet", &set).await?,
        Effect::Last(set),
    );
    let plan = Plan {
        cluster,
        steps,
        values,
    };
    Ok(Work {
        plan,
        effects,
        interrupted,
    })
}

async fn object(tools: &Tools, kind: &'static str, wanted: &Value) -> Result<Step> {
    let text = |key: &str| wanted["metadata"][key].as_str().unwrap_or_default();
    let live = tools
        .get(&kind.to_lowercase(), text("namespace"), text("name"))
        .await?;
    let same = live
        .as_ref()
        .is_some_and(|live| objects::covers(live, wanted));
    let detail = if kind == "ConfigMap" {
        objects::HEALTH.to_owned()
    } else {
        String::new()
    };
    Ok(Step {
        action: Action::of(live.is_some(), same),
        kind,
        name: full_name(text("namespace"), text("name")),
        detail,
    })
}

fn full_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}

async fn secret_steps(tools: &Tools, settings: &Settings) -> Result<Vec<(Step, Value)>> {
    let argocd = settings.argocd.namespace.as_str();
    let mut live = BTreeMap::new();
    for (name, _) in secrets::needed(settings) {
        live.insert(
            (NAMESPACE, name.clone()),
            tools.get("secret", NAMESPACE, &name).await?,
        );
    }
    live.insert(
        (argocd, ARGOCD_SECRET.to_owned()),
        argocd_secret(tools, argocd).await?,
    );
    let found = |namespace: &str, name: &str| {
        let entry = live
            .iter()
            .find(|((in_namespace, known), _)| *in_namespace == namespace && known == name);
        entry.and_then(|(_, secret)| secret.clone())
    };
    let wanted = secrets::wanted(settings, found)?;
    let steps = wanted.iter().map(|secret| {
        let live = found(&secret.namespace, &secret.name);
        let differing = secret.differing(live.as_ref());
        let keys: Vec<&str> = secret.data.keys().copied().collect();
        let step = Step {
            action: Action::of(live.is_some(), differing.is_empty()),
            kind: "Secret",
            name: full_name(&secret.namespace, &secret.name),
            detail: if differing.is_empty() {
                keys
            } else {
                differing
            }
            .join(", "),
        };
        (step, secret.manifest())
    });
    Ok(steps.collect())
}

/// Only the one key of it: what else Argo CD keeps there is none of our business.
async fn argocd_secret(tools: &Tools, namespace: &str) -> Result<Option<Value>> {
    let path = format!(
        "--output=jsonpath={{.metadata.name}} {{.data.{}}}",
        ARGOCD_WEBHOOK.replace('.', "\\.")
    );
    let args = [
        "get",
        "secret",
        ARGOCD_SECRET,
        "--namespace",
        namespace,
        "--ignore-not-found",
        &path,
    ];
    let text = tools.ask(&args).await?;
    let mut words = text.split_whitespace();
    let exists = words.next().is_some();
    let value = words.next().map(|value| json!({ARGOCD_WEBHOOK: value}));
    Ok(exists.then(|| json!({"data": value})))
}

/// The chart is asked, on the server, what it would send: a refusal of its schema comes before anything is changed.
async fn release(tools: &Tools, values: &Value, interrupted: bool) -> Result<Step> {
    let live = tools.release().await?.filter(|_| !interrupted);
    let failed = live
        .as_ref()
        .is_some_and(|release| release["info"]["status"] != "deployed");
    let same = match &live {
        Some(_) if !failed => {
            let planned = tools
                .upgrade(values, &["--dry-run=server", "--output=json"])
                .await?;
            let planned: Value = serde_json::from_str(&planned).context("helm upgrade: no JSON")?;
            let planned = planned["manifest"].as_str().unwrap_or_default().trim();
            let sent = tools.manifest().await?;
            // What somebody has deleted since, Helm makes again.
            planned == sent.trim() && tools.all_there(&sent).await?
        }
        _ if !interrupted => {
            tools.upgrade(values, &["--dry-run=server"]).await?;
            false
        }
        _ => false,
    };
    Ok(Step {
        action: Action::of(live.is_some(), same),
        kind: "Release",
        name: full_name(NAMESPACE, RELEASE),
        detail: format!("{CHART}, values below"),
    })
}

/// Helm leaves this state behind when it is killed, and then refuses every later run.
///
/// # Errors
/// Another one is under way, or the release's end was asked for and has not come.
fn interrupted(release: Option<&Value>, now: Timestamp) -> Result<bool> {
    let Some(info) = release.map(|release| &release["info"]) else {
        return Ok(false);
    };
    let status = info["status"].as_str().unwrap_or_default();
    if status == "uninstalling" {
        let revision = release.map_or(0, |release| release["version"].as_u64().unwrap_or_default());
        bail!(
            "the release {RELEASE} is to be uninstalled, and Helm upgrades it no more. To keep it: helm rollback {RELEASE} {revision} --namespace {NAMESPACE}; \
             to end it: helm uninstall {RELEASE} --namespace {NAMESPACE}, which says what stands in the way. Then run this again"
        );
    }
    if !status.starts_with("pending-") {
        return Ok(false);
    }
    let since = info["last_deployed"].as_str().unwrap_or_default();
    let long_ago = since
        .parse::<Timestamp>()
        .is_ok_and(|since| now.duration_since(since) > INTERRUPTED);
    if !long_ago {
        bail!(
            "another installation is under way since {since} (release {RELEASE} is {status}): run this again when it ended, or in some minutes"
        );
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_is_pending_for_long_was_interrupted() {
        let at = |time: &str| json!({"info": {"status": "pending-upgrade", "last_deployed": time}});
        let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        assert!(interrupted(Some(&at("2026-11-25T09:00:00.123+00:00")), now).unwrap());
        let error = interrupted(Some(&at("2026-11-25T09:59:00Z")), now).unwrap_err();
        assert!(error.to_string().contains("under way"), "{error}");
        let deployed = json!({"info": {"status": "deployed"}});
        assert!(!interrupted(Some(&deployed), now).unwrap());
        assert!(!interrupted(None, now).unwrap());
    }

    #[test]
    fn a_release_that_was_not_let_go_is_taken_back_first() {
        let release = json!({"info": {"status": "uninstalling"}, "version": 3});
        let error = interrupted(Some(&release), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("helm rollback vdb 3 --namespace vdb-system"),
            "{error}"
        );
    }
}
