//! What must hold before anything is built or started. Every problem is said at once.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::instance::{Forward, Instance};
use crate::{console, packages};

/// A cold build peaks at about 20 GB of caches; the images, the pool and the databases come after it.
const FREE_GB: u64 = 25;

/// Tools that no Debian package of the right version provides, with what to do.
const TOOLS: [(&str, &str); 4] = [
    ("go", "install Go 1.26 (https://go.dev/dl)"),
    ("cargo", "install Rust with rustup (https://rustup.rs)"),
    ("npm", "install Node.js 20 or newer with npm"),
    (
        "java",
        "install a Java runtime 17 (apt-get install openjdk-17-jre-headless)",
    ),
];

pub(crate) fn check(instance: &Instance, cache: &Cache) -> Result<()> {
    let mut problems = Vec::new();
    if !rustix::process::geteuid().is_root() {
        problems.push("must run as root: namespaces, mounts and cgroups need it".to_owned());
    }
    for (tool, remedy) in TOOLS {
        if !on_path(tool) {
            problems.push(format!("{tool} is not on PATH: {remedy}"));
        }
    }
    let missing = packages::missing();
    if !missing.is_empty() && !Path::new("/usr/bin/apt-get").exists() {
        problems.push(format!(
            "not a Debian machine, and these are missing: {}",
            missing.join(" ")
        ));
    }
    problems.extend(taken_ports(instance));
    for place in [cache.path(""), instance.state.clone()] {
        problems.extend(little_space(&place));
    }
    problems.dedup();
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        console::problem(problem);
    }
    bail!("{} problem(s), nothing was started", problems.len())
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

fn taken_ports(instance: &Instance) -> Vec<String> {
    instance
        .ports()
        .forwarded()
        .into_iter()
        .filter(|forward| TcpListener::bind(("127.0.0.1", forward.port)).is_err())
        .map(|Forward { what, port, .. }| {
            let owner = owner_of(port).map_or_else(String::new, |owner| format!(" by {owner}"));
            format!("port {port}, needed for {what}, is taken{owner}")
        })
        .collect()
}

/// The process that listens on the port, found by its socket's inode.
fn owner_of(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| {
            listener_inode(&fs::read_to_string(table).ok()?, port).map(str::to_owned)
        })?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let mut descriptors = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        descriptors.find(|fd| {
            fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str())
        })?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some(format!("{} (process {pid})", name.trim()))
    })
}

fn listener_inode(table: &str, port: u16) -> Option<&str> {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == "0A";
        if listens {
            fields.get(9).copied()
        } else {
            None
        }
    })
}

fn little_space(place: &Path) -> Option<String> {
    let existing = place.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    let free = stat.f_bavail * stat.f_frsize / 1_000_000_000;
    (free < FREE_GB).then(|| {
        format!(
            "{free} GB free on {}, {FREE_GB} GB are needed",
            existing.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_by_port_and_state() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:0BB8 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n\
             1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1\n";
        assert_eq!(listener_inode(table, 3000), Some("22"));
        assert_eq!(listener_inode(table, 3001), None);
    }

    #[test]
    fn a_taken_port_is_named_with_its_owner() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let owner = owner_of(listener.local_addr().unwrap().port()).unwrap();
        assert!(owner.contains(&std::process::id().to_string()), "{owner}");
    }
}
