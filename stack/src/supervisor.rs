//! Process 1 of an instance's own PID, mount, network and IPC namespaces: starts programs, starts them again, reaps orphans.
//!
//! Everything of the instance is its descendant, so its end is the end of every process, mount, bridge and container.
//! It knows nothing of Kubernetes: what to run comes over the control socket.

mod control;
mod forward;
pub(crate) mod mounts;
mod table;

pub(crate) use control::{Request, ask, wait_ready};
pub(crate) use mounts::OWN as OWN_FOLDERS;
pub(crate) use table::Process;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::io::AsyncReadExt as _;

use crate::instance::Instance;
use table::Table;

/// Runs until the host's end of standard input closes or a shutdown is asked for.
pub(crate) async fn run(instance: Instance) -> Result<()> {
    mounts::prepare(&instance).context("cannot prepare the mounts")?;
    let table = Arc::new(Table::default());
    table::reap_forever(&table);
    for forward in instance.ports().forwarded() {
        forward::serve(&instance.socket(&forward.port.to_string()), forward.target)?;
    }
    let shutdown = control::serve(&instance, &table)?;
    tokio::select! {
        () = host_gone() => {}
        () = shutdown.notified() => {}
    }
    Ok(())
}

/// Standard input is a pipe whose other end only the host's process holds.
async fn host_gone() {
    let mut byte = [0_u8; 1];
    while !matches!(tokio::io::stdin().read(&mut byte).await, Ok(0) | Err(_)) {}
}
