//! What lives in the forge: people, the organisation, the repository, its protection and its webhook.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::command::{program, run};
use crate::files;
use crate::instance::Instance;
use crate::steps::{Inside, gitea};

const ORGANISATION: &str = "acme";
const REPOSITORY: &str = "databases";
const WEBHOOK: &str = "http://vdb-sidecar.vdb-system.svc.cluster.local:7812/webhooks/gitea";
const PEOPLE: [&str; 4] = ["vdb-bot", "reviewer", "engineer", "developer"];
/// Those who call the API with a token.
const WITH_TOKEN: [&str; 3] = ["vdb-bot", "engineer", "reviewer"];
/// What of the checkout is the GitOps repository.
const CONTENT: [&str; 6] = [
    "charts/postgres-vdb",
    "applications",
    "backstage-templates",
    "catalog-info.yaml",
    "template-location.yaml",
    "environments",
];

struct Api {
    base: String,
    http: reqwest::Client,
}

enum Login<'a> {
    Token(&'a str),
    Password(&'a str, &'a str),
}

impl Api {
    /// Calls the API; `None` when the object is there already or is missing.
    async fn call(
        &self,
        login: &Login<'_>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Option<Value>> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}/api/v1{path}", self.base));
        request = match login {
            Login::Token(token) => request.header("Authorization", format!("token {token}")),
            Login::Password(user, password) => request.basic_auth(user, Some(password)),
        };
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let exists = status == StatusCode::UNPROCESSABLE_ENTITY && text.contains("already exist");
        if [StatusCode::NOT_FOUND, StatusCode::CONFLICT].contains(&status) || exists {
            return Ok(None);
        }
        if !status.is_success() {
            bail!("Gitea answered {status} to {method} {path}: {text}");
        }
        Ok(Some(serde_json::from_str(&text).unwrap_or(Value::Null)))
    }
}

/// Makes what is missing. The repository's webhook is the last, so its presence means that all is there.
pub(crate) async fn seed(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let done = instance.path("gitea/seeded");
    if done.exists() {
        return Ok(());
    }
    let api = Api {
        base: format!("http://127.0.0.1:{}", instance.ports().gitea),
        http: reqwest::Client::new(),
    };
    let token = std::fs::read_to_string(instance.secret("gitea-root-admin.token"))?;
    let admin = Login::Token(&token);
    people(instance, &api, &admin).await?;
    repository(&api, &admin).await?;
    push(inside, &done).await?;
    protect(instance, &api, &admin).await?;
    files::put(&done, "")?;
    inside
        .progress
        .step(&format!("repository {ORGANISATION}/{REPOSITORY} seeded"));
    Ok(())
}

async fn people(instance: &Instance, api: &Api, admin: &Login<'_>) -> Result<()> {
    for name in PEOPLE {
        let password = files::secret(&instance.secret(&format!("gitea-{name}.password")))?;
        let body = json!({
            "username": name, "password": password, "email": format!("{name}@acme.example"), "must_change_password": false,
        });
        api.call(admin, Method::POST, "/admin/users", Some(body))
            .await?;
        let kept = instance.secret(&format!("gitea-{name}.token"));
        if WITH_TOKEN.contains(&name) && !kept.exists() {
            let body = json!({"name": "stack", "scopes": ["write:repository", "write:issue", "read:user", "read:organization"]});
            let login = Login::Password(name, &password);
            let made = api
                .call(
                    &login,
                    Method::POST,
                    &format!("/users/{name}/tokens"),
                    Some(body),
                )
                .await?;
            let token = made
                .as_ref()
                .and_then(|made| made["sha1"].as_str())
                .context("Gitea gave no token")?;
            files::put_private(&kept, token)?;
        }
    }
    Ok(())
}

async fn repository(api: &Api, admin: &Login<'_>) -> Result<()> {
    let body = json!({"username": ORGANISATION, "visibility": "public"});
    api.call(admin, Method::POST, "/orgs", Some(body)).await?;
    let body =
        json!({"name": REPOSITORY, "default_branch": "main", "private": false, "auto_init": false});
    api.call(
        admin,
        Method::POST,
        &format!("/orgs/{ORGANISATION}/repos"),
        Some(body),
    )
    .await?;
    for name in PEOPLE {
        let path = format!("/repos/{ORGANISATION}/{REPOSITORY}/collaborators/{name}");
        api.call(
            admin,
            Method::PUT,
            &path,
            Some(json!({"permission": "write"})),
        )
        .await?;
    }
    Ok(())
}

