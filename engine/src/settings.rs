//! The settings file. Read once at the start; every problem is named with what to change.

mod programs;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use programs::ServerPrograms;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    pub listen: SocketAddr,
    /// Everything the engine keeps: metadata, snapshots, copies.
    pub pool: PathBuf,
    #[serde(default)]
    pub storage: StorageKind,
    /// Room that no order may take: a number with M, G or T.
    #[serde(default = "keep_free")]
    pub keep_free: String,
    /// Where those who mount a copy see `<pool>/vdbs`.
    pub export_prefix: String,
    pub api_keys: Vec<ApiKey>,
    /// For each key by itself; without it there is no limit.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// The server's programs, of each source's major version.
    pub postgres_bin: ServerPrograms,
    /// pg_basebackup, pg_receivewal and psql, of the newest source's version or newer.
    pub client_bin: PathBuf,
    #[serde(default)]
    pub sources: Vec<SourceSettings>,
    /// Where servers of virtual databases run that are not for containers; without it, there are none.
    #[serde(default)]
    pub servers: Option<ServerSettings>,
    /// Without it, connections are not encrypted.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
    /// How the engine calls itself.
    #[serde(default = "engine_name")]
    pub engine_name: String,
    /// By the command line alone: a settings file that was copied turns nothing on.
    #[serde(skip)]
    pub run_hooks: Option<RunHooks>,
}

/// Hooks of virtual databases whose server the engine runs are run, and not only kept.
#[derive(Clone, Copy, Debug)]
pub struct RunHooks {
    /// How long each may take.
    pub deadline: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// What the pool's file system allows.
    #[default]
    Auto,
    Btrfs,
    /// Thin copies file by file, on XFS with reflinks.
    Xfs,
    /// Full copies: for file systems that cannot share blocks.
    Copy,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    pub name: String,
    /// The key, in a file that may change.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Or its SHA-256 in hexadecimal digits: enough to know the key, not enough to call with it.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Looks and searches, and changes nothing.
    #[serde(default)]
    pub read_only: bool,
}

impl ApiKey {
    pub(crate) fn hash(&self) -> Option<[u8; 32]> {
        hex::decode(self.sha256.as_deref()?).ok()?.try_into().ok()
    }
}

/// Requests of one key.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    pub per_second: u32,
    /// How many at once after a pause.
    pub burst: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerSettings {
    /// The address on which they listen, and that callers are told.
    pub listen: IpAddr,
    /// For example 15432-15631: one for each.
    pub ports: String,
    /// Without it, connections are not encrypted; with it, no others are taken.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
}

impl ServerSettings {
    pub(crate) fn range(&self) -> Option<RangeInclusive<u16>> {
        range(&self.ports)
    }
}

/// PEM files; read again when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSettings {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Whom this program's own commands trust when they ask a serving engine; the certificate itself if absent.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// Snapshots that are taken by themselves.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotSettings {
    /// A number with m, h or d.
    pub every: String,
    /// How many of them stay; those that copies depend on stay besides.
    pub keep: usize,
}

/// The source's write-ahead log, kept so that moments between snapshots can be given.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalSettings {
    /// What the source may have to hold back for an engine that lags, a number with M, G or T: beyond it the engine
    /// gives its slot up and takes a new base backup.
    #[serde(default = "max_lag")]
    pub max_lag: String,
    /// How far back moments between snapshots can be given, a number with m, h or d. Without it, as far as there are
    /// snapshots.
    #[serde(default)]
    pub keep: Option<String>,
}

impl WalSettings {
    /// In bytes.
    pub(crate) fn max_lag(&self) -> u64 {
        bytes(&self.max_lag).unwrap_or_default()
    }

    pub(crate) fn keep(&self) -> Option<Duration> {
        every(self.keep.as_deref()?)
    }
}

/// A database server that is linked at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceSettings {
    pub name: String,
    pub host: String,
    #[serde(default = "port")]
    pub port: u16,
    pub database: String,
    /// A role with LOGIN and REPLICATION.
    pub user: String,
    pub password_file: PathBuf,
    /// As pg_basebackup takes it, for example 100M a second.
    #[serde(default)]
    pub max_rate: Option<String>,
    /// Without it, snapshots are taken when they are ordered.
    #[serde(default)]
    pub snapshots: Option<SnapshotSettings>,
    /// Without it, nothing between snapshots can be given, and the source holds nothing back.
    #[serde(default)]
    pub wal: Option<WalSettings>,
}

