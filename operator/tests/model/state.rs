//! A state of the model, and everything that can happen in it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use environment::spec::Refresh;
use environment::status::RefreshState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator::cluster::{Kind, Object};
use operator::crd::PostgresVdb;
use serde_json::{Value, json};

use super::defect::Defect;
use super::print::Print;
use super::run::{Fate, Mind, Pass, Segment, Stepped, stages, step};
use super::table::{self, NAMES, OBJECTS};
use super::time;
use super::tower::job_id;
use super::world::{End, NAME, NAMESPACE, PodPhase, UID, World};

/// Steps that are remembered: those of states that are near each other are the same, and memory has an end.
const STEPS: usize = 200_000;

/// What is checked.
pub(crate) struct Model {
    pub(crate) spec: Value,
    pub(crate) faults: u8,
    pub(crate) refreshes: u8,
    /// Somebody may delete the resource, at any time.
    pub(crate) deletions: bool,
    /// The database is Ready when it begins.
    pub(crate) ready: bool,
    pub(crate) defect: Option<Defect>,
    pub(crate) steps: Mutex<HashMap<u128, Arc<Stepped>>>,
}

/// Two numbers of 64 bits: the chance that two of ten million values share both is below one in 10^24.
pub(crate) fn fingerprint(value: &impl Hash) -> u128 {
    let mut hasher = Print::default();
    value.hash(&mut hasher);
    hasher.end()
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) world: World,
    mind: Option<Mind>,
    pass: Option<Pass>,
    /// One pass is over and the next one follows at once.
    again: bool,
    /// Faults and refreshes that are still to come.
    faults: u8,
    refreshes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A pass begins and reads, up to its first effect.
    Begin(Fate),
    /// The next effect of the pass.
    Go(Fate),
    Crash,
    JobEnds(usize, End),
    PodMade,
    PodStarts,
    /// The data turns out to be of no use to a server, now and later.
    PodBreaks,
    /// The same again.
    PodFails,
    PodDies,
    PodGone,
    HookEnds(u32, bool),
    /// Five minutes pass.
    Tick,
    Order,
    Delete,
}

/// What goes on by itself: each of these happens in the end if it can happen all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    Operator,
    Tower,
    Cluster,
    Time,
}

impl Force {
    pub(crate) const ALL: [Self; 4] = [Self::Operator, Self::Tower, Self::Cluster, Self::Time];

    pub(crate) fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

impl Action {
    /// `None`: it is a fault, or somebody's wish.
    pub(crate) fn force(self) -> Option<Force> {
        Some(match self {
            Self::Begin(Fate::Fine) | Self::Go(Fate::Fine) => Force::Operator,
            Self::JobEnds(_, End::Completed) => Force::Tower,
            Self::PodMade
            | Self::PodStarts
            | Self::PodFails
            | Self::PodGone
            | Self::HookEnds(_, true) => Force::Cluster,
            Self::Tick => Force::Time,
            _ => return None,
        })
    }
}

/// What is wrong with a state in which everything could stay for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Unrest {
    /// Neither Ready, nor failed with a reason, nor gone.
    NoEnd,
    /// The resource is gone, and something of it is left.
    Leak,
    /// Ready, but the server of the named generation does not serve, or an old one is kept.
    NotWhole,
}

fn resource(spec: Value) -> PostgresVdb {
    let mut whole = json!({
        "source": { "type": "dct-source", "reference": "10.0.1.54:largedb" },
        "database": { "name": "orders", "user": "app", "password": "correct-horse" },
        "errorBackoffPeriod": "5m",
    });
    if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), spec) {
        whole.extend(more);
    }
    let metadata = json!({ "name": NAME, "namespace": NAMESPACE, "uid": UID, "generation": 1 });
    let mut cr: PostgresVdb =
        serde_json::from_value(json!({ "metadata": metadata, "spec": whole })).unwrap();
    cr.metadata.creation_timestamp = Some(Time(time::now()));
    cr.status = Some(environment::PostgresVdbStatus {
        stages: stages(),
        ..Default::default()
    });
    cr
}

