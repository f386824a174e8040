//! Encrypted connections to servers that the engine runs: the certificate of the settings, copied beside each server's
//! configuration, since the server wants a key that is its user's alone, and read again when it changes.

use std::io::Write as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use super::{is_served, postmaster};
use crate::engine::Engine;
use crate::jobs::Error;
use crate::model::Kind;
use crate::origin::files;
use crate::settings::TlsSettings;
use crate::{error_chain, timeflows, tls};

pub(super) const CERTIFICATE: &str = "server.crt";
pub(super) const KEY: &str = "server.key";

/// Whether anything changed.
pub(super) fn place(settings: &TlsSettings, home: &Path) -> Result<bool, Error> {
    if let Some(problem) = tls::problem(settings) {
        return Err(Error::Failed(format!("servers.tls: {problem}")));
    }
    let mut changed = false;
    for (from, name) in [
        (&settings.cert_file, CERTIFICATE),
        (&settings.key_file, KEY),
    ] {
        let (wanted, path) = (files("read", from, std::fs::read(from))?, home.join(name));
        if std::fs::read(&path).is_ok_and(|found| found == wanted) {
            continue;
        }
        let partial = home.join("partial");
        let written = (|| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
            let file = rustix::fs::open(&partial, flags, Mode::RUSR | Mode::WUSR)?;
            std::fs::File::from(file).write_all(&wanted)?;
            std::fs::rename(&partial, &path)
        })();
        files("write", &path, written)?;
        changed = true;
    }
    Ok(changed)
}

impl Engine {
    /// Gives servers that run a certificate that changed. Connections that there are keep the old one.
    pub(super) fn renew_certificates(&self) {
        let Some(settings) = self.settings.servers.as_ref().and_then(|s| s.tls.as_ref()) else {
            return;
        };
        let now = tls::changed(settings);
        let mut seen = self
            .certificates
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if now == *seen {
            return;
        }
        *seen = now;
        let servers: Vec<(String, std::path::PathBuf)> = self.store.read(|state| {
            let served = state.objects(Kind::Vdb).filter(|vdb| is_served(vdb));
            let root = |id: &str| self.settings.vdbs().join(timeflows::current(state, id));
            served.map(|vdb| (vdb.id.clone(), root(&vdb.id))).collect()
        });
        for (vdb, root) in servers {
            let Some(server) = postmaster::find(&root.join("data")) else {
                continue;
            };
            match place(settings, &self.server_home(&vdb)) {
                Ok(true) => {
                    tracing::info!(vdb, "certificate changed; read again");
                    server.signal(Signal::HUP);
                }
                Ok(false) => {}
                Err(error) => tracing::error!(
                    vdb,
                    "the changed certificate is not used: {}",
                    error_chain(&error)
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_cannot_be_used_is_not_placed() {
        let dir = tempfile::tempdir().unwrap();
        let settings = TlsSettings {
            cert_file: dir.path().join("tls.crt"),
            key_file: dir.path().join("tls.key"),
            ca_file: None,
        };
        let error = place(&settings, dir.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("servers.tls:") && error.contains("tls.crt"),
            "{error}"
        );
        assert!(!dir.path().join(KEY).exists());
    }
}
