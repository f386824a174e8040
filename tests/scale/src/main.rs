//! Many databases on one real etcd and API server. Scheduler, kubelet, controllers, Data Control Tower and PostgreSQL are
//! stood in for, so what is measured is the operator and what it asks of the API server. Start it by `.ci/scale`, which
//! gives it namespaces of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod audit;
mod children;
mod control_plane;
mod database;
mod install;
mod measure;
mod mutants;
mod operate;
mod process;
mod replay;
mod report;
mod tower;
mod upgrade;

#[derive(Debug, Parser)]
#[command(name = "scale", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Orders databases, counts and measures
    Run(Order),
    /// The operator as it is, in a process of its own, with its SQL stood in for
    Operator { settings: PathBuf },
}

#[derive(Debug, Args)]
struct Order {
    #[arg(long, default_value_t = 1000)]
    vdbs: usize,
    #[arg(long, default_value_t = 1)]
    per_namespace: usize,
    /// Seconds without any change, in which nothing may be written or read
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Write the same objects without the operator, too, and print the ratio of the times
    #[arg(long)]
    compare: bool,
    /// Fail where a count is above its limit
    #[arg(long)]
    check: bool,
    /// The folder with etcd, kube-apiserver and kubectl
    #[arg(long)]
    kube: PathBuf,
    #[arg(long)]
    helm: PathBuf,
    /// An empty folder for everything that is written
    #[arg(long)]
    work: PathBuf,
}

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match Cli::parse().command {
                Command::Operator { settings } => operate::run(&settings).await,
                Command::Run(order) => tokio::select! {
                    done = measure::run(&order) => done,
                    () = operator::run::shutdown() => anyhow::bail!("interrupted"),
                },
            }
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::line(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
