//! Runs processes step by step: which future goes on is drawn, and time moves when none can.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Waking, Poll, Wake, Waker};
use std::time::Duration;

use environment::actions::Kind;
use jiff::{SignedDuration, Timestamp};
use operator::controller::build::Helper;
use operator::controller::memory::Memory;
use operator::controller::{Context, Requeue, reconcile};
use operator::crd::Key;
use operator::metrics::Metrics;
use operator::poller::Poller;
use tokio::sync::mpsc;

use super::super::world::{Known, settings};
use super::hub::{Hub, Port};

/// What the watches and messages of the real controller make shorter.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const AFTER_ERROR: Duration = Duration::from_millis(500);
const LONGEST_JITTER: Duration = Duration::from_secs(100);
const POLL: Duration = Duration::from_secs(1);

thread_local! {
    /// Made once: a registry takes longer than many a schedule, each of which has its thread for itself.
    static METRICS: Arc<Metrics> = Arc::default();
}

/// Visits of this thread that were broken off.
pub(super) fn endless_visits() -> u64 {
    METRICS.with(|metrics| metrics.endless_visits())
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Poll,
    Resource(usize),
    Action(Kind, usize, String),
}

type Running = Pin<Box<dyn Future<Output = Option<Duration>> + Send>>;

/// Whether what a future waits for has come.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Task {
    running: Option<Running>,
    woken: Arc<Woken>,
    /// Not before.
    next: Option<Timestamp>,
    /// The world's version that was seen when it was started last.
    seen: u64,
    /// What it has read.
    known: Known,
    /// What it sent is still on its way.
    flying: bool,
}

/// One operator.
pub(crate) struct Process {
    port: Port,
    context: Arc<Context>,
    tasks: BTreeMap<Work, Task>,
    finished: mpsc::UnboundedReceiver<Key>,
    /// How far its watches are behind.
    pub(crate) lag: Duration,
    /// It stands still until then.
    pub(crate) still: Option<Timestamp>,
}

impl Process {
    pub(crate) fn new(hub: &Arc<Hub>, number: usize) -> Self {
        let port = Port {
            hub: hub.clone(),
            number,
            dead: Arc::new(AtomicBool::new(false)),
        };
        let ports = Arc::new(port.clone());
        let (sender, finished) = mpsc::unbounded_channel();
        let context = Arc::new(Context {
            cluster: ports.clone(),
            dct: ports.clone(),
            sql: ports.clone(),
            clock: ports,
            poller: Arc::new(Poller::new(sender)),
            settings: settings(),
            helper: Helper::new(b"helper".to_vec()),
            memory: Memory::default(),
            metrics: METRICS.with(Arc::clone),
        });
        let resources = (0..hub.worlds.len()).map(Work::Resource);
        let tasks = resources
            .chain([Work::Poll])
            .map(|work| (work, Task::default()))
            .collect();
        Self {
            port,
            context,
            tasks,
            finished,
            lag: Duration::ZERO,
            still: None,
        }
    }

    /// The next process of this number: it remembers nothing.
    pub(crate) fn restart(&mut self) {
        let next = Self {
            lag: self.lag,
            ..Self::new(&self.port.hub, self.port.number)
        };
        *self = next;
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.values().all(|task| task.running.is_none())
    }

    /// Who stands still does nothing but what is on its way already; who does not lead begins nothing.
    fn may_go_on(&self, work: &Work, task: &Task) -> bool {
        let chance = self.port.hub.chance();
        let still = self.still.is_some() || chance.is_held(self.port.number);
        if still {
            return task.flying;
        }
        // Nothing to poll: time goes on to what comes next in one leap.
        if *work == Work::Poll && task.running.is_none() && self.context.poller.is_idle() {
            return false;
        }
        task.running.is_some() || chance.leads(self.port.number)
    }

    /// What watches and messages tell it.
    fn wake(&mut self) {
        let now = self.port.hub.now();
        self.still = self.still.filter(|until| *until > now);
        let seen = now + SignedDuration::try_from(self.lag).unwrap();
        while let Ok(key) = self.finished.try_recv() {
            let index = key.namespace[2..].parse().unwrap();
            if let Some(task) = self.tasks.get_mut(&Work::Resource(index)) {
                task.next = Some(now);
            }
        }
        for (index, world) in self.port.hub.worlds.iter().enumerate() {
            let state = world.state();
            let version = state.version();
            let task = self.tasks.get_mut(&Work::Resource(index)).unwrap();
            if task.running.is_none() && task.seen != version {
                task.next = task.next.map(|at| at.min(seen));
            }
            for action in state.actions.values() {
                if !action.status.phase.is_over() {
                    let name = action.key().name;
                    self.tasks
                        .entry(Work::Action(action.kind, index, name))
                        .or_default();
                }
            }
        }
    }

