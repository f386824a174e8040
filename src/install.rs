//! `vdb install`: the platform into an existing cluster, from one settings file.
//!
//! It names the cluster and shows what it will create or change before it asks. What is there already stays.

mod apply;
mod checks;
mod cluster;
mod look;
mod objects;
mod plan;
mod reader;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;
mod tools;
mod values;

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use environment::Problems;
use serde_json::Value;

use self::settings::Settings;
use self::tools::Tools;
use crate::doctor::Check;
use crate::output;

/// Portal, Argo CD and the environments' roles name it.
const NAMESPACE: &str = "vdb-system";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Print a commented settings file and end
    #[arg(long)]
    example: bool,
    /// Print what would be done, and end
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    #[arg(long, value_enum, default_value = "text")]
    output: Format,
}

/// Which installation, in which cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The settings file
    #[arg(long, value_name = "FILE", default_value = "install.yaml")]
    settings: PathBuf,
    /// The kubeconfig's context of the cluster; never the current one by itself
    #[arg(long, value_name = "CONTEXT")]
    kube_context: Option<String>,
    /// The kubeconfig; where absent, the one that kubectl finds
    #[arg(long, value_name = "FILE", env = "VDB_KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where the images were pushed; wins over the settings file
    #[arg(long)]
    registry: Option<String>,
    /// The checkout of the platform that holds charts/ and applications/
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    checkout: PathBuf,
    #[arg(long, env = "VDB_HELM", default_value = "helm", hide = true)]
    helm: PathBuf,
    #[arg(long, env = "VDB_KUBECTL", default_value = "kubectl", hide = true)]
    kubectl: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

pub async fn run(args: Args) -> Result<ExitCode> {
    if args.example {
        output::line(settings::EXAMPLE.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    if args.output == Format::Json && !args.dry_run && !args.yes {
        bail!("--output json asks nothing: add --dry-run or --yes");
    }
    let (settings, tools) = args.place.open()?;
    let work = look::work(&tools, &settings).await?;
    match args.output {
        Format::Text => output::line(work.plan.text()),
        Format::Json => output::line(serde_json::to_string_pretty(&work.plan)?),
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    if !work.plan.is_done() && !args.yes && !agreed(&work.plan.cluster.context)? {
        output::progress("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    apply::run(&tools, &settings, &work).await?;
    output::progress("installed; `vdb doctor --install` says what is left to do by hand");
    Ok(ExitCode::SUCCESS)
}

/// Whatever is not a plain yes is a no, the end of the input too.
fn agreed(context: &str) -> Result<bool> {
    output::progress(format!(
        "Do this to the cluster of context {context}? Only \"yes\" is taken."
    ));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer; --yes asks nothing")?;
    Ok(answer.trim() == "yes")
}

impl Place {
    fn open(&self) -> Result<(Settings, Tools)> {
        let path = &self.settings;
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read {}: `vdb install --example` prints how it looks",
                path.display()
            )
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let settings = Settings::parse(&text, folder, self.registry.as_deref())?;
        let context = self.kube_context.clone().context(
            "name the cluster: --kube-context=<a context of the kubeconfig>; the current one is never used by itself",
        )?;
        let tools = Tools {
            kubectl: self.kubectl.clone(),
            helm: self.helm.clone(),
            kubeconfig: self.kubeconfig.clone(),
            context,
            checkout: self.checkout.clone(),
        };
        Ok((settings, tools))
    }
}

/// Each step of docs/install.md as a check. An error means that there are no settings to check by.
pub(crate) async fn checks(place: &Place) -> Result<Vec<Check>> {
    let (settings, tools) = place.open()?;
    Ok(checks::all(&tools, &settings).await)
}

/// The chart's values that a settings file means.
pub fn chart_values(text: &str, folder: &Path) -> Result<Value, Problems> {
    Settings::parse(text, folder, None).map(|settings| values::of(&settings))
}
