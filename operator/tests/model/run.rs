//! One pass of the real `reconcile` over worlds of the model, cut before each of its effects.
//!
//! A future cannot be copied or compared, so a pass that is under way is kept as what made it: the world at its begin and
//! at each of its effects so far. To go on, it is run again over these, and one effect further.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Waking, Poll, Waker};

use environment::spec::CollationPolicy;
use environment::status::{Intent, RefreshState, Stage};
use operator::cluster;
use operator::controller::build::Helper;
use operator::controller::built::Built;
use operator::controller::memory::{Memory, Prepared};
use operator::controller::refresh;
use operator::controller::{Context, Requeue, reconcile};
use operator::crd::Key;
use operator::metrics::Metrics;
use operator::poller::Poller;
use operator::settings::Settings;
use operator::sql::{Collations, Preparation};

use super::defect::Defect;
use super::time::{PAST_GRACES, PAST_PROBES, age, before, now};
use super::tower::{self, SimJob};
use super::world::{Broken, NAME, NAMESPACE, World};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Fine,
    /// It never arrives.
    NotSent,
    /// It has its effect, and the answer is lost.
    LostReply,
    /// The tower says no.
    Refused,
    /// The tower answers none of the reads before the first effect.
    Down,
}

/// What the process remembers of the resource, with ages for times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mind {
    /// The intent in the status is this process's own and not sent yet; the source.
    fresh: Option<String>,
    /// It has put the finalizer on the resource itself, and no intent is written yet.
    new: bool,
    unsure: Option<u8>,
    /// Run of the pod that was prepared, and the identity of its data.
    pub(crate) prepared: Option<(String, String)>,
    /// The sessions have heard that this exchange stops the server.
    told: bool,
    proof: Option<u8>,
    /// The poller has seen the end of the job that the resource names.
    pub(crate) over: Option<SimJob>,
}

impl Mind {
    pub(crate) fn pass(&mut self, by: u8) {
        let older = |age: Option<u8>, cap: u8| age.map(|age| (age + by).min(cap));
        self.unsure = older(self.unsure, PAST_GRACES);
        self.proof = older(self.proof, PAST_PROBES);
    }
}

/// A call that the pass is about to make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) what: String,
    pub(crate) tower: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Segment {
    pub(crate) world: Arc<World>,
    pub(crate) fate: Fate,
}

/// A pass that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pass {
    pub(crate) segments: Vec<Segment>,
    pub(crate) next: Call,
}

/// The ports' side of a pass.
pub(crate) struct Run {
    segments: Vec<Segment>,
    at: usize,
    pub(crate) world: World,
    next: Option<Call>,
    begun: bool,
    again: bool,
    /// The tower was asked before the first effect.
    asked: bool,
    pub(crate) spoke: bool,
    pub(crate) known: Vec<dct::types::Job>,
    pub(crate) defect: Option<Defect>,
}

#[derive(Clone)]
pub(crate) struct Ports(Arc<Mutex<Run>>);

pub(crate) trait Lost {
    fn lost() -> Self;
}

impl Ports {
    pub(crate) fn run(&self) -> MutexGuard<'_, Run> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resource was being deleted when the pass began.
    pub(crate) fn began_in_a_deletion(&self) -> bool {
        self.run().segments[0].world.is_deleting()
    }

    pub(crate) fn world<T>(&self, with: impl FnOnce(&mut World) -> T) -> T {
        with(&mut self.run().world)
    }

    /// The resource is read first in each pass: the second time, the first one is over.
    pub(crate) async fn begins(&self) {
        let again = {
            let mut run = self.run();
            run.again = run.begun;
            std::mem::replace(&mut run.begun, true)
        };
        if again {
            std::future::pending::<()>().await;
        }
    }

    /// A read of the tower.
    pub(crate) fn ask<T, E: Lost>(
        &self,
        answer: impl FnOnce(&mut World) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut run = self.run();
        if run.at == 0 {
            run.asked = true;
            if run.segments[0].fate == Fate::Down {
                return Err(E::lost());
            }
        }
        answer(&mut run.world)
    }

