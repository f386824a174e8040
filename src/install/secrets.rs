//! The Secrets of an installation: which keys they need, and where each value comes from.
//!
//! Values travel from the named files, or from the cluster, to the API server by standard input. None is ever printed:
//! the types here have no Debug.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use serde_json::{Value, json};

use super::NAMESPACE;
use super::settings::{Login, Settings, Tower};

pub(super) const FORGE: &str = "vdb-forge";
pub(super) const ARGOCD: &str = "vdb-argocd";
pub(super) const DCT: &str = "vdb-dct";
/// Where Argo CD keeps its own.
pub(super) const ARGOCD_SECRET: &str = "argocd-secret";
/// The key under which Argo CD looks for what signs push events of GitHub's shape.
pub(super) const ARGOCD_WEBHOOK: &str = "webhook.github.secret";

/// The key of a server's certificate authorities, beside what else is known of that server.
pub(super) const AUTHORITIES: &str = "ca.crt";

pub(super) fn source_secret(source: &str) -> String {
    format!("vdb-source-{source}")
}

/// A Secret as it shall be: these keys with these values; keys beside them are left alone.
pub(super) struct Wanted {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) data: BTreeMap<&'static str, String>,
}

/// Names and keys that the settings ask for: what a check looks for without knowing a value.
pub(super) fn needed(settings: &Settings) -> Vec<(String, Vec<&'static str>)> {
    let login = match settings.forge.login {
        Login::Token(_) => "token",
        Login::App { .. } => "private-key",
    };
    let mut needed = vec![
        (FORGE.to_owned(), vec![login, "webhook-secret"]),
        (ARGOCD.to_owned(), vec!["token", "webhook-secret"]),
        (DCT.to_owned(), vec!["api-key"]),
    ];
    let with_authorities = [&settings.forge.ca_file, &settings.argocd.ca_file];
    for ((_, keys), file) in needed.iter_mut().zip(with_authorities) {
        keys.extend(file.as_ref().map(|_| AUTHORITIES));
    }
    if let Tower::Engine { sources, .. } = &settings.tower {
        let secrets = sources.iter().map(|source| source_secret(&source.name));
        needed.extend(secrets.map(|name| (name, vec!["password"])));
    }
    needed
}

/// All Secrets with their values. `live` gives what the cluster has under namespace and name.
pub(super) fn wanted(
    settings: &Settings,
    live: impl Fn(&str, &str) -> Option<Value>,
) -> Result<Vec<Wanted>> {
    let here = |name: &str, key: &str| kept(live(NAMESPACE, name).as_ref(), key);
    let argocd_namespace = &settings.argocd.namespace;
    let of_argocd = kept(
        live(argocd_namespace, ARGOCD_SECRET).as_ref(),
        ARGOCD_WEBHOOK,
    );
    let signed_with = argocd_webhook(settings, of_argocd)?;
    let forge_webhook = match &settings.forge.webhook_secret_file {
        Some(file) => read(file)?,
        None => here(FORGE, "webhook-secret").unwrap_or_else(made_up),
    };
    let login = match &settings.forge.login {
        Login::Token(file) => ("token", read(file)?),
        Login::App { key_file, .. } => ("private-key", read(key_file)?),
    };
    let token = read(&settings.argocd.token_file)?;
    let api_key = match &settings.tower {
        Tower::Dct { key_file, .. }
        | Tower::Engine {
            key_file: Some(key_file),
            ..
        } => read(key_file)?,
        Tower::Engine { .. } => here(DCT, "api-key").unwrap_or_else(made_up),
    };
    let own = |name: &str, data: Vec<(&'static str, String)>| Wanted {
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        data: data.into_iter().collect(),
    };
    let authorities = |file: Option<&Path>| -> Result<_> {
        let text = file.map(read).transpose()?;
        Ok(text.map(|text| (AUTHORITIES, text)))
    };
    let mut of_argocd = vec![("token", token), ("webhook-secret", signed_with.clone())];
    of_argocd.extend(authorities(settings.argocd.ca_file.as_deref())?);
    let mut of_forge = vec![login, ("webhook-secret", forge_webhook)];
    of_forge.extend(authorities(settings.forge.ca_file.as_deref())?);
    let mut wanted = vec![
        // Argo CD's first: a run that ends in between takes over what it finds here.
        Wanted {
            namespace: argocd_namespace.clone(),
            ..own(ARGOCD_SECRET, vec![(ARGOCD_WEBHOOK, signed_with)])
        },
        own(ARGOCD, of_argocd),
        own(FORGE, of_forge),
        own(DCT, vec![("api-key", api_key)]),
    ];
    if let Tower::Engine { sources, .. } = &settings.tower {
        for source in sources {
            let password = read(&source.password_file)?;
            wanted.push(own(
                &source_secret(&source.name),
                vec![("password", password)],
            ));
        }
    }
    Ok(wanted)
}

/// Another one in Argo CD may be in use by other repositories' webhooks, so it is never replaced.
fn argocd_webhook(settings: &Settings, live: Option<String>) -> Result<String> {
    let file = settings.argocd.webhook_secret_file.as_deref();
    match (file.map(read).transpose()?, live) {
        (Some(file), Some(live)) if file != live => bail!(
            "{ARGOCD_SECRET} in {} holds another {ARGOCD_WEBHOOK} than argocd.webhookSecretFile: \
             leave the key out, so that the one in use is taken over",
            settings.argocd.namespace
        ),
        (Some(secret), _) | (None, Some(secret)) => Ok(secret),
        (None, None) => Ok(made_up()),
    }
}

