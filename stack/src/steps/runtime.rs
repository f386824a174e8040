//! containerd with its own root, state and socket, and the images of the cluster.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{output, program};
use crate::files;
use crate::images::{self, Image};
use crate::instance::{Instance, PODS};
use crate::steps::{Inside, Service};
use crate::wait;

const CONTAINERD: &str = include_str!("../../manifests/containerd.toml");
const NETWORK: &str = include_str!("../../manifests/cni.conflist");

/// Inside the namespaces /run is the instance's own.
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let instance = &inside.instance;
    let config = instance.path("config/containerd.toml");
    let network = instance.path("config/cni");
    let text = CONTAINERD
        .replace("@ROOT@", &instance.path("containerd").display().to_string())
        .replace("@PAUSE@", images::PAUSE)
        .replace("@CNI@", &network.display().to_string());
    files::put(&config, &text)?;
    files::put(
        &network.join("10-stack.conflist"),
        &NETWORK
            .replace("@PODS@", PODS)
            .replace("@DATA@", &addresses(instance)),
    )?;
    inside
        .start(
            Service::new("containerd", "/usr/bin/containerd")
                .args(["--config", &config.display().to_string()])
                .reads(&config)?,
        )
        .await?;
    let log = instance.log("containerd");
    wait::until("containerd", 30, Some(&log), || async {
        output(program("ctr").args(["--address", SOCKET, "version"]))
            .await
            .map(drop)
    })
    .await?;
    inside.progress.step("containerd ready");
    Ok(())
}

fn addresses(instance: &Instance) -> String {
    instance.path("cni/networks").display().to_string()
}

/// Imports what containerd does not have yet, and names the images that changed.
pub(crate) async fn import(inside: &Inside, images: &[Image]) -> Result<Vec<&'static str>> {
    let socket = PathBuf::from(SOCKET);
    let mut changed = Vec::new();
    for image in images {
        if images::import(image, &socket).await? {
            changed.push(image.name);
        }
    }
    let names: Vec<&str> = changed
        .iter()
        .filter_map(|name| name.rsplit('/').next())
        .collect();
    if !names.is_empty() {
        inside
            .progress
            .step(&format!("images imported: {}", names.join(" ")));
    }
    Ok(changed)
}
