//! What goes wrong, drawn from a seed.

use std::time::Duration;

pub(crate) use super::super::random::Random;

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// It never arrives.
    NotSent,
    /// It has its effect, and the answer is lost.
    LostReply,
    /// It has its effect, and the answer takes so long.
    LateReply(Duration),
    /// It arrives so late that much has changed meanwhile.
    LateArrival(Duration),
    /// It is refused without effect.
    Refused,
    /// It has its effect, and the process is gone.
    Crash,
}

/// How often calls end badly, in a thousand.
#[derive(Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    /// Reads of the resource that show how it was a moment ago.
    pub(crate) stale: usize,
}

impl Rates {
    pub(crate) fn fate(self, random: &mut Random, reads: bool) -> Fate {
        let rate = if reads { self.reads } else { self.writes };
        if rate == 0 || !random.per_mille(rate) {
            return Fate::Fine;
        }
        let late = random.seconds(3);
        if reads {
            return random.of(&[Fate::NotSent, Fate::Crash, Fate::LateReply(late)]);
        }
        random.of(&[
            Fate::NotSent,
            Fate::LostReply,
            Fate::LateReply(late * 20),
            Fate::LateArrival(late),
            Fate::Refused,
            Fate::Crash,
        ])
    }
}
