//! Where a database stands by its own account, and with it what the links behind it may be expected to show. Pure.

use environment::reason::{Kind, Reason};
use environment::status::Delivery;

use super::observed::Database;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was proved: whatever is missing behind it is news.
    Serves,
    /// Work goes on by itself: what is missing comes.
    Coming,
    /// Stopped as ordered: it starts by another order alone.
    Rests,
    /// Something is wrong, and the links say what.
    Broken,
}

impl Standing {
    pub(super) fn of(database: &Database) -> Self {
        let Some(ready) = database.status.condition("Ready") else {
            return Self::Broken;
        };
        if ready.status == "True" {
            return Self::Serves;
        }
        match Reason::named(&ready.reason) {
            Some(Reason::Suspended | Reason::Expired) => Self::Rests,
            Some(reason) if reason.kind() == Kind::Progress => Self::Coming,
            _ => Self::Broken,
        }
    }
}

/// Data and server are on a host of Data Control Tower, not in the cluster.
pub(super) fn is_remote(database: &Database) -> bool {
    let vdb = database.status.vdb.as_ref();
    vdb.and_then(|vdb| vdb.delivery) == Some(Delivery::TargetHost)
}
