//! How long a batch takes here and now, so that what goes wrong during one does not come when all is over.

use std::time::Duration;

use crate::model::{Model, Order};

/// What takes the most time in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Quick,
    /// A server starts.
    Start,
    /// A server recovers with the log.
    Replay,
    Backup,
}

impl Kind {
    pub(crate) fn of(model: &Model, orders: &[Order]) -> Self {
        let running = |name: &String| model.copies[name].running;
        let kinds = orders.iter().map(|order| match order {
            Order::SourceSnapshot => Self::Backup,
            Order::ProvisionAt { .. } | Order::RefreshAt { .. } => Self::Replay,
            Order::Start { .. } | Order::Provision { served: true, .. } => Self::Start,
            Order::Refresh { name, .. } | Order::Undo { name } if running(name) => Self::Start,
            _ => Self::Quick,
        });
        kinds.max_by_key(|kind| *kind as u8).unwrap_or(Self::Quick)
    }
}

/// What batches of each kind took lately.
pub(crate) struct Pace([Duration; 4]);

impl Default for Pace {
    fn default() -> Self {
        Self([60, 250, 600, 1000].map(Duration::from_millis))
    }
}

impl Pace {
    /// The time in which what goes wrong begins: most of it while there is work.
    pub(crate) fn within(&self, kind: Kind) -> Duration {
        self.0[kind as usize].mul_f64(0.8)
    }

    /// A batch that nothing disturbed has taken so long.
    pub(crate) fn took(&mut self, kind: Kind, time: Duration) {
        let usual = &mut self.0[kind as usize];
        *usual = (*usual * 3 + time.clamp(*usual / 4, *usual * 4)) / 4;
    }
}
