//! All that the command line prints goes through here.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the one place that prints"
)]

use std::process::ExitCode;

/// One line of a result, on standard output.
pub fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// One line of progress, on standard error: results can be piped.
pub fn progress(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// Says what failed and why, cause by cause, and gives the exit code.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
    ExitCode::FAILURE
}
