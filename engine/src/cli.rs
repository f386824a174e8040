//! The command line. `serve` is the engine; the others ask a serving one, by the same settings file.

mod ask;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use engine::origin::Postgres;
use engine::settings::{self, RunHooks, Settings};
use engine::{doctor, recovery, serve};
use serde_json::json;

use crate::output;

const CODES: &str = "Exit codes:
  0  done
  1  the engine refused, a job failed, or doctor found something missing
  2  the arguments or the settings file are wrong
  3  no engine answers, or not in time

link, snapshot and list call the engine at `listen` of the settings file, with the first of apiKeys that has a keyFile.";

/// A small Data Control Tower: real thin copies of a real PostgreSQL.
#[derive(Parser)]
#[command(name = "vdb-engine", version, after_help = CODES)]
pub(crate) struct Arguments {
    /// The settings file.
    #[arg(long, global = true, default_value = "/etc/vdb/settings.yaml")]
    config: PathBuf,
    /// How to print. Errors go to standard error in the same form; serve logs as JSON unless told `text`.
    #[arg(long, global = true, value_enum)]
    output: Option<Output>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the interface and link the declared sources, until SIGTERM.
    ///
    /// VDB_LOG sets what is logged (default: info), as in VDB_LOG=engine=debug.
    Serve {
        /// Run the hooks of virtual databases whose server the engine runs.
        ///
        /// Whoever may order a virtual database then runs programs as the engine's own user, who reads its keys and the
        /// passwords of its sources. Without it, hooks are kept and shown.
        #[arg(long)]
        run_hooks: bool,
        /// How long each hook may take, for example 90m.
        #[arg(long, default_value = "30m", value_parser = span, requires = "run_hooks")]
        hook_deadline: Duration,
        /// Print what a start would do before it serves, and do none of it.
        ///
        /// Programs to end, jobs to complete and to give up, files to sweep, metadata without files, servers to start. Needs
        /// the pool without an engine on it.
        #[arg(long)]
        recover_dry_run: bool,
    },
    /// Link a source of the settings and wait for its first snapshot.
    ///
    /// Prints the id of the dSource. Sources are linked by themselves at the start, unless their dSource was deleted.
    Link {
        /// Its name in the settings file.
        source: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Take a snapshot of a dSource and wait for it.
    ///
    /// Prints the id of the snapshot. It is a new base backup of the source.
    Snapshot {
        /// Name or id; `list` shows both.
        dsource: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Show virtual databases, dSources and snapshots.
    List,
    /// Say what is missing on the engine's side and at each source, and what to do about it.
    ///
    /// Needs no serving engine, and changes nothing.
    Doctor,
}

#[derive(clap::Args)]
struct Wait {
    /// How long to wait for the job, for example 90m; it goes on all the same.
    #[arg(long, default_value = "24h", value_parser = span)]
    deadline: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[value(alias = "table")]
    Text,
    Json,
}

fn span(text: &str) -> Result<Duration, String> {
    let span = text.parse::<jiff::SignedDuration>().ok();
    span.and_then(|span| Duration::try_from(span).ok())
        .ok_or_else(|| "a span is written as 90s, 30m or 2h".to_owned())
}

/// Runs a command to its exit code. Whatever went wrong is said here.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let output = arguments.output;
    match carry_out(arguments) {
        Ok(code) => code,
        Err(error) => {
            let (code, fix) = verdict(&error);
            if output == Some(Output::Json) {
                let mut told = json!({ "error": format!("{error:#}") });
                if let Some(fix) = fix {
                    told["fix"] = fix.into();
                }
                output::complain(&told.to_string());
            } else {
                let fix = fix.map(|fix| format!("\n{fix}")).unwrap_or_default();
                output::complain(&format!("vdb-engine: {error:#}{fix}"));
            }
            ExitCode::from(code)
        }
    }
}

/// The exit code of an error, and what to do about it where the error does not say so itself.
fn verdict(error: &anyhow::Error) -> (u8, Option<&'static str>) {
    if let Some(error) = error.downcast_ref::<settings::Error>() {
        let fix = "name another settings file by --config; docs/engine.md has one to begin with";
        return match error {
            settings::Error::Read { .. } => (2, Some(fix)),
            settings::Error::Invalid { .. } => (2, None),
        };
    }
    match error.downcast_ref::<dct::Error>().map(dct::Error::class) {
        Some(dct::Class::Unreachable | dct::Class::Malformed) => (
            3,
            Some(
                "start it by vdb-engine serve with the same settings file, or ask on the host where it runs",
            ),
        ),
        Some(dct::Class::Unavailable) => (3, Some("try again later")),
        Some(dct::Class::Unauthorized) => (
            1,
            Some(
                "the key file of the first of apiKeys must hold a key that the serving engine knows",
            ),
        ),
        _ if error.is::<ask::Late>() => (3, None),
        _ => (1, None),
    }
}

fn carry_out(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::read(&arguments.config)?;
    // Two threads answer from memory; effects run on threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let output = arguments.output.unwrap_or(Output::Text);
    // Programs get one document, and nothing besides.
    let tell = output == Output::Text;
    match arguments.command {
        Command::Serve {
            recover_dry_run: true,
            ..
        } => {
            let origin = Box::new(Postgres::new(&settings));
            let plan = with_scratch(|scratch| recovery::dry_run(settings, origin, scratch))??;
            show::plan(output, &plan)?;
        }
        Command::Serve {
            run_hooks,
            hook_deadline: deadline,
            recover_dry_run: false,
        } => {
            settings.run_hooks = run_hooks.then_some(RunHooks { deadline });
            log(arguments.output == Some(Output::Text));
            let served = runtime.block_on(serve::run(settings));
            // A base backup under way is not waited for: the next start gives it up.
            runtime.shutdown_background();
            served?;
        }
        Command::Link { source, wait } => {
            let linked = runtime.block_on(ask::link(&settings, &source, wait.deadline, tell))?;
            show::id(output, "dSource", &linked);
        }
        Command::Snapshot { dsource, wait } => {
            let taken =
                runtime.block_on(ask::snapshot(&settings, &dsource, wait.deadline, tell))?;
            show::id(output, "snapshot", &taken);
        }
        Command::List => show::list(output, &runtime.block_on(ask::list(&settings))?)?,
        Command::Doctor => return examine(&settings, output),
    }
    Ok(ExitCode::SUCCESS)
}

fn log(for_people: bool) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("VDB_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    if for_people {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
}

/// Fails if anything is missing, so that scripts can ask.
fn examine(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let findings = with_scratch(|scratch| doctor::examine(settings, scratch))?;
    show::findings(output, &findings)?;
    Ok(if findings.iter().all(|f| f.ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// In a private directory that goes again.
fn with_scratch<T>(work: impl FnOnce(&Path) -> T) -> anyhow::Result<T> {
    let scratch = scratch()?;
    let done = work(&scratch);
    std::fs::remove_dir_all(&scratch)?;
    Ok(done)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_knows_its_former_words() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
        let parsed = Arguments::try_parse_from(["vdb-engine", "list", "--output", "table"]);
        assert!(parsed.unwrap().output == Some(Output::Text));
        assert_eq!(span("90m"), Ok(Duration::from_secs(5400)));
        assert!(span("soon").is_err() && span("-1h").is_err());
    }
}
