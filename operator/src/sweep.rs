//! The search for what is left behind: a virtual database or a volume without its resource, a resource without its
//! virtual database. `decide` is pure; here is when it is asked, and what is done about the answer.
//!
//! A clone of the embedded engine is a virtual database like any other; what lies in the engine's pool without being
//! one, the engine removes itself when it starts.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, seconds};
use crate::metrics::Metrics;
use crate::settings::{Settings, Sweep};

pub mod decide;
mod live;

pub use decide::{Estate, Fate, Finding, Kind};
pub use live::Live;

/// A person can still stop a sweep that goes wrong: so many things at most are deleted in one.
pub const MOST_DELETED: usize = 10;
/// So many resources at most are looked up one by one in a sweep: calls are metered.
const MOST_ASKED: usize = 20;
/// Named in the report; the rest is counted.
const MOST_NAMED: usize = 50;
/// No sweep takes longer.
const DEADLINE: Duration = Duration::from_mins(5);

/// What a sweep leaves in the ledger. Without a time: it is written only when something else is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub deletes: bool,
    pub found: usize,
    pub left_behind: Vec<Named>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub kind: String,
    pub name: String,
    pub why: String,
    /// What becomes of it.
    pub fate: String,
}

/// Everything that a sweep reads and writes.
#[async_trait]
pub trait Port: Send + Sync {
    /// All of it, or an error: what is decided from a part is wrong.
    async fn estate(&self) -> anyhow::Result<Estate>;
    async fn vdb_exists(&self, id: &str) -> anyhow::Result<bool>;
    /// Uids of all resources, read once more right before anything is deleted.
    async fn living(&self) -> anyhow::Result<BTreeSet<String>>;
    async fn delete_vdb(&self, id: &str) -> anyhow::Result<()>;
    async fn delete_volume(&self, name: &str, uid: &str) -> anyhow::Result<()>;
    /// The report of the last sweep that found something else than the one before it.
    async fn last_report(&self) -> anyhow::Result<Report>;
    /// Into the ledger, and as an event if there is something to say.
    async fn report(&self, report: &Report, at: &str) -> anyhow::Result<()>;
}

/// Sweeps until the process ends or the lease is lost.
pub async fn run(port: &dyn Port, clock: &dyn Clock, settings: &Sweep, metrics: &Metrics) {
    loop {
        clock
            .sleep(until_next(clock.now(), settings.interval))
            .await;
        let sweep = once(port, clock.now(), settings, metrics);
        let failed = match tokio::time::timeout(DEADLINE, sweep).await {
            Ok(Ok(_)) => continue,
            Ok(Err(error)) => crate::error_chain(error.as_ref()),
            Err(_) => format!("no end within {} seconds", DEADLINE.as_secs()),
        };
        metrics.sweep_failed();
        tracing::warn!("the sweep stopped: {failed}");
    }
}

/// By the clock on the wall, so that an operator that restarts sweeps no oftener than one that does not.
pub fn until_next(now: Timestamp, interval: Duration) -> Duration {
    let interval = interval.as_secs().max(1);
    let past = u64::try_from(now.as_second()).unwrap_or_default() % interval;
    Duration::from_secs(interval - past)
}

/// # Errors
/// What could not be read, deleted or written; then the rest waits for the next sweep.
pub async fn once(
    port: &dyn Port,
    now: Timestamp,
    settings: &Sweep,
    metrics: &Metrics,
) -> anyhow::Result<Report> {
    let estate = port.estate().await?;
    let mut findings = decide::findings(&estate, now, settings.older_than);
    confirm(port, &mut findings).await?;
    let report = report(&findings, settings.delete);
    for kind in Kind::ALL {
        let count = findings.iter().filter(|f| f.kind == kind).count();
        metrics.left_behind(kind.as_str(), count);
    }
    for finding in &findings {
        tracing::info!(
            kind = finding.kind.as_str(),
            name = finding.name,
            "left behind: {}",
            finding.why
        );
    }
    // Told before anything is done, so that what follows can be understood afterwards.
    if port.last_report().await? != report {
        port.report(&report, &seconds(now)).await?;
    }
    if settings.delete {
        delete(port, &findings, metrics).await?;
    }
    Ok(report)
}

/// One look because somebody asks for it, with the operator's own settings, account and list.
///
/// # Errors
/// What could not be read, deleted or written.
pub async fn now(settings: &Settings, namespace: String, asked: &Sweep) -> anyhow::Result<Report> {
    let client = kube::Client::try_default()
        .await
        .context("no access to a cluster")?;
    let tower = dct::Client::new(settings.dct.client())?;
    let port = Live::new(client, tower, namespace);
    let metrics = Metrics::default();
    let sweep = once(&port, Timestamp::now(), asked, &metrics);
    tokio::time::timeout(DEADLINE, sweep)
        .await
        .with_context(|| format!("no end within {} seconds", DEADLINE.as_secs()))?
}

impl Report {
    /// One line for each thing, for people.
    pub fn text(&self) -> String {
        if self.found == 0 {
            return "nothing is left behind".to_owned();
        }
        let line = |named: &Named| {
            let Named {
                kind,
                name,
                why,
                fate,
            } = named;
            format!("{kind:<8} {name}: {why}; {fate}")
        };
        let mut lines: Vec<_> = self.left_behind.iter().map(line).collect();
        if self.found > self.left_behind.len() {
            lines.push(format!("and {} more", self.found - self.left_behind.len()));
        }
        lines.join("\n")
    }
}

/// A list may lag; a resource is said to have lost its virtual database only if that is asked for by its id, too.
async fn confirm(port: &dyn Port, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let mut wrong = BTreeSet::new();
    let mut asked = 0;
    for (at, finding) in findings.iter().enumerate() {
        if finding.kind != Kind::Resource {
            continue;
        }
        asked += 1;
        if asked > MOST_ASKED || port.vdb_exists(&finding.id).await? {
            wrong.insert(at);
        }
    }
    let mut at = 0;
    findings.retain(|_| {
        at += 1;
        !wrong.contains(&(at - 1))
    });
    Ok(())
}

async fn delete(port: &dyn Port, findings: &[Finding], metrics: &Metrics) -> anyhow::Result<()> {
    let due: Vec<_> = findings
        .iter()
        .filter(|f| f.fate == Fate::Delete)
        .take(MOST_DELETED)
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let living = port.living().await?;
    for finding in due.into_iter().filter(|f| !living.contains(&f.owner)) {
        match finding.kind {
            Kind::Vdb => port.delete_vdb(&finding.id).await?,
            Kind::Volume => port.delete_volume(&finding.name, &finding.id).await?,
            Kind::Resource => continue,
        }
        tracing::warn!(
            kind = finding.kind.as_str(),
            name = finding.name,
            "swept: {}",
            finding.why
        );
        metrics.swept(finding.kind.as_str());
    }
    Ok(())
}

fn report(findings: &[Finding], deletes: bool) -> Report {
    let named = |finding: &Finding| Named {
        kind: finding.kind.as_str().to_owned(),
        name: finding.name.clone(),
        why: finding.why.clone(),
        fate: match (&finding.fate, deletes) {
            (Fate::Delete, true) => "deleted by the sweep".to_owned(),
            (Fate::Delete, false) => "deleted if sweep.delete were true".to_owned(),
            (Fate::Keep(why), _) => format!("left alone: {why}"),
        },
    };
    Report {
        deletes: deletes && !findings.is_empty(),
        found: findings.len(),
        left_behind: findings.iter().take(MOST_NAMED).map(named).collect(),
    }
}

#[cfg(test)]
mod tests;
