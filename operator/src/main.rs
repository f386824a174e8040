//! `vdb-operator`: `run` works, `crd` prints the definition, `dct-check` tries a tower, `sweep` looks for what is left behind,
//! `uninstall-check` says whether the platform may go.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use operator::run::Place;
use operator::settings::Settings;

#[derive(Parser)]
#[command(
    name = "vdb-operator",
    version,
    about = "Turns PostgresVDB resources into running thin copies"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What is logged, for example info or operator=debug.
    #[arg(long, global = true, env = "VDB_LOG", default_value = "info,kube=warn")]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Watch the cluster and work.
    Run {
        #[arg(long, default_value = "/etc/vdb/settings.yaml")]
        config: PathBuf,
        #[arg(long, env = "POD_NAME", default_value = "vdb-operator")]
        pod: String,
        #[arg(long, env = "POD_NAMESPACE", default_value = "vdb-system")]
        namespace: String,
    },
    /// Print the `CustomResourceDefinition`s.
    Crd,
    /// Run a throw-away virtual database through its life, and say which assumptions about the tower hold.
    DctCheck {
        #[arg(long, default_value = "/etc/vdb/settings.yaml")]
        config: PathBuf,
        /// The source to copy, as orders name it, for example 10.0.1.54:largedb.
        #[arg(long)]
        source: String,
        /// After this long the rest is given up; what was made is deleted in any case.
        #[arg(long, default_value = "30m")]
        deadline: String,
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Look once for what is left without its counterpart, and say it.
    Sweep {
        #[arg(long, default_value = "/etc/vdb/settings.yaml")]
        config: PathBuf,
        #[arg(long, env = "POD_NAMESPACE", default_value = "vdb-system")]
        namespace: String,
        /// Delete what is found; otherwise it is only said, whatever the settings say.
        #[arg(long)]
        delete: bool,
        /// Younger things are left alone; as in the settings unless it is named.
        #[arg(long)]
        older_than: Option<String>,
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Fail while there are databases; the chart asks before it is uninstalled.
    UninstallCheck,
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::new(&arguments.log);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match start(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", operator::error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Crd => {
            for (_, definition) in operator::crd::definitions() {
                let yaml = operator::crd::yaml(&definition).map_err(anyhow::Error::msg)?;
                write!(std::io::stdout(), "---\n{yaml}").context("cannot print")?;
            }
            Ok(())
        }
        Command::Run {
            config,
            pod,
            namespace,
        } => {
            let settings = Settings::read(&config)?;
            runtime()?.block_on(operator::run::run(settings, Place { pod, namespace }))
        }
        Command::DctCheck {
            config,
            source,
            deadline,
            output,
        } => {
            let settings = Settings::read(&config)?;
            let deadline = operator::settings::parse_duration(&deadline)
                .context("--deadline is no duration such as 90s or 30m")?;
            let run = operator::dct_check::run(&settings, &source, deadline);
            let outcome = runtime()?.block_on(run)?;
            let text = match output {
                Output::Text => outcome.text(),
                Output::Json => serde_json::to_string_pretty(&outcome)?,
            };
            writeln!(std::io::stdout(), "{text}").context("cannot print")?;
            anyhow::ensure!(outcome.is_well(), "not everything that is assumed holds");
            Ok(())
        }
        Command::Sweep {
            config,
            namespace,
            delete,
            older_than,
            output,
        } => {
            let settings = Settings::read(&config)?;
            let mut asked = settings.sweep.clone();
            asked.delete = delete;
            if let Some(text) = older_than {
                asked.older_than = operator::settings::parse_duration(&text)
                    .context("--older-than is no duration such as 10m or 24h")?;
            }
            let report = runtime()?.block_on(operator::sweep::now(&settings, namespace, &asked))?;
            let text = match output {
                Output::Text => report.text(),
                Output::Json => serde_json::to_string_pretty(&report)?,
            };
            writeln!(std::io::stdout(), "{text}").context("cannot print")
        }
        Command::UninstallCheck => runtime()?.block_on(operator::uninstall::check()),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // The only provider that is compiled in; naming it keeps the choice independent of features elsewhere.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")
}
