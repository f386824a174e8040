//! The source server's data directory: generated once, the same on every machine, copied when an instance starts.

use std::path::PathBuf;

use anyhow::Result;

use super::{Rootfs, postgres};
use crate::cache::Cache;
use crate::command::{logged, program};
use crate::console::Progress;
use crate::files;

/// What makes the data; a change of any of them makes it anew.
const RECIPE: [(&str, &str); 7] = [
    ("generate.sh", include_str!("../../source/generate.sh")),
    ("schema.sql", include_str!("../../source/schema.sql")),
    ("orders.sql", include_str!("../../source/orders.sql")),
    ("items.sql", include_str!("../../source/items.sql")),
    (
        "orders-indexes.sql",
        include_str!("../../source/orders-indexes.sql"),
    ),
    (
        "items-indexes.sql",
        include_str!("../../source/items-indexes.sql"),
    ),
    ("finish.sql", include_str!("../../source/finish.sql")),
];

/// Gives the data directory itself.
pub(crate) async fn build(progress: Progress, cache: &Cache, postgres: &Rootfs) -> Result<PathBuf> {
    let mut parts: Vec<&[u8]> = RECIPE.iter().map(|(_, text)| text.as_bytes()).collect();
    parts.push(postgres::VERSION.as_bytes());
    let log = cache.path("logs/source-data.log");
    let folder = cache
        .once("source-data", &files::key(&parts), |into| async move {
            progress.step(&format!(
                "generating the source's data (log {})",
                log.display()
            ));
            let recipe = into.join("recipe");
            for (name, text) in RECIPE {
                files::put(&recipe.join(name), text)?;
            }
            let data = into.join("data");
            std::fs::create_dir(&data)?;
            let mut command = program("unshare");
            command
                .args(["--mount", "--propagation", "private", "sh"])
                .arg(recipe.join("generate.sh"));
            logged(command.arg(postgres.root()).arg(&data).arg(&recipe), &log).await
        })
        .await?;
    progress.step("source data ready");
    Ok(folder)
}
