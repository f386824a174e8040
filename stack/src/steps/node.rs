//! The node: cgroups, kubelet, kube-proxy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::command::output;
use crate::files;
use crate::instance::{DNS, Instance, NODE, NODE_NAME, PODS};
use crate::steps::{Inside, Service, runtime};
use crate::wait;

const KUBELET: &str = include_str!("../../manifests/kubelet.yaml");
const PROXY: &str = include_str!("../../manifests/kube-proxy.yaml");

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let kube = &inside.order.built.go.kube;
    make_cgroups(&instance.cgroup())?;
    let pki = |name: &str| instance.path("pki").join(name).display().to_string();
    let resolv = instance.path("config/resolv.conf");
    // For pods with dnsPolicy Default: there is no resolver outside.
    files::put(&resolv, "")?;
    let kubelet = instance.path("config/kubelet.yaml");
    let text = KUBELET
        .replace("@PKI@", &instance.path("pki").display().to_string())
        .replace("@NODE@", NODE)
        .replace("@DNS@", DNS)
        .replace("@SOCKET@", runtime::SOCKET)
        .replace("@CGROUP@", &instance.cgroup())
        .replace("@RESOLV@", &resolv.display().to_string())
        .replace("@LOGS@", &instance.path("pod-logs").display().to_string());
    files::put(&kubelet, &text)?;
    let args = [
        format!("--config={}", kubelet.display()),
        format!("--kubeconfig={}", pki("kubelet.kubeconfig")),
        format!("--hostname-override={NODE_NAME}"),
        format!("--node-ip={NODE}"),
        format!("--node-labels=kubernetes.io/hostname={NODE_NAME}"),
        format!("--cert-dir={}", pki("kubelet-certificates")),
        "--v=1".to_owned(),
    ];
    inside
        .start(
            Service::new("kubelet", kube.join("kubelet"))
                .args(args)
                .reads(&kubelet)?,
        )
        .await?;
    let proxy = instance.path("config/kube-proxy.yaml");
    let text = PROXY
        .replace("@KUBECONFIG@", &pki("kube-proxy.kubeconfig"))
        .replace("@NODE@", NODE)
        .replace("@PODS@", PODS);
    files::put(&proxy, &text)?;
    let args = [
        format!("--config={}", proxy.display()),
        format!("--hostname-override={NODE_NAME}"),
    ];
    inside
        .start(
            Service::new("kube-proxy", kube.join("kube-proxy"))
                .args(args)
                .reads(&proxy)?,
        )
        .await?;
    ready(inside).await
}

async fn ready(inside: &Inside) -> Result<()> {
    let log = inside.instance.log("kubelet");
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    wait::until("the node", 90, Some(&log), || async {
        let ready =
            output(&mut inside.kubectl(&["get", "node", NODE_NAME, "--output", path])).await?;
        if ready == "True" {
            Ok(())
        } else {
            bail!("Ready is {ready:?}")
        }
    })
    .await?;
    inside.progress.step("node ready");
    Ok(())
}

/// The kubelet wants its root to exist in every hierarchy.
fn make_cgroups(cgroup: &str) -> Result<()> {
    for controller in hierarchies()? {
        // cpuset is unusable below a parent that does not pass its values on.
        let clone = controller.join("cgroup.clone_children");
        if clone.exists() {
            let _ = fs::write(&clone, "1");
        }
        let subtree = controller.join("cgroup.subtree_control");
        if subtree.exists() && controller == Path::new("/sys/fs/cgroup") {
            for name in ["cpu", "memory", "pids", "cpuset", "io", "hugetlb"] {
                // Controllers that this kernel lacks are not needed.
                let _ = fs::write(&subtree, format!("+{name}"));
            }
        }
        fs::create_dir_all(controller.join(cgroup.trim_start_matches('/')))?;
    }
    Ok(())
}

/// Version 2: one hierarchy. Version 1 and hybrid: one for each controller.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = PathBuf::from("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.join("cgroup.procs").exists() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Removes the instance's cgroups after its processes are gone.
pub(crate) fn remove_cgroups(instance: &Instance) -> Result<()> {
    for controller in hierarchies()? {
        remove_tree(&controller.join(instance.cgroup().trim_start_matches('/')));
    }
    Ok(())
}

fn remove_tree(cgroup: &Path) {
    let Ok(entries) = fs::read_dir(cgroup) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            remove_tree(&entry.path());
        }
    }
    // Fails while a process is dying in it; the caller looks again.
    let _ = fs::remove_dir(cgroup);
}

pub(crate) fn has_cgroups(instance: &Instance) -> Result<bool> {
    let name = instance.cgroup();
    Ok(hierarchies()?
        .iter()
        .any(|controller| controller.join(name.trim_start_matches('/')).exists()))
}