    fn begin(&self, work: &Work) -> Running {
        let context = self.context.clone();
        let key = |index: usize, name: &str| Key {
            namespace: format!("ns{index}"),
            name: name.to_owned(),
        };
        match work.clone() {
            Work::Poll => Box::pin(async move {
                let _ = context.poller.poll_once(context.dct.as_ref()).await;
                Some(POLL)
            }),
            Work::Resource(index) => {
                let key = key(index, "dev-vdb");
                Box::pin(async move { after(&reconcile(&context, &key).await) })
            }
            Work::Action(kind, index, name) => {
                let key = key(index, &name);
                let work =
                    async move { after(&operator::actions::reconcile(&context, kind, &key).await) };
                Box::pin(work)
            }
        }
    }
}

/// A short wait is rounded to a power of two: it may have jitter, and a seed is to find the same way again.
fn after<E>(requeue: &Result<Requeue, E>) -> Option<Duration> {
    match requeue {
        Ok(Requeue::OnChange) => None,
        Ok(Requeue::After(wait)) if *wait > LONGEST_JITTER => Some(*wait),
        Ok(Requeue::After(wait)) => {
            let power = wait.as_secs_f64().max(0.05).log2().round();
            Some(Duration::from_secs_f64(power.exp2()))
        }
        Err(_) => Some(AFTER_ERROR),
    }
}

/// Lets one drawn future go on, or time pass; never further than `until`.
pub(crate) fn step(processes: &mut [Process], hub: &Arc<Hub>, until: Timestamp) {
    hub.chance().steps += 1;
    let now = hub.now();
    let mut ready = Vec::new();
    let mut soonest = until;
    for (place, process) in processes.iter_mut().enumerate() {
        process.wake();
        soonest = process.still.map_or(soonest, |until| soonest.min(until));
        for (work, task) in &process.tasks {
            let waits = task.running.is_some() && !task.woken.0.load(Ordering::Relaxed);
            if waits || !process.may_go_on(work, task) {
                continue;
            }
            let at = task.next.unwrap_or(now);
            if at <= now {
                ready.push((place, work.clone()));
            } else {
                soonest = soonest.min(at);
            }
        }
    }
    if ready.is_empty() {
        let wait = Duration::try_from(soonest.duration_since(now)).unwrap_or_default();
        hub.advance(wait.clamp(Duration::from_millis(50), Duration::from_secs(600)));
        return;
    }
    let (place, work) = ready.swap_remove(hub.chance().random.below(ready.len()));
    let process = &mut processes[place];
    let task = process.tasks.get_mut(&work).unwrap();
    let (running, known) = (task.running.take(), task.known);
    task.woken.0.store(false, Ordering::Relaxed);
    let waker = Waker::from(task.woken.clone());
    let known = running.as_ref().map_or_else(Known::default, |_| known);
    let mut running = running.unwrap_or_else(|| process.begin(&work));
    if let (Work::Resource(index), Some(task)) = (&work, process.tasks.get_mut(&work)) {
        task.seen = hub.worlds[*index].state().version();
    }
    {
        let mut chance = hub.chance();
        (chance.asleep, chance.flying) = (None, false);
        chance.known = Known {
            shares: chance.leader.is_none(),
            ..known
        };
    }
    let polled = running.as_mut().poll(&mut Waking::from_waker(&waker));
    if process.port.dead.load(Ordering::Relaxed) {
        process.restart();
        return;
    }
    let now = hub.now();
    let task = process.tasks.get_mut(&work).unwrap();
    let asleep = {
        let chance = hub.chance();
        (task.known, task.flying) = (chance.known, chance.flying);
        chance.asleep
    };
    match polled {
        Poll::Pending => {
            task.running = Some(running);
            task.next = asleep;
        }
        Poll::Ready(wait) => {
            let rest = |wait: Duration| now + SignedDuration::try_from(wait).unwrap();
            task.next = Some(match (&work, wait) {
                (Work::Action(..), None) => {
                    process.tasks.remove(&work);
                    return;
                }
                (_, Some(wait)) => rest(wait),
                (_, None) => rest(LONGEST_WAIT * 150),
            });
        }
    }
}
