//! Several worlds behind one process's ports. Between any two calls of a process others have their turn, and any call
//! may meet its fate.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Waking, Poll};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use operator::cluster::{self, ErrorKind};
use operator::{sql, tower};

use super::super::world::{Lost, World};
use super::chaos::{Fate, Random, Rates};

/// What all processes share.
pub(crate) struct Hub {
    pub(crate) worlds: Vec<World>,
    pub(crate) chance: Mutex<Chance>,
}

pub(crate) struct Chance {
    pub(crate) random: Random,
    pub(crate) rates: Rates,
    /// Until when the future that was just polled sleeps.
    pub(crate) asleep: Option<Timestamp>,
    pub(crate) log: Vec<String>,
}

impl Hub {
    pub(crate) fn chance(&self) -> MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.worlds[0].state().now
    }

    /// One line of what happened, with its time.
    pub(crate) fn note(&self, line: &str) {
        let now = self.now();
        self.chance().log.push(format!("{now:.1} {line}"));
    }

    pub(crate) fn advance(&self, by: Duration) {
        for world in &self.worlds {
            world.state().advance(by);
        }
    }

    /// Names, hosts and ids say whose they are: `ns1` stands somewhere in them.
    pub(crate) fn of(&self, text: &str) -> &World {
        let at = text.find("ns").and_then(|at| text[at + 2..].chars().next());
        let index = at.and_then(|c| c.to_digit(10)).unwrap_or(0);
        let index = usize::try_from(index).unwrap();
        self.worlds.get(index).unwrap_or(&self.worlds[0])
    }
}

/// The ports of one process.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) hub: Arc<Hub>,
    pub(crate) number: usize,
    pub(crate) dead: Arc<AtomicBool>,
}

/// Not ready once: the executor decides who goes on.
struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, waking: &mut Waking<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        waking.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(crate) trait Refuse: Lost {
    fn refused(random: &mut Random) -> Self;
}

impl Refuse for cluster::Error {
    fn refused(random: &mut Random) -> Self {
        let kind = random.of(&[
            ErrorKind::Conflict,
            ErrorKind::Forbidden,
            ErrorKind::Rejected,
        ]);
        Self {
            kind,
            ..Self::lost()
        }
    }
}

impl Refuse for tower::Error {
    fn refused(random: &mut Random) -> Self {
        use dct::Class;
        let (class, conflict) = random.of(&[
            (Class::Unavailable, false),
            (Class::Rejected, true),
            (Class::Rejected, false),
            (Class::Unauthorized, false),
            (Class::Malformed, false),
        ]);
        Self {
            class,
            conflict,
            message: "not now".into(),
        }
    }
}

impl Refuse for sql::Error {
    fn refused(_: &mut Random) -> Self {
        Self::Failed("too many connections".into())
    }
}

impl Port {
    /// Sleeps until the world's clock says so.
    pub(crate) async fn rest(&self, duration: Duration) {
        let until = self.hub.now() + SignedDuration::try_from(duration).unwrap();
        while self.hub.now() < until {
            self.hub.chance().asleep = Some(until);
            Turn(false).await;
        }
    }

    pub(crate) async fn read<T, E: Refuse>(
        &self,
        what: &str,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.through(what, true, effect).await
    }

    pub(crate) async fn write<T, E: Refuse>(
        &self,
        what: &str,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.through(what, false, effect).await
    }

    async fn through<T, E: Refuse>(
        &self,
        what: &str,
        reads: bool,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let (fate, turn) = {
            let mut chance = self.hub.chance();
            let Chance { random, rates, .. } = &mut *chance;
            (rates.fate(random, reads), !reads || random.per_mille(200))
        };
        if !reads || fate != Fate::Fine {
            self.hub.note(&format!("{} {what} {fate:?}", self.number));
        }
        if turn {
            Turn(false).await;
        }
        match fate {
            Fate::NotSent => return Err(E::lost()),
            Fate::Refused => return Err(E::refused(&mut self.hub.chance().random)),
            Fate::LateArrival(by) => self.rest(by).await,
            _ => {}
        }
        let answer = effect.await;
        match fate {
            Fate::Crash => {
                self.dead.store(true, Ordering::Relaxed);
                std::future::pending().await
            }
            Fate::LostReply | Fate::LateArrival(_) => Err(E::lost()),
            Fate::LateReply(by) => {
                self.rest(by).await;
                answer
            }
            _ => answer,
        }
    }
}
