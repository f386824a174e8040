//! `vdb env create`: order a database by a commit, and wait until it answers queries.
//!
//! Every step looks first whether it is done: running the command again goes on where it stopped.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use environment::EnvironmentName;
use environment::order::Order;
use environment::render::{self, Files};
use environment::values::{Request, Values};
use serde_json::json;

use super::announce::{self, Did};
use super::git::{Git, Pushed};
use super::progress::Progress;
use super::proposal::{self, Proposal};
use super::ready;
use super::settings::Settings;
use crate::forge::Change;
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the environment: lower-case letters, digits and '-', at most 36 characters
    name: String,
    /// Who owns it: an entity of the catalog
    #[arg(long, env = "VDB_OWNER", default_value = "group:default/team-orders")]
    owner: String,
    /// Source of the data
    #[arg(long, env = "VDB_SOURCE", default_value = "10.0.1.54:largedb")]
    source: String,
    /// A snapshot of the source; the latest if absent
    #[arg(long)]
    snapshot_id: Option<String>,
    /// Database that the application connects to; the source's if absent
    #[arg(long)]
    database: Option<String>,
    /// The application's role
    #[arg(long, default_value = "app")]
    user: String,
    /// Create the database when the copy lacks it
    #[arg(long)]
    create_if_missing: bool,
    /// Image of the server
    #[arg(long)]
    image: Option<String>,
    /// CPU, for example 500m
    #[arg(long)]
    cpu: Option<String>,
    /// Memory, for example 512Mi
    #[arg(long)]
    memory: Option<String>,
    /// A setting of the server; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// A file with SQL that runs once, before anybody gets in
    #[arg(long, value_name = "FILE")]
    init_sql: Option<std::path::PathBuf>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Commit, but neither push nor wait
    #[arg(long)]
    no_push: bool,
    /// Push, but do not wait
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until it is ready
    #[arg(long, default_value = "10m", value_parser = super::duration)]
    deadline: Duration,
}

pub(super) async fn run(args: Args, settings: &Settings, progress: &Progress) -> Result<()> {
    let name = EnvironmentName::parse(&args.name).map_err(super::refused)?;
    let order = order(&args)?;
    let git = Git::lock(&settings.repository, &settings.branch).await?;
    let by = git.user().await?.unwrap_or_else(|| "unknown".into());
    git.update(&name).await?;

    let files = match git.committed(&name.values_path()).await? {
        Some(existing) => same_order(&name, &order, &existing)?,
        None => render::files(&order, &request(&order, &by)?)?,
    };
    let values = Values::parse(&name, &files.values)?;
    write(settings, &name, &files).await?;
    progress.step(format!(
        "{} and catalog-info.yaml are valid",
        name.values_path()
    ));
    let title = proposal::title("create", &name);
    if git.commit(&name, &proposal::message(&title, &by)).await? {
        progress.step("committed");
    }
    progress.leaves(format!(
        "the commit is in {} and not pushed; running the command again goes on",
        settings.repository.display()
    ));
    if args.no_push {
        progress.step("not pushed, as asked: run this again without --no-push, or push yourself");
        return Ok(());
    }
    if !is_pushed(&git, settings, &name, &files, &by, progress).await? {
        return Ok(());
    }
    progress.leaves(format!(
        "the commit is pushed and the environment is being made; `vdb env status {name}` shows it"
    ));
    drop(git);
    announce::push(settings, &name, Did::Add, progress).await;
    if args.no_wait {
        return Ok(());
    }
    let again = "running the command again goes on waiting";
    let observed = ready::wait(settings, &name, &values, args.deadline, again, progress).await?;
    super::show::summary(&name, &observed);
    Ok(())
}

/// Pushes what is not pushed yet. `false`: a pull request was opened instead.
async fn is_pushed(
    git: &Git,
    settings: &Settings,
    name: &EnvironmentName,
    files: &Files,
    by: &str,
    progress: &Progress,
) -> Result<bool> {
    if !git.is_ahead().await? {
        return Ok(true);
    }
    match git.push(name).await? {
        Pushed::Done => {
            progress.step(format!("pushed to {}", settings.branch));
            Ok(true)
        }
        Pushed::Protected(why) => {
            git.take_back().await?;
            progress.step(format!(
                "the push was refused ({why}): the same commit goes into a pull request"
            ));
            propose(settings, name, files, by, progress).await?;
            Ok(false)
        }
    }
}

