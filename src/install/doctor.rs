//! `vdb doctor --install`: which steps of docs/install.md are done, and what the others need.

use std::process::ExitCode;

use anyhow::Result;

use super::checks::{self, Check, Outcome};
use super::{Format, Place};
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check the installation that a settings file describes
    #[arg(long, required = true)]
    install: bool,
    #[command(flatten)]
    place: Place,
    #[arg(long, value_enum, default_value = "text")]
    output: Format,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    let checks = installation(&args.place).await?;
    match args.output {
        Format::Json => output::line(serde_json::to_string_pretty(&checks)?),
        Format::Text => {
            for check in &checks {
                output::line(line(check));
            }
        }
    }
    let bad = checks.iter().any(|check| check.outcome == Outcome::Bad);
    Ok(if bad {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// All checks of the installation. An error means that there are no settings to check by.
pub async fn installation(place: &Place) -> Result<Vec<Check>> {
    let (settings, tools) = place.open()?;
    Ok(checks::all(&tools, &settings).await)
}

fn line(check: &Check) -> String {
    let word = match check.outcome {
        Outcome::Good => "good",
        Outcome::Warning => "warning",
        Outcome::Bad => "bad",
    };
    let said = format!("{word:<7}  {}: {}", check.name, check.detail);
    if check.remedy.is_empty() {
        said
    } else {
        format!("{said}\n         → {}", check.remedy)
    }
}
