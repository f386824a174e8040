//! Gitea: the forge that holds the GitOps repository.

use anyhow::{Context as _, Result};

use crate::command::{output, program, run};
use crate::files;
use crate::instance::Instance;
use crate::steps::{Inside, Service, forge};
use crate::wait;

const CONFIGURATION: &str = include_str!("../../manifests/gitea.ini");
pub(crate) const ADMIN: &str = "root-admin";

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let gitea = inside.order.built.go.gitea.join("gitea");
    let config = configure(inside).await?;
    let on = |args: &[&str]| {
        let mut command = program(&gitea);
        command
            .arg("--config")
            .arg(&config)
            .args(args)
            .current_dir(&instance.state)
            .env("HOME", &instance.state);
        command
    };
    if !instance.path("gitea/gitea.db").exists() {
        run(&mut on(&["migrate"])).await?;
    }
    let token = instance.secret("gitea-root-admin.token");
    if !token.exists() {
        make_admin(instance, &on(&[])).await?;
    }
    let service =
        Service::new("gitea", &gitea).args(["--config", &config.display().to_string(), "web"]);
    inside
        .start(service.env("GIT_CONFIG_NOSYSTEM", "1").reads(&config)?)
        .await?;
    let health = format!("http://127.0.0.1:{}/api/healthz", instance.ports().gitea);
    let log = instance.log("gitea");
    wait::until("Gitea", 60, Some(&log), || async {
        Ok(reqwest::get(&health).await?.error_for_status().map(drop)?)
    })
    .await?;
    forge::seed(inside).await?;
    inside
        .progress
        .step(&format!("Gitea ready at {}", instance.gitea_url()));
    Ok(())
}

async fn configure(inside: &Inside) -> Result<std::path::PathBuf> {
    let instance = &inside.instance;
    let gitea = inside.order.built.go.gitea.join("gitea");
    let mut text = CONFIGURATION
        .replace("@WORK@", &instance.path("gitea").display().to_string())
        .replace("@PORT@", &instance.ports().gitea.to_string())
        .replace("@URL@", &instance.gitea_url())
        .replace(
            "@FILES@",
            &inside.order.built.go.gitea_files.display().to_string(),
        );
    for (mark, kind) in [
        ("@SECRET_KEY@", "SECRET_KEY"),
        ("@INTERNAL_TOKEN@", "INTERNAL_TOKEN"),
        ("@JWT_SECRET@", "JWT_SECRET"),
    ] {
        let kept = instance.secret(&format!("gitea-{kind}.key"));
        if !kept.exists() {
            files::put_private(
                &kept,
                &output(program(&gitea).args(["generate", "secret", kind])).await?,
            )?;
        }
        text = text.replace(mark, &std::fs::read_to_string(&kept)?);
    }
    let config = instance.path("gitea/app.ini");
    files::put_private(&config, &text)?;
    Ok(config)
}

/// Gitea makes up the password and the token and prints them, so neither is ever an argument.
async fn make_admin(instance: &Instance, gitea: &tokio::process::Command) -> Result<()> {
    let mut create = program(gitea.as_std().get_program());
    create
        .args(gitea.as_std().get_args())
        .current_dir(&instance.state)
        .env("HOME", &instance.state);
    create.args([
        "admin",
        "user",
        "create",
        "--admin",
        "--username",
        ADMIN,
        "--email",
        "root-admin@acme.example",
    ]);
    create.args(["--random-password", "--must-change-password=false"]);
    create.args([
        "--access-token",
        "--access-token-name",
        "stack",
        "--access-token-scopes",
        "all",
    ]);
    let said = output(&mut create).await?;
    let password = said
        .lines()
        .find_map(|line| {
            line.split("generated random password is '")
                .nth(1)?
                .strip_suffix('\'')
        })
        .context("gitea named no password")?;
    let token = said
        .lines()
        .find_map(|line| {
            line.split("Access token was successfully created... ")
                .nth(1)
        })
        .context("gitea named no token")?;
    files::put_private(&instance.secret("gitea-root-admin.password"), password)?;
    files::put_private(&instance.secret("gitea-root-admin.token"), token.trim())?;
    Ok(())
}
