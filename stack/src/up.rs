//! `up`: check, build, start the supervisor, and let the steps run inside.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::build::{self, Built, Wanted};
use crate::cache::Cache;
use crate::console::Progress;
use crate::host::{self, Running};
use crate::instance::{Instance, checkout};
use crate::steps::{Order, Seed};
use crate::{down, files, images, packages, preflight};

pub(crate) async fn build(wanted: Wanted) -> Result<Built> {
    let progress = Progress::new();
    let cache = Cache::open()?;
    packages::install(progress, &packages::missing()).await?;
    make(progress, &cache, wanted).await
}

/// Operator, sidecar and engine as archives that a registry takes.
pub(crate) async fn images(folder: &Path) -> Result<()> {
    let progress = Progress::new();
    let cache = Cache::open()?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    packages::install(progress, &packages::missing()).await?;
    let _turn = turn(progress, &cache, "build")?;
    let (programs, small, postgres) = build::product(progress, &cache, &checkout()?).await?;
    for image in images::product(&programs, &small, &postgres) {
        let path = images::archive(&image, folder).await?;
        progress.step(&format!("wrote {}", path.display()));
    }
    Ok(())
}

pub(crate) async fn up(instance: &Instance, wanted: Wanted, seed: Seed) -> Result<()> {
    let progress = Progress::new();
    let cache = Cache::open()?;
    let _turn = turn(progress, &cache, instance.name.text())?;
    let running = host::running(instance);
    if running.is_none() {
        preflight::check(instance, &cache)?;
        packages::install(progress, &packages::missing()).await?;
    }
    let built = make(progress, &cache, wanted).await?;
    let running = match running {
        Some(running) => running,
        None => start(progress, instance, &cache, &built).await?,
    };
    inside(progress, instance, &running, built, seed, "reconcile").await?;
    progress.step(&format!(
        "instance {} is up, state in {}",
        instance.name.text(),
        instance.state.display()
    ));
    Ok(())
}

/// The inner loop: compile, import, restart what changed.
pub(crate) async fn load_images(instance: &Instance) -> Result<()> {
    let progress = Progress::new();
    let running = host::running(instance).context("the instance is not up")?;
    let cache = Cache::open()?;
    let _turn = turn(progress, &cache, instance.name.text())?;
    let wanted = Wanted {
        platform: true,
        ..Wanted::default()
    };
    let built = make(progress, &cache, wanted).await?;
    inside(
        progress,
        instance,
        &running,
        built,
        Seed::installed(),
        "load-images-inside",
    )
    .await?;
    progress.step("images loaded");
    Ok(())
}

async fn make(progress: Progress, cache: &Cache, wanted: Wanted) -> Result<Built> {
    let _turn = turn(progress, cache, "build")?;
    build::build(progress, cache, &checkout()?, wanted).await
}

/// One command at a time for each instance, and one build; the lock ends with the process.
fn turn(progress: Progress, cache: &Cache, what: &str) -> Result<File> {
    let path = cache.path(&format!("{what}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        progress.step(&format!("waiting for another vdb-stack command ({what})"));
        file.lock()?;
    }
    Ok(file)
}

async fn start(
    progress: Progress,
    instance: &Instance,
    cache: &Cache,
    built: &Built,
) -> Result<Running> {
    // What a killed instance left: nothing of it runs any more.
    down::remove_state(instance).await?;
    if instance
        .others()
        .iter()
        .all(|other| host::running(other).is_none())
    {
        built.sweep(cache)?;
    }
    let running = host::start(instance).await?;
    progress.step("supervisor started");
    Ok(running)
}

async fn inside(
    progress: Progress,
    instance: &Instance,
    running: &Running,
    built: Built,
    seed: Seed,
    command: &str,
) -> Result<()> {
    let order = Order {
        built,
        checkout: checkout()?,
        seed,
        began: progress.began(),
    };
    let path = instance.path("order.json");
    files::put_private(&path, &serde_json::to_string(&order)?)?;
    let status: ExitStatus = running
        .enter(&instance.state)
        .arg(std::env::current_exe()?)
        .args([command, "--instance", instance.name.text(), "--order"])
        .arg(&path)
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .status()
        .await
        .context("cannot enter the namespaces")?;
    if !status.success() {
        bail!(
            "the instance is not complete; `vdb-stack up` goes on, `vdb-stack down` removes it, logs are in {}",
            instance.path("logs").display()
        );
    }
    Ok(())
}