impl Model {
    pub(crate) fn start(&self) -> State {
        let world = World::new(resource(self.spec.clone()));
        let mut state = State {
            world,
            mind: None,
            pass: None,
            again: false,
            faults: 0,
            refreshes: 0,
        };
        while self.ready && state.unrest().is_some() {
            let next = self.next(&state).into_iter();
            let mut forward =
                next.filter(|(a, s)| a.force().is_some() && *a != Action::Tick && *s != state);
            state = forward.next().unwrap().1;
        }
        State {
            faults: self.faults,
            refreshes: self.refreshes,
            ..state
        }
    }

    /// Everything that can happen, and what it leads to.
    pub(crate) fn next(&self, state: &State) -> Vec<(Action, State)> {
        let mut next: Vec<_> = state
            .actions(self)
            .into_iter()
            .map(|a| (a, self.apply(state, a).0))
            .collect();
        // The operator works within seconds: five minutes pass where it has nothing to do, or is not there.
        let idle = |(action, next): &(Action, State)| {
            *action == Action::Begin(Fate::Fine) && next == state
        };
        let waits = state.pass.is_none() && (state.mind.is_none() || next.iter().any(idle));
        if waits {
            let older = self.apply(state, Action::Tick).0;
            next.extend((older != *state).then_some((Action::Tick, older)));
        }
        // A tower that is down makes a difference where it is asked.
        if state.pass.is_none() && state.faults > 0 && state.world.cr.is_some() {
            let (down, asked) = self.apply(state, Action::Begin(Fate::Down));
            if asked {
                next.push((Action::Begin(Fate::Down), down));
            }
        }
        next
    }

    /// Also whether a pass asked the tower.
    pub(crate) fn apply(&self, state: &State, action: Action) -> (State, bool) {
        let mut next = state.clone();
        let world = &mut next.world;
        match action {
            Action::Begin(fate) => {
                next.faults -= u8::from(fate != Fate::Fine);
                let segment = Segment {
                    world: Arc::new(world.clone()),
                    fate,
                };
                return self.step(next, vec![segment]);
            }
            Action::Go(fate) => {
                next.faults -= u8::from(fate != Fate::Fine);
                let segment = Segment {
                    world: Arc::new(world.clone()),
                    fate,
                };
                let mut segments = next.pass.take().map(|p| p.segments).unwrap_or_default();
                segments.push(segment);
                return self.step(next, segments);
            }
            Action::Crash => {
                next.faults -= 1;
                world.settle();
                next.mind = None;
                next.pass = None;
                next.again = false;
            }
            Action::JobEnds(place, end) => {
                next.faults -= u8::from(end != End::Completed);
                world.tower.end(place, end);
            }
            Action::PodMade => world.make_pod(&state.known_pods()),
            Action::PodStarts => world.pod_becomes(PodPhase::Running),
            Action::PodBreaks => {
                next.faults -= 1;
                if let Some(flow) = world.tower.flow() {
                    flow.broken = true;
                }
                world.pod_becomes(PodPhase::Broken);
            }
            Action::PodFails => world.pod_becomes(PodPhase::Broken),
            Action::PodDies => {
                next.faults -= 1;
                world.pod_ends();
            }
            Action::PodGone => world.pod_ends(),
            Action::HookEnds(number, well) => {
                next.faults -= u8::from(!well);
                hook_ends(world, number, well);
            }
            Action::Tick => {
                if let Some(mind) = &mut next.mind {
                    mind.pass(1);
                }
                age(world);
            }
            Action::Order => {
                next.refreshes -= 1;
                let token = format!("t-{}", next.refreshes + 1);
                next.world.change(|cr| {
                    cr.spec.refresh = Some(Refresh {
                        token: Some(token),
                        schedule: None,
                    });
                    cr.metadata.generation = cr.metadata.generation.map(|g| g + 1);
                });
            }
            Action::Delete => delete(world),
        }
        if next.pass.is_none() {
            next.world.settle();
        }
        (self.heard(next), false)
    }

