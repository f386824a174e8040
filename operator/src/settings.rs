//! The operator's settings: one YAML file, read once at start. An unknown key is an error, not a silent default.

use std::path::PathBuf;
use std::time::Duration;

use environment::quantity::Quantity;
use environment::spec::HookType;
use serde::{Deserialize, Deserializer};

use crate::network::Network;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    pub dct: Tower,
    pub export: Export,
    /// After this long a deletion ends without the engine, and the virtual database goes to the ledger.
    #[serde(default = "ten_minutes", deserialize_with = "duration")]
    pub deletion_deadline: Duration,
    /// After this long in one state a refresh is given up and undone.
    #[serde(default = "half_an_hour", deserialize_with = "duration")]
    pub refresh_deadline: Duration,
    /// For hooks that name no deadline of their own.
    #[serde(default = "ten_minutes", deserialize_with = "duration")]
    pub hook_deadline: Duration,
    /// After this long the rebuild of indexes that `spec.collations: Reindex` asks for is given up.
    #[serde(default = "half_an_hour", deserialize_with = "duration")]
    pub reindex_deadline: Duration,
    /// What runs on a target host of Delphix instead of in a pod.
    #[serde(default)]
    pub remote: Option<Remote>,
    #[serde(default)]
    pub allow: Allow,
    /// What is left without its resource.
    #[serde(default)]
    pub sweep: Sweep,
    #[serde(default = "helper_file")]
    pub helper_file: PathBuf,
    #[serde(default = "namespace_prefix")]
    pub namespace_prefix: String,
    #[serde(default = "cluster_domain")]
    pub cluster_domain: String,
    /// Where the operator runs outside the cluster, names do not resolve: it then uses the Service's address.
    #[serde(default)]
    pub connect: Connect,
    /// How many resources are worked on at once.
    #[serde(default = "concurrency")]
    pub concurrency: u16,
    #[serde(default = "listen")]
    pub listen: String,
    #[serde(default)]
    pub image_pull_policy: PullPolicy,
    /// The file cannot set it: only a simulation, which makes millions of passwords that guard nothing, takes fewer.
    #[serde(skip, default = "scram_iterations")]
    pub scram_iterations: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tower {
    /// Without `/dct/v3`.
    pub url: String,
    pub api_key_file: PathBuf,
    #[serde(default = "client_name")]
    pub client_name: String,
    /// Every virtual database is made in this group: names are unique in it.
    pub group: String,
    #[serde(default = "poll_min", deserialize_with = "duration")]
    pub poll_min: Duration,
    #[serde(default = "poll_max", deserialize_with = "duration")]
    pub poll_max: Duration,
    /// How long an accepted order may stay invisible to searches.
    #[serde(default = "five_minutes", deserialize_with = "duration")]
    pub visibility_grace: Duration,
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl Tower {
    pub fn client(&self) -> dct::ClientSettings {
        let mut client = dct::ClientSettings::new(&self.url, &self.api_key_file, &self.client_name);
        client.ca_file.clone_from(&self.ca_file);
        client
    }
}

/// How the engine offers the data to nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Export {
    pub kind: ExportKind,
    /// Every exported directory lies below it; anything else is refused.
    pub prefix: String,
    /// The node that has the directory (local).
    #[serde(default)]
    pub node: Option<String>,
    /// The engine's address (nfs).
    #[serde(default)]
    pub server: Option<String>,
    /// Options of the mount besides `hard` and `noatime`, for example `vers=4.1` (nfs).
    #[serde(default)]
    pub mount_options: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportKind {
    Local,
    Nfs,
}

/// Copies that the engine serves itself, on a host of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remote {
    /// Orders from these references; `*` stands for any text.
    pub sources: Vec<String>,
    /// Where target hosts are. An address elsewhere is refused.
    pub hosts: Vec<Network>,
    /// The environment of Data Control Tower that orders are sent to.
    #[serde(default)]
    pub environment: Option<String>,
    /// The installation of the server on it; chosen by Data Control Tower where absent.
    #[serde(default)]
    pub repository: Option<String>,
    /// How a hook on the host calls psql as the server's superuser, without a password.
    #[serde(default = "psql")]
    pub psql: String,
}