/// One commit with the checkout's folders, pushed before the branch is protected.
async fn push(inside: &Inside, done: &Path) -> Result<()> {
    let instance = &inside.instance;
    let work = done.with_file_name("seed");
    crate::cache::remove(&work)?;
    std::fs::create_dir_all(&work)?;
    for name in CONTENT {
        let to = work.join(name);
        std::fs::create_dir_all(to.parent().context("no parent")?)?;
        run(program("cp")
            .arg("-r")
            .arg(inside.order.checkout.join(name))
            .arg(&to))
        .await?;
    }
    if !inside.order.seed.environments {
        crate::cache::remove(&work.join("environments"))?;
        files::put(
            &work.join("environments/README.md"),
            "One directory for each environment; orders add them.\n",
        )?;
    }
    let git = |args: &[&str]| git(instance, &work, gitea::ADMIN, args);
    credentials(instance)?;
    run(&mut git(&["init", "--quiet", "--initial-branch=main"])).await?;
    run(&mut git(&["add", "--all"])).await?;
    run(&mut git(&[
        "commit",
        "--quiet",
        "--message=Environments, chart, templates",
    ]))
    .await?;
    run(&mut git(&[
        "push",
        "--quiet",
        "--force",
        &instance.repository_url(),
        "main",
    ]))
    .await?;
    crate::cache::remove(&work)
}

async fn protect(instance: &Instance, api: &Api, admin: &Login<'_>) -> Result<()> {
    let repository = format!("/repos/{ORGANISATION}/{REPOSITORY}");
    let rule = json!({
        "rule_name": "main",
        "enable_push": true, "enable_push_whitelist": true, "push_whitelist_usernames": ["engineer"],
        "required_approvals": 1, "enable_approvals_whitelist": true, "approvals_whitelist_username": ["reviewer"],
        "enable_merge_whitelist": true, "merge_whitelist_usernames": ["reviewer"],
        "dismiss_stale_approvals": true, "block_on_rejected_reviews": true,
        "enable_status_check": true, "status_check_contexts": ["vdb/validate"],
    });
    api.call(
        admin,
        Method::POST,
        &format!("{repository}/branch_protections"),
        Some(rule),
    )
    .await?;
    let secret = files::secret(&instance.secret("forge-webhook.secret"))?;
    let hook = json!({
        "type": "gitea", "active": true, "events": ["push", "pull_request"],
        "config": {"url": WEBHOOK, "content_type": "json", "secret": secret},
    });
    api.call(
        admin,
        Method::POST,
        &format!("{repository}/hooks"),
        Some(hook),
    )
    .await?;
    Ok(())
}

/// Git's credential store, one file for each person: no address holds a password.
fn credentials(instance: &Instance) -> Result<()> {
    for name in [gitea::ADMIN, "engineer", "reviewer", "developer"] {
        let password = std::fs::read_to_string(instance.secret(&format!("gitea-{name}.password")))?;
        let line = format!(
            "http://{name}:{password}@gitea.localhost%3a{}\n",
            instance.ports().gitea
        );
        files::put_private(&credential_file(instance, name), &line)?;
    }
    Ok(())
}

pub(crate) fn credential_file(instance: &Instance, user: &str) -> PathBuf {
    instance.secret(&format!("git-{user}.credentials"))
}

/// Git as one person, without the machine's own settings.
pub(crate) fn git(
    instance: &Instance,
    folder: &Path,
    user: &str,
    args: &[&str],
) -> tokio::process::Command {
    let mut git = program("git");
    git.current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    git.arg("-c").arg(format!(
        "credential.helper=store --file={}",
        credential_file(instance, user).display()
    ));
    git.args([
        "-c",
        &format!("user.name={user}"),
        "-c",
        &format!("user.email={user}@acme.example"),
    ])
    .args(args);
    git
}
