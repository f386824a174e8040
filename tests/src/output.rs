//! All that the runner prints.
#![expect(clippy::print_stdout, reason = "this is the one place that prints")]

use std::io::Write;

/// One line, at once: a run that hangs shows where.
pub(crate) fn line(text: impl std::fmt::Display) {
    println!("{text}");
    std::io::stdout().flush().ok();
}

pub(crate) fn error(error: &anyhow::Error) {
    line(format!("error: {error}"));
    for cause in error.chain().skip(1) {
        line(format!("  because {cause}"));
    }
}
