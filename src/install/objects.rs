//! The objects of Argo CD, from the checkout's applications/, and what "the same" means for an object.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use environment::yaml;
use serde_json::{Value, json};

use super::settings::Settings;

/// The entry of argocd-cm.
pub(super) const HEALTH: &str = "resource.customizations.health.core.delphix.com_PostgresVDB";

pub(super) fn project(checkout: &Path, settings: &Settings) -> Result<Value> {
    filled(checkout, "project.yaml", settings)
}

pub(super) fn application_set(checkout: &Path, settings: &Settings) -> Result<Value> {
    filled(checkout, "postgres-vdb-appset.yaml", settings)
}

/// The one entry alone: the rest of argocd-cm is not ours.
pub(super) fn health(checkout: &Path, settings: &Settings) -> Result<Value> {
    let whole = read(checkout, "argocd-cm.yaml")?;
    let script = whole["data"][HEALTH]
        .as_str()
        .with_context(|| format!("applications/argocd-cm.yaml lacks {HEALTH}"))?;
    Ok(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": settings.argocd.namespace},
        "data": {HEALTH: script},
    }))
}

/// The file with the repository filled in as data, so no address can change its structure.
fn filled(checkout: &Path, file: &str, settings: &Settings) -> Result<Value> {
    let mut object = read(checkout, file)?;
    object["metadata"]["namespace"] = json!(settings.argocd.namespace);
    replace(&mut object, settings);
    Ok(object)
}

fn replace(value: &mut Value, settings: &Settings) {
    match value {
        Value::String(text) if text == "REPO_URL" => {
            text.clone_from(&settings.argocd.repo_url);
        }
        Value::String(text) if text == "REVISION" => text.clone_from(&settings.forge.branch),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, settings)),
        Value::Object(map) => map.values_mut().for_each(|item| replace(item, settings)),
        _ => {}
    }
}

fn read(checkout: &Path, file: &str) -> Result<Value> {
    let path = checkout.join("applications").join(file);
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read {}: run this in a checkout of the platform, or name one by --checkout",
            path.display()
        )
    })?;
    yaml::read(&text).map_err(|why| anyhow!("{}: {why}", path.display()))
}

/// Whether the live object says everything that is wanted. What others added, defaults and status, does not matter.
pub(super) fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            live.get(key)
                .map_or_else(|| value.is_null(), |live| covers(live, value))
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(l, w)| covers(l, w))
        }
        _ => live == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GITEA, settings};
    use super::*;

    #[test]
    fn the_repository_is_filled_in_as_data() {
        let (mut settings, _folder) = settings(GITEA);
        settings.argocd.repo_url = "https://x/y.git\nspec: {}".into();
        settings.argocd.namespace = "gitops".into();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = project(here, &settings).unwrap();
        assert_eq!(
            project["spec"]["sourceRepos"],
            json!(["https://x/y.git\nspec: {}"])
        );
        assert_eq!(project["metadata"]["namespace"], "gitops");
        let set = application_set(here, &settings).unwrap();
        assert_eq!(set["spec"]["generators"][0]["git"]["revision"], "main");
        assert_eq!(
            set["spec"]["template"]["spec"]["source"]["targetRevision"],
            "main"
        );
        let text = format!("{project}{set}");
        assert!(!text.contains("REPO_URL") && !text.contains("REVISION"));
        assert!(
            health(here, &settings).unwrap()["data"][HEALTH]
                .as_str()
                .unwrap()
                .contains("Progressing")
        );
    }

    #[test]
    fn what_others_added_is_no_difference() {
        let wanted = json!({"spec": {"a": 1, "list": [{"x": 1}]}});
        let live =
            json!({"spec": {"a": 1, "b": 2, "list": [{"x": 1, "default": true}]}, "status": {}});
        assert!(covers(&live, &wanted));
        assert!(!covers(
            &json!({"spec": {"a": 2, "list": [{"x": 1}]}}),
            &wanted
        ));
        assert!(!covers(&json!({"spec": {"a": 1, "list": []}}), &wanted));
        assert!(!covers(&json!({}), &wanted));
    }
}
