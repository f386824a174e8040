//! `vdb-engine`: serves virtual databases, or asks a serving engine.

mod cli;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(cli::Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("vdb-engine: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
