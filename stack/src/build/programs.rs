//! The product's own programs, in the profile that the tests use, so that their dependencies compile once.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::command::{output, program, run};
use crate::console::Progress;

const MUSL: &str = "x86_64-unknown-linux-musl";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Programs {
    pub operator: PathBuf,
    pub init: PathBuf,
    pub sidecar: PathBuf,
    pub engine: PathBuf,
}

/// How the programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// For the local stack: what the tests have compiled already.
    Development,
    /// For images that leave the machine.
    Release,
}

pub(crate) async fn build(
    progress: Progress,
    checkout: &Path,
    profile: Profile,
) -> Result<Programs> {
    let (flags, folder): (&[&str], _) = match profile {
        Profile::Development => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    let cargo = |args: &[&str]| {
        let mut cargo = program("cargo");
        cargo
            .args(["build", "--quiet", "--locked"])
            .args(flags)
            .args(args)
            .current_dir(checkout);
        cargo
    };
    output(&mut cargo(&[
        "-p",
        "operator",
        "-p",
        "vdb",
        "-p",
        "vdb-engine",
        "--bins",
    ]))
    .await
    .context("cannot build the platform's programs")?;
    // Static, because it runs in whatever image an order names.
    standard_library(progress, checkout).await?;
    output(&mut cargo(&["-p", "vdb-init", "--target", MUSL]))
        .await
        .context("cannot build vdb-init")?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.join("target"), PathBuf::from);
    let host = target.join(folder);
    // It travels in a ConfigMap of each environment, so every byte counts.
    let init = target.join(MUSL).join(folder).join("vdb-init");
    let stripped = init.with_extension("stripped");
    output(
        program("strip")
            .arg("--strip-all")
            .arg("-o")
            .arg(&stripped)
            .arg(&init),
    )
    .await?;
    progress.step("operator, sidecar and engine compiled");
    Ok(Programs {
        operator: host.join("vdb-operator"),
        init: stripped,
        sidecar: host.join("vdb"),
        engine: host.join("vdb-engine"),
    })
}

/// rust-toolchain.toml names the target, but only a toolchain that rustup installs itself comes with it.
async fn standard_library(progress: Progress, checkout: &Path) -> Result<()> {
    let mut rustc = program("rustc");
    rustc
        .args(["--print", "target-libdir", "--target", MUSL])
        .current_dir(checkout);
    if Path::new(&output(&mut rustc).await?).is_dir() {
        return Ok(());
    }
    progress.step(&format!("adding the Rust target {MUSL}"));
    run(program("rustup")
        .args(["target", "add", MUSL])
        .current_dir(checkout))
    .await
    .with_context(|| format!("cannot add {MUSL}: run rustup target add {MUSL}"))
}
