//! `vdb env update`, `refresh` and `extend`: a few edits of an environment's values by a commit, and the wait until its
//! databases have taken them over. The edits are the sidecar's own: what they do not name stays byte for byte.
//!
//! Every step looks first whether it is done: a change that is committed and not pushed is not made a second time.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use environment::capabilities::Capabilities;
use environment::change::{self, Change, Circumstances, LONGEST_LIFE_DAYS};
use environment::values::Values;
use environment::{EnvironmentName, Problems, render, yaml};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::announce::{self, Did};
use super::create::settings_of;
use super::git::{Git, Pushed};
use super::progress::Progress;
use super::proposal::{self, Proposal};
use super::ready;
use super::settings::Settings;
use super::show::{self, Format};
use crate::forge::Change as FileChange;
use crate::output;

#[derive(Debug, clap::Args)]
pub struct UpdateArgs {
    /// Name of the environment
    name: String,
    /// Image of the server; its major version must be that of the data
    #[arg(long)]
    image: Option<String>,
    /// CPU, for example 500m
    #[arg(long)]
    cpu: Option<String>,
    /// Memory, for example 512Mi
    #[arg(long)]
    memory: Option<String>,
    /// A setting of the server to set; may be given several times, others stay as they are
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub struct RefreshArgs {
    /// Name of the environment
    name: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("end").required(true).args(["until", "more"]))]
pub struct ExtendArgs {
    /// Name of the environment
    name: String,
    /// Until when it is needed, for example 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// How much longer than now planned, for example 14d or 2w
    #[arg(long = "for", value_name = "DAYS", value_parser = days)]
    more: Option<u32>,
    #[command(flatten)]
    how: How,
}

/// How far to go, and how to say what became of it.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Commit, but neither push nor wait
    #[arg(long)]
    no_push: bool,
    /// Push, but do not wait
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until it is ready
    #[arg(long, default_value = "10m", value_parser = super::duration)]
    deadline: Duration,
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

impl UpdateArgs {
    pub(super) fn read(self) -> Result<(Change, How)> {
        let change = Change::update(&json!({
            "name": self.name, "image": self.image, "cpu": self.cpu, "memory": self.memory,
            "postgresConfig": settings_of(&self.settings)?,
        }))?;
        Ok((change, self.how))
    }
}

impl RefreshArgs {
    pub(super) fn read(self) -> Result<(Change, How)> {
        let change = Change::refresh(&json!({"name": self.name}))?;
        Ok((change, self.how))
    }
}

impl ExtendArgs {
    pub(super) fn read(self) -> Result<(Change, How)> {
        let input = json!({"name": self.name, "expiresAt": self.until, "days": self.more});
        Ok((Change::extend(&input)?, self.how))
    }
}

