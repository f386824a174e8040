//! Entry point: chooses the TLS provider, parses the command line, runs the command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Two TLS providers in one tree make rustls refuse to guess; the first call decides.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    vdb::cli::run(vdb::cli::Cli::parse())
}
