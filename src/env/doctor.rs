//! `vdb doctor <env>`: one environment from Git to a query, link by link, and the first link that is broken.
//! `vdb doctor --release`: the way out where no operator is left to finish a deletion.

mod look;
mod page;
pub(crate) mod release;
mod state;

use anyhow::Result;
use environment::EnvironmentName;

use super::settings::Settings;
use crate::doctor::{Check, Outcome};

/// The page of one environment.
pub(crate) async fn checks(name: &str, settings: &Settings) -> Result<Vec<Check>> {
    let name = EnvironmentName::parse(name).map_err(super::refused)?;
    Ok(page::checks(&Box::pin(look::look(&name, settings)).await))
}

/// What to begin with, as the last line of the page.
pub(crate) fn summary(checks: &[Check]) -> String {
    match page::first(checks) {
        Some(check) if check.outcome == Outcome::Problem => {
            format!("begin with {}: {}", check.name, check.remedy)
        }
        Some(check) => format!(
            "nothing is broken; look at {}: {}",
            check.name, check.remedy
        ),
        None => "every link holds".to_owned(),
    }
}
