//! `vdb env delete`: Git first, then wait until the platform itself has removed everything, thing by thing.
//!
//! An Application that is deleted while its directory exists comes back within seconds; so nothing in the cluster is
//! touched unless the deadline is over and force was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, bail};
use environment::EnvironmentName;
use environment::values::Values;

use super::announce::{self, Did};
use super::cluster::Cluster;
use super::git::{Git, Pushed};
use super::observed::{Observed, virtual_database};
use super::progress::{News, Progress};
use super::proposal::{self, Proposal};
use super::settings::Settings;
use super::tower;
use crate::forge::Change;
use crate::output;
use crate::serve::review::UNPROTECT;

/// Time to think before anything is deleted.
const COUNTDOWN: u32 = 5;
/// How long a forced end may take once the finalizers are off.
const FORCED: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of a command line, each independent"
)]
pub struct Args {
    /// Name of the environment
    name: String,
    /// Do not wait five seconds before anything is deleted
    #[arg(long)]
    yes: bool,
    /// Commit the removal, but neither push nor wait
    #[arg(long)]
    no_push: bool,
    /// Push, but do not wait
    #[arg(long)]
    no_wait: bool,
    /// How long the platform may take
    #[arg(long, default_value = "10m", value_parser = super::duration)]
    deadline: Duration,
    /// Past the deadline: take the finalizers off and record the virtual databases that are left behind
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: Args, settings: &Settings, progress: &Progress) -> Result<()> {
    let name = EnvironmentName::parse(&args.name).map_err(super::refused)?;
    let git = Git::lock(&settings.repository, &settings.branch).await?;
    git.update(&name).await?;
    ensure_unprotected(&git, &name).await?;
    let files = git.files(&name).await?;
    if !args.yes && !files.is_empty() {
        countdown(&name).await;
    }
    // What is there now is what must be gone in the end.
    let cluster = if args.no_push || args.no_wait {
        None
    } else {
        Some(Cluster::connect(settings.kubeconfig()?).await?)
    };
    let mut ledger = Ledger::default();
    if let Some(cluster) = &cluster {
        ledger.see(&name, &cluster.observe(&name).await?);
    }
    if files.is_empty() && !git.is_ahead().await? {
        progress.step(format!("{} is not in Git (any more)", name.directory()));
    } else if !removed_from_git(&args, settings, &name, &git, progress).await? {
        return Ok(());
    }
    progress.leaves(format!("the removal is pushed and the platform goes on deleting; `vdb env delete {name}` goes on watching"));
    drop(git);
    announce::push(settings, &name, Did::Remove, progress).await;
    match cluster {
        Some(cluster) => wait(&args, settings, &cluster, &name, ledger, progress).await,
        None => Ok(()),
    }
}

/// What the base branch says counts: taking the protection off is a change of its own, which others can see.
async fn ensure_unprotected(git: &Git, name: &EnvironmentName) -> Result<()> {
    let path = name.values_path();
    let values = match git.published(&path).await? {
        Some(values) => Some(values),
        None => git.committed(&path).await?,
    };
    if values.is_some_and(|values| Values::is_protected(&values)) {
        bail!("environment {name} is protected; {UNPROTECT}, then delete it");
    }
    Ok(())
}

