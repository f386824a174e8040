//! `vdb env list` and `vdb env status`: what Git holds, and what the cluster says about it.

use std::collections::BTreeMap;

use anyhow::Result;
use environment::EnvironmentName;
use environment::status::Stage;
use environment::values::Values;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::git::Git;
use super::observed::{Application, Database, Observed};
use super::settings::Settings;
use crate::output;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Name of the environment
    name: String,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// One line of the list.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    in_git: bool,
    owner: String,
    application: Option<Application>,
    databases: Vec<Database>,
}

pub(super) async fn list(args: ListArgs, settings: &Settings) -> Result<()> {
    let git = Git::open(&settings.repository, &settings.branch).await?;
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for name in git.environments().await? {
        let text = git
            .committed(&name.values_path())
            .await?
            .unwrap_or_default();
        let owner = Values::parse(&name, &text)
            .ok()
            .and_then(|values| values.owner)
            .unwrap_or_default();
        rows.insert(
            name.to_string(),
            Row {
                in_git: true,
                owner,
                ..Row::default()
            },
        );
    }
    let cluster = Cluster::connect(settings.kubeconfig()?).await?;
    for (name, application) in cluster.applications_by_name().await? {
        rows.entry(name).or_default().application = Some(application);
    }
    for database in cluster.all_databases().await? {
        rows.entry(database.environment.clone())
            .or_default()
            .databases
            .push(database);
    }
    if args.output == Format::Json {
        let items: Vec<Value> = rows.iter().map(|(name, row)| row_json(name, row)).collect();
        output::line(serde_json::to_string_pretty(&items)?);
        return Ok(());
    }
    let mut lines = vec![
        [
            "ENVIRONMENT",
            "STATE",
            "READY",
            "SOURCE",
            "DATA AS OF",
            "OWNER",
        ]
        .map(str::to_owned),
    ];
    lines.extend(rows.iter().map(|(name, row)| columns(name, row)));
    table(&lines).iter().for_each(output::line);
    Ok(())
}

fn state(row: &Row) -> String {
    match (&row.application, row.databases.first()) {
        (_, Some(database)) if row.databases.len() == 1 => database.phase(),
        (_, Some(_)) => format!("{} databases", row.databases.len()),
        (Some(application), None) => application.says(),
        (None, None) => "only in Git".into(),
    }
}

fn ready(row: &Row) -> String {
    let ready = row
        .databases
        .iter()
        .filter(|database| database.is_ready())
        .count();
    format!("{ready}/{}", row.databases.len())
}

fn columns(name: &str, row: &Row) -> [String; 6] {
    let one = |of: &dyn Fn(&Database) -> String| {
        let all: std::collections::BTreeSet<String> = row
            .databases
            .iter()
            .map(of)
            .filter(|text| !text.is_empty())
            .collect();
        all.into_iter().collect::<Vec<_>>().join(",")
    };
    let mut state = state(row);
    if !row.in_git {
        state.push_str(", not in Git");
    }
    let cells = [
        name.to_owned(),
        state,
        ready(row),
        one(&|d| d.source.clone()),
        one(&|d| d.status.data_as_of.clone().unwrap_or_default()),
        row.owner.clone(),
    ];
    cells.map(|cell| if cell.is_empty() { "-".into() } else { cell })
}

fn row_json(name: &str, row: &Row) -> Value {
    json!({
        "name": name,
        "inGit": row.in_git,
        "owner": row.owner,
        "application": row.application.as_ref().map(|a| json!({"sync": a.sync, "says": a.says(), "deleting": a.deleting})),
        "ready": !row.databases.is_empty() && row.databases.iter().all(Database::is_ready),
        "databases": row.databases.iter().map(database_json).collect::<Vec<_>>(),
    })
}

