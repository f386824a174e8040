//! One pass of work on one resource: observe → plan → act → status, repeated while there is something to do at once.
//!
//! `plan` is pure and decides one next external step; everything with an effect goes through a port, so a simulation
//! can end the process after any call.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, between};
use crate::cluster::{self, Cluster};
use crate::crd::{Key, PostgresVdb};
use crate::metrics::Metrics;
use crate::poller::Poller;
use crate::reason::{Kind, Reason};
use crate::settings::{Settings, parse_duration};
use crate::sql::Sql;
use crate::tower::Dct;

pub mod act;
pub mod build;
pub mod built;
pub mod cleanup;
pub mod collations;
pub mod desired;
pub mod expiry;
pub mod farewell;
pub mod hooks;
pub mod job_log;
pub mod memory;
pub mod observe;
pub mod plan;
pub mod pod;
pub mod probe;
pub mod provision;
pub mod refresh;
pub mod remote;
pub mod sight;
pub mod status;
pub mod tell;

use build::{Frame, Helper};
use memory::Memory;
use observe::Observed;
use plan::{Outcome, Plan};

/// More steps than any order has: a plan that never comes to a wait is a bug, not a reason to spin.
const MAX_PASSES: usize = 40;
/// A status that only shows progress is not written more often than this.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// On the first way to Ready, a resource that was read so short a time ago in the same visit is not read again. What is
/// written into it is refused all the same if it has changed.
const FRESH: Duration = Duration::from_secs(1);

pub struct Context {
    pub cluster: Arc<dyn Cluster>,
    pub dct: Arc<dyn Dct>,
    pub sql: Arc<dyn Sql>,
    pub clock: Arc<dyn Clock>,
    pub poller: Arc<Poller>,
    pub settings: Settings,
    pub helper: Helper,
    pub memory: Memory,
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// An error for a process that was held up for so long that another may have taken its place. To be asked right
    /// before every effect that has no precondition of its own.
    pub fn may_act(&self) -> Result<(), cluster::Error> {
        if self.cluster.leads() {
            return Ok(());
        }
        Err(cluster::Error {
            kind: cluster::ErrorKind::Conflict,
            call: "act".to_owned(),
            message: "this process no longer leads".to_owned(),
        })
    }

    /// An error for a read that is behind what this process has read or written of the resource before.
    pub fn follow(&self, cr: &PostgresVdb) -> Result<(), cluster::Error> {
        let version = cr.metadata.resource_version.as_deref().unwrap_or_default();
        let now = self.clock.now();
        if self.memory.with(&cr.key(), |m| m.sees(version, now)) {
            return Ok(());
        }
        Err(cluster::Error {
            kind: cluster::ErrorKind::Conflict,
            call: "read the resource".to_owned(),
            message: format!("version {version} was shown, and a later one is known"),
        })
    }

    /// An error if the resource has changed since it was read: a write that changes nothing lets the API server compare
    /// the versions. Only for the first effect of a process, whose read may be behind what an earlier process did; from
    /// then on it knows how far the resource is. Says whether it asked.
    pub async fn confirm(&self, cr: &PostgresVdb) -> Result<bool, cluster::Error> {
        let key = cr.key();
        if self.memory.with(&key, |m| m.is_confirmed()) {
            return Ok(false);
        }
        self.cluster.set_finalizer(cr, cr.has_finalizer()).await?;
        self.memory.with(&key, memory::Remembered::confirm);
        Ok(true)
    }

    pub fn frame<'a>(&'a self, cr: &'a PostgresVdb) -> Frame<'a> {
        let generation = cr
            .status
            .as_ref()
            .and_then(|s| s.vdb.as_ref())
            .and_then(|v| v.generation)
            .unwrap_or(1);
        Frame {
            cr,
            settings: &self.settings,
            helper: &self.helper,
            generation,
        }
    }
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    After(Duration),
    /// Nothing to do until something changes.
    OnChange,
}

/// Works on one resource until it has to wait.
pub async fn reconcile(ctx: &Context, key: &Key) -> Result<Requeue, cluster::Error> {
    let result = visit(ctx, key).await;
    ctx.cluster.leave(key);
    ctx.memory.leave(key);
    if result.is_err() {
        ctx.memory.sight.forget(key);
    }
    result
}

