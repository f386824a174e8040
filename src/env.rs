//! `vdb env`: environments through Git, from the command line. Git is the truth; the cluster is only watched.

mod announce;
mod bookmark;
mod change;
pub(crate) mod cluster;
mod connect;
mod create;
mod delete;
pub(crate) mod doctor;
mod git;
mod observed;
mod progress;
mod proposal;
mod ready;
pub(crate) mod settings;
mod show;
mod template;
mod tower;
pub mod validate;

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use environment::Problems;
use environment::capabilities::OPERATOR;
use environment::problem::Problem;

use self::progress::Progress;
use self::settings::Settings;
use crate::output;

/// Between two looks at the cluster: short beside the seconds that an order takes.
const INTERVAL: Duration = Duration::from_millis(500);
/// What a shell answers for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Order an environment: commit, push, wait until its database answers
    Create(Box<create::Args>),
    /// Give a database another image, size or setting: commit, push, wait
    Update(change::UpdateArgs),
    /// Replace the data of a copy by that of the newest snapshot: commit, push, wait
    Refresh(change::RefreshArgs),
    /// Let an environment expire later: commit, push, wait
    Extend(change::ExtendArgs),
    /// Keep the present data of a database under a name, and wait until it is kept
    Bookmark(bookmark::Args),
    /// Delete an environment: remove it from Git, wait until nothing is left
    Delete(delete::Args),
    /// List the environments
    List(show::ListArgs),
    /// Show one environment
    Status(show::StatusArgs),
    /// Render what Argo CD would apply
    Template(template::Args),
    /// Open a tunnel to a database, and psql in it
    Connect(connect::Args),
}

pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let settings = Settings::read();
    tokio::select! {
        result = dispatch(command, &settings, &progress) => result,
        _ = tokio::signal::ctrl_c() => {
            output::progress(format!("interrupted: {}", progress.left_behind()));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

async fn dispatch(
    command: Command,
    settings: &Settings,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(args) => create::run(*args, settings, progress).await?,
        Command::Update(args) => change::run(args.read()?, &OPERATOR, settings, progress).await?,
        Command::Refresh(args) => change::run(args.read()?, &OPERATOR, settings, progress).await?,
        Command::Extend(args) => change::run(args.read()?, &OPERATOR, settings, progress).await?,
        Command::Bookmark(args) => bookmark::run(args, settings, progress).await?,
        Command::Delete(args) => delete::run(args, settings, progress).await?,
        Command::List(args) => show::list(args, settings).await?,
        Command::Status(args) => return show::status(args, settings).await.map(code),
        Command::Template(args) => template::run(args, settings).await?,
        Command::Connect(args) => return connect::run(args, settings).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// `vdb validate`.
pub fn validate(args: validate::Args) -> anyhow::Result<ExitCode> {
    validate::run(args, &Settings::read()).map(code)
}

fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// On a command line the name needs no pointer.
fn refused(problem: Problem) -> Problems {
    Problem {
        pointer: String::new(),
        ..problem
    }
    .into()
}

/// "90s", "10m" or "1h".
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 90s, 10m or 1h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        for wrong in ["", "10", "m", "-1s", "1.5h", "5ü"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
