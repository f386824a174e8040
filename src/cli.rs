//! The command line: which commands there are. Each command lives in the module of its name.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{doctor, env, install, output, serve};

/// Self-service PostgreSQL copies: the portal's sidecar and the tools around an environments repository.
#[derive(Debug, Parser)]
#[command(name = "vdb", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar of the portal
    Serve(serve::Args),
    /// Create, delete, list and look at environments through Git
    #[command(subcommand)]
    Env(env::Command),
    /// Check values files: every problem at once
    Validate(env::validate::Args),
    /// Look at an installation from outside: what works, and what to do about the rest
    Doctor(doctor::Args),
    /// Install the platform into an existing cluster
    Install(install::Args),
}

/// Runs the command to its end. Exit code 0: done; 1: refused or failed, said in one block on standard error.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&anyhow::Error::from(error)),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Env(command) => env::run(command).await,
            Command::Validate(args) => env::validate(args),
            Command::Doctor(args) => doctor::run(args).await,
            Command::Install(args) => install::run(args).await,
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => output::failed(&error),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