async fn countdown(name: &EnvironmentName) {
    output::progress(format!(
        "environment {name}, its databases and all their data will be deleted; Ctrl-C keeps them"
    ));
    for left in (1..=COUNTDOWN).rev() {
        output::progress(format!("  {left}"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Takes the directory out of Git. `false`: it is not gone from the base branch, and that was said.
async fn removed_from_git(
    args: &Args,
    settings: &Settings,
    name: &EnvironmentName,
    git: &Git,
    progress: &Progress,
) -> Result<bool> {
    let by = git.user().await?.unwrap_or_else(|| "unknown".into());
    let message = proposal::message(&proposal::title("retire", name), &by);
    if git.remove(name, &message).await? {
        progress.step(format!("{} is removed and committed", name.directory()));
    }
    progress.leaves(format!(
        "the removal is committed in {} and not pushed; nothing is deleted yet",
        settings.repository.display()
    ));
    if args.no_push {
        progress.step("not pushed, as asked: nothing is deleted before it is pushed");
        return Ok(false);
    }
    match git.push(name).await? {
        Pushed::Done => {
            progress.step(format!("pushed to {}", settings.branch));
            Ok(true)
        }
        Pushed::Protected(why) => {
            git.take_back().await?;
            progress.step(format!(
                "the push was refused ({why}): the removal goes into a pull request"
            ));
            let changes = git
                .files(name)
                .await?
                .into_iter()
                .map(|path| Change::Delete { path })
                .collect();
            let pull = proposal::open(
                settings,
                &Proposal {
                    name,
                    operation: "retire",
                    changes,
                    by: &by,
                },
            )
            .await?;
            output::line(&pull.url);
            progress.step(format!(
                "retire pull request {} waits for its review; nothing is deleted before it is merged. \
                 Then `vdb env delete {name}` watches the end",
                pull.number
            ));
            Ok(false)
        }
    }
}

/// What was seen of the environment, and what of that is gone.
#[derive(Default)]
struct Ledger(BTreeMap<String, bool>);

impl Ledger {
    /// Takes in what is there now and says what is newly gone.
    fn see(&mut self, name: &EnvironmentName, observed: &Observed) -> Vec<String> {
        let there: BTreeSet<String> = observed.things(name.as_str()).into_iter().collect();
        for thing in &there {
            self.0.insert(thing.clone(), false);
        }
        let mut gone = Vec::new();
        for (thing, is_gone) in &mut self.0 {
            if !*is_gone && !there.contains(thing) {
                *is_gone = true;
                gone.push(thing.clone());
            }
        }
        gone
    }

    fn left(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|(_, gone)| !**gone)
            .map(|(thing, _)| thing.clone())
            .collect()
    }

    fn gone(&self) -> impl Iterator<Item = &String> {
        self.0
            .iter()
            .filter(|(_, gone)| **gone)
            .map(|(thing, _)| thing)
    }

    /// The ids of all virtual databases that were seen.
    fn virtual_databases(&self) -> Vec<String> {
        self.0
            .keys()
            .filter_map(|thing| thing.strip_prefix("VDB "))
            .map(str::to_owned)
            .collect()
    }
}

async fn wait(
    args: &Args,
    settings: &Settings,
    cluster: &Cluster,
    name: &EnvironmentName,
    mut ledger: Ledger,
    progress: &Progress,
) -> Result<()> {
    let mut news = News::default();
    let mut forced = BTreeSet::new();
    loop {
        let observed = match cluster.observe(name).await {
            Ok(observed) => observed,
            Err(error) if progress.elapsed() < args.deadline => {
                news.of(vec![(
                    "cluster".into(),
                    crate::web::error_chain(error.as_ref()),
                )])
                .iter()
                .for_each(|line| progress.step(line));
                tokio::time::sleep(super::INTERVAL).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        // Of a virtual database only Data Control Tower and the list of orphans know: in the end.
        for thing in ledger
            .see(name, &observed)
            .iter()
            .filter(|thing| !thing.starts_with("VDB "))
        {
            progress.step(format!("gone: {thing}"));
        }
        if observed == Observed::default() {
            return finished(settings, cluster, name, &ledger, progress).await;
        }
        let late = progress.elapsed().saturating_sub(args.deadline);
        if late > Duration::ZERO {
            if !args.force || late > FORCED {
                bail!(
                    "after {}s these are left: {}; the platform goes on by itself. \
                     Run this again to go on watching, or with --force to take the finalizers off",
                    progress.elapsed().as_secs(),
                    ledger.left().join(", ")
                );
            }
            force(cluster, name, &observed, &mut forced, progress).await?;
        }
        tokio::time::sleep(super::INTERVAL).await;
    }
}

/// Databases first: only what they leave behind is swept.
async fn force(
    cluster: &Cluster,
    name: &EnvironmentName,
    observed: &Observed,
    forced: &mut BTreeSet<String>,
    progress: &Progress,
) -> Result<()> {
    if observed.databases.is_empty() {
        return cluster.sweep(name, observed).await;
    }
    if observed.databases.iter().any(|database| !database.deleting) {
        bail!(
            "Argo CD has not begun to delete the databases of {name}, so their finalizers stay on: they would come back. \
             Look at Application {name} and ApplicationSet postgres-vdb-platform"
        );
    }
    for database in &observed.databases {
        if forced.insert(database.uid.clone()) {
            cluster
                .orphan(name, database, &jiff::Timestamp::now().to_string())
                .await?;
            progress.step(format!(
                "forced: PostgresVDB {}; its VDB is recorded in ConfigMap vdb-orphans",
                database.name
            ));
        }
    }
    Ok(())
}

/// Lists everything that was there as gone, or as left.
async fn finished(
    settings: &Settings,
    cluster: &Cluster,
    name: &EnvironmentName,
    ledger: &Ledger,
    progress: &Progress,
) -> Result<()> {
    let orphans = cluster.orphans().await?;
    let (orphaned, deleted): (Vec<_>, Vec<_>) = ledger
        .virtual_databases()
        .into_iter()
        .partition(|id| orphans.contains(id));
    let left = tower::left(settings, &deleted, progress).await;
    if ledger.gone().next().is_none() {
        progress.step(format!("nothing of environment {name} is in the cluster"));
    }
    for thing in ledger.gone() {
        let there = orphaned
            .iter()
            .chain(&left)
            .any(|id| *thing == virtual_database(id));
        output::line(format!("{}  {thing}", if there { "left" } else { "gone" }));
    }
    if !left.is_empty() {
        bail!("Data Control Tower still has: {}", left.join(", "));
    }
    if !orphaned.is_empty() {
        progress.step("what is left is recorded in ConfigMap vdb-orphans in vdb-system: delete it in Data Control Tower");
    }
    progress.step(format!("environment {name} is gone"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::git::tests::{name, push, world};
    use super::super::observed::{Application, Volume};
    use super::*;

    #[tokio::test]
    async fn what_the_base_branch_protects_is_not_deleted() {
        let (world, name) = (world(), name("feat-1"));
        let git = Git::open(&world.clone, "main").await.unwrap();
        let (kept, free) = ("vdb: {protected: true}\n", "vdb: {protected: false}\n");
        ensure_unprotected(&git, &name).await.unwrap();
        push(&git, &world.clone, &name, kept).await;
        let error = ensure_unprotected(&git, &name).await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("feat-1 is protected; set protected: false"),
            "{said}"
        );
        // Neither a change that nobody has seen nor the removal itself lifts it.
        super::super::git::tests::write(&world.clone, &name, free);
        git.commit(&name, "update").await.unwrap();
        ensure_unprotected(&git, &name).await.unwrap_err();
        git.remove(&name, "retire").await.unwrap();
        ensure_unprotected(&git, &name).await.unwrap_err();
        push(&git, &world.clone, &name, free).await;
        ensure_unprotected(&git, &name).await.unwrap();
    }

    #[test]
    fn each_thing_is_said_to_be_gone_once() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let mut ledger = Ledger::default();
        let volumes = vec![Volume {
            name: "v".into(),
            path: "/p".into(),
        }];
        let before = Observed {
            application: Some(Application::default()),
            namespace: Some(false),
            volumes,
            ..Observed::default()
        };
        assert!(ledger.see(&name, &before).is_empty());
        assert_eq!(ledger.left().len(), 3);
        let between = Observed {
            application: None,
            ..before
        };
        assert_eq!(ledger.see(&name, &between), ["Application feat-1"]);
        assert!(ledger.see(&name, &between).is_empty());
        assert_eq!(
            ledger.see(&name, &Observed::default()),
            ["namespace postgres-vdbs-feat-1", "volume v (/p)"]
        );
        assert!(ledger.left().is_empty());
        assert_eq!(ledger.gone().count(), 3);
    }

    #[test]
    fn what_appears_while_waiting_must_go_too() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let mut ledger = Ledger::default();
        ledger.see(&name, &Observed::default());
        ledger.see(
            &name,
            &Observed {
                namespace: Some(true),
                ..Observed::default()
            },
        );
        assert_eq!(ledger.left(), ["namespace postgres-vdbs-feat-1"]);
    }
}
