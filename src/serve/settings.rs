//! Settings of `vdb serve`: one YAML file with a closed schema. Tokens stand in files of their own, never here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use environment::quantity::Quantity;
use environment::yaml;
use jiff::SignedDuration;
use serde::Deserialize;

use crate::{argocd, forge, web};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(default)]
    pub(crate) listen: Listen,
    pub(crate) portal: Portal,
    pub(crate) forge: forge::Settings,
    pub(crate) argocd: argocd::Settings,
    pub(crate) dct: Dct,
    #[serde(default)]
    pub(crate) orders: Orders,
    #[serde(default)]
    pub(crate) expiry: Expiry,
}

/// What becomes of environments whose life is over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Expiry {
    /// Hours after the end at which the pull request that retires it is opened, as `24h`; `0`: never.
    pub(crate) retire_after: String,
}

impl Default for Expiry {
    fn default() -> Self {
        Self {
            retire_after: "24h".into(),
        }
    }
}

impl Expiry {
    /// `None`: nothing is retired.
    pub(crate) fn grace(&self) -> Option<SignedDuration> {
        let hours = self.hours().filter(|hours| *hours > 0)?;
        Some(SignedDuration::from_hours(hours.into()))
    }

    fn hours(&self) -> Option<u32> {
        let text = &self.retire_after;
        text.strip_suffix('h').unwrap_or(text).parse().ok()
    }
}

/// Three listeners: the first is for the cluster alone, the second may be public, the third is for monitoring.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Listen {
    pub(crate) api: SocketAddr,
    pub(crate) webhooks: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Self {
            api: any(7811),
            webhooks: any(7812),
            metrics: any(7813),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Portal {
    /// Base of the backend, as the sidecar reaches it.
    pub(crate) url: String,
    /// The portal as browsers reach it; `url` where absent.
    #[serde(default)]
    pub(crate) public_url: Option<String>,
    /// Which of the portal's plugins may call.
    #[serde(default = "plugins")]
    pub(crate) plugins: Vec<String>,
    /// Off where the catalog finds the environments by itself.
    #[serde(default = "yes")]
    pub(crate) register_catalog: bool,
}

impl Portal {
    pub(crate) fn people_url(&self) -> &str {
        self.public_url
            .as_deref()
            .unwrap_or(&self.url)
            .trim_end_matches('/')
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Dct {
    pub(crate) url: String,
    pub(crate) api_key_file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Orders {
    pub(crate) allowed_images: Vec<String>,
    pub(crate) allowed_sources: Vec<String>,
    pub(crate) max_environments_per_owner: usize,
    /// Orders whose pull request waits for a merge.
    pub(crate) max_open_orders_per_owner: usize,
    /// For each owner.
    pub(crate) max_orders_per_hour: usize,
    /// What the databases of one owner may reserve together; any amount where absent.
    pub(crate) max_cpu_per_owner: Option<Quantity>,
    pub(crate) max_memory_per_owner: Option<Quantity>,
    /// Days that a database may live from an extension on.
    pub(crate) longest_life_days: u32,
    /// Refuses an order of the latest snapshot where that is older; any age where absent.
    pub(crate) max_snapshot_age_hours: Option<u32>,
    /// What the ApplicationSet grants each environment, told to reviewers. Kubernetes enforces it, not the sidecar.
    pub(crate) quota: Quota,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            allowed_images: vec!["postgres:*".into()],
            allowed_sources: vec!["*".into()],
            max_environments_per_owner: 20,
            max_open_orders_per_owner: 5,
            max_orders_per_hour: 30,
            max_cpu_per_owner: None,
            max_memory_per_owner: None,
            longest_life_days: environment::change::LONGEST_LIFE_DAYS,
            max_snapshot_age_hours: None,
            quota: Quota::default(),
        }
    }
}

/// As `platform.quota` of the chart has it; null for what is not limited.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Quota {
    pub(crate) pods: Option<String>,
    pub(crate) persistentvolumeclaims: Option<String>,
    #[serde(rename = "requests.cpu")]
    pub(crate) requests_cpu: Option<String>,
    #[serde(rename = "requests.memory")]
    pub(crate) requests_memory: Option<String>,
}

impl Default for Quota {
    /// That of the chart and the ApplicationSet: a test holds it.
    fn default() -> Self {
        Self {
            pods: Some("20".into()),
            persistentvolumeclaims: Some("10".into()),
            requests_cpu: Some("4".into()),
            requests_memory: Some("8Gi".into()),
        }
    }
}

fn plugins() -> Vec<String> {
    vec!["scaffolder".into(), "mcp-actions".into()]
}

fn yes() -> bool {
    true
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read the settings file {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the settings file {} is not right: {why}", path.display())]
    Wrong { path: PathBuf, why: String },
}

impl Settings {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|why| Error::Wrong {
            path: path.to_owned(),
            why,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let settings: Self = yaml::read(text)?;
        let plugin_ids = settings
            .portal
            .plugins
            .iter()
            .find(|plugin| !is_plugin_id(plugin));
        if let Some(plugin) = plugin_ids {
            return Err(format!(
                "portal.plugins: {plugin:?} is no plugin id; use lower-case letters, digits, '-' and '_'"
            ));
        }
        let urls = [
            ("portal.url", &settings.portal.url),
            ("forge.url", &settings.forge.url),
            ("argocd.url", &settings.argocd.url),
            ("dct.url", &settings.dct.url),
        ];
        let hooks = settings.argocd.webhooks.iter();
        for (name, url) in urls
            .into_iter()
            .chain(hooks.map(|url| ("argocd.webhooks", url)))
        {
            is_callable(url).map_err(|why| format!("{name}: {url:?} {why}"))?;
        }
        if settings.expiry.hours().is_none() {
            return Err(format!(
                "expiry.retireAfter: {:?} is no number of hours; write 24h, or 0 for never",
                settings.expiry.retire_after
            ));
        }
        let amounts = [
            ("orders.maxCpuPerOwner", &settings.orders.max_cpu_per_owner),
            (
                "orders.maxMemoryPerOwner",
                &settings.orders.max_memory_per_owner,
            ),
        ];
        for (name, amount) in amounts {
            // A limit that cannot be read must not be none.
            if let Some(amount) = amount.as_ref().filter(|amount| amount.milli().is_none()) {
                return Err(format!(
                    "{name}: {:?} is no amount; write 16 or 64Gi",
                    amount.as_str()
                ));
            }
        }
        Ok(settings)
    }
}

/// Whether an address may be called at all, with what is to be changed.
fn is_callable(url: &str) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(url).map_err(|_| "is no address; write http://host:port")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is not http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or password; tokens stand in files of their own");
    }
    match url.host_str() {
        None | Some("") => Err("has no host"),
        Some(host) if web::is_forbidden_host(host) => {
            Err("is link-local or a cloud's metadata service; use the address of the server's own")
        }
        Some(_) => Ok(()),
    }
}

