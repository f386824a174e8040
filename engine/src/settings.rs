//! The settings file. Read once at the start; every problem is named with what to change.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    pub listen: SocketAddr,
    /// Everything the engine keeps: metadata, snapshots, copies.
    pub pool: PathBuf,
    pub storage: StorageKind,
    /// Where those who mount a copy see `<pool>/vdbs`.
    pub export_prefix: String,
    pub api_keys: Vec<ApiKey>,
    /// The server's programs, of the sources' major version.
    pub postgres_bin: PathBuf,
    /// pg_basebackup and psql, of that version or newer.
    pub client_bin: PathBuf,
    #[serde(default)]
    pub sources: Vec<SourceSettings>,
    /// How the engine calls itself.
    #[serde(default = "engine_name")]
    pub engine_name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    Btrfs,
    /// Full copies: for file systems that cannot share blocks.
    Copy,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    pub name: String,
    pub key_file: PathBuf,
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
            self.api_keys.is_empty(),
            "apiKeys is empty, so nobody could call; add {name, keyFile}".to_owned(),
        );
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

fn is_rate(text: &str) -> bool {
    let digits = text.strip_suffix(['k', 'M']).unwrap_or(text);
    !digits.is_empty() && digits.len() < 10 && digits.chars().all(|c| c.is_ascii_digit())
}

fn engine_name() -> String {
    "embedded".to_owned()
}

fn port() -> u16 {
    5432
}
