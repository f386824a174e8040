//! What the tower says about an exchange that is under way. Reads only, and only what the state decides on.

use dct::types::{Bookmark, Job, JobStatus, Vdb};
use environment::status::{Exchange as Operation, Refresh, RefreshState};

use super::under_way;
use crate::cluster;
use crate::controller::Context;
use crate::controller::build::{Names, vdb_name};
use crate::controller::observe::{Failure, Observed, may_have, recorded};
use crate::poller::Progress;
use crate::reason::Reason;
use crate::rules::{self, Refusal};
use crate::source;
use crate::tower::Error;

#[derive(Debug, Default)]
pub enum Look {
    #[default]
    NotAsked,
    Failed(Error),
    Seen(Box<Seen>),
}

#[derive(Debug)]
pub struct Seen {
    pub work: Work,
    pub vdb: Option<Vdb>,
    /// A running job on the virtual database that is not the recorded one.
    pub running: Option<Job>,
    pub bookmark: Option<Bookmark>,
    pub refused: Option<Refusal>,
}

/// How the recorded job stands.
#[derive(Debug)]
pub enum Work {
    Idle,
    Running,
    Done(String),
    Failed { operation: String, why: String },
}

impl Work {
    pub fn has_done(&self, operation: &str) -> bool {
        matches!(self, Self::Done(done) if done == operation)
    }
}

pub async fn look(ctx: &Context, observed: &Observed) -> Result<Look, cluster::Error> {
    let Some((refresh, state)) = under_way(&observed.cr) else {
        return Ok(Look::NotAsked);
    };
    let keeps = state == RefreshState::Keeping;
    let pod = Names::of(&ctx.frame(&observed.cr)).pod();
    let exchanges = matches!(state, RefreshState::Replacing | RefreshState::Undoing)
        && observed.children.get(&pod).is_none();
    if !keeps && !exchanges {
        return Ok(Look::NotAsked);
    }
    let seen = if keeps {
        before(ctx, observed, refresh).await
    } else {
        exchange(ctx, observed, state).await
    };
    match seen {
        Ok(seen) => Ok(Look::Seen(Box::new(seen))),
        Err(Failure::Tower(error)) => Ok(Look::Failed(error)),
        Err(Failure::Cluster(error)) => Err(error),
    }
}

fn work(ctx: &Context, observed: &Observed) -> Work {
    let Some(job) = recorded(&observed.cr).job else {
        return Work::Idle;
    };
    match ctx.poller.progress(&job.id, &observed.cr.key()) {
        Progress::Running => Work::Running,
        Progress::Over(over) if matches!(over.status, JobStatus::Failed | JobStatus::Canceled) => {
            let details = over.error_details.as_deref();
            let details = details.unwrap_or("the job names no error");
            let why = format!(
                "job {} ended {:?}: {}",
                over.id,
                over.status,
                crate::one_line(details)
            );
            Work::Failed {
                operation: job.operation,
                why,
            }
        }
        Progress::Over(_) | Progress::Gone => Work::Done(job.operation),
    }
}

async fn read(ctx: &Context, observed: &Observed) -> Result<Seen, Error> {
    let work = work(ctx, observed);
    let id = recorded(&observed.cr).id.unwrap_or_default();
    let vdb = match work {
        Work::Running => None,
        _ => ctx.dct.vdb(&id).await?,
    };
    Ok(Seen {
        work,
        vdb,
        running: None,
        bookmark: None,
        refused: None,
    })
}

async fn before(ctx: &Context, observed: &Observed, refresh: &Refresh) -> Result<Seen, Failure> {
    let mut seen = read(ctx, observed).await?;
    let Some(vdb) = &seen.vdb else {
        return Ok(seen);
    };
    seen.refused = refused(ctx, observed, vdb, refresh).await?;
    // This process knows that it has not sent the order yet.
    let first = matches!(seen.work, Work::Idle) && observed.memory.unsure_since.is_none();
    if let (Some(name), false) = (&refresh.bookmark, first) {
        seen.bookmark = ctx.dct.bookmark(name).await?;
    }
    Ok(seen)
}

/// Whether the point exists and is one that this database may have: asked while the server still runs.
async fn refused(
    ctx: &Context,
    observed: &Observed,
    vdb: &Vdb,
    refresh: &Refresh,
) -> Result<Option<Refusal>, Failure> {
    let Some(point) = &refresh.point else {
        return Ok(None);
    };
    if let Err(refusal) = rules::moment("timestamp", point.timestamp.as_deref()) {
        return Ok(Some(refusal));
    }
    let checked = if refresh.operation == Some(Operation::Rewind) {
        source::is_own(ctx.dct.as_ref(), &vdb.id, point).await?
    } else if let Some(root) = vdb.root_parent_id.as_ref().or(vdb.parent_id.as_ref()) {
        may_have(ctx, observed, root, point).await?
    } else {
        let why = "the virtual database names no source".to_owned();
        Err((Reason::EngineRefused, why))
    };
    Ok(checked.err())
}

async fn exchange(
    ctx: &Context,
    observed: &Observed,
    state: RefreshState,
) -> Result<Seen, Failure> {
    let mut seen = read(ctx, observed).await?;
    // An order may have been sent by a process that could not write it down. On the way back what an order is about to
    // take away still looks whole.
    let unsure = observed.memory.unsure_since.is_some() || state == RefreshState::Undoing;
    if seen.vdb.is_some() && unsure {
        let job = ctx.dct.job_by_target(&vdb_name(&observed.cr)).await?;
        seen.running = job.filter(|job| !job.status.is_over());
    }
    Ok(seen)
}
