//! The command line. `serve` is the engine; the others ask a serving one, by the same settings file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};
use dct::types::{Job, JobStatus, LinkAppdata};
use dct::{Client, ClientSettings};
use engine::settings::Settings;
use engine::{doctor, serve};
use serde_json::json;

use crate::output;

/// A small Data Control Tower: real thin copies of a real PostgreSQL.
#[derive(Parser)]
#[command(name = "vdb-engine", version)]
pub(crate) struct Arguments {
    /// The settings file.
    #[arg(long, global = true, default_value = "/etc/vdb/settings.yaml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the interface and link the declared sources.
    Serve,
    /// Link a source of the settings and wait for its first snapshot.
    Link { source: String },
    /// Take a snapshot of a dSource and wait for it.
    Snapshot { dsource: String },
    /// Show virtual databases, dSources and snapshots.
    List {
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Say what is missing on the engine's side and at each source.
    Doctor,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(&arguments.config)?;
    // Two threads answer from memory; effects run on threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match arguments.command {
        Command::Serve => {
            let filter = tracing_subscriber::EnvFilter::try_from_env("VDB_LOG")
                .unwrap_or_else(|_| "info".into());
            tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_env_filter(filter)
                .init();
            let served = runtime.block_on(serve::run(settings));
            // A base backup under way is not waited for: the next start gives it up.
            runtime.shutdown_background();
            served?;
        }
        Command::Link { source } => runtime.block_on(link(&settings, source))?,
        Command::Snapshot { dsource } => runtime.block_on(snapshot(&settings, &dsource))?,
        Command::List { output } => runtime.block_on(list(&settings, output))?,
        Command::Doctor => return examine(&settings),
    }
    Ok(ExitCode::SUCCESS)
}

fn client(settings: &Settings) -> anyhow::Result<Client> {
    let mut address = settings.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let key = settings
        .api_keys
        .first()
        .context("the settings name no api key")?;
    let scheme = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{address}");
    let mut client = ClientSettings::new(url, &key.key_file, "vdb-engine");
    client.ca_file = settings
        .tls
        .as_ref()
        .map(|tls| tls.ca_file.as_ref().unwrap_or(&tls.cert_file).clone());
    Ok(Client::new(client)?)
}

async fn link(settings: &Settings, source: String) -> anyhow::Result<()> {
    let client = client(settings)?;
    let answer = client
        .link_appdata(&LinkAppdata {
            source_id: Some(source),
            ..LinkAppdata::default()
        })
        .await?;
    let id = answer.dsource_id.unwrap_or_default();
    wait(&client, answer.job.context("the engine named no job")?).await?;
    output::line(&id);
    Ok(())
}

async fn snapshot(settings: &Settings, dsource: &str) -> anyhow::Result<()> {
    let client = client(settings)?;
    let job = client.snapshot_dsource(dsource).await?;
    wait(&client, job).await
}

async fn wait(client: &Client, begun: Job) -> anyhow::Result<()> {
    loop {
        let job = client.job(&begun.id).await?.context("the job is gone")?;
        match job.status {
            JobStatus::Completed => return Ok(()),
            status if status.is_over() => bail!(
                "{}",
                job.error_details.unwrap_or_else(|| format!("{status:?}"))
            ),
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

async fn list(settings: &Settings, output: Output) -> anyhow::Result<()> {
    let client = client(settings)?;
    let vdbs = client.search_vdbs("", 1000).await?.items;
    let dsources = client.search_dsources("").await?.items;
    let snapshots = client.search_snapshots("", "timestamp", 1000).await?.items;
    if let Output::Json = output {
        let all = json!({ "vdbs": vdbs, "dSources": dsources, "snapshots": snapshots });
        output::line(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let text = |field: &Option<String>| field.clone().unwrap_or_else(|| "-".to_owned());
    let row = |cells: [&str; 5]| {
        output::line(&format!(
            "{:<9} {:<26} {:<44} {:<10} {}",
            cells[0], cells[1], cells[2], cells[3], cells[4]
        ));
    };
    row(["KIND", "ID", "NAME", "STATUS", "DATA OF"]);
    for d in &dsources {
        row(["dsource", &d.id, &text(&d.name), &text(&d.status), "-"]);
    }
    for s in &snapshots {
        row([
            "snapshot",
            &s.id,
            &text(&s.dataset_name),
            "-",
            &text(&s.timestamp),
        ]);
    }
    for v in &vdbs {
        row([
            "vdb",
            &v.id,
            &text(&v.name),
            &text(&v.status),
            &text(&v.parent_timeflow_timestamp),
        ]);
    }
    Ok(())
}

/// Fails if anything is missing, so that scripts can ask.
fn examine(settings: &Settings) -> anyhow::Result<ExitCode> {
    let scratch = scratch()?;
    let findings = doctor::examine(settings, &scratch);
    std::fs::remove_dir_all(&scratch)?;
    for finding in &findings {
        output::line(&format!(
            "{} {}",
            if finding.ok { "ok " } else { "BAD" },
            finding.what
        ));
    }
    Ok(if findings.iter().all(|f| f.ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A private directory with a name nobody can have prepared.
fn scratch() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = Path::new("/tmp").join(format!(
        "vdb-engine-{}",
        hex::encode(rand::random::<[u8; 8]>())
    ));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}