fn database_json(database: &Database) -> Value {
    json!({
        "name": database.name,
        "phase": database.phase(),
        "ready": database.is_ready(),
        "source": database.source,
        "requestId": database.request_id,
        "status": database.status,
    })
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

pub(super) async fn status(args: StatusArgs, settings: &Settings) -> Result<bool> {
    let name = EnvironmentName::parse(&args.name).map_err(super::refused)?;
    let observed = Cluster::connect(settings.kubeconfig()?)
        .await?
        .observe(&name)
        .await?;
    if args.output == Format::Json {
        let row = Row {
            in_git: true,
            owner: String::new(),
            application: observed.application.clone(),
            databases: observed.databases.clone(),
        };
        let mut value = row_json(name.as_str(), &row);
        for key in ["inGit", "owner"] {
            value.as_object_mut().map(|fields| fields.remove(key));
        }
        output::line(serde_json::to_string_pretty(&value)?);
    } else {
        summary(&name, &observed);
    }
    Ok(!observed.databases.is_empty() && observed.databases.iter().all(Database::is_ready))
}

/// What somebody wants to know of an environment, on standard output.
pub(super) fn summary(name: &EnvironmentName, observed: &Observed) {
    lines(name, observed).iter().for_each(output::line);
}

fn lines(name: &EnvironmentName, observed: &Observed) -> Vec<String> {
    if *observed == Observed::default() {
        return vec![format!("environment {name} is not in the cluster")];
    }
    let application = observed
        .application
        .as_ref()
        .map_or_else(|| "none".into(), Application::says);
    let mut lines = vec![format!("Application  {name}: {application}")];
    for database in &observed.databases {
        lines.push(format!(
            "PostgresVDB  {}: {}",
            database.name,
            database.says()
        ));
        if let Some(endpoint) = &database.status.endpoint {
            lines.push(format!("  endpoint   {}:{}", endpoint.host, endpoint.port));
        }
        if let Some(secret) = &database.status.credentials_secret {
            lines.push(format!("  secret     {secret} in {}", name.namespace()));
        }
        if let Some(as_of) = &database.status.data_as_of {
            lines.push(format!("  data as of {as_of}"));
        }
        lines.extend(stages(&database.status.stages));
    }
    lines.extend(
        observed
            .volumes
            .iter()
            .map(|volume| format!("volume       {} ({})", volume.name, volume.path)),
    );
    lines
}

fn stages(stages: &[Stage]) -> Option<String> {
    let seconds = |stage: &Stage| {
        let finished: jiff::Timestamp = stage.finished_at.as_ref()?.parse().ok()?;
        let started: jiff::Timestamp = stage.started_at.parse().ok()?;
        Some(finished.duration_since(started).as_secs_f64())
    };
    let text = |stage: &Stage| match seconds(stage) {
        Some(seconds) => format!("{} {seconds:.1}s", stage.name),
        None => format!("{} …", stage.name),
    };
    (!stages.is_empty()).then(|| {
        format!(
            "  stages     {}",
            stages.iter().map(text).collect::<Vec<_>>().join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["A", "BB"], ["CCC", "D"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), ["A    BB", "CCC  D"]);
    }

    #[test]
    fn an_environment_that_only_git_knows_is_said() {
        let row = Row {
            in_git: true,
            ..Row::default()
        };
        assert_eq!(
            columns("feat-1", &row),
            ["feat-1", "only in Git", "0/0", "-", "-", "-"].map(str::to_owned)
        );
    }

    #[test]
    fn stages_say_how_long_they_took() {
        let all = [
            Stage {
                name: "Provision".into(),
                started_at: "2026-11-23T10:00:00.5Z".into(),
                finished_at: Some("2026-11-23T10:00:02Z".into()),
            },
            Stage {
                name: "Start".into(),
                started_at: "2026-11-23T10:00:02Z".into(),
                finished_at: None,
            },
        ];
        assert_eq!(
            stages(&all).unwrap(),
            "  stages     Provision 1.5s, Start …"
        );
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        assert_eq!(
            lines(&name, &Observed::default()),
            ["environment feat-1 is not in the cluster"]
        );
    }
}
