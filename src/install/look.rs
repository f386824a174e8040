//! Compares what is wanted with what the cluster has. Reads only.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use environment::{Problem, Problems};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::plan::{Action, Identity, Plan, Step};
use super::secrets::{self, ARGOCD_SECRET, ARGOCD_WEBHOOK};
use super::settings::{Settings, Tower};
use super::tools::{CHART, RELEASE, Tools};
use super::{NAMESPACE, objects, values};

/// The chart's own lower bound.
const OLDEST: u64 = 29;
pub(super) const DEFINITION: &str = "postgresvdbs.core.delphix.com";
const PART_OF: &str = "app.kubernetes.io/part-of";
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
    let cluster = identity(tools).await?;
    fits(tools, settings, &cluster.version).await?;
    let interrupted = interrupted(tools.release().await?.as_ref(), Timestamp::now())?;
    let mut steps = Vec::new();
    let mut effects = Vec::new();
    let mut add = |step: Step, effect: Effect| {
        steps.push(step);
        effects.push(effect);
    };
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
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

pub(super) async fn identity(tools: &Tools) -> Result<Identity> {
    let view = match tools.json(&["config", "view", "--minify"]).await {
        Ok(view) => view,
        Err(error) => {
            let known = tools
                .ask(&["config", "get-contexts", "--output=name"])
                .await;
            // No answer at all: kubectl itself is the problem.
            let Ok(known) = known else {
                return Err(error);
            };
            let known: Vec<&str> = known.lines().collect();
            return Err(error.context(format!(
                "the kubeconfig has no context {:?}; it has: {}",
                tools.context,
                known.join(", ")
            )));
        }
    };
    let server = view["clusters"][0]["cluster"]["server"]
        .as_str()
        .with_context(|| format!("context {:?} names no cluster", tools.context))?;
    let version = tools.json(&["version"]).await;
    let version = version.with_context(|| format!("the API server {server} does not answer"))?;
    let version = version["serverVersion"]["gitVersion"].as_str();
    Ok(Identity {
        context: tools.context.clone(),
        server: server.to_owned(),
        version: version
            .context("kubectl shows no server version")?
            .to_owned(),
    })
}

/// Everything about the cluster that would make the installation fail later.
async fn fits(tools: &Tools, settings: &Settings, version: &str) -> Result<()> {
    let definition = tools
        .get("customresourcedefinitions", "default", DEFINITION)
        .await?;
    if definition.is_some_and(|definition| !is_own(&definition)) {
        bail!(
            "another operator's {DEFINITION} is in this cluster, and a cluster has one such operator: remove that one first, or use another cluster"
        );
    }
    let mut problems = Vec::new();
    if minor(version).is_none_or(|minor| minor < OLDEST) {
        let problem = Problem::at("", format!("Kubernetes {version} is too old"));
        problems.push(problem.hint(format!("1.{OLDEST} or later is needed")));
    }
    let namespace = &settings.argocd.namespace;
    let argo = "applicationsets.argoproj.io";
    let kinds = tools
        .get("customresourcedefinitions", "default", argo)
        .await?;
    let config = tools.get("configmap", namespace, "argocd-cm").await?;
    if kinds.is_none() || config.is_none() {
        let problem = Problem::at(
            "/argocd/namespace",
            format!("there is no Argo CD with ApplicationSets in namespace {namespace}"),
        );
        problems.push(problem.hint("install Argo CD, or name its namespace"));
    }
    if let Tower::Engine { node, .. } = &settings.tower {
        let selector = format!("--selector=kubernetes.io/hostname={node}");
        let nodes = tools
            .ask(&["get", "nodes", &selector, "--output=name"])
            .await?;
        if nodes.trim().is_empty() {
            let problem = Problem::at("/engine/node", format!("there is no node {node:?}"));
            problems.push(problem.hint("`kubectl get nodes -L kubernetes.io/hostname` lists them"));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems).into())
    }
}

pub(super) fn is_own(definition: &Value) -> bool {
    definition["metadata"]["labels"][PART_OF] == "postgres-vdb-platform"
}

/// "v1.34.4+k3s1" is 34.
fn minor(version: &str) -> Option<u64> {
    let digits = version.strip_prefix("v1.")?;
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
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
            planned == tools.manifest().await?.trim()
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
fn interrupted(release: Option<&Value>, now: Timestamp) -> Result<bool> {
    let Some(info) = release.map(|release| &release["info"]) else {
        return Ok(false);
    };
    let status = info["status"].as_str().unwrap_or_default();
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
    fn versions_of_every_vendor_are_read() {
        for (version, wanted) in [
            ("v1.34.4", Some(34)),
            ("v1.29.1+k3s1", Some(29)),
            ("v1.33-gke.5", Some(33)),
            ("1.30", None),
            ("v2.0", None),
        ] {
            assert_eq!(minor(version), wanted, "{version}");
        }
    }

    #[test]
    fn a_definition_without_our_label_is_anothers() {
        assert!(!is_own(&json!({"metadata": {"name": DEFINITION}})));
        let own = json!({"metadata": {"labels": {PART_OF: "postgres-vdb-platform"}}});
        assert!(is_own(&own));
    }

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
}