/// "14d" or "2w".
fn days(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no number of days such as 14d or 2w");
    let (number, factor) = match (text.strip_suffix('d'), text.strip_suffix('w')) {
        (Some(days), _) => (days, 1),
        (_, Some(weeks)) => (weeks, 7),
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

pub(super) async fn run(
    (change, how): (Change, How),
    can: &Capabilities,
    settings: &Settings,
    progress: &Progress,
) -> Result<()> {
    let name = change.environment().map_err(super::refused)?;
    if let Some(problem) = can.missing(change.what(), name.as_str()) {
        return Err(super::refused(problem).into());
    }
    let git = Git::lock(&settings.repository, &settings.branch).await?;
    let by = git.user().await?.unwrap_or_else(|| "unknown".into());
    git.update(&name).await?;
    let edited = edit(&git, &name, &change, &by).await?;
    let values = Values::parse(&name, &edited.text)?;
    let mut outcome = Outcome::new(&name, &edited);
    commit(&git, settings, &name, &change, &edited, &by, progress).await?;
    if how.no_push {
        progress.step("not pushed, as asked: run this again without --no-push, or push yourself");
        return outcome.say("COMMITTED", how.output);
    }
    if let Some(url) = pushed(&git, settings, &name, &change, &edited, &by, progress).await? {
        outcome.pull_request = Some(url);
        return outcome.say("PROPOSED", how.output);
    }
    let afterwards = format!("`vdb env status {name}` shows it");
    progress.leaves(format!(
        "the change is pushed and is being carried out; {afterwards}"
    ));
    drop(git);
    announce::push(settings, &name, Did::Change, progress).await;
    if how.no_wait {
        return outcome.say("PUSHED", how.output);
    }
    let observed = ready::wait(
        settings,
        &name,
        &values,
        how.deadline,
        &afterwards,
        progress,
    )
    .await?;
    if how.output == Format::Text {
        show::summary(&name, &observed);
    }
    outcome.say("READY", how.output)
}

/// The values file as it is to be.
#[derive(Debug)]
struct Edited {
    text: String,
    request: Option<String>,
    /// It was so already: there is only to go on.
    was_there: bool,
}

async fn edit(git: &Git, name: &EnvironmentName, change: &Change, by: &str) -> Result<Edited> {
    let path = name.values_path();
    let Some(text) = git.committed(&path).await? else {
        bail!("there is no environment {name} in Git; `vdb env list` names those that there are");
    };
    git.ensure_committed(name).await?;
    let published = git.published(&path).await?;
    let values = |text: &str| -> Result<Value> {
        yaml::read(text)
            .map_err(|why| anyhow::anyhow!("{path} is not readable as YAML: {why}"))
            .context("mend it by a commit")
    };
    let now = values(&text)?;
    // Named after what the remote holds: a second run before the push finds the first one's commit.
    let content = change.content(&values(published.as_deref().unwrap_or(&text))?);
    let digest = render::digest(change.operation(), &content, 0);
    let request = format!("{name}.{}-{digest}", change.operation());
    let on = now.pointer("/request/id").and_then(Value::as_str);
    if change.is_done(&now) || on == Some(&request) {
        let request = on.map(str::to_owned);
        return Ok(Edited {
            text,
            request,
            was_there: true,
        });
    }
    let under = Circumstances {
        now: Timestamp::now(),
        request: &request,
        longest_life_days: LONGEST_LIFE_DAYS,
    };
    let edits = change.edits(&now, &under).map_err(on_a_command_line)?;
    let edited = change::edited(&text, &edits, &request, &proposal::signature(by))
        .map_err(|refusal| anyhow::anyhow!("{path}: {refusal}; {}", refusal.hint()))?;
    Ok(Edited {
        text: edited,
        request: Some(request),
        was_there: false,
    })
}

/// There is no form here whose fields could be marked.
fn on_a_command_line(Problems(problems): Problems) -> Problems {
    let plain = |mut problem: environment::Problem| {
        problem.pointer = String::new();
        problem
    };
    Problems(problems.into_iter().map(plain).collect())
}

async fn commit(
    git: &Git,
    settings: &Settings,
    name: &EnvironmentName,
    change: &Change,
    edited: &Edited,
    by: &str,
    progress: &Progress,
) -> Result<()> {
    if edited.was_there {
        progress.step(format!("{} holds this already", name.values_path()));
        return Ok(());
    }
    let path = settings.repository.join(name.values_path());
    tokio::fs::write(&path, &edited.text)
        .await
        .with_context(|| format!("cannot write {}", path.display()))?;
    let title = proposal::title(change.operation(), name);
    if git.commit(name, &proposal::message(&title, by)).await? {
        progress.step(format!("{} is changed and committed", name.values_path()));
    }
    progress.leaves(format!(
        "the change is committed in {} and not pushed; running the command again goes on",
        settings.repository.display()
    ));
    Ok(())
}

/// Pushes what is not pushed yet. The address of a pull request where the forge wants one instead.
async fn pushed(
    git: &Git,
    settings: &Settings,
    name: &EnvironmentName,
    change: &Change,
    edited: &Edited,
    by: &str,
    progress: &Progress,
) -> Result<Option<String>> {
    if !git.is_ahead().await? {
        return Ok(None);
    }
    let why = match git.push(name).await? {
        Pushed::Done => {
            progress.step(format!("pushed to {}", settings.branch));
            return Ok(None);
        }
        Pushed::Protected(why) => why,
    };
    git.take_back().await?;
    progress.step(format!(
        "the push was refused ({why}): the same change goes into a pull request"
    ));
    let proposal = Proposal {
        name,
        operation: change.operation(),
        changes: vec![FileChange::Put {
            path: name.values_path(),
            content: edited.text.clone(),
        }],
        by,
    };
    let pull = proposal::open(settings, &proposal).await?;
    progress.step(format!(
        "pull request {} waits for its review; once it is merged, `vdb env status {name}` shows the environment",
        pull.number
    ));
    Ok(Some(pull.url))
}

/// What became of it, on standard output.
struct Outcome {
    environment: String,
    request: Option<String>,
    changed: bool,
    pull_request: Option<String>,
}

impl Outcome {
    fn new(name: &EnvironmentName, edited: &Edited) -> Self {
        Self {
            environment: name.to_string(),
            request: edited.request.clone(),
            changed: !edited.was_there,
            pull_request: None,
        }
    }

    fn json(&self, state: &str) -> Value {
        let mut said = json!({
            "environment": self.environment, "request": self.request, "changed": self.changed, "state": state,
        });
        if let Some(url) = &self.pull_request {
            said["pullRequest"] = json!(url);
        }
        said
    }

    fn say(&self, state: &str, format: Format) -> Result<()> {
        match (format, &self.pull_request) {
            (Format::Json, _) => output::line(serde_json::to_string_pretty(&self.json(state))?),
            (Format::Text, Some(url)) => output::line(url),
            (Format::Text, None) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
