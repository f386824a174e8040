//! `PostgresSnapshot`: a bookmark of the database as it is.

use std::time::Duration;

use environment::actions::{ActionStatus, SnapshotSpec};

use super::reason::Reason;
use super::{Action, Step};
use crate::clock::{between, parse};
use crate::cluster;
use crate::controller::Context;
use crate::controller::build::vdb_name;
use crate::controller::observe::recorded;
use crate::crd::PostgresVdb;
use crate::poller::Progress;
use crate::tower::NewBookmark;

const DAYS: u16 = 30;
/// A bookmark takes seconds; one that another job keeps out this long is not worth waiting for.
const DEADLINE: Duration = Duration::from_mins(10);

pub(super) async fn step(
    ctx: &Context,
    action: &Action,
    spec: &SnapshotSpec,
    vdb: &PostgresVdb,
) -> Result<Step, cluster::Error> {
    let own = format!("{}-{}", vdb_name(vdb), action.short_uid());
    let name = spec.name.clone().unwrap_or(own);
    let id = recorded(vdb).id.unwrap_or_default();
    let since = action.status.started_at.as_deref().and_then(parse);
    let waited = since.map_or(Duration::ZERO, |at| between(at, ctx.clock.now()));
    let wait = |message: String| {
        if waited >= DEADLINE {
            return Step::Failed(Reason::Overdue, message);
        }
        Step::Runs(Box::new(ActionStatus {
            message,
            ..action.status.clone()
        }))
    };
    let found = match ctx.dct.bookmark(&name).await {
        Ok(found) => found,
        Err(error) => return Ok(wait(error.message)),
    };
    if let Some(found) = found {
        let mut entries = found.vdbs.iter().flatten();
        if !entries.any(|e| e.vdb_id.as_deref() == Some(&id)) {
            let why = format!("a bookmark named {name:?} exists and is of another database");
            return Ok(Step::Failed(Reason::NameTaken, why));
        }
        // The data of another moment: whoever goes back to this name would get it without knowing.
        if !NewBookmark::is_of(&found, action.uid()) {
            let why = format!("a bookmark named {name:?} exists already and another made it");
            return Ok(Step::Failed(Reason::NameTaken, why));
        }
        if matches!(found.bookmark_status.as_deref(), None | Some("ACTIVE")) {
            return Ok(Step::Succeeded(Box::new(ActionStatus {
                bookmark: Some(name.clone()),
                data_as_of: found.data_timestamp,
                message: format!("bookmark {name}"),
                ..action.status.clone()
            })));
        }
        return Ok(wait("the bookmark is being made".to_owned()));
    }
    if let Some(job) = &action.status.job {
        return Ok(match ctx.poller.progress(job, &vdb.key()) {
            Progress::Over(over) if !over.status.is_inconclusive() => {
                let said = over.error_details.unwrap_or_default();
                if over.status == dct::types::JobStatus::Completed {
                    wait("the bookmark is not visible yet".to_owned())
                } else {
                    Step::Failed(Reason::JobFailed, crate::one_line(&said))
                }
            }
            _ => wait("the bookmark is being made".to_owned()),
        });
    }
    let days = i64::from(spec.retention_days.unwrap_or(DAYS));
    let bookmark = NewBookmark {
        vdb: &id,
        name: &name,
        days,
        owner: action.uid(),
    };
    ctx.may_act()?;
    Ok(match ctx.dct.keep(&bookmark).await {
        Ok(job) => Step::Runs(Box::new(ActionStatus {
            job: job.map(|job| job.id),
            message: "the bookmark is being made".to_owned(),
            ..action.status.clone()
        })),
        // Refused for what it is: it will be refused again.
        Err(error) if error.class == dct::Class::Rejected && !error.conflict => {
            Step::Failed(Reason::EngineRefused, error.message)
        }
        Err(error) => wait(error.message),
    })
}