impl SourceSettings {
    /// How often a snapshot is taken, and how many stay.
    pub(crate) fn schedule(&self) -> Option<(Duration, usize)> {
        let snapshots = self.snapshots.as_ref()?;
        Some((every(&snapshots.every)?, snapshots.keep))
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
    #[error("the settings file {} is not valid: {why}", path.display())]
    Invalid { path: PathBuf, why: String },
}

impl Settings {
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let invalid = |why: String| Error::Invalid {
            path: path.to_owned(),
            why,
        };
        let settings: Self = serde_saphyr::from_str(&text).map_err(|e| invalid(e.to_string()))?;
        let problems = settings.problems();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(invalid(problems.join("; ")))
        }
    }

    pub(crate) fn kept_free(&self) -> u64 {
        bytes(&self.keep_free).unwrap_or(0)
    }

    /// Where the copies lie.
    pub fn vdbs(&self) -> PathBuf {
        self.pool.join("vdbs")
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |bad: bool, why: String| {
            if bad {
                problems.push(why);
            }
        };
        wrong(
            !self.pool.is_absolute(),
            "pool must be an absolute path".to_owned(),
        );
        wrong(
            !self.export_prefix.starts_with('/'),
            "exportPrefix must be an absolute path".to_owned(),
        );
        wrong(
            self.postgres_bin.is_empty(),
            "postgresBin is empty; name the folder of the server's programs, for example /usr/lib/postgresql/16/bin".to_owned(),
        );
        wrong(
            self.api_keys.is_empty(),
            "apiKeys is empty, so nobody could call; add {name, keyFile}".to_owned(),
        );
        for (index, key) in self.api_keys.iter().enumerate() {
            let name = &key.name;
            let twin = self.api_keys[..index].iter().any(|k| k.name == *name);
            wrong(twin, format!("apiKeys: {name:?} stands there twice"));
            wrong(
                key.key_file.is_some() == key.sha256.is_some(),
                format!("apiKeys: {name:?} needs either keyFile or sha256"),
            );
            wrong(
                key.sha256.is_some() && key.hash().is_none(),
                format!(
                    "apiKeys: sha256 of {name:?} must be 64 hexadecimal digits, as printf %s \"$key\" | sha256sum prints them"
                ),
            );
        }
        let limit = self.rate_limit;
        wrong(
            limit.is_some_and(|l| l.per_second == 0 || l.burst == 0),
            "rateLimit: perSecond and burst must be at least 1; leave rateLimit out for no limit"
                .to_owned(),
        );
        wrong(
            bytes(&self.keep_free).is_none(),
            format!(
                "keepFree {:?} must be a number with M, G or T, for example 1G",
                self.keep_free
            ),
        );
        if let Some(servers) = &self.servers {
            wrong(
                range(&servers.ports).is_none(),
                format!(
                    "servers.ports {:?} must be two ports from 1024 on, for example 15432-15631",
                    servers.ports
                ),
            );
            wrong(
                servers.listen.is_unspecified(),
                "servers.listen must be an address that callers can be told, not all of them"
                    .to_owned(),
            );
            wrong(
                servers
                    .tls
                    .as_ref()
                    .is_some_and(|tls| tls.ca_file.is_some()),
                "servers.tls.caFile: the engine asks none of its servers; leave it out".to_owned(),
            );
        }
        problems.extend(self.source_problems());
        problems
    }

    fn source_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut wrong = |bad: bool, why: String| {
            if bad {
                problems.push(why);
            }
        };
        for (index, source) in self.sources.iter().enumerate() {
            let name = &source.name;
            let twin = self.sources[..index]
                .iter()
                .any(|other| other.name == *name);
            wrong(twin, format!("sources: {name:?} stands there twice"));
            let plain = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            wrong(
                !plain,
                format!(
                    "sources: the name {name:?} may hold letters, digits, '.', '_' and '-' only"
                ),
            );
            let text = [&source.host, &source.database, &source.user]
                .into_iter()
                .any(|t| t.is_empty() || t.chars().any(char::is_control));
            wrong(
                text,
                format!("sources: {name:?} needs host, database and user on one line each"),
            );
            if let Some(snapshots) = &source.snapshots {
                let span = &snapshots.every;
                wrong(
                    every(span).is_none(),
                    format!(
                        "sources: snapshots.every {span:?} of {name:?} must be a number with m, h or d from 5m to 365d, for example 6h"
                    ),
                );
                wrong(
                    !(1..=1000).contains(&snapshots.keep),
                    format!("sources: snapshots.keep of {name:?} must be 1 to 1000"),
                );
            }
            for why in log_problems(source) {
                wrong(true, why);
            }
            let rate = source.max_rate.as_deref().is_none_or(is_rate);
            wrong(
                !rate,
                format!(
                    "sources: maxRate of {name:?} must be a number with k or M, for example 100M"
                ),
            );
        }
        problems
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (1024 <= first && first <= last).then_some(first..=last)
}