    /// The poller hears of the end of a job at once. Until it does, all that the operator knows is that the job runs: to hear
    /// of it later is the same as if it ended later.
    fn heard(&self, mut state: State) -> State {
        let over = state.unheard().cloned();
        if let (Some(over), Some(mind), None) = (over, &mut state.mind, &state.pass)
            && self.defect != Some(Defect::JobsUnheard)
        {
            mind.over = Some(over);
        }
        state
    }

    /// What a pass does depends on what it can see alone, so each one is run once.
    fn step(&self, mut state: State, segments: Vec<Segment>) -> (State, bool) {
        let key = fingerprint(&(&segments, &state.mind));
        let known = self.steps.lock().unwrap().get(&key).cloned();
        let done = known.unwrap_or_else(|| {
            let done = Arc::new(step(segments, state.mind.as_ref(), self.defect));
            let mut steps = self.steps.lock().unwrap();
            if steps.len() >= STEPS {
                steps.clear();
            }
            steps.insert(key, done.clone());
            done
        });
        let done = (*done).clone();
        state.world = done.world;
        state.mind = done.mind;
        state.pass = done.pass;
        state.again = done.again;
        (self.heard(state), done.asked)
    }
}

fn age(world: &mut World) {
    let before = world.cr;
    world.change(|cr| time::pass(cr, 1));
    if world.cr == before {
        world.revision = 0;
    }
}

fn delete(world: &mut World) {
    let held = world.resource().is_some_and(|cr| cr.has_finalizer());
    if held {
        world.change(|cr| cr.metadata.deletion_timestamp = Some(Time(time::now())));
    } else {
        world.cr = None;
        world.collect();
    }
}

fn hook_ends(world: &mut World, number: u32, well: bool) {
    let verdict = if well { "Complete" } else { "Failed" };
    if let Object::Job(job) = &*OBJECTS.at(world.objects[&number]) {
        let mut job = (**job).clone();
        job.status = serde_json::from_value(
            json!({ "conditions": [{ "type": verdict, "status": "True" }] }),
        )
        .unwrap();
        world.objects.insert(number, table::object(job.into()));
    }
}

impl State {
    /// What the state of the pass is called for people.
    pub(crate) fn doing(&self) -> String {
        self.pass
            .as_ref()
            .map_or_else(String::new, |pass| format!("next: {}", pass.next.what))
    }

    fn actions(&self, model: &Model) -> Vec<Action> {
        let world = &self.world;
        let mut all = Vec::new();
        let trouble = self.faults > 0;
        if let Some(pass) = &self.pass {
            all.push(Action::Go(Fate::Fine));
            if trouble {
                all.extend([Action::Go(Fate::NotSent), Action::Go(Fate::LostReply)]);
                all.extend(pass.next.tower.then_some(Action::Go(Fate::Refused)));
            }
        } else if world.cr.is_some() {
            all.push(Action::Begin(Fate::Fine));
        }
        if trouble && (self.mind.is_some() || self.pass.is_some()) {
            all.push(Action::Crash);
        }
        self.of_the_tower(&mut all);
        self.of_the_cluster(&mut all);
        self.of_people(model, &mut all);
        all
    }

    fn of_the_tower(&self, all: &mut Vec<Action>) {
        for (place, job) in self.world.tower.jobs.iter().enumerate() {
            if job.end.is_none() {
                all.push(Action::JobEnds(place, End::Completed));
                if self.faults > 0 {
                    all.extend(
                        [End::Failed, End::Abandoned, End::TimedOut]
                            .map(|end| Action::JobEnds(place, end)),
                    );
                }
            }
        }
    }

