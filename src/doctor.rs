//! `vdb doctor`: what of an installation works, seen from outside, and what to do about the rest.

mod argocd;
mod check;
mod cluster;
mod forge;
mod tower;

use std::process::ExitCode;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde_json::json;

use crate::env::settings::Settings;
use crate::{env, install, output};
pub(crate) use check::{Check, Outcome};

/// No part of an installation is waited for longer.
const DEADLINE: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look at this one environment instead: from Git to a query, and where it breaks
    #[arg(conflicts_with = "install")]
    environment: Option<String>,
    #[command(flatten)]
    letting_go: LettingGo,
    /// Check instead whether an installation is complete, step by step of docs/install.md, by its settings file
    #[arg(long)]
    install: bool,
    #[command(flatten)]
    place: install::Place,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct LettingGo {
    /// Take our finalizer off databases whose operator is gone for good; what they leave is written down first
    #[arg(long, conflicts_with_all = ["install", "environment"])]
    release: bool,
    /// With --release: do not ask
    #[arg(long, requires = "release")]
    yes: bool,
    /// With --release: only say what would be let go
    #[arg(long, requires = "release")]
    dry_run: bool,
}

/// Looks at one part of an installation.
type Probe = for<'a> fn(&'a Settings) -> BoxFuture<'a, Vec<Check>>;

/// Everything that is looked at, in the order in which an installation is made.
const PROBES: [(&str, Probe); 4] = [
    ("forge", |settings| Box::pin(forge::checks(settings))),
    ("data control tower", |settings| {
        Box::pin(tower::checks(settings))
    }),
    ("argo cd", |settings| Box::pin(argocd::checks(settings))),
    ("cluster", |settings| Box::pin(cluster::checks(settings))),
];

/// Exit code 1 where there is a problem.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = Settings::read();
    let mut begin = None;
    let checks = if args.install {
        install::checks(&args.place).await?
    } else if args.letting_go.release {
        env::doctor::release::run(&settings, args.letting_go.yes, args.letting_go.dry_run).await?
    } else if let Some(name) = &args.environment {
        let checks = env::doctor::checks(name, &settings).await?;
        begin = Some(env::doctor::summary(&checks));
        checks
    } else {
        all(&settings).await
    };
    match args.output {
        Format::Text => {
            checks.iter().map(line).for_each(output::line);
            begin.iter().for_each(output::line);
        }
        Format::Json => output::line(match begin {
            Some(begin) => json!({ "checks": checks, "begin": begin }),
            None => json!({ "checks": checks }),
        }),
    }
    Ok(if is_well(&checks) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All parts at the same time: one that hangs does not keep the others from answering.
async fn all(settings: &Settings) -> Vec<Check> {
    let looks = PROBES.iter().map(async |(name, probe)| {
        let look = tokio::time::timeout(DEADLINE, probe(settings)).await;
        look.unwrap_or_else(|_| {
            let detail = format!("no answer within {} seconds", DEADLINE.as_secs());
            vec![Check::problem(
                *name,
                detail,
                "check that it is up and reachable from here",
            )]
        })
    });
    join_all(looks).await.into_iter().flatten().collect()
}

fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome != Outcome::Problem)
}

fn line(check: &Check) -> String {
    let outcome = match check.outcome {
        Outcome::Ok => "ok",
        Outcome::Warning => "warning",
        Outcome::Problem => "problem",
    };
    let remedy = if check.remedy.is_empty() {
        String::new()
    } else {
        format!("; {}", check.remedy)
    };
    format!("{outcome:<8} {:<28} {}{remedy}", check.name, check.detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_named_is_not_looked_at_and_no_problem() {
        let checks = all(&Settings::from(|_| None)).await;
        assert_eq!(checks.len(), PROBES.len());
        for check in &checks {
            assert_eq!(check.outcome, Outcome::Warning);
            assert!(check.remedy.starts_with("set VDB_"), "{check:?}");
        }
        assert!(is_well(&checks));
    }

    #[test]
    fn one_line_says_outcome_name_finding_and_remedy() {
        let check = Check::problem("forge", "the token is refused", "renew it");
        assert_eq!(
            line(&check),
            "problem  forge                        the token is refused; renew it"
        );
        assert!(!is_well(&[Check::ok("a", "b"), check.clone()]));
        assert_eq!(
            json!(check),
            json!({"name": "forge", "outcome": "problem", "detail": "the token is refused", "remedy": "renew it"})
        );
    }
}