async fn visit(ctx: &Context, key: &Key) -> Result<Requeue, cluster::Error> {
    let mut was = None;
    let mut known: Option<(Timestamp, PostgresVdb)> = None;
    for _ in 0..MAX_PASSES {
        let fresh = |at: Timestamp| between(at, ctx.clock.now()) < FRESH;
        let cr = match (was, known.take().filter(|(at, _)| fresh(*at))) {
            (None, _) => ctx.cluster.vdb(key).await?,
            (Some(true), Some((_, cr))) => Some(cr),
            (Some(_), _) => ctx.cluster.vdb_again(key).await?,
        };
        let Some(cr) = cr else {
            ctx.memory.forget(key);
            ctx.poller.forget(key);
            return Ok(Requeue::OnChange);
        };
        let now = ctx.clock.now();
        ctx.follow(&cr)?;
        ctx.memory.meet(key, cr.uid(), now);
        if was.is_none()
            && let Some(requeue) = probe::probe(ctx, key, &cr).await?
        {
            return Ok(requeue);
        }
        // A visit may last, and the order change meanwhile.
        let comes = match was {
            Some(comes) => comes && sight::only_adds(&cr, now),
            None => sight::comes(&cr, now),
        };
        if was != Some(comes) {
            ctx.memory.sight.visit(key, comes, now);
            was = Some(comes);
        }
        let mut observed = Box::pin(observe::observe(ctx, cr, comes)).await?;
        let frame = ctx.frame(&observed.cr);
        let mut same = true;
        let outcome = match plan::plan(&observed, &frame) {
            Plan::Act(step) => {
                same = !matches!(step, plan::Step::AddFinalizer);
                observed.memory.stages = status::entered(&observed, &step, ctx.clock.now());
                ctx.memory
                    .with(key, |m| m.stages.clone_from(&observed.memory.stages));
                act::act(ctx, &observed, &frame, step).await?
            }
            Plan::Done(outcome) => outcome,
        };
        let outcome = refresh::judge(&observed, &frame, outcome);
        let written = record(ctx, &observed, &frame, &outcome).await?;
        if let Some(requeue) = requeue(ctx, &observed, &outcome, written) {
            return Ok(requeue);
        }
        // Nothing was written into it; on the first way to Ready nothing is taken away either.
        if same && written != Written::Yes {
            known = Some((now, observed.cr));
        }
    }
    tracing::error!(%key, "no end after {MAX_PASSES} steps");
    ctx.metrics.found_no_end();
    Ok(Requeue::After(Duration::from_secs(10)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    Unchanged,
    /// Progress alone, too soon after the last write.
    Later,
}

/// Writes the status if it says something new; what only shows progress is written sparingly.
async fn record(
    ctx: &Context,
    observed: &Observed,
    frame: &Frame<'_>,
    outcome: &Outcome,
) -> Result<Written, cluster::Error> {
    let now = ctx.clock.now();
    let key = observed.cr.key();
    let Some(shown) = status::of(observed, frame, outcome, now) else {
        return Ok(Written::Unchanged);
    };
    ctx.memory
        .with(&key, |m| m.stages.clone_from(&shown.stages));
    let none = environment::PostgresVdbStatus::default();
    let before = observed.cr.status.as_ref().unwrap_or(&none);
    if status::same(before, &shown) {
        return Ok(Written::Unchanged);
    }
    // The next step builds on what was recorded or proved: without it, it would be the same again.
    let builds = matches!(outcome, Outcome::Recorded(_) | Outcome::Ready(_));
    let progress = !builds && status::is_progress_only(before, &shown);
    if progress {
        let last = ctx.memory.with(&key, |m| m.last_write);
        if last.is_some_and(|at| crate::clock::between(at, now) < PROGRESS_INTERVAL) {
            return Ok(Written::Later);
        }
    }
    ctx.cluster.write_status(&observed.cr, &shown).await?;
    if progress {
        ctx.metrics.told_progress();
    }
    ctx.memory.with(&key, |m| {
        m.last_write = Some(now);
        m.replaced(observed.cr.metadata.resource_version.as_deref(), now);
    });
    act::remember(ctx, &key, outcome);
    tell::tell(ctx, observed, before, &shown, outcome).await;
    Ok(Written::Yes)
}

/// `None`: go on at once.
fn requeue(
    ctx: &Context,
    observed: &Observed,
    outcome: &Outcome,
    written: Written,
) -> Option<Requeue> {
    let key = observed.cr.key();
    let after = match outcome {
        Outcome::Again | Outcome::Recorded(_) | Outcome::Ready(_) => {
            ctx.memory.with(&key, |m| m.failures = 0);
            return None;
        }
        Outcome::Waiting(waiting) => waiting.after,
        Outcome::Stopped(stop) => {
            ctx.memory.sight.forget(&key);
            ctx.metrics.failed(stop.reason);
            match stop.reason.kind() {
                Kind::Stalled => error_backoff(&observed.cr),
                _ if matches!(stop.reason, Reason::ProvisionFailed | Reason::EnableFailed) => {
                    error_backoff(&observed.cr)
                }
                _ => ctx
                    .memory
                    .with(&key, memory::Remembered::backoff)
                    .min(error_backoff(&observed.cr)),
            }
        }
        Outcome::Settled { probe } => {
            let set = observed
                .children
                .stateful_set(&build::Names::of(&ctx.frame(&observed.cr)).stateful_set())
                .and_then(|set| set.metadata.generation);
            ctx.memory.sight.forget(&key);
            ctx.memory.with(&key, |m| {
                m.set = set;
                m.probe_at = Some(observed.now + *probe);
                m.probes = 0;
                // The status has them.
                m.stages = Vec::new();
            });
            let due = refresh::schedule::until_due(&observed.cr, observed.now);
            due.map_or(*probe, |due| due.min(*probe))
        }
        // Nothing else wakes it, so what could not be written yet is written then.
        Outcome::Suspended(_) if written == Written::Later => PROGRESS_INTERVAL,
        Outcome::Suspended(_) => return Some(Requeue::OnChange),
        Outcome::Gone => {
            ctx.memory.forget(&key);
            ctx.poller.forget(&key);
            return Some(Requeue::OnChange);
        }
    };
    let after = if written == Written::Later {
        after.min(PROGRESS_INTERVAL)
    } else {
        after
    };
    let after = match expiry::until(&observed.cr, observed.now) {
        Some(left) => after.min(left),
        None => after,
    };
    let after = match cleanup::until_deadline(observed, &ctx.settings) {
        Some(left) => after.min(left),
        None => after,
    };
    Some(Requeue::After(after.max(Duration::from_millis(50))))
}

/// Within bounds, because what is refused is looked at again as well, also when it is refused for this field.
fn error_backoff(cr: &PostgresVdb) -> Duration {
    let asked = parse_duration(&cr.spec.error_backoff_period).unwrap_or(Duration::from_mins(5));
    asked.clamp(Duration::from_secs(1), Duration::from_hours(8760))
}
