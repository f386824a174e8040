//! The only file that names `rustls`: encrypted connections, with a certificate that is read again when it changes.
//!
//! Handshakes run beside each other: one that hangs keeps nobody else waiting.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error_chain;
use crate::settings::TlsSettings;

/// A client that says nothing is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Finished handshakes that nobody has taken yet.
const WAITING: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the {what} {path}: {why}")]
    Pem {
        what: &'static str,
        path: String,
        why: String,
    },
    #[error("certificate and key of tls do not fit")]
    Unfit(#[from] rustls::Error),
}

/// Connections whose handshake is over.
pub(crate) struct Encrypted {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, std::net::SocketAddr)>,
    address: std::net::SocketAddr,
}

impl Encrypted {
    pub(crate) fn new(listener: TcpListener, settings: TlsSettings) -> Result<Self, Error> {
        let certificate = Certificate::read(settings)?;
        let address = listener
            .local_addr()
            .unwrap_or_else(|_| std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        let (sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(accept(listener, certificate, sender));
        Ok(Self { ready, address })
    }
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The task that accepts ends with the program alone.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

async fn accept(
    mut listener: TcpListener,
    mut certificate: Certificate,
    sender: mpsc::Sender<(TlsStream<TcpStream>, std::net::SocketAddr)>,
) {
    loop {
        // Out of descriptors, say: axum's own accept waits and tries again.
        let (stream, from) = Listener::accept(&mut listener).await;
        if sender.is_closed() {
            return;
        }
        let acceptor = TlsAcceptor::from(certificate.current());
        let sender = sender.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(sender.send((stream, from)).await),
                Ok(Err(error)) => tracing::debug!(%from, "handshake: {error}"),
                Err(_) => tracing::debug!(%from, "handshake: no word within ten seconds"),
            }
        });
    }
}

/// What is wrong with certificate and key as they are now.
pub(crate) fn problem(settings: &TlsSettings) -> Option<String> {
    config(settings).err().map(|error| error_chain(&error))
}

struct Certificate {
    settings: TlsSettings,
    seen: Option<[SystemTime; 2]>,
    config: Arc<ServerConfig>,
}

impl Certificate {
    fn read(settings: TlsSettings) -> Result<Self, Error> {
        let seen = changed(&settings);
        Ok(Self {
            config: Arc::new(config(&settings)?),
            seen,
            settings,
        })
    }

    /// A change that cannot be used keeps the old certificate.
    fn current(&mut self) -> Arc<ServerConfig> {
        let now = changed(&self.settings);
        if now.is_some() && now != self.seen {
            self.seen = now;
            match config(&self.settings) {
                Ok(config) => {
                    tracing::info!("certificate read again");
                    self.config = Arc::new(config);
                }
                Err(error) => tracing::error!(
                    "the changed certificate is not used: {}",
                    error_chain(&error)
                ),
            }
        }
        Arc::clone(&self.config)
    }
}

pub(crate) fn changed(settings: &TlsSettings) -> Option<[SystemTime; 2]> {
    let at = |path: &Path| std::fs::metadata(path).ok()?.modified().ok();
    Some([at(&settings.cert_file)?, at(&settings.key_file)?])
}

fn config(settings: &TlsSettings) -> Result<ServerConfig, Error> {
    let pem = |what, path: &Path, why: String| Error::Pem {
        what,
        path: path.display().to_string(),
        why,
    };
    let (cert, key) = (&settings.cert_file, &settings.key_file);
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| pem("certificate", cert, e.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|e| pem("private key", key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let settings = TlsSettings {
            cert_file: dir.path().join("tls.crt"),
            key_file: dir.path().join("tls.key"),
            ca_file: None,
        };
        assert!(problem(&settings).unwrap().contains("tls.crt"));
        std::fs::write(&settings.cert_file, "").unwrap();
        assert!(problem(&settings).unwrap().contains("tls.key"));
    }
}
