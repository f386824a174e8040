//! `down`: the supervisor's end is the end of everything; then the folders and cgroups go.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::console::Progress;
use crate::host;
use crate::instance::Instance;
use crate::steps::node;
use crate::supervisor;

/// The kernel needs a moment to end the last processes and mounts.
const SETTLE: Duration = Duration::from_secs(30);

pub(crate) async fn down(instance: &Instance) -> Result<()> {
    let progress = Progress::new();
    match host::running(instance) {
        Some(running) => {
            running.end().await;
            progress.step("every process of the instance ended");
        }
        None => progress.step("the instance is not running"),
    }
    remove_state(instance).await?;
    progress.step(&format!("{} removed", instance.state.display()));
    Ok(())
}

/// What is left of an instance whose supervisor is gone.
pub(crate) async fn remove_state(instance: &Instance) -> Result<()> {
    let deadline = Instant::now() + SETTLE;
    loop {
        node::remove_cgroups(instance)?;
        let removed = cache::remove(&instance.state);
        if removed.is_ok() && !node::has_cgroups(instance)? {
            break;
        }
        if Instant::now() > deadline {
            removed.context("something still uses the instance's files")?;
            bail!("a process still runs in the cgroup {}", instance.cgroup());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Mount points that were made for the namespaces. Removing one would unmount it in the other instance, too.
    if instance.others().iter().all(|other| !other.state.exists()) {
        for (place, _) in supervisor::OWN_FOLDERS {
            // Not empty means that it is somebody else's.
            let _ = std::fs::remove_dir(place);
        }
    }
    Ok(())
}