/// What orders may use; `*` stands for any text. What stands here holds everywhere, and of `rules` the first one that
/// speaks of the order's namespace holds as well.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allow {
    #[serde(default = "everything")]
    pub sources: Vec<String>,
    #[serde(default = "postgres_images")]
    pub images: Vec<String>,
    /// An order names an end of its life that is no further away; absent: it may live for ever.
    #[serde(default, deserialize_with = "some_duration")]
    pub max_life: Option<Duration>,
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What orders of some namespaces may use. It allows all of what it leaves out.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    pub namespaces: Vec<String>,
    #[serde(default)]
    pub sources: Option<Vec<String>>,
    #[serde(default)]
    pub images: Option<Vec<String>>,
    /// Types of hooks.
    #[serde(default)]
    pub hooks: Option<Vec<HookType>>,
    /// For request and limit; an order names a limit.
    #[serde(default)]
    pub max_cpu: Option<Quantity>,
    #[serde(default)]
    pub max_memory: Option<Quantity>,
    #[serde(default)]
    pub max_storage: Option<Quantity>,
    #[serde(default, deserialize_with = "some_duration")]
    pub max_life: Option<Duration>,
}

impl Allow {
    /// What is wrong with the rules, if anything.
    fn check(&self) -> Result<(), String> {
        for (number, rule) in self.rules.iter().enumerate() {
            let place = format!("allow.rules[{number}]");
            if rule.namespaces.is_empty() {
                return Err(format!("{place}.namespaces is empty; write \"*\" for all"));
            }
            for (key, most) in [
                ("maxCpu", &rule.max_cpu),
                ("maxMemory", &rule.max_memory),
                ("maxStorage", &rule.max_storage),
            ] {
                if let Some(most) = most.as_ref().filter(|most| most.milli().is_none()) {
                    return Err(format!(
                        "{place}.{key} {:?} is no quantity; write for example 500m, 2 or 4Gi",
                        most.as_str()
                    ));
                }
            }
            let last = number + 1 == self.rules.len();
            if !last && rule.namespaces.iter().any(|pattern| pattern == "*") {
                return Err(format!(
                    "{place} is for every namespace, so those after it are never looked at; make it the last"
                ));
            }
        }
        Ok(())
    }
}

impl Default for Allow {
    fn default() -> Self {
        Self {
            sources: everything(),
            images: postgres_images(),
            max_life: None,
            rules: Vec::new(),
        }
    }
}

