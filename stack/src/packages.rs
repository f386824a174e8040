//! The Debian packages that the stack needs, and their installation.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::command::{program, run};
use crate::console::Progress;

/// A package and a file that shows that it is there; asking the file system is quicker than asking dpkg.
const NEEDED: [(&str, &str); 20] = [
    ("btrfs-progs", "/usr/bin/btrfs"),
    ("chromium", "/usr/bin/chromium"),
    ("conntrack", "/usr/sbin/conntrack"),
    ("containerd", "/usr/bin/containerd"),
    ("containernetworking-plugins", "/usr/lib/cni/ptp"),
    ("gcc", "/usr/bin/gcc"),
    ("g++", "/usr/bin/g++"),
    ("git", "/usr/bin/git"),
    ("iproute2", "/usr/sbin/ip"),
    ("iptables", "/usr/sbin/iptables"),
    ("make", "/usr/bin/make"),
    ("maven", "/usr/bin/mvn"),
    ("mmdebstrap", "/usr/bin/mmdebstrap"),
    ("musl-tools", "/usr/bin/musl-gcc"),
    ("nftables", "/usr/sbin/nft"),
    ("openssl", "/usr/bin/openssl"),
    ("python3", "/usr/bin/python3"),
    ("redis-server", "/usr/bin/redis-server"),
    ("runc", "/usr/sbin/runc"),
    ("xz-utils", "/usr/bin/xz"),
];

pub(crate) fn missing() -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(_, file)| {
            let merged = file.strip_prefix("/usr").unwrap_or(file);
            !Path::new(file).exists() && !Path::new(merged).exists()
        })
        .map(|(package, _)| *package)
        .collect()
}

pub(crate) async fn install(progress: Progress, packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    progress.step(&format!(
        "installing Debian packages: {}",
        packages.join(" ")
    ));
    let apt = || {
        let mut command = program("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "-y"]);
        // A service that starts with its package would take a port or a socket of the machine.
        command.env("RUNLEVEL", "1");
        command
    };
    run(apt().arg("update")).await?;
    run(apt()
        .args(["install", "--no-install-recommends"])
        .args(packages))
    .await
    .context("cannot install the Debian packages")
}
