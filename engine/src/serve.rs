//! `vdb-engine serve`: recover, answer, link what is declared, stop when told.

use std::sync::Arc;

use crate::archive::Archiving;
use crate::engine::{self, Engine};
use crate::error_chain;
use crate::http::{self, Keys};
use crate::origin::Postgres;
use crate::settings::Settings;
use crate::storage;
use crate::tls::{self, Encrypted};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("the pool cannot be used: {0}")]
    Pool(String),
    #[error("cannot listen on {0}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    #[error("tls")]
    Tls(#[from] tls::Error),
    #[error("serving ended")]
    Serve(#[source] std::io::Error),
}

pub async fn run(settings: Settings) -> Result<(), Error> {
    let storage = storage::of(settings.storage, &settings.pool);
    let problems = storage.problems(&settings.pool);
    if !problems.is_empty() {
        return Err(Error::Pool(problems.join("; ")));
    }
    if let Some(warning) = storage.warning() {
        tracing::warn!("{warning}");
    }
    if settings.run_hooks.is_some() {
        tracing::warn!(
            "hooks are run: whoever may order a virtual database runs programs as the engine's user"
        );
    }
    let origin = Postgres::new(&settings);
    let engine = Arc::new(Engine::open(settings, storage, Box::new(origin))?);
    let again = engine.recover().map_err(engine::Error::from)?;
    for job in again {
        engine.start(&job);
    }
    let archiving = Archiving::begin(&engine);
    for source in &engine.settings.sources {
        tokio::spawn(Arc::clone(&engine).keep_linking(source.name.clone()));
        tokio::spawn(Arc::clone(&engine).keep_snapshots(source.clone()));
    }
    tokio::spawn(Arc::clone(&engine).keep_tidy());
    let keys = Arc::new(Keys::new(&engine.settings));
    if engine.settings.servers.is_some() {
        engine.resume_servers().map_err(engine::Error::from)?;
        tokio::spawn(Arc::clone(&engine).keep_servers());
    }
    let listen = engine.settings.listen;
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .map_err(|e| Error::Listen(listen, e))?;
    tracing::info!(%listen, pool = %engine.settings.pool.display(), storage = engine.storage.name(), owner = engine.owner, "serving");
    // Made once: a router by itself is made anew, with all its routes, for every connection.
    let router = http::router(Arc::clone(&engine), keys).into_make_service();
    let served = match &engine.settings.tls {
        None => {
            let serving = axum::serve(listener, router);
            serving.with_graceful_shutdown(stop()).await
        }
        Some(tls) => {
            let serving = axum::serve(Encrypted::new(listener, tls.clone())?, router);
            serving.with_graceful_shutdown(stop()).await
        }
    };
    // The receivers end with the engine, and go on at the next start.
    drop(archiving);
    served.map_err(Error::Serve)?;
    engine.stop_servers();
    tracing::info!("stopped; unfinished jobs go on at the next start");
    Ok(())
}

async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!("cannot listen for a stop signal: {}", error_chain(&error));
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
