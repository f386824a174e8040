//! Environments in the portal's catalog: each has its own location, which comes and goes with its directory.
//!
//! Locations of other targets are never touched.

use std::collections::BTreeSet;

use environment::EnvironmentName;

use crate::forge;
use crate::serve::app::App;
use crate::serve::portal::{self, Location};
use crate::web;

const DIRECTORY: &str = "environments";
const FILE: &str = "catalog-info.yaml";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Forge(#[from] forge::Error),
    #[error(transparent)]
    Portal(#[from] portal::Error),
}

/// Brings the locations of all environments in line with the base branch; whether that worked.
pub(crate) async fn reconcile(app: &App) -> bool {
    said(app, &align(app, None).await)
}

/// The same for the environments of these files, which changed just now.
pub(crate) async fn follow(app: &App, paths: &[String]) {
    let touched: BTreeSet<EnvironmentName> = paths
        .iter()
        .filter_map(|path| environment_of(path))
        .collect();
    if !touched.is_empty() {
        said(app, &align(app, Some(&touched)).await);
    }
}

fn said(app: &App, result: &Result<(), Error>) -> bool {
    if let Err(error) = result {
        tracing::warn!(
            error = web::error_chain(error),
            portal = app.settings.portal.url,
            "the catalog does not follow the environments yet"
        );
    }
    result.is_ok()
}

fn environment_of(path: &str) -> Option<EnvironmentName> {
    let (name, _) = path
        .strip_prefix(DIRECTORY)?
        .strip_prefix('/')?
        .split_once('/')?;
    EnvironmentName::parse(name).ok()
}

async fn align(app: &App, touched: Option<&BTreeSet<EnvironmentName>>) -> Result<(), Error> {
    if !app.settings.portal.register_catalog {
        return Ok(());
    }
    let wanted = wanted(app, touched).await?;
    let there = app.portal.locations().await?;
    for target in &wanted {
        // A touched one is registered again: the catalog reads it anew at once.
        if touched.is_some() || !there.iter().any(|location| location.target == *target) {
            app.portal.register(target).await?;
            tracing::info!(location = target, "registered in the catalog");
        }
    }
    for location in there
        .iter()
        .filter(|location| is_stale(app, location, &wanted, touched))
    {
        app.portal.unregister(&location.id).await?;
        tracing::info!(location = location.target, "removed from the catalog");
    }
    Ok(())
}

/// The targets that must exist.
async fn wanted(
    app: &App,
    touched: Option<&BTreeSet<EnvironmentName>>,
) -> Result<BTreeSet<String>, Error> {
    let base = app.forge.base().await?;
    let entries = app.forge.list(&base, DIRECTORY).await?;
    let mut wanted = BTreeSet::new();
    for entry in entries.into_iter().filter(|entry| entry.is_directory) {
        let file = format!("{}/{FILE}", entry.path);
        let Some(name) = environment_of(&file)
            .filter(|name| touched.is_none_or(|touched| touched.contains(name)))
        else {
            continue;
        };
        if app.forge.read(&base, &name.catalog_path()).await?.is_some() {
            wanted.insert(app.forge.file_url(&file));
        }
    }
    Ok(wanted)
}

/// A location of an environment that is gone. Only such targets are ours.
fn is_stale(
    app: &App,
    location: &Location,
    wanted: &BTreeSet<String>,
    touched: Option<&BTreeSet<EnvironmentName>>,
) -> bool {
    let ours = app.forge.file_url(&format!("{DIRECTORY}/"));
    let Some(path) = location.target.strip_prefix(&ours) else {
        return false;
    };
    let Some(name) = path
        .strip_suffix(&format!("/{FILE}"))
        .and_then(|name| EnvironmentName::parse(name).ok())
    else {
        return false;
    };
    touched.is_none_or(|touched| touched.contains(&name)) && !wanted.contains(&location.target)
}
