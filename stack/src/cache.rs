//! The cache outside the checkout: every result is a folder whose name holds the key of what it was made from.

use std::future::Future;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::files;

#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `${VDB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postgres-vdb-platform}`, as build-go.sh has it.
    pub(crate) fn open() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = match variable("VDB_CACHE") {
            Some(root) => root,
            None => variable("XDG_CACHE_HOME")
                .or_else(|| variable("HOME").map(|home| home.join(".cache")))
                .context("neither VDB_CACHE nor HOME is set")?
                .join("postgres-vdb-platform"),
        };
        std::fs::create_dir_all(&root)
            .with_context(|| format!("cannot make {}", root.display()))?;
        // The source server and the pods' volumes are reached through this folder by users other than root.
        files::make_dir(&root, 0o755)?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder `<name>-<key>`: made by `make` in a temporary folder first, so a broken build leaves nothing.
    pub(crate) async fn once<F, Fut>(&self, name: &str, key: &str, make: F) -> Result<PathBuf>
    where
        F: FnOnce(PathBuf) -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let done = self.path(&format!("{name}-{key}"));
        if done.is_dir() {
            return Ok(done);
        }
        let making = self.path(&format!(".{name}-{key}.making"));
        remove(&making)?;
        std::fs::create_dir_all(&making)?;
        make(making.clone())
            .await
            .with_context(|| format!("cannot make {name}"))?;
        std::fs::rename(&making, &done)?;
        Ok(done)
    }

    /// Removes what `keep` replaced: folders of the same name with another key. Only while nothing runs from them.
    pub(crate) fn sweep(&self, keep: &Path) -> Result<()> {
        let Some((name, _)) = keep
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.rsplit_once('-'))
        else {
            return Ok(());
        };
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let other = entry.file_name().to_string_lossy().into_owned();
            let key = other
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('-'));
            let is_key = key.is_some_and(|key| {
                key.len() == 12 && key.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if is_key && entry.path() != keep {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
