//! `vdb serve`: the sidecar. It is a plugin of the portal, reads the cluster, and writes to Git alone.

mod actions;
mod app;
mod audit;
mod auth;
mod background;
mod checks;
mod cluster;
mod environments;
mod error;
mod extract;
#[cfg(test)]
mod fakes;
mod limits;
mod listener;
mod metrics;
mod openapi;
mod portal;
mod progress;
mod proposal;
mod readiness;
mod request;
mod requests;
pub(crate) mod review;
mod router;
pub(crate) mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod timeline;
mod watch;
mod webhook;
#[cfg(test)]
mod wire;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OnceCell};
use tracing_subscriber::EnvFilter;

use crate::{argocd, forge, web};
use app::{App, ArgoCd, Pulls};
use auth::{Authenticator, SigningKey};
use cluster::{Cluster, Kubernetes, ThroughArgoCd};
#[cfg(test)]
pub(crate) use fakes::FakeForge;
use metrics::Metrics;
use portal::Backstage;
pub(crate) use review::REQUIRED_CHECK;
use settings::Settings;
pub(crate) use settings::allowed;
use sources::Sources;
use watch::{Pace, Watch};
#[doc(hidden)]
pub use webhook::received;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Settings file
    #[arg(long, default_value = "/etc/vdb/settings.yaml")]
    config: PathBuf,
    /// What is logged, for example info or vdb=debug
    #[arg(long, env = "VDB_LOG", default_value = "info,kube=warn,hyper=warn")]
    log: String,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_new(&args.log).context("reading --log")?;
    // The audit is kept however little else is.
    let filter = filter.add_directive("audit=info".parse()?);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .try_init()
        .ok();
    let settings = Settings::read(&args.config)?;
    let listen = settings.listen.clone();
    let (api, webhooks, metrics) = (
        bind(listen.api).await?,
        bind(listen.webhooks).await?,
        bind(listen.metrics).await?,
    );
    let ready: Arc<OnceCell<Arc<App>>> = Arc::default();
    let monitoring = tokio::spawn(listener::serve(
        metrics,
        router::metrics(Arc::clone(&ready)),
        shutdown(),
    ));
    // Health answers while the cluster is not there yet: a pod that waits is better than one that restarts.
    let app = tokio::select! {
        app = connect(settings) => app?,
        () = shutdown() => return Ok(ExitCode::SUCCESS),
    };
    ready.set(Arc::clone(&app)).ok();
    let background = tokio::spawn(background::run(Arc::clone(&app), shutdown()));
    tracing::info!(api = %listen.api, webhooks = %listen.webhooks, metrics = %listen.metrics, "serving");
    let served = async {
        tokio::join!(
            listener::serve(api, router::api(Arc::clone(&app)), shutdown()),
            listener::serve(webhooks, router::webhooks(Arc::clone(&app)), shutdown())
        )
    };
    tokio::select! {
        _ = served => {}
        () = drained() => {}
    }
    background.await.ok();
    monitoring.abort();
    Ok(ExitCode::SUCCESS)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))
}

/// Open calls get five seconds to end: an action that is cut off continues when it is run again.
async fn drained() {
    shutdown().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
}

async fn shutdown() {
    let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Makes the ports and reads the signing key, waiting for the cluster if need be.
async fn connect(settings: Settings) -> anyhow::Result<Arc<App>> {
    let http = web::client()?;
    let forge = forge::connect(settings.forge.clone())?;
    let argocd: Arc<dyn ArgoCd> = Arc::new(argocd::Client::new(settings.argocd.clone())?);
    let to_argocd = web::client_with(settings.argocd.ca_file.as_deref())?;
    let tower = dct::Client::new(dct::ClientSettings::new(
        &settings.dct.url,
        &settings.dct.api_key_file,
        "vdb-sidecar",
    ))?;
    let (cluster, key) = retry("reaching the cluster", keyed_cluster).await;
    let key = Arc::new(key);
    let mut cluster: Arc<dyn Cluster> = Arc::new(cluster);
    if settings.argocd.read_resources {
        cluster = Arc::new(ThroughArgoCd::new(Arc::clone(&argocd), cluster));
    }
    let watch = Watch::new(Pace::LIVE, Arc::clone(&forge), argocd, Arc::clone(&cluster));
    Ok(Arc::new(App {
        authenticator: Authenticator::new(http.clone(), &settings.portal),
        portal: Arc::new(Backstage::new(http, &settings.portal.url, Arc::clone(&key))),
        forge,
        watch,
        cluster,
        sources: Sources::new(Arc::new(tower)),
        key,
        metrics: Metrics::default(),
        proposing: Mutex::default(),
        wake: tokio::sync::watch::Sender::default(),
        pulls: Pulls::default(),
        told_head: Mutex::default(),
        reviews: Mutex::default(),
        to_argocd,
        settings,
        capabilities: environment::capabilities::OPERATOR,
    }))
}

async fn keyed_cluster() -> anyhow::Result<(Kubernetes, SigningKey)> {
    let cluster = Kubernetes::connect().await?;
    let pem = cluster.signing_key(&SigningKey::generate()?).await?;
    Ok((cluster, SigningKey::from_pem(&pem)?))
}

async fn retry<T, F: Future<Output = anyhow::Result<T>>>(what: &str, attempt: impl Fn() -> F) -> T {
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => tracing::warn!(
                error = web::one_line(&format!("{error:#}"), 600),
                "{what} failed; trying again"
            ),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
