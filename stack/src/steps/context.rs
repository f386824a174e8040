//! What the commands on the host need to use the instance: a settings file, and a clone to work in.

use anyhow::Result;

use crate::command::run;
use crate::files;
use crate::steps::{Inside, forge};

pub(crate) async fn write(inside: &Inside) -> Result<()> {
    clone(inside).await?;
    let instance = &inside.instance;
    let ports = instance.ports();
    let path = |name: &str| instance.path(name).display().to_string();
    let secret = |name: &str| instance.secret(name).display().to_string();
    let argocd = format!("http://localhost:{}", ports.argocd);
    let webhooks = format!(
        "{argocd}/api/webhook,http://localhost:{}/api/webhook",
        ports.argocd_webhook
    );
    let built = &inside.order.built;
    let node = built.portal.as_ref().map_or_else(String::new, |portal| {
        portal.node.join("bin").display().to_string()
    });
    let settings = [
        ("VDB_INSTANCE", instance.name.text().to_owned()),
        ("VDB_STATE_DIR", instance.state.display().to_string()),
        ("VDB_REPO", path("clone")),
        ("VDB_REMOTE_URL", instance.repository_url()),
        ("VDB_BRANCH", "main".to_owned()),
        ("VDB_KUBECONFIG", path("kubeconfig")),
        (
            "VDB_KUBECTL",
            built.go.kube.join("kubectl").display().to_string(),
        ),
        ("VDB_HELM", built.go.helm.join("helm").display().to_string()),
        ("VDB_NODE", node),
        ("VDB_ARGOCD_URL", argocd),
        ("VDB_ARGOCD_TOKEN_FILE", secret("argocd-bot.token")),
        ("VDB_ARGOCD_WEBHOOKS", webhooks),
        (
            "VDB_ARGOCD_WEBHOOK_SECRET_FILE",
            secret("argocd-webhook.secret"),
        ),
        ("VDB_ARGOCD_REPO_URL", instance.repository_url()),
        ("VDB_FORGE_URL", instance.gitea_url()),
        ("VDB_FORGE_TOKEN_FILE", secret("gitea-engineer.token")),
        ("VDB_FORGE_OWNER", "acme".to_owned()),
        ("VDB_FORGE_REPOSITORY", "databases".to_owned()),
        ("VDB_DCT_URL", format!("http://localhost:{}", ports.engine)),
        ("VDB_DCT_API_KEY_FILE", secret("dct.key")),
        (
            "VDB_PORTAL_URL",
            format!("http://localhost:{}", ports.backstage),
        ),
    ];
    let lines: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let text = lines.join("\n") + "\n";
    files::put_private(&instance.path("context.env"), &text)?;
    Ok(())
}

/// The engineer's clone, whose credentials lie in a file of its own.
async fn clone(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let folder = instance.path("clone");
    if folder.exists() {
        return Ok(());
    }
    let new = instance.path("clone.new");
    crate::cache::remove(&new)?;
    let git = |folder, args: &[&str]| forge::git(instance, folder, "engineer", args);
    let target = new.display().to_string();
    run(&mut git(
        &instance.state,
        &["clone", "--quiet", &instance.repository_url(), &target],
    ))
    .await?;
    let helper = format!(
        "store --file={}",
        forge::credential_file(instance, "engineer").display()
    );
    for (key, value) in [
        ("credential.helper", helper.as_str()),
        ("user.name", "engineer"),
        ("user.email", "engineer@acme.example"),
    ] {
        run(&mut git(&new, &["config", key, value])).await?;
    }
    Ok(std::fs::rename(new, folder)?)
}
