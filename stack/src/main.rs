//! The local platform: real, pinned components on one Linux machine, without a container engine.
//!
//! The part on the host builds and checks; everything that runs, runs inside the namespaces of one supervisor.

mod build;
mod cache;
mod cli;
mod command;
mod console;
mod down;
mod files;
mod host;
mod images;
mod instance;
mod packages;
mod preflight;
mod reconcile;
mod status;
mod steps;
mod supervisor;
mod up;
mod wait;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            console::problem(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