    /// A call with an effect. The pass is cut here, unless it is to go on over the next world.
    pub(crate) async fn effect<T, E: Lost>(
        &self,
        what: String,
        refusal: Option<E>,
        effect: impl FnOnce(&mut Run) -> Result<T, E>,
    ) -> Result<T, E> {
        let fate = {
            let mut run = self.run();
            let next = run.at + 1;
            let segment = run.segments.get(next).cloned();
            if let Some(segment) = segment {
                run.at = next;
                run.world = (*segment.world).clone();
                Some(segment.fate)
            } else {
                let tower = refusal.is_some();
                run.next = Some(Call { what, tower });
                None
            }
        };
        let Some(fate) = fate else {
            return std::future::pending().await;
        };
        match (fate, refusal) {
            (Fate::NotSent, _) => Err(E::lost()),
            (Fate::LostReply, _) => {
                let _ = effect(&mut self.run());
                Err(E::lost())
            }
            (Fate::Refused, Some(refusal)) => Err(refusal),
            _ => effect(&mut self.run()),
        }
    }
}

/// Where a pass stands after a step.
#[derive(Clone)]
pub(crate) struct Stepped {
    pub(crate) world: World,
    pub(crate) mind: Option<Mind>,
    pub(crate) pass: Option<Pass>,
    pub(crate) asked: bool,
    /// The next pass follows at once.
    pub(crate) again: bool,
}

struct Fixed {
    settings: Settings,
    helper: Helper,
    metrics: Arc<Metrics>,
}

static FIXED: LazyLock<Fixed> = LazyLock::new(|| {
    let text = "dct: { url: 'http://e', apiKeyFile: /k, group: vdbs, visibilityGrace: 5m }\n\
                export: { kind: local, prefix: /pool/vdbs, node: node1 }\n\
                deletionDeadline: 10m\nrefreshDeadline: 10m\nhookDeadline: 5m\n";
    let settings: Settings = environment::yaml::read(text).unwrap();
    Fixed {
        settings: Settings {
            scram_iterations: 1,
            ..settings
        },
        helper: Helper::new(b"helper".to_vec()),
        metrics: Arc::new(Metrics::default()),
    }
});

/// What builds one database's objects again and again in every step; each kind of situation has a memory of its own.
type Situation = (Option<u32>, Option<String>, Option<String>);

fn built(world: &World) -> Built {
    static ALL: LazyLock<Mutex<HashMap<Situation, Built>>> = LazyLock::new(Mutex::default);
    let cr = world.resource();
    let wish = cr.and_then(|cr| cr.spec.refresh.as_ref()?.token.clone());
    let situation = (world.recorded().generation, world.tower.offered(), wish);
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(situation).or_default().clone()
}

pub(crate) fn key() -> Key {
    Key {
        namespace: NAMESPACE.into(),
        name: NAME.into(),
    }
}

/// The stages are for people; they have come to their end before the model begins.
pub(crate) fn stages() -> Vec<Stage> {
    let at = operator::clock::precise(now());
    vec![Stage {
        name: "accept".into(),
        started_at: at.clone(),
        finished_at: Some(at),
    }]
}

fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Waking::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn process(ports: &Ports, mind: Option<&Mind>) -> Context {
    let (finished, _) = tokio::sync::mpsc::unbounded_channel();
    let shared = Arc::new(ports.clone());
    let context = Context {
        cluster: shared.clone(),
        dct: shared.clone(),
        sql: shared.clone(),
        clock: shared,
        poller: Arc::new(Poller::new(finished)),
        settings: FIXED.settings.clone(),
        helper: FIXED.helper.clone(),
        memory: Memory::default(),
        metrics: FIXED.metrics.clone(),
    };
    context.memory.meet(&key(), super::world::UID, now());
    let built = ports.world(|w| built(w));
    context.memory.with(&key(), |m| {
        m.built = built;
        // No read is behind here.
        m.confirm();
    });
    let Some(mind) = mind else { return context };
    let intent = ports.world(|w| w.recorded().intent);
    context.memory.with(&key(), |m| {
        m.fresh_intent = intent.zip(mind.fresh.clone());
        m.is_new = mind.new;
        m.unsure_since = mind.unsure.map(before);
        m.prepared = mind.prepared.clone().map(|(run, identity)| {
            let (database, user) = ("orders".to_owned(), "app".to_owned());
            Prepared {
                run,
                order: Preparation {
                    identity,
                    database,
                    user,
                    create_if_missing: false,
                    collations: CollationPolicy::Warn,
                    reindex_deadline: context.settings.reindex_deadline,
                },
                collations: Collations::default(),
            }
        });
        let since = |w: &mut World| {
            w.resource()?
                .status
                .as_ref()?
                .refresh
                .as_ref()?
                .since
                .clone()
        };
        m.told = ports.world(since).filter(|_| mind.told);
        m.stages = stages();
        m.last_proof = mind.proof.map(before);
    });
    if let Some(job) = &mind.over {
        context.poller.progress(&tower::job_id(job.number), &key());
        ports.run().known.push(tower::shown_job(job));
        let _ = now_or_never(context.poller.poll_once(context.dct.as_ref()));
    }
    context
}