/// A plugin's id becomes part of the address of its keys: nothing but these characters may stand there.
pub(crate) fn is_plugin_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// Whether a text matches one of the patterns, in which `*` stands for any text.
pub(crate) fn allowed(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(first) else {
        return false;
    };
    // The star takes nothing, then one character more each time.
    (0..=text.len())
        .filter(|at| text.is_char_boundary(*at))
        .any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const EXAMPLE: &str = "
portal: {url: 'http://backstage.stack:7007', publicUrl: 'http://localhost:7007'}
forge: {kind: gitea, url: 'http://gitea.localhost:3000', owner: acme, repository: databases, tokenFile: /x}
argocd: {url: 'http://argocd.stack:8080', tokenFile: /x, project: postgres-vdb-platform, repoUrl: 'http://gitea.localhost:3000/acme/databases.git'}
dct: {url: 'http://vdb-engine:8080', apiKeyFile: /x}
";

    pub(crate) fn example() -> Settings {
        Settings::parse(EXAMPLE).unwrap()
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let settings = example();
        assert_eq!(settings.listen.api.port(), 7811);
        assert_eq!(settings.portal.plugins, ["scaffolder", "mcp-actions"]);
        assert_eq!(settings.portal.people_url(), "http://localhost:7007");
        assert_eq!(settings.forge.branch, "main");
        assert!(settings.portal.register_catalog);
        let orders = &settings.orders;
        assert_eq!(
            (
                orders.max_environments_per_owner,
                orders.max_open_orders_per_owner,
                orders.max_orders_per_hour
            ),
            (20, 5, 30)
        );
        assert_eq!(settings.orders.longest_life_days, 90);
        assert_eq!(settings.orders.max_snapshot_age_hours, None);
    }

    #[test]
    fn the_quota_is_the_applicationsets() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/applications/postgres-vdb-appset.yaml"
        );
        let set: serde_json::Value = yaml::read(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut granted =
            set["spec"]["template"]["spec"]["source"]["helm"]["valuesObject"]["platform"]["quota"]
                .clone();
        for other in ["services.loadbalancers", "services.nodeports"] {
            granted.as_object_mut().unwrap().remove(other).unwrap();
        }
        let granted: Quota = serde_json::from_value(granted).unwrap();
        assert_eq!(granted, Quota::default());
    }

    #[test]
    fn a_typing_error_is_named() {
        let error = Settings::parse(&EXAMPLE.replace("publicUrl", "publicURL")).unwrap_err();
        assert!(error.contains("publicURL"), "{error}");
        let error = Settings::parse(&EXAMPLE.replace(
            "{url: 'http://backstage.stack:7007'",
            "{plugins: ['../x'], url: 'http://x'",
        ))
        .unwrap_err();
        assert!(error.contains("no plugin id"), "{error}");
    }

    #[rstest::rstest]
    #[case::metadata(
        "http://gitea.localhost:3000', owner",
        "http://169.254.169.254', owner",
        "forge.url"
    )]
    #[case::hidden_as_a_number("http://argocd.stack:8080", "http://2852039166", "argocd.url")]
    #[case::mapped(
        "http://argocd.stack:8080",
        "http://[::ffff:a9fe:a9fe]:80",
        "argocd.url"
    )]
    #[case::file("http://vdb-engine:8080", "file:///etc/passwd", "dct.url")]
    #[case::password(
        "http://backstage.stack:7007",
        "http://a:b@backstage.stack",
        "portal.url"
    )]
    #[case::hook(
        "tokenFile: /x, project",
        "tokenFile: /x, webhooks: ['http://[fe80::1]/x'], project",
        "argocd.webhooks"
    )]
    fn an_address_that_must_not_be_called_is_refused_by_name(
        #[case] from: &str,
        #[case] to: &str,
        #[case] field: &str,
    ) {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE);
        let error = Settings::parse(&text).unwrap_err();
        assert!(error.starts_with(field), "{error}");
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let list = ["postgres:*".to_owned(), "registry.*/pg".to_owned()];
        assert!(allowed(&list, "postgres:16.9"));
        assert!(allowed(&list, "registry.acme/a/pg"));
        assert!(!allowed(&list, "evil/postgres:16.9"));
        assert!(!allowed(&list, "registry.acme/pg2"));
        assert!(!allowed(&[], "postgres:16.9"));
    }
}