impl Wanted {
    /// The keys that the cluster lacks or holds otherwise; all of them where the programs were not restarted after the
    /// last change.
    pub(super) fn differing(&self, live: Option<&Value>) -> Vec<&'static str> {
        if live.is_some_and(is_unread) {
            return self.data.keys().copied().collect();
        }
        let keys = self.data.iter();
        keys.filter(|(key, value)| kept(live, key).as_ref() != Some(value))
            .map(|(key, _)| *key)
            .collect()
    }

    pub(super) fn manifest(&self) -> Value {
        let encoded: BTreeMap<_, _> = self
            .data
            .iter()
            .map(|(key, value)| (*key, STANDARD.encode(value)))
            .collect();
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "data": encoded,
        })
    }
}

/// Stands on a Secret from its change until the programs were restarted, so that a run that ends in between is noticed.
const UNREAD: &str = "postgres-vdb-platform/unread";

/// The same Secret, marked. "false" is written, not left out: whoever else wrote the mark would keep it.
pub(super) fn marked(manifest: &Value, unread: bool) -> Value {
    let mut manifest = manifest.clone();
    manifest["metadata"]["annotations"] = json!({UNREAD: unread.to_string()});
    manifest
}

fn is_unread(live: &Value) -> bool {
    live["metadata"]["annotations"][UNREAD] == "true"
}

/// A value of a Secret that the cluster has; an empty one counts as none.
pub(super) fn kept(live: Option<&Value>, key: &str) -> Option<String> {
    let encoded = live?.get("data")?.get(key)?.as_str()?;
    let value = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    Some(value).filter(|value| !value.is_empty())
}

fn read(file: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

fn made_up() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GITEA, settings};
    use super::*;

    fn live(name: &str, key: &str, value: &str) -> Value {
        json!({"metadata": {"name": name}, "data": {key: STANDARD.encode(value)}})
    }

    #[test]
    fn what_is_not_named_is_made_up_once_and_then_kept() {
        let (settings, _folder) = settings(GITEA);
        let first = wanted(&settings, |_, _| None).unwrap();
        let manifests: Vec<Value> = first.iter().map(Wanted::manifest).collect();
        let again = wanted(&settings, |namespace, name| {
            manifests
                .iter()
                .find(|m| m["metadata"]["name"] == name && m["metadata"]["namespace"] == namespace)
                .cloned()
        })
        .unwrap();
        for (secret, manifest) in again.iter().zip(&manifests) {
            assert!(
                secret.differing(Some(manifest)).is_empty(),
                "{} changed",
                secret.name
            );
        }
        let by_name = |name: &str| first.iter().find(|secret| secret.name == name).unwrap();
        let signed_with = &by_name(ARGOCD_SECRET).data[ARGOCD_WEBHOOK];
        assert_eq!(&by_name(ARGOCD).data["webhook-secret"], signed_with);
        assert_eq!(signed_with.len(), 64);
        assert_ne!(&by_name(DCT).data["api-key"], signed_with);
        assert_eq!(by_name(FORGE).data["token"], "the forge-token");
    }

    #[test]
    fn the_secret_that_argo_cd_uses_is_taken_over_and_never_replaced() {
        let (settings, folder) = settings(GITEA);
        let in_use = |_: &str, name: &str| {
            (name == ARGOCD_SECRET).then(|| live(name, ARGOCD_WEBHOOK, "in use"))
        };
        let taken = wanted(&settings, in_use).unwrap();
        assert_eq!(taken[1].data["webhook-secret"], "in use");
        let file = folder.path().join("other");
        std::fs::write(&file, "other").unwrap();
        let mut settings = settings;
        settings.argocd.webhook_secret_file = Some(file);
        let error = wanted(&settings, in_use).err().unwrap().to_string();
        assert!(error.contains("leave the key out"), "{error}");
        assert!(!error.contains("in use,") && !error.contains("\"other\""));
    }

    #[test]
    fn a_change_that_the_programs_did_not_read_is_not_done() {
        let (settings, _folder) = settings(GITEA);
        let wanted = wanted(&settings, |_, _| None).unwrap();
        let secret = wanted.iter().find(|secret| secret.name == DCT).unwrap();
        let manifest = secret.manifest();
        assert!(secret.differing(Some(&manifest)).is_empty());
        let cut_off = marked(&manifest, true);
        assert_eq!(secret.differing(Some(&cut_off)), ["api-key"]);
        assert!(secret.differing(Some(&marked(&manifest, false))).is_empty());
    }

    #[test]
    fn every_needed_key_is_made() {
        let (settings, _folder) = settings(GITEA);
        let wanted = wanted(&settings, |_, _| None).unwrap();
        for (name, keys) in needed(&settings) {
            let secret = wanted.iter().find(|secret| secret.name == name).unwrap();
            for key in keys {
                assert!(secret.data.contains_key(key), "{name} lacks {key}");
            }
        }
    }
}
