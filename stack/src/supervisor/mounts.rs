//! The instance's own view of a few system folders. Nothing of it is visible outside its mount namespace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};

use crate::files;
use crate::instance::{DNS, Instance, NODE, NODE_NAME};

/// Folders that containerd, CNI and the kubelet write to at fixed places, and their place in the state.
pub(crate) const OWN: [(&str, &str); 3] = [
    ("/var/log", "var-log"),
    ("/var/lib/cni", "cni"),
    ("/var/lib/kubelet", "kubelet"),
];

pub(crate) fn prepare(instance: &Instance) -> Result<()> {
    let resolver = resolved(Path::new("/etc/resolv.conf"));
    // containerd's shim sockets, network namespaces and locks all live in /run.
    tmpfs("/run", "mode=755")?;
    tmpfs("/dev/shm", "mode=1777")?;
    for (place, name) in OWN {
        let own = instance.path(name);
        files::make_dir(&own, 0o755)?;
        files::make_dir(Path::new(place), 0o755)?;
        bind(&own, Path::new(place))?;
    }
    let search = "default.svc.cluster.local svc.cluster.local cluster.local";
    let resolv = instance.path("resolv.conf");
    files::put(
        &resolv,
        &format!("nameserver {DNS}\nsearch {search}\noptions timeout:1 attempts:2\n"),
    )?;
    let hosts = instance.path("hosts");
    files::put(
        &hosts,
        &format!(
            "127.0.0.1 localhost\n::1 localhost\n{NODE} {NODE_NAME} gitea.localhost argocd.stack backstage.stack\n"
        ),
    )?;
    if !resolver.exists() {
        if let Some(parent) = resolver.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&resolver, "")?;
    }
    bind(&resolv, &resolver)?;
    bind(&hosts, &resolved(Path::new("/etc/hosts")))
}

/// The file behind a link: a bind mount on the link itself is not possible.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn tmpfs(place: &str, options: &str) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some(options))
        .with_context(|| format!("cannot mount a tmpfs on {place}"))
}

fn bind(what: &Path, place: &Path) -> Result<()> {
    mount(
        Some(what),
        place,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .with_context(|| format!("cannot bind {} on {}", what.display(), place.display()))
}
