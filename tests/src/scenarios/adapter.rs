//! The forge's adapter passes its suite on the real forge, in a repository of its own.

use std::path::Path;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use crate::context::Context;
use crate::process;

const REPOSITORY: &str = "adapter-suite";

pub(crate) async fn gitea(context: &Context) -> anyhow::Result<()> {
    let (url, owner) = (
        context.get("VDB_FORGE_URL")?.trim_end_matches('/'),
        context.get("VDB_FORGE_OWNER")?,
    );
    let admin = async |method: Method, path: String, body| {
        let password = context.secret("gitea-root-admin.password")?;
        let call = context
            .http
            .request(method, format!("{url}/api/v1{path}"))
            .basic_auth("root-admin", Some(password))
            .json(&body);
        anyhow::Ok(call.send().await?.status().as_u16())
    };
    let new = json!({ "name": REPOSITORY, "auto_init": true, "default_branch": "main", "readme": "Default" });
    let made = admin(Method::POST, format!("/orgs/{owner}/repos"), new).await?;
    anyhow::ensure!(matches!(made, 201 | 409), "make the repository: {made}");
    let bot = format!("/repos/{owner}/{REPOSITORY}/collaborators/vdb-bot");
    let added = admin(Method::PUT, bot, json!({ "permission": "admin" })).await?;
    anyhow::ensure!(added == 204, "let the bot in: {added}");

    let state = Path::new(context.get("VDB_STATE_DIR")?);
    let settings = state.join("adapter-suite.json");
    // The name below localhost is for browsers; the suite asks the machine's resolver.
    let reached = url.replace("gitea.localhost", "localhost");
    let text = json!({
        "kind": "gitea", "url": reached, "owner": owner, "repository": REPOSITORY,
        "tokenFile": state.join("secrets/gitea-vdb-bot.token"),
    });
    std::fs::write(&settings, text.to_string())?;
    let suite = "forge::tests::a_real_forge_behaves";
    let finished = process::run(
        Command::new("cargo")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env("VDB_TEST_FORGE", &settings)
            // The whole workspace, so that nothing is compiled again.
            .args(["test", "--quiet", "--workspace", "--lib", suite, "--"])
            .args(["--exact", "--ignored"]),
    )
    .await
    .context("run the suite")?;
    anyhow::ensure!(
        finished.ok && finished.stdout.contains("1 passed"),
        "{}",
        finished.text()
    );
    Ok(())
}
