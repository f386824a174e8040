//! Runs the scenarios on a stack that is up (`run`), places the demo's order (`demo`), measures (`bench`),
//! and installs the platform into a cluster without it (`install`).

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

mod bench;
mod context;
mod demo;
mod faults;
mod gitea;
mod install;
mod kubernetes;
mod node;
mod output;
mod portal;
mod process;
mod scenarios;
mod wait;

#[derive(Debug, Parser)]
#[command(name = "e2e", version, about)]
struct Cli {
    /// The stack's context.env
    #[arg(
        long,
        global = true,
        default_value = "/var/lib/postgres-vdb-platform/test/context.env"
    )]
    context: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every scenario, or those named
    Run { names: Vec<String> },
    /// Order a database as the portal's guest, merge as the reviewer, query it
    Demo,
    /// Install the platform into a bare instance as docs/install.md says, and order a first database
    Install,
    /// Ten orders: the time from merge to ready and the share of each stage
    Bench {
        #[arg(long, default_value_t = 10)]
        orders: usize,
    },
    /// Orders while operator, engine and API server are killed at random
    Kills {
        #[arg(long, default_value_t = 20)]
        orders: usize,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Joins an address with a socket; the scenarios run it in the stack's network
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        listen: String,
        #[arg(long)]
        to: PathBuf,
    },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Relay { listen, to } = &cli.command {
        faults::relay(listen, to).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let context = context::Context::read(&cli.context).with_context(|| {
        format!(
            "read {}: bring the stack up first (make demo)",
            cli.context.display()
        )
    })?;
    match cli.command {
        Command::Run { names } => scenarios::run(&context, &names).await,
        Command::Demo => demo::run(&context).await,
        Command::Install => install::run(&context).await,
        Command::Bench { orders } => bench::run(&context, orders).await,
        Command::Kills { orders, seed } => {
            scenarios::kills(&context, orders, seed).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Relay { .. } => unreachable!("it needs no stack"),
    }
}