/// The search for what is left without its resource.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sweep {
    /// Delete what is found; otherwise it is only reported.
    #[serde(default)]
    pub delete: bool,
    /// Younger things are left alone.
    #[serde(default = "a_day", deserialize_with = "duration")]
    pub older_than: Duration,
    /// From one look to the next.
    #[serde(default = "an_hour", deserialize_with = "duration")]
    pub interval: Duration,
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            delete: false,
            older_than: a_day(),
            interval: an_hour(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connect {
    #[default]
    Dns,
    ClusterIp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

impl PullPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the settings file {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("settings file {}: {why}", path.display())]
    Parse { path: PathBuf, why: String },
}

impl Settings {
    pub fn read(path: &std::path::Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let wrong = |why: String| Error::Parse {
            path: path.to_owned(),
            why,
        };
        let settings: Self = environment::yaml::read(&text).map_err(wrong)?;
        settings.check().map_err(|why| Error::Parse {
            path: path.to_owned(),
            why,
        })?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        if !self.export.prefix.starts_with('/')
            || self.export.prefix.trim_end_matches('/').is_empty()
        {
            return Err("export.prefix must be an absolute path below /".to_owned());
        }
        match self.export.kind {
            ExportKind::Local if self.export.node.is_none() => {
                Err("export.node names the node that has the directory; it is missing".to_owned())
            }
            ExportKind::Nfs if self.export.server.is_none() => {
                Err("export.server names the engine's address; it is missing".to_owned())
            }
            _ if self
                .export
                .mount_options
                .iter()
                .any(|option| option.starts_with("soft")) =>
            {
                Err("export.mountOptions: a soft mount turns a slow engine into a damaged database; leave it out".to_owned())
            }
            _ if self.remote.as_ref().is_some_and(|r| r.hosts.is_empty()) => {
                Err("remote.hosts names the networks of the target hosts; it is empty".to_owned())
            }
            _ if self.dct.poll_min > self.dct.poll_max => {
                Err("dct.pollMin is above dct.pollMax".to_owned())
            }
            _ if self.sweep.interval < an_hour() => {
                Err("sweep.interval is below 1h: each look is metered calls".to_owned())
            }
            // An order that is on its way is no orphan, and neither is one on a tower that was down overnight.
            _ if self.sweep.older_than < an_hour() => Err("sweep.olderThan is below 1h".to_owned()),
            _ => self.allow.check(),
        }
    }
}

/// `5s`, `10m`, `1h`, `250ms`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..split].parse().ok()?;
    match &text[split..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "{text:?} is no duration; write for example 5s, 10m or 1h"
        ))
    })
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn scram_iterations() -> u32 {
    crate::scram::ITERATIONS
}
fn half_an_hour() -> Duration {
    Duration::from_mins(30)
}
fn ten_minutes() -> Duration {
    Duration::from_mins(10)
}
fn an_hour() -> Duration {
    Duration::from_hours(1)
}
fn a_day() -> Duration {
    Duration::from_hours(24)
}
fn five_minutes() -> Duration {
    Duration::from_mins(5)
}
fn poll_min() -> Duration {
    Duration::from_millis(200)
}
fn poll_max() -> Duration {
    Duration::from_secs(5)
}
fn helper_file() -> PathBuf {
    "/usr/local/bin/vdb-init".into()
}
fn namespace_prefix() -> String {
    environment::names::NAMESPACE_PREFIX.to_owned()
}
fn cluster_domain() -> String {
    "cluster.local".to_owned()
}
fn client_name() -> String {
    "vdb-operator".to_owned()
}
fn concurrency() -> u16 {
    64
}
fn listen() -> String {
    "0.0.0.0:8081".to_owned()
}
fn psql() -> String {
    "psql".to_owned()
}
fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}
fn postgres_images() -> Vec<String> {
    vec!["postgres:*".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_chart_are_read_and_an_unknown_key_is_named() {
        let text = "dct: { url: 'http://e:8080', apiKeyFile: /k, group: vdbs, pollMin: 200ms, visibilityGrace: 5s }\nexport: { kind: local, prefix: /var/pool/vdbs, node: node1 }\ndeletionDeadline: 2m\n";
        let settings: Settings = environment::yaml::read(text).unwrap();
        assert_eq!(settings.deletion_deadline, Duration::from_mins(2));
        assert_eq!(settings.dct.poll_min, Duration::from_millis(200));
        assert!(settings.check().is_ok());
        assert_eq!(settings.scram_iterations, 4096);
        for unknown in ["deadline: 3s", "scramIterations: 1"] {
            let error = environment::yaml::read::<Settings>(&format!("{text}{unknown}\n"));
            let error = error.unwrap_err();
            let (key, _) = unknown.split_once(':').unwrap();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn target_hosts_are_in_named_networks() {
        let text = "dct: { url: 'http://e', apiKeyFile: /k, group: vdbs }\nexport: { kind: local, prefix: /p, node: n }\n";
        let read = |hosts: &str| {
            environment::yaml::read::<Settings>(&format!(
                "{text}remote: {{ sources: ['legacy:*'], hosts: [{hosts}] }}\n"
            ))
        };
        let settings = read("10.0.2.0/24").unwrap();
        assert!(settings.check().is_ok());
        assert_eq!(settings.remote.unwrap().psql, "psql");
        assert!(read("").unwrap().check().unwrap_err().contains("hosts"));
        assert!(read("10.0.2.0").unwrap_err().contains("10.0.2.0/24"));
    }

    #[test]
    fn the_sweep_reports_unless_told_to_delete_and_is_never_hasty() {
        let text = "dct: { url: 'http://e:8080', apiKeyFile: /k, group: vdbs }\nexport: { kind: local, prefix: /p, node: n }\n";
        let read =
            |more: &str| environment::yaml::read::<Settings>(&format!("{text}{more}")).unwrap();
        let plain = read("");
        assert!(!plain.sweep.delete);
        assert_eq!(plain.sweep.older_than, Duration::from_hours(24));
        assert!(
            read("sweep: { delete: true, interval: 2h }")
                .check()
                .is_ok()
        );
        for hasty in ["interval: 1m", "olderThan: 5m"] {
            let error = read(&format!("sweep: {{ {hasty} }}")).check().unwrap_err();
            assert!(error.contains("below 1h"), "{error}");
        }
    }

    fn allowing(rules: &str) -> Result<Settings, String> {
        environment::yaml::read(&format!(
            "dct: {{ url: 'http://e', apiKeyFile: /k, group: vdbs }}\nexport: {{ kind: local, prefix: /p, node: n }}\nallow: {{ rules: {rules} }}\n"
        ))
    }

    #[test]
    fn rules_are_read_and_one_that_cannot_hold_is_refused_at_start() {
        let settings = allowing(
            "[{ namespaces: [a], hooks: [sql], maxCpu: 2, maxMemory: 4Gi, maxLife: 48h }, { namespaces: ['*'], sources: [] }]",
        );
        let settings = settings.unwrap();
        assert_eq!(settings.check(), Ok(()));
        let rule = &settings.allow.rules[0];
        assert_eq!(rule.hooks, Some(vec![HookType::Sql]));
        assert_eq!(rule.max_life, Some(Duration::from_hours(48)));
        assert!(rule.sources.is_none());
        for (wrong, says) in [
            ("[{ namespaces: [] }]", "allow.rules[0].namespaces is empty"),
            (
                "[{ namespaces: [a], maxMemory: 4GB }]",
                "allow.rules[0].maxMemory \"4GB\" is no quantity",
            ),
            (
                "[{ namespaces: ['*'] }, { namespaces: [a] }]",
                "allow.rules[0] is for every namespace",
            ),
        ] {
            let error = allowing(wrong).unwrap().check().unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
        for (wrong, says) in [
            ("[{ namespaces: [a], maxcpu: 2 }]", "maxcpu"),
            ("[{ sources: [a] }]", "namespaces"),
            ("[{ namespaces: [a], hooks: [bash] }]", "bash"),
        ] {
            let error = allowing(wrong).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_pages_example_holds() {
        let page = include_str!("../../docs/security.md");
        let (_, example) = page.split_once("```yaml\nallow:\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let text = format!(
            "dct: {{ url: 'http://e', apiKeyFile: /k, group: vdbs }}\nexport: {{ kind: local, prefix: /p, node: n }}\nallow:\n{example}"
        );
        let settings: Settings = environment::yaml::read(&text).unwrap();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.allow.rules.len(), 3);
    }

    /// Helm refuses a wrong key before a pod does.
    #[test]
    fn the_charts_schema_has_the_keys_of_allow() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../charts/postgres-vdb-platform/values.schema.json"
        );
        let schema = std::fs::read_to_string(path).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let keys = |name: &str| -> Vec<String> {
            let fields = schema["definitions"][name]["properties"].as_object();
            fields.unwrap().keys().cloned().collect()
        };
        let unknown = serde_json::json!({ "?": 1 });
        let known = |error: serde_json::Error| -> Vec<String> {
            let text = error.to_string();
            let names = text.split('`').skip(3).step_by(2);
            names.map(str::to_owned).collect()
        };
        let allow = serde_json::from_value::<Allow>(unknown.clone());
        assert_eq!(keys("allow"), known(allow.unwrap_err()));
        let rule = serde_json::from_value::<Rule>(unknown);
        assert_eq!(keys("rule"), known(rule.unwrap_err()));
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("5m"), Some(Duration::from_mins(5)));
        for wrong in ["", "5", "m", "5d", "-1s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
