//! The instance's own view of a few system folders. Nothing of it is visible outside its mount namespace.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount, mount_bind};

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
    tmpfs(Path::new("/run"), c"mode=755")?;
    tmpfs(Path::new("/dev/shm"), c"mode=1777")?;
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

pub(crate) fn tmpfs(place: &Path, options: &CStr) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", place, "tmpfs", flags, options)
        .with_context(|| format!("cannot mount a tmpfs on {}", place.display()))
}

pub(crate) fn bind(what: &Path, place: &Path) -> Result<()> {
    mount_bind(what, place)
        .with_context(|| format!("cannot bind {} on {}", what.display(), place.display()))
}