    fn of_the_cluster(&self, all: &mut Vec<Action>) {
        let world = &self.world;
        if world.can_make_pod() {
            all.push(Action::PodMade);
        }
        if let Some(pod) = world.pod {
            let leaves = world.pod_leaves();
            if leaves {
                all.push(Action::PodGone);
            } else if pod.phase == PodPhase::Starting {
                let broken = self.flow_is_broken();
                all.push(if broken {
                    Action::PodFails
                } else {
                    Action::PodStarts
                });
                all.extend((self.faults > 0 && !broken).then_some(Action::PodBreaks));
            } else if self.faults > 0 {
                all.push(Action::PodDies);
            }
        }
        for (name, number) in &world.objects {
            if let Object::Job(job) = &*OBJECTS.at(*number)
                && job.status.is_none()
            {
                all.push(Action::HookEnds(*name, true));
                if self.faults > 0 {
                    all.push(Action::HookEnds(*name, false));
                }
            }
        }
    }

    fn of_people(&self, model: &Model, all: &mut Vec<Action>) {
        if !self.world.is_deleting() {
            all.extend(model.deletions.then_some(Action::Delete));
            if self.refreshes > 0 {
                all.push(Action::Order);
            }
        }
    }

    fn flow_is_broken(&self) -> bool {
        let vdb = self.world.tower.vdb.as_ref();
        vdb.is_some_and(|vdb| vdb.flows[usize::from(vdb.current)].broken)
    }

    /// The job that the resource names is over, and the poller has not heard of it.
    fn unheard(&self) -> Option<&super::tower::SimJob> {
        let mind = self.mind.as_ref()?;
        let recorded = self.world.recorded().job?.id;
        let mut jobs = self.world.tower.jobs.iter();
        let job = jobs.find(|j| j.end.is_some() && job_id(j.number) == recorded)?;
        (mind.over.as_ref() != Some(job)).then_some(job)
    }

    /// Pods that the status or the process still knows.
    fn known_pods(&self) -> Vec<String> {
        let cr = self.world.resource();
        let verified = cr
            .as_ref()
            .and_then(|cr| Some(cr.status.as_ref()?.verified.as_ref()?.pod_uid.clone()));
        let prepared = self.mind.as_ref().and_then(|m| m.prepared.clone());
        let prepared = prepared.and_then(|(run, _)| Some(run.rsplit_once('/')?.0.to_owned()));
        let proved = self.world.proved.map(|(uid, _)| super::world::pod_uid(uid));
        verified.into_iter().chain(prepared).chain(proved).collect()
    }

    /// What would be wrong if everything stayed as it is.
    pub(crate) fn unrest(&self) -> Option<Unrest> {
        let world = &self.world;
        let Some(cr) = world.resource() else {
            let left = world
                .objects
                .keys()
                .any(|n| !NAMES.at(*n).name.starts_with("vdb-init-"));
            let kept = world.tower.vdb.is_some() && !world.listed;
            return (left || kept || world.pod.is_some()).then_some(Unrest::Leak);
        };
        let status = cr.status.clone().unwrap_or_default();
        let state = status.refresh.as_ref().and_then(|r| r.state);
        // A server that does not start on the data before is told; what may bring it back is kept.
        let kept = matches!(
            state,
            Some(RefreshState::UndoFailed | RefreshState::Restoring)
        );
        let works = state.is_some_and(|s| !s.is_over()) && state != Some(RefreshState::Restoring);
        if cr.is_deleting() || works {
            return Some(Unrest::NoEnd);
        }
        let volumes = world.count(Kind::PersistentVolume);
        if status.is_ready(cr.generation()) {
            let generation = status.vdb.as_ref().and_then(|v| v.generation);
            let serves = world.serving().map(|pod| u32::from(pod.generation));
            let whole = serves.is_some() && serves == generation && volumes == 1;
            return (!whole || kept).then_some(Unrest::NotWhole);
        }
        let stalled = status.condition("Stalled");
        let failed = stalled.is_some_and(|c| c.status == "True" && !c.message.is_empty());
        match (failed, volumes <= 1 || kept) {
            (true, true) => None,
            (true, false) => Some(Unrest::NotWhole),
            (false, _) => Some(Unrest::NoEnd),
        }
    }
}