fn order(args: &Args) -> Result<Order> {
    let init_sql = args.init_sql.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    });
    let dataset = args.source.rsplit([':', '/']).next().unwrap_or_default();
    let input = json!({
        "name": args.name,
        "owner": args.owner,
        "source": args.source,
        "snapshotId": args.snapshot_id,
        "database": args.database.as_deref().unwrap_or(dataset),
        "user": args.user,
        "createIfMissing": args.create_if_missing,
        "image": args.image,
        "cpu": args.cpu,
        "memory": args.memory,
        "postgresConfig": settings_of(&args.settings)?,
        "initSql": init_sql.transpose()?,
        "description": args.description,
    });
    Ok(Order::parse(&input)?)
}

/// `--set NAME=VALUE`, as the inputs of actions hold it.
pub(super) fn settings_of(texts: &[String]) -> Result<Vec<serde_json::Value>> {
    let setting = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("--set {text:?} is not NAME=VALUE"))?;
        Ok(json!({"name": name.trim(), "value": value.trim()}))
    };
    texts.iter().map(setting).collect()
}

/// Equal orders have equal ids, so that a second run makes the same files.
fn request(order: &Order, by: &str) -> Result<Request> {
    let id = format!(
        "{}.create-{}",
        order.name,
        render::digest("create", &serde_json::to_string(order)?, 0)
    );
    Ok(Request {
        id: Some(id),
        by: Some(proposal::signature(by)),
    })
}

/// The files as they are, if they answer this very order: then there is only to go on.
fn same_order(name: &EnvironmentName, order: &Order, existing: &str) -> Result<Files> {
    let Request { id, by } = Values::parse(name, existing)
        .ok()
        .and_then(|values| values.request)
        .unwrap_or_default();
    let files = render::files(
        order,
        &Request {
            id: Some(id.unwrap_or_default()),
            by: Some(by.unwrap_or_default()),
        },
    )?;
    if files.values != existing {
        bail!(
            "environment {name} exists and answers another order: choose another name, or change {} by a commit",
            name.values_path()
        );
    }
    Ok(files)
}

async fn write(settings: &Settings, name: &EnvironmentName, files: &Files) -> Result<()> {
    for (path, text) in [
        (name.values_path(), &files.values),
        (name.catalog_path(), &files.catalog_info),
    ] {
        let path = settings.repository.join(path);
        let directory = path
            .parent()
            .context("a file of an environment lies in its directory")?;
        tokio::fs::create_dir_all(directory)
            .await
            .with_context(|| format!("cannot make {}", directory.display()))?;
        tokio::fs::write(&path, text)
            .await
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

async fn propose(
    settings: &Settings,
    name: &EnvironmentName,
    files: &Files,
    by: &str,
    progress: &Progress,
) -> Result<()> {
    let put = |path: String, content: &String| Change::Put {
        path,
        content: content.clone(),
    };
    let changes = vec![
        put(name.values_path(), &files.values),
        put(name.catalog_path(), &files.catalog_info),
    ];
    let pull = proposal::open(
        settings,
        &Proposal {
            name,
            operation: "create",
            changes,
            by,
        },
    )
    .await?;
    output::line(&pull.url);
    progress.step(format!("pull request {} waits for its review; once it is merged, `vdb env status {name}` shows the environment", pull.number));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(arguments: &[&str]) -> Args {
        Line::parse_from(["create"].iter().chain(arguments)).args
    }

    #[test]
    fn a_name_alone_is_an_order() {
        let order = order(&args(&["feat-1"])).unwrap();
        assert_eq!(
            (order.database.as_str(), order.user.as_str()),
            ("largedb", "app")
        );
        let first = request(&order, "a@b").unwrap();
        assert_eq!(first.id, request(&order, "c@d").unwrap().id);
        assert!(first.id.unwrap().starts_with("feat-1.create-"));
    }

    #[test]
    fn wrong_fields_are_all_named() {
        let error = order(&args(&["feat-1", "--memory", "1GB", "--cpu", "x"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("memory") && error.contains("cpu"), "{error}");
        assert!(
            order(&args(&["feat-1", "--set", "work_mem"]))
                .unwrap_err()
                .to_string()
                .contains("NAME=VALUE")
        );
    }

    #[test]
    fn a_second_run_goes_on_and_another_order_is_refused() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let first = order(&args(&["feat-1"])).unwrap();
        let files = render::files(&first, &request(&first, "a@b").unwrap()).unwrap();
        assert_eq!(same_order(&name, &first, &files.values).unwrap(), files);
        let other = order(&args(&["feat-1", "--user", "other"])).unwrap();
        assert!(
            same_order(&name, &other, &files.values)
                .unwrap_err()
                .to_string()
                .contains("another order")
        );
    }
}
