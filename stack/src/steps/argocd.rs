//! Argo CD beside the cluster: redis and its four programs, reading the cluster through the admin's kubeconfig.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::command::output;
use crate::files;
use crate::instance::Instance;
use crate::steps::{Inside, Service};
use crate::wait;

const MANIFESTS: &str = include_str!("../../manifests/argocd.yaml");
const REPO_SERVER: &str = "--address=127.0.0.1 --port=8081 --metrics-address=127.0.0.1 --metrics-port=8084 \
    --disable-tls --redis=127.0.0.1:6379";
const SERVER: &str = "--namespace=argocd --insecure --address=0.0.0.0 --metrics-address=127.0.0.1 --metrics-port=8083 \
    --repo-server=127.0.0.1:8081 --repo-server-plaintext --redis=127.0.0.1:6379";
/// Pushes arrive as events; the resync is for the one that was lost.
const CONTROLLER: &str = "--namespace=argocd --metrics-port=8082 --app-resync=180 --app-resync-jitter=0 \
    --self-heal-timeout-seconds=2 --repo-server=127.0.0.1:8081 --repo-server-plaintext --redis=127.0.0.1:6379";
const GENERATOR: &str = "--namespace=argocd --metrics-addr=127.0.0.1:8085 --probe-addr=127.0.0.1:8086 \
    --argocd-repo-server=127.0.0.1:8081 --repo-server-plaintext";

/// Definitions and configuration; the API server is all it needs.
pub(crate) async fn configure(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    inside.apply(MANIFESTS).await?;
    let mut settings: Value = serde_json::from_str(
        &output(
            inside
                .kubectl(&["create", "--dry-run=client", "--output=json", "--filename"])
                .arg(inside.order.checkout.join("applications/argocd-cm.yaml")),
        )
        .await?,
    )?;
    if !inside.order.seed.product {
        settings["data"] = json!({});
    }
    settings["data"]["url"] = json!(format!("http://localhost:{}", instance.ports().argocd));
    settings["data"]["accounts.bot"] = json!("apiKey");
    settings["data"]["application.resourceTrackingMethod"] = json!("annotation");
    settings["data"]["timeout.reconciliation"] = json!("180s");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "argocd-secret", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}},
        "stringData": {"webhook.github.secret": files::secret(&instance.secret("argocd-webhook.secret"))?},
    });
    inside.apply(&settings.to_string()).await?;
    inside.apply(&secret.to_string()).await?;
    let crds = &inside.order.built.go.argocd_crds;
    output(
        inside
            .kubectl(&["apply", "--server-side", "--force-conflicts", "--filename"])
            .arg(crds),
    )
    .await?;
    Ok(())
}

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let redis = "--port 6379 --bind 127.0.0.1 --appendonly no --save".split(' ');
    let redis = Service::new("redis", "/usr/bin/redis-server")
        .args(redis)
        .args([""]);
    inside.start(redis).await?;
    for folder in ["tls", "ssh", "gpg/keys", "gpg/source", "plugins", "tmp"] {
        files::make_dir(&instance.path("argocd").join(folder), 0o700)?;
    }
    files::put(&instance.path("argocd/ssh/ssh_known_hosts"), "")?;
    let port = instance.ports().argocd;
    start(inside, "argocd-repo-server", REPO_SERVER).await?;
    let server = format!("{SERVER} --port={port}");
    start(inside, "argocd-server", &server).await?;
    start(inside, "argocd-application-controller", CONTROLLER).await?;
    wait_for_server(inside).await?;
    // Without the key that the server writes at its first start, this one never opens its webhook port.
    let webhook = instance.ports().argocd_webhook;
    let generator = format!("{GENERATOR} --webhook-addr=0.0.0.0:{webhook}");
    start(inside, "argocd-applicationset-controller", &generator).await?;
    let log = instance.log("argocd-applicationset-controller");
    let address = format!("127.0.0.1:{webhook}");
    wait::listening("the ApplicationSet controller", &address, 60, &log).await?;
    token(instance, inside).await?;
    inside
        .progress
        .step(&format!("Argo CD ready at http://localhost:{port}"));
    Ok(())
}

async fn start(inside: &Inside, name: &str, args: &str) -> Result<()> {
    let instance = &inside.instance;
    let own = |name: &str| instance.path("argocd").join(name).display().to_string();
    let helm = &inside.order.built.go.helm;
    let program = inside.order.built.go.argocd.join("argocd");
    let service = Service::new(name, program)
        .args(args.split_whitespace())
        .env(
            "PATH",
            format!("{}:/usr/local/bin:/usr/bin:/bin", helm.display()),
        )
        // One program under five names.
        .env("ARGOCD_BINARY_NAME", name)
        .env("ARGOCD_FAKE_IN_CLUSTER", "true")
        .env("KUBECONFIG", instance.kubeconfig().display().to_string())
        .env("ARGOCD_TLS_DATA_PATH", own("tls"))
        .env("ARGOCD_SSH_DATA_PATH", own("ssh"))
        .env("ARGOCD_GPG_ENABLED", "false")
        .env("ARGOCD_GNUPGHOME", own("gpg/keys"))
        .env("ARGOCD_GPG_DATA_PATH", own("gpg/source"))
        .env("ARGOCD_PLUGINSOCKFILEPATH", own("plugins"))
        .env("TMPDIR", own("tmp"))
        // Waves only order the objects here; a pause after each would be lost time.
        .env("ARGOCD_SYNC_WAVE_DELAY", "0")
        .env("ARGOCD_GIT_MODULES_ENABLED", "false");
    inside.start(service).await.map(drop)
}

async fn wait_for_server(inside: &Inside) -> Result<()> {
    let url = format!(
        "http://127.0.0.1:{}/healthz?full=true",
        inside.instance.ports().argocd
    );
    let log = inside.instance.log("argocd-server");
    wait::until("Argo CD's server", 90, Some(&log), || async {
        Ok(reqwest::get(&url).await?.error_for_status().map(drop)?)
    })
    .await
}

/// The account's token for the sidecar, made once; the administrator's password is the one Argo CD made up.
async fn token(instance: &Instance, inside: &Inside) -> Result<()> {
    let kept = instance.secret("argocd-bot.token");
    if kept.exists() {
        return Ok(());
    }
    let encoded = output(&mut inside.kubectl(&[
        "--namespace=argocd",
        "get",
        "secret",
        "argocd-initial-admin-secret",
        "--output=jsonpath={.data.password}",
    ]))
    .await?;
    let password = String::from_utf8(STANDARD.decode(encoded)?)?;
    files::put_private(&instance.secret("argocd-admin.password"), &password)?;
    let base = format!("http://127.0.0.1:{}/api/v1", instance.ports().argocd);
    let http = reqwest::Client::new();
    let session: Value = http
        .post(format!("{base}/session"))
        .json(&json!({"username": "admin", "password": password}))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let session = session["token"]
        .as_str()
        .context("Argo CD gave no session")?;
    let made: Value = http
        .post(format!("{base}/account/bot/token"))
        .bearer_auth(session)
        .json(&json!({"name": "bot"}))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    files::put_private(
        &kept,
        made["token"].as_str().context("Argo CD gave no token")?,
    )?;
    Ok(())
}