fn log_problems(source: &SourceSettings) -> Vec<String> {
    let Some(wal) = &source.wal else {
        return Vec::new();
    };
    let (name, lag) = (&source.name, &wal.max_lag);
    let mut problems = Vec::new();
    if bytes(lag).is_none_or(|lag| lag < 1 << 28) {
        problems.push(format!(
            "sources: wal.maxLag {lag:?} of {name:?} must be a number with M, G or T of 256M or more, for example 8G"
        ));
    }
    if let Some(span) = wal.keep.as_deref().filter(|span| every(span).is_none()) {
        problems.push(format!(
            "sources: wal.keep {span:?} of {name:?} must be a number with m, h or d from 5m to 365d, for example 7d"
        ));
    }
    problems
}

fn is_rate(text: &str) -> bool {
    let digits = text.strip_suffix(['k', 'M']).unwrap_or(text);
    !digits.is_empty() && digits.len() < 10 && digits.chars().all(|c| c.is_ascii_digit())
}

/// Base backups more often than every five minutes would do nothing else.
fn every(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    let seconds = number.checked_mul(seconds)?;
    (300..=365 * 86_400)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let shift = match unit {
        "M" => 20,
        "G" => 30,
        "T" => 40,
        // Nothing is nothing in every unit.
        _ => return (text == "0").then_some(0),
    };
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(1 << shift)
}

fn keep_free() -> String {
    "256M".to_owned()
}

fn max_lag() -> String {
    "8G".to_owned()
}

fn engine_name() -> String {
    "embedded".to_owned()
}

fn port() -> u16 {
    5432
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_a_unit_and_neither_tiny_nor_endless() {
        assert_eq!(every("6h"), Some(Duration::from_hours(6)));
        assert_eq!(every("5m"), Some(Duration::from_mins(5)));
        for wrong in [
            "",
            "h",
            "6",
            "4m",
            "366d",
            "-1h",
            "99999999999999999999d",
            "6ħ",
        ] {
            assert_eq!(every(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        assert_eq!(bytes("512M"), Some(1 << 29));
        assert_eq!(bytes("8G"), Some(1 << 33));
        for wrong in ["", "G", "8", "8g", "-8G", "+8G", "99999999999T"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn servers_are_one_folder_a_list_or_one_for_each_version() {
        let read = |text: &str| {
            serde_saphyr::from_str::<ServerPrograms>(text)
                .map(|programs| {
                    let folders = programs.folders();
                    folders
                        .map(|(major, path)| (major, path.display().to_string()))
                        .collect::<Vec<_>>()
                })
                .map_err(|e| e.to_string())
        };
        let path = |major, text: &str| (major, text.to_owned());
        assert_eq!(read("/a"), Ok(vec![path(None, "/a")]));
        assert_eq!(
            read("[/a, /b]"),
            Ok(vec![path(None, "/a"), path(None, "/b")])
        );
        assert_eq!(
            read("{16: /a, \"17\": /b}"),
            Ok(vec![path(Some(16), "/a"), path(Some(17), "/b")])
        );
        assert!(read("{new: /a}").is_err() && read("5").is_err());
    }
}
