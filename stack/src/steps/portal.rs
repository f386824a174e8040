//! Backstage as a supervised program on the node.

use std::fs;

use anyhow::Result;

use crate::build::Portal;
use crate::steps::{Inside, Service};
use crate::wait;

pub(crate) async fn up(inside: &Inside, portal: &Portal) -> Result<()> {
    let instance = &inside.instance;
    let port = instance.ports().backstage;
    let url = format!("http://localhost:{port}");
    let node = portal.node.join("bin/node");
    let bin = portal.node.join("bin");
    let service = Service::new("backstage", node)
        .folder(portal.folder.join("packages/backend"))
        .args(["src/index.ts", "--config", "../../app-config.yaml"])
        .env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()),
        )
        .env("NODE_ENV", "production")
        // Which way the actions come in: over HTTP, or by the scaffolder's module.
        .env(
            "VDB_WAY",
            std::env::var("VDB_WAY").unwrap_or_else(|_| "config".into()),
        )
        .env("BACKSTAGE_BASE_URL", &url)
        .env("BACKSTAGE_HOST", "0.0.0.0")
        .env("BACKSTAGE_PORT", port.to_string())
        .env(
            "BACKSTAGE_DATABASE",
            instance.path("backstage").display().to_string(),
        )
        .env(
            "GITEA_HOST",
            format!("gitea.localhost:{}", instance.ports().gitea),
        )
        .env("GITEA_URL", instance.gitea_url())
        .env("GITEA_USERNAME", "vdb-bot")
        .env(
            "GITEA_TOKEN",
            fs::read_to_string(instance.secret("gitea-vdb-bot.token"))?,
        );
    inside.start(service).await?;
    let health = format!("http://127.0.0.1:{port}/.backstage/health/v1/readiness");
    let log = instance.log("backstage");
    wait::until("Backstage", 120, Some(&log), || async {
        Ok(reqwest::get(&health).await?.error_for_status().map(drop)?)
    })
    .await?;
    inside.progress.step(&format!("Backstage ready at {url}"));
    Ok(())
}
