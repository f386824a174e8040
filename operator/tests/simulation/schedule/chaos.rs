//! What goes wrong, drawn from a seed.

use std::time::Duration;

/// Splitmix: the same numbers from the same seed, with any version of any library.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    /// True so many times in a thousand.
    pub(crate) fn per_mille(&mut self, share: usize) -> bool {
        self.below(1000) < share
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(crate) fn seconds(&mut self, at_most: usize) -> Duration {
        Duration::from_millis(u64::try_from(self.below(at_most * 1000)).unwrap())
    }
}

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
