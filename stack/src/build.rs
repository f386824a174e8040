//! Everything that is made once and kept in the cache: programs, root folders, the source's data, the portal.

mod go;
mod portal;
mod postgres;
mod programs;
mod rootfs;
mod source_data;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::console::Progress;

pub(crate) use go::GoPrograms;
pub(crate) use portal::Portal;
pub(crate) use programs::{Profile, Programs};
pub(crate) use rootfs::Rootfs;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// Operator, sidecar and engine.
    pub platform: bool,
    /// Backstage.
    pub portal: bool,
    /// Gitea's web pages, for people.
    pub pages: bool,
}

/// Where everything lies; handed to the part inside the namespaces as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Built {
    pub go: GoPrograms,
    pub postgres: Rootfs,
    pub small: Rootfs,
    pub source_data: PathBuf,
    pub programs: Option<Programs>,
    pub portal: Option<Portal>,
}

/// Side by side: one lane compiles, the others wait for downloads much of the time.
pub(crate) async fn build(
    progress: Progress,
    cache: &Cache,
    checkout: &Path,
    wanted: Wanted,
) -> Result<Built> {
    let compile = async {
        let go = go::build(progress, cache, checkout).await?;
        let programs = if wanted.platform {
            Some(programs::build(progress, checkout, Profile::Development).await?)
        } else {
            None
        };
        Ok::<_, anyhow::Error>((go, programs))
    };
    let fetch = async {
        let postgres = rootfs::postgres(progress, cache).await?;
        let small = rootfs::small(progress, cache).await?;
        let source_data = source_data::build(progress, cache, &postgres).await?;
        Ok::<_, anyhow::Error>((postgres, small, source_data))
    };
    let pages = async {
        if !wanted.portal && !wanted.pages {
            return Ok((None, None));
        }
        let node = portal::node(progress, cache).await?;
        let portal = if wanted.portal {
            Some(portal::build(progress, checkout, &node).await?)
        } else {
            None
        };
        let pages = if wanted.pages {
            Some(go::pages(progress, cache, checkout, &node).await?)
        } else {
            None
        };
        Ok((portal, pages))
    };
    let ((mut go, programs), (postgres, small, source_data), (portal, pages)) =
        tokio::try_join!(compile, fetch, pages)?;
    if let Some(pages) = pages {
        go.gitea_files = pages;
    }
    go::drop_build_caches(progress, cache)?;
    Ok(Built {
        go,
        postgres,
        small,
        source_data,
        programs,
        portal,
    })
}

/// What the product's images are made of.
pub(crate) async fn product(
    progress: Progress,
    cache: &Cache,
    checkout: &Path,
) -> Result<(Programs, Rootfs, Rootfs)> {
    let programs = programs::build(progress, checkout, Profile::Release);
    let folders = async {
        let postgres = rootfs::postgres(progress, cache).await?;
        Ok::<_, anyhow::Error>((rootfs::small(progress, cache).await?, postgres))
    };
    let (programs, (small, postgres)) = tokio::try_join!(programs, folders)?;
    Ok((programs, small, postgres))
}

impl Built {
    /// Removes what older pins left in the cache. Only while no instance runs.
    pub(crate) fn sweep(&self, cache: &Cache) -> Result<()> {
        for folder in [
            &self.postgres.folder,
            &self.small.folder,
            &self.source_data,
            &self.go.argocd_crds,
        ] {
            cache.sweep(folder)?;
        }
        cache.sweep(&self.go.gitea_files)
    }
}
