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

use super::super::world::{Known, Lost, World};
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
    /// What it sent is still on its way.
    pub(crate) flying: bool,
    /// What it has read.
    pub(crate) known: Known,
    /// Who has the lease; `None`: there is none, and everybody acts.
    pub(crate) leader: Option<usize>,
    /// A process that stands still after so many of its calls, as one does whose machine is held up.
    pub(crate) holds: Option<(usize, usize)>,
    /// Calls of each process, those apart that only repeat a read.
    pub(crate) calls: [usize; 2],
    /// Turns of any process, and moves of the clock.
    pub(crate) steps: usize,
    /// A story is only written for a schedule that is to be told.
    pub(crate) traces: bool,
    pub(crate) log: Vec<String>,
}

impl Chance {
    pub(crate) fn new(random: Random, rates: Rates) -> Self {
        Self {
            random,
            rates,
            asleep: None,
            flying: false,
            known: Known::default(),
            leader: Some(0),
            holds: None,
            calls: [0, 0],
            steps: 0,
            traces: false,
            log: Vec::new(),
        }
    }

    pub(crate) fn leads(&self, number: usize) -> bool {
        self.leader.is_none_or(|leader| leader == number)
    }

    /// The process stands still.
    pub(crate) fn is_held(&self, number: usize) -> bool {
        self.holds
            .is_some_and(|(held, after)| held == number && self.calls[number] >= after)
    }
}

impl Hub {
    pub(crate) fn chance(&self) -> MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.worlds[0].state().now
    }

    /// One line of what happened, with its time.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if !self.chance().traces {
            return;
        }
        let (now, line) = (self.now(), line());
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Look,
    Write,
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

    /// The same for what was sent: nobody can hold it up any more.
    async fn fly(&self, duration: Duration) {
        let until = self.hub.now() + SignedDuration::try_from(duration).unwrap();
        while self.hub.now() < until {
            {
                let mut chance = self.hub.chance();
                (chance.asleep, chance.flying) = (Some(until), true);
            }
            Turn(false).await;
        }
    }

    pub(crate) async fn read<T, E: Refuse>(
        &self,
        what: impl FnOnce() -> String,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.through(what, Call::Read, effect).await
    }

    /// A read like many others beside it.
    pub(crate) async fn look<T, E: Refuse>(
        &self,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.through(|| "read".to_owned(), Call::Look, effect).await
    }

    pub(crate) async fn write<T, E: Refuse>(
        &self,
        what: impl FnOnce() -> String,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.through(what, Call::Write, effect).await
    }

    async fn through<T, E: Refuse>(
        &self,
        what: impl FnOnce() -> String,
        call: Call,
        effect: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let reads = call != Call::Write;
        let (fate, turn) = {
            let mut chance = self.hub.chance();
            let Chance { random, rates, .. } = &mut *chance;
            (rates.fate(random, reads), !reads || random.per_mille(200))
        };
        if !reads || fate != Fate::Fine {
            self.hub
                .note(|| format!("{} {} {fate:?}", self.number, what()));
        }
        if turn {
            Turn(false).await;
        }
        match fate {
            Fate::NotSent => return Err(E::lost()),
            Fate::Refused => return Err(E::refused(&mut self.hub.chance().random)),
            Fate::LateArrival(by) => self.fly(by).await,
            _ => {}
        }
        if !reads {
            let known = self.hub.chance().known;
            for world in &self.hub.worlds {
                world.state().known = Some(known);
            }
        }
        let answer = effect.await;
        let held = {
            let mut chance = self.hub.chance();
            chance.calls[self.number] += usize::from(call != Call::Look);
            chance.is_held(self.number)
        };
        if held {
            Turn(false).await;
        }
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
