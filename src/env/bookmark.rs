//! `vdb env bookmark`: keeps the present data of a database under a name. A resource beside the database, no commit.

use std::time::Duration;

use anyhow::{Result, bail};
use environment::EnvironmentName;
use environment::actions::{ActionPhase, SnapshotSpec};
use serde_json::json;

use super::cluster::Cluster;
use super::progress::{News, Progress};
use super::settings::Settings;
use super::show::Format;
use crate::bookmark::{NewBookmark, resource_name};
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the environment
    environment: String,
    /// Name of the bookmark; no two have the same
    #[arg(long)]
    name: String,
    /// Which database, where the environment has several: the name of its PostgresVDB
    #[arg(long)]
    database: Option<String>,
    /// Days until the bookmark goes by itself
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// How long to wait until it is made
    #[arg(long, default_value = "2m", value_parser = super::duration)]
    deadline: Duration,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

pub(super) async fn run(args: Args, settings: &Settings, progress: &Progress) -> Result<()> {
    let environment = EnvironmentName::parse(&args.environment).map_err(super::refused)?;
    let cluster = Cluster::connect(settings.kubeconfig()?).await?;
    let observed = cluster.observe(&environment).await?;
    let names: Vec<&str> = observed.databases.iter().map(|d| d.name.as_str()).collect();
    let database = chosen(&environment, &names, args.database.as_deref())?;
    let wanted = NewBookmark {
        name: resource_name(&environment, database, &args.name),
        by: "the command line".into(),
        spec: SnapshotSpec {
            vdb: database.to_owned(),
            name: Some(args.name.clone()),
            retention_days: Some(args.days),
        },
    };
    cluster.make_bookmark(&environment, &wanted).await?;
    progress.leaves(format!(
        "PostgresSnapshot {} goes on by itself",
        wanted.name
    ));
    let mut news = News::default();
    while progress.elapsed() < args.deadline {
        let status = cluster.bookmark(&environment, &wanted.name).await?;
        match status.phase {
            ActionPhase::Succeeded => {
                if args.output == Format::Json {
                    output::line(serde_json::to_string_pretty(&json!(status))?);
                } else {
                    let as_of = status.data_as_of.unwrap_or_default();
                    output::line(format!("bookmark {} holds the data of {as_of}", args.name));
                }
                return Ok(());
            }
            ActionPhase::Failed => bail!(
                "the bookmark is not made: {}: {}",
                status.reason.unwrap_or_default(),
                status.message
            ),
            ActionPhase::Pending | ActionPhase::Running => {
                for line in news.of(vec![("bookmark".into(), status.message)]) {
                    progress.step(line);
                }
            }
        }
        tokio::time::sleep(super::INTERVAL).await;
    }
    bail!(
        "the bookmark is not made after {}s; it goes on by itself, and the same command goes on waiting",
        args.deadline.as_secs()
    )
}

fn chosen<'a>(
    environment: &EnvironmentName,
    there: &[&'a str],
    named: Option<&str>,
) -> Result<&'a str> {
    let list = there.join(", ");
    match (named, there) {
        (_, []) => bail!("environment {environment} has no database in the cluster"),
        (None, [one]) => Ok(one),
        (None, _) => bail!(
            "environment {environment} has several databases: name one by --database, of {list}"
        ),
        (Some(name), _) => match there.iter().find(|one| **one == name) {
            Some(found) => Ok(found),
            None => bail!("environment {environment} has no database {name}, only {list}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_database_is_meant_or_the_one_that_is_named() {
        let environment = EnvironmentName::parse("feat-1").unwrap();
        let chosen = |there: &[&'static str], named| {
            chosen(&environment, there, named).map_err(|e| e.to_string())
        };
        assert_eq!(chosen(&["a"], None), Ok("a"));
        assert_eq!(chosen(&["a", "b"], Some("b")), Ok("b"));
        assert!(chosen(&["a", "b"], None).unwrap_err().contains("a, b"));
        assert!(chosen(&["a"], Some("b")).unwrap_err().contains("only a"));
        assert!(chosen(&[], Some("b")).is_err());
    }
}
