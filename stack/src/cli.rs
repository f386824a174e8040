//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, Parser, Subcommand};

use crate::build::Wanted;
use crate::instance::{Instance, Name};
use crate::steps::Seed;
use crate::{down, host, reconcile, status, supervisor, up};

/// The local platform: real components on one Linux machine, in namespaces of their own.
#[derive(Debug, Parser)]
#[command(name = "vdb-stack", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Which {
    /// Which instance; two may run side by side.
    #[arg(long, value_enum, default_value = "demo", global = true)]
    instance: Name,
}

#[derive(Debug, Args)]
struct Parts {
    /// Leave out operator, sidecar and engine.
    #[arg(long)]
    without_platform: bool,
    /// With Backstage.
    #[arg(long)]
    portal: bool,
    /// With Gitea's web pages, for people.
    #[arg(long)]
    pages: bool,
}

impl Parts {
    fn wanted(&self) -> Wanted {
        Wanted {
            platform: !self.without_platform,
            portal: self.portal,
            pages: self.pages,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build programs, root folders, data and pages into the cache.
    Build {
        #[command(flatten)]
        parts: Parts,
    },
    /// Start an instance, or complete the one that runs.
    Up {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        parts: Parts,
        /// Put the checkout's environments into the repository.
        #[arg(long)]
        seed_environments: bool,
        /// Put the platform's images on the node and install nothing of it: a cluster to install into.
        #[arg(long, conflicts_with = "without_platform")]
        bare: bool,
    },
    /// End an instance and remove everything of it.
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// List the instance's programs.
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Compile operator, sidecar and engine again and restart those whose image changed.
    LoadImages {
        #[command(flatten)]
        which: Which,
    },
    /// Write operator, sidecar and engine as OCI archives, for skopeo or crane to push.
    Images {
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Run a command inside the instance's namespaces, with kubectl and helm on PATH.
    Exec {
        #[command(flatten)]
        which: Which,
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
    #[command(hide = true)]
    Host {
        #[command(flatten)]
        which: Which,
    },
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        which: Which,
    },
    #[command(hide = true)]
    Reconcile {
        #[command(flatten)]
        which: Which,
        #[arg(long)]
        order: PathBuf,
    },
    #[command(hide = true)]
    LoadImagesInside {
        #[command(flatten)]
        which: Which,
        #[arg(long)]
        order: PathBuf,
    },
}

pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a TLS provider is set already"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dispatch(cli.command))
}

async fn dispatch(command: Command) -> Result<ExitCode> {
    let done = match command {
        Command::Build { parts } => up::build(parts.wanted()).await.map(drop),
        Command::Up {
            which,
            parts,
            seed_environments,
            bare,
        } => {
            let seed = Seed {
                environments: seed_environments,
                product: !bare,
            };
            up::up(&Instance::open(which.instance)?, parts.wanted(), seed).await
        }
        Command::Down { which } => down::down(&Instance::open(which.instance)?).await,
        Command::Status { which } => return status::status(&Instance::open(which.instance)?).await,
        Command::LoadImages { which } => up::load_images(&Instance::open(which.instance)?).await,
        Command::Images { to } => up::images(&to).await,
        Command::Exec { which, command } => {
            return status::exec(&Instance::open(which.instance)?, &command).await;
        }
        Command::Host { which } => host::serve(Instance::open(which.instance)?).await,
        Command::Supervise { which } => supervisor::run(Instance::open(which.instance)?).await,
        Command::Reconcile { which, order } => {
            reconcile::run(Instance::open(which.instance)?, &order).await
        }
        Command::LoadImagesInside { which, order } => {
            reconcile::load_images(Instance::open(which.instance)?, &order).await
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_valid() {
        super::Cli::command().debug_assert();
    }
}
