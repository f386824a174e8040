//! The orders of an exchange, through the ports.

use std::time::Duration;

use environment::spec::Point;
use environment::status::{Exchange as Operation, Job, Refresh};

use super::{Exchange, finish, recorded, written};
use crate::clock::{between, parse};
use crate::controller::Context;
use crate::controller::act::failed;
use crate::controller::observe::{self, Observed};
use crate::controller::plan::{Outcome, Record, Stop, Waiting};
use crate::reason::Reason;
use crate::tower::{Error, NewBookmark};

/// The bookmark of a transaction that nobody ended goes by itself after so many days.
const DAYS: i64 = 30;
/// So long another job may be in the way; after that the answer is a refusal.
const PATIENCE: Duration = Duration::from_mins(2);
const CONFLICT_PAUSE: Duration = Duration::from_secs(1);

pub async fn keep(ctx: &Context, observed: &Observed, vdb: &str, name: &str) -> Outcome {
    sending(ctx, observed);
    let wanted = NewBookmark {
        vdb,
        name,
        days: DAYS,
        owner: observed.cr.uid(),
    };
    match ctx.dct.keep(&wanted).await {
        Ok(Some(job)) => Outcome::Recorded(Record::Job(Job {
            id: job.id,
            operation: "bookmark".to_owned(),
        })),
        Ok(None) => Outcome::Again,
        Err(error) => refused(observed, &error),
    }
}

pub async fn exchange(ctx: &Context, observed: &Observed, exchange: &Exchange) -> Outcome {
    let refresh = recorded(&observed.cr).cloned().unwrap_or_default();
    let id = observe::recorded(&observed.cr).id.unwrap_or_default();
    sending(ctx, observed);
    let point = refresh.point.clone().unwrap_or_default();
    let answer = match exchange {
        Exchange::Forward if refresh.operation == Some(Operation::Rewind) => {
            ctx.dct.rewind(&id, &point).await
        }
        Exchange::Forward => ctx.dct.refresh(&id, &point).await,
        Exchange::Undo => ctx.dct.undo_refresh(&id).await,
        Exchange::Rollback => ctx.dct.rewind(&id, &before(&refresh)).await,
    };
    match answer {
        Ok(job) => Outcome::Recorded(Record::Job(Job {
            id: job.id,
            operation: exchange.operation(&refresh).to_owned(),
        })),
        Err(error) => refused(observed, &error),
    }
}

fn before(refresh: &Refresh) -> Point {
    Point {
        bookmark: refresh.bookmark.clone(),
        ..Point::default()
    }
}

/// Whatever the answer is: from here on the order may have been taken.
fn sending(ctx: &Context, observed: &Observed) {
    let now = ctx.clock.now();
    ctx.memory
        .with(&observed.cr.key(), |m| m.unsure_since = Some(now));
}

fn refused(observed: &Observed, error: &Error) -> Outcome {
    let since = recorded(&observed.cr).and_then(|r| r.since.as_deref().and_then(parse));
    let waited = since.map_or(PATIENCE, |at| between(at, observed.now));
    if error.conflict && waited < PATIENCE {
        return Outcome::Waiting(Waiting {
            reason: Reason::Refreshing,
            message: format!("waiting for another operation to end: {}", error.message),
            after: CONFLICT_PAUSE,
        });
    }
    if error.conflict {
        return Outcome::Stopped(Stop {
            reason: Reason::EngineRefused,
            message: error.message.clone(),
        });
    }
    failed(error)
}

/// The last step: the bookmark goes, and the transaction is over.
pub async fn forget(ctx: &Context, observed: &Observed, bookmark: &str) -> Outcome {
    let found = match ctx.dct.bookmark(bookmark).await {
        Ok(Some(found)) => ctx.dct.forget(&found.id).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match found {
        Err(error)
            if matches!(
                error.class,
                dct::Class::Unreachable | dct::Class::Unavailable
            ) =>
        {
            Outcome::Waiting(Waiting {
                reason: Reason::Refreshing,
                message: format!(
                    "the bookmark of the data before is to go: {}",
                    error.message
                ),
                after: CONFLICT_PAUSE * 5,
            })
        }
        answer => {
            if let Err(error) = answer {
                tracing::warn!(key = %observed.cr.key(), %error, "a bookmark stays until it expires");
            }
            let refresh = recorded(&observed.cr).cloned().unwrap_or_default();
            written(finish::ended(observed, &refresh), None)
        }
    }
}