fn remembered(context: &Context, world: &World, mind: Option<&Mind>) -> Option<Mind> {
    world.cr?;
    let m = context.memory.with(&key(), |m| m.clone());
    let recorded = world.recorded();
    let job = recorded.job.map(|job| job.id);
    let over = mind.and_then(|m| m.over.clone());
    let cr = world.resource().filter(|cr| !cr.is_deleting());
    let status = cr.as_ref().and_then(|cr| cr.status.as_ref());
    let exchange = cr
        .as_ref()
        .and_then(|cr| refresh::under_way(cr))
        .map(|(_, state)| state);
    // What decides nothing is not kept: when the process met the resource, outside an exchange; when it proved the server, in
    // one; neither in a deletion.
    let unsure = if exchange.is_some() {
        m.unsure_since.map(age)
    } else {
        Some(PAST_GRACES)
    };
    let proves = matches!(exchange, None | Some(RefreshState::Restoring));
    let stands = proves && status.is_some_and(|s| s.is_ready(0));
    let own =
        |(intent, source): (Intent, String)| (Some(intent) == recorded.intent).then_some(source);
    let run = |done: Prepared| (done.run, done.order.identity);
    Some(Mind {
        fresh: m.fresh_intent.and_then(own),
        new: m.is_new && recorded.intent.is_none(),
        unsure: unsure.map(|age| age.min(PAST_GRACES)),
        told: m.told.is_some() && exchange == Some(RefreshState::Replacing),
        prepared: m.prepared.map(run).filter(|_| cr.is_some()),
        proof: m
            .last_proof
            .map(|at| age(at).min(PAST_PROBES))
            .filter(|_| stands),
        over: over.filter(|over| job == Some(tower::job_id(over.number))),
    })
}

/// Runs a pass over its segments, the last one of which is new.
pub(crate) fn step(segments: Vec<Segment>, mind: Option<&Mind>, defect: Option<Defect>) -> Stepped {
    let ports = Ports(Arc::new(Mutex::new(Run {
        world: (*segments[0].world).clone(),
        segments,
        at: 0,
        next: None,
        begun: false,
        again: false,
        asked: false,
        spoke: false,
        known: Vec::new(),
        defect,
    })));
    let context = process(&ports, mind);
    let answer = now_or_never(reconcile(&context, &key()));
    let mut run = ports.run();
    let mut world = run.world.clone();
    if let Some(next) = run.next.take() {
        let pass = Some(Pass {
            segments: std::mem::take(&mut run.segments),
            next,
        });
        return Stepped {
            world,
            mind: mind.cloned(),
            pass,
            asked: run.asked,
            again: false,
        };
    }
    if let Some(answer) = answer {
        sleeps(&mut world, &answer);
    } else {
        assert!(run.again, "the pass stands still");
    }
    let (asked, again) = (run.asked, run.again);
    drop(run);
    world.settle();
    let mind = remembered(&context, &world, mind);
    Stepped {
        world,
        mind,
        pass: None,
        asked,
        again,
    }
}

/// Who waits for a change has nothing left to do.
fn sleeps(world: &mut World, answer: &Result<Requeue, cluster::Error>) {
    if matches!(answer, Ok(Requeue::OnChange)) && world.cr.is_some() && world.revision == 0 {
        world.breaks(Broken::SleepsForEver);
    }
}
