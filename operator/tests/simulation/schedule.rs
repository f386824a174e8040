//! Random schedules: orders, changes, refreshes, actions and deletions of several resources while calls, jobs, engine and
//! processes fail, then peace. The seed is all that a schedule is made from: `SEED=17 SCHEDULES=1` runs that one again.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dct::types::JobStatus;
use environment::actions::Kind;
use jiff::{SignedDuration, Timestamp};
use operator::actions::definition;
use operator::crd::PostgresVdb;
use serde_json::{Value, json};

use super::world::{self, State, World};

pub(crate) mod chaos;
mod hub;
mod idle;
mod leaders;
mod ports;
mod run;

use chaos::{Random, Rates};
use hub::{Chance, Hub};
use run::{Process, endless_visits, step};

/// Longest time of trouble, and the time after it in which everything has to come to rest.
const TROUBLE: usize = 900;
const PEACE: SignedDuration = SignedDuration::from_hours(3);
/// How far behind a read may be: less than what an order may take to come to light.
const LAG: SignedDuration = SignedDuration::from_secs(3);
const LEASE: SignedDuration = SignedDuration::from_secs(10);
/// More steps than any schedule has: time that does not move is a defect as well.
const STEPS: usize = 200_000;
const CALM: Rates = Rates {
    reads: 0,
    writes: 0,
    stale: 0,
};

/// What a schedule came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    duplicates: usize,
    leaks: usize,
    /// What always holds and did not.
    broken: Vec<String>,
}

fn order(random: &mut Random, index: usize, number: usize, at: Timestamp) -> PostgresVdb {
    let hook =
        |stage: &str| json!({ "name": stage, "stage": stage, "type": "sql", "script": "select 1" });
    let mut spec = json!({});
    if random.per_mille(200) {
        let stages = ["post-create", "pre-refresh", "post-refresh", "pre-delete"];
        spec["hooks"] = json!([hook(random.of(&stages))]);
    }
    if random.per_mille(150) {
        spec["deletionPolicy"] = json!("Retain");
    }
    if random.per_mille(150) {
        spec["refresh"] = json!({ "token": "t-0" });
    }
    if random.per_mille(100) {
        spec["database"] = json!({ "password": "correct-horse" });
    }
    let mut cr = world::cr(spec);
    cr.metadata.namespace = Some(format!("ns{index}"));
    cr.metadata.uid = Some(format!("{number:08x}-{index}"));
    cr.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    cr
}

fn action(random: &mut Random, state: &mut State) {
    let name = format!("a-{}", state.actions.len());
    let (kind, spec) = [
        (Kind::PostgresRefresh, json!({})),
        (
            Kind::PostgresRewind,
            json!({ "timestamp": "2026-11-23T09:00:00Z" }),
        ),
        (
            Kind::PostgresSnapshot,
            json!({ "name": format!("{}-{name}", state.namespace) }),
        ),
        (Kind::PostgresTask, json!({ "sql": "select 1" })),
    ][random.below(4)]
    .clone();
    let mut spec: Value = spec;
    spec["vdb"] = json!("dev-vdb");
    let object = json!({ "spec": spec, "metadata": {
        "name": name, "namespace": state.namespace, "uid": format!("{name}-uid"), "resourceVersion": "1",
        "creationTimestamp": state.now.to_string(),
    }});
    let made = definition::parse(kind, serde_json::from_value(object).unwrap()).unwrap();
    state.bump();
    state.actions.insert(name, made);
}

/// Something that people, time or machines do.
fn event(hub: &Hub, number: usize, random: &mut Random) {
    let world = &hub.worlds[random.below(hub.worlds.len())];
    let roll = random.below(100);
    hub.note(|| format!("event {roll}"));
    let deletes = {
        let mut state = world.state();
        let state = &mut *state;
        let now = state.now;
        let living = state.cr.as_ref().is_some_and(|cr| !cr.is_deleting());
        match roll {
            0..20 if living => {
                let token = format!("t-{number}");
                state.change(|cr| {
                    cr.spec.refresh = serde_json::from_value(json!({ "token": token })).unwrap();
                });
            }
            20..30 if living => state.change(|cr| cr.spec.enabled = !cr.spec.enabled),
            30..40 if living => state.change(|cr| {
                let setting = serde_json::from_value(
                    json!([{ "name": "work_mem", "value": format!("{number}MB") }]),
                );
                cr.spec.postgres_config = setting.unwrap();
            }),
            40..55 if living => action(random, state),
            55..70 => {
                let end =
                    random.of(&[JobStatus::Failed, JobStatus::Timedout, JobStatus::Abandoned]);
                state.job_ends.push(end);
            }
            70..78 => {
                let class = random.of(&[dct::Class::Unreachable, dct::Class::Unavailable]);
                state.tower_answers = match state.tower_answers {
                    Ok(()) => Err((class, "it is down")),
                    Err(_) => Ok(()),
                };
            }
            78..82 => state.hook_fails = !state.hook_fails,
            82..86 => {
                state.broken_claim = match state.broken_claim {
                    None => Some("dev-vdb-g2"),
                    Some(_) => None,
                };
            }
            86..90 => {
                state.job_takes =
                    SignedDuration::from_millis(100 + i64::try_from(random.below(20_000)).unwrap());
            }
            90..98 if !living && state.cr.is_none() => {
                let index = state.namespace[2..].parse().unwrap();
                let mut cr = order(random, index, number + 16, now);
                cr.metadata.resource_version = Some(state.bump());
                state.cr = Some(cr);
            }
            90..98 => {}
            _ => return,
        }
        roll >= 90 && living
    };
    if deletes {
        drop_resource(world, random.per_mille(250));
    }
}

fn drop_resource(world: &World, foreground: bool) {
    let dropped = world
        .state()
        .cr
        .as_ref()
        .is_some_and(|cr| !cr.is_deleting());
    world.delete();
    let mut state = world.state();
    let version = state.bump();
    if let Some(cr) = &mut state.cr {
        cr.metadata.resource_version = Some(version);
        if foreground && dropped {
            let finalizers = cr.metadata.finalizers.get_or_insert_default();
            finalizers.push(world::FOREGROUND.to_owned());
        }
    }
}

/// Nothing is under way, and nothing will be by itself.
fn rests(state: &State) -> bool {
    let Some(cr) = &state.cr else { return true };
    let open = state.actions.values().any(|a| !a.status.phase.is_over());
    let refreshing = state
        .refresh()
        .and_then(|r| r.state)
        .is_some_and(|s| !s.is_over());
    if open && cr.spec.enabled && state.is_ready() || refreshing || cr.is_deleting() {
        return false;
    }
    let retried = ["ProvisionFailed", "EnableFailed"].contains(&state.reason().as_str());
    let stalled = state
        .condition("Stalled")
        .is_some_and(|(status, _, message)| status == "True" && message.contains("; ") && !retried);
    state.is_ready() || stalled || (!cr.spec.enabled && state.reason() == "Suspended")
}

fn until(
    processes: &mut [Process],
    hub: &Arc<Hub>,
    end: Timestamp,
    done: impl Fn(&Hub) -> bool,
) -> bool {
    for _ in 0..STEPS {
        if done(hub) {
            return true;
        }
        if hub.now() >= end {
            return false;
        }
        step(processes, hub, end);
    }
    panic!("time stands still at {}", hub.now());
}

/// Peace: nothing fails any more.
fn calm(hub: &Hub) {
    hub.chance().rates = CALM;
    for world in &hub.worlds {
        let mut state = world.state();
        state.tower_answers = Ok(());
        state.job_ends.clear();
        state.hook_fails = false;
        state.broken_claim = None;
        state.job_takes = SignedDuration::from_millis(700);
        state.bump();
    }
}

fn hub(random: &mut Random, seed: u64, rates: Rates, leaders: usize) -> Arc<Hub> {
    // Without a lease both act all the time.
    let leader = (leaders == 1 || random.per_mille(500)).then_some(0);
    let count = random.of(&[1, 1, 1, 2, 3]);
    let worlds = (0..count).map(|index| {
        let world = World::new(json!({}));
        {
            let mut state = world.state();
            let at = state.now;
            state.namespace = format!("ns{index}");
            state.prefix = format!("ns{index}:");
            state.cr = Some(order(random, index, 1, at));
            // Only the tower can tell the second of two orders where there is no lease, and where a process stands still
            // between its last look at the lease and what it sends.
            state.unique_names = leader.is_none() || random.per_mille(500) || leaders == 2;
            (state.gathers, state.logs) = (true, false);
            state.shown = (rates.stale > 0).then(Vec::new);
        }
        world
    });
    let worlds = worlds.collect();
    let mut chance = Chance::new(Random::new(seed ^ 0xABCD), rates);
    chance.leader = leader;
    let chance = Mutex::new(chance);
    Arc::new(Hub { worlds, chance })
}

/// A schedule that goes wrong is run a second time to be told.
fn schedule(seed: u64) -> (Found, usize) {
    let outcome = std::panic::catch_unwind(|| run(seed, false));
    match outcome {
        Ok((found, steps)) if found == Found::default() => (found, steps),
        _ => run(seed, true),
    }
}

/// What it came to, and in how many steps.
fn run(seed: u64, traces: bool) -> (Found, usize) {
    let mut random = Random::new(seed);
    let leaders = if random.per_mille(300) { 2 } else { 1 };
    let rates = Rates {
        reads: random.of(&[0, 0, 2, 10]),
        writes: random.of(&[0, 20, 60, 150]),
        stale: random.of(&[0, 0, 50, 300]),
    };
    let hub = hub(&mut random, seed, rates, leaders);
    hub.chance().traces = traces;
    hub.note(|| format!("{leaders} operators, {:?} leads", hub.chance().leader));
    let endless = endless_visits();
    let play = AssertUnwindSafe(|| play(&hub, &mut random, leaders));
    let outcome = std::panic::catch_unwind(play);
    if traces {
        tell(seed, &hub);
    }
    match outcome {
        Ok(mut found) => {
            if endless_visits() > endless {
                found.broken.push("a visit found no end".to_owned());
            }
            (found, hub.chance().steps)
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn tell(seed: u64, hub: &Hub) {
    let mut log = hub.chance().log.clone();
    // What is tried again and again stands there once.
    log.dedup_by(|a, b| a.split_once(' ').map(|l| l.1) == b.split_once(' ').map(|l| l.1));
    for line in log.iter().skip(log.len().saturating_sub(250)) {
        println!("  {line}");
    }
    for world in &hub.worlds {
        let state = world.state();
        let status = state.cr.as_ref().map(|cr| (&cr.status, cr.is_deleting()));
        let shown = serde_json::to_string(&status).unwrap();
        println!("{} {shown} broken: {:?}", state.namespace, state.violations);
    }
    println!("SEED={seed} SCHEDULES=1 runs this schedule again");
}

fn play(hub: &Arc<Hub>, random: &mut Random, leaders: usize) -> Found {
    let mut processes: Vec<_> = (0..leaders).map(|n| Process::new(hub, n)).collect();
    for process in &mut processes {
        process.lag = random.of(&[0, 0, 200, 3000].map(Duration::from_millis));
    }
    for number in 1..=random.below(10) {
        let pause = SignedDuration::try_from(random.seconds(TROUBLE / 10)).unwrap();
        // Much happens in the first seconds, so that it meets what is under way.
        let pause = if random.per_mille(500) {
            pause / 20
        } else {
            pause
        };
        let at = hub.now() + pause;
        until(&mut processes, hub, at, |_| false);
        if leaders == 2 && random.per_mille(400) {
            hand_over(&mut processes, hub, random);
        }
        event(hub, number, random);
    }
    calm(hub);
    let leader = hub.chance().leader.unwrap_or(0);
    processes.swap(0, leader);
    processes.truncate(1);
    let resting = |hub: &Hub| hub.worlds.iter().all(|w| rests(&w.state()));
    let end = hub.now() + PEACE;
    assert!(
        until(&mut processes, hub, end, resting),
        "no end in three hours of peace"
    );
    for world in &hub.worlds {
        assert!(!world.state().ready_without_query, "Ready without a query");
        drop_resource(world, false);
    }
    let end = hub.now() + PEACE;
    let gone = |hub: &Hub| hub.worlds.iter().all(|w| w.state().cr.is_none());
    assert!(
        until(&mut processes, hub, end, gone),
        "a resource does not go"
    );
    for world in &hub.worlds {
        world.state().actions.clear();
    }
    hub.advance(Duration::from_secs(60));
    hub.worlds
        .iter()
        .map(|w| judge(&w.state()))
        .fold(Found::default(), |a, b| Found {
            duplicates: a.duplicates + b.duplicates,
            leaks: a.leaks + b.leaks,
            broken: [a.broken, b.broken].concat(),
        })
}

/// The leader is held up for so long that its lease passes to the other; then it wakes up in the middle of what it did.
fn hand_over(processes: &mut [Process], hub: &Arc<Hub>, random: &mut Random) {
    let Some(held) = hub.chance().leader else {
        return;
    };
    let now = hub.now();
    let longer = SignedDuration::try_from(random.seconds(60)).unwrap();
    processes[held].still = Some(now + LEASE + longer);
    until(processes, hub, now + LEASE, |_| false);
    let next = 1 - held;
    hub.note(|| format!("{next} leads"));
    hub.chance().leader = Some(next);
    processes[next].restart();
}

/// What is left when every resource is gone: nothing but what the ledger has.
fn judge(state: &State) -> Found {
    let listed = |name: &Option<String>| state.orphans.iter().any(|o| o.vdb_name == *name);
    let vdbs = state.vdbs.values().filter(|v| !listed(&v.vdb.name)).count();
    let objects = state
        .objects
        .keys()
        .filter(|n| !n.name.starts_with("vdb-init-"))
        .count();
    Found {
        duplicates: state.duplicates,
        leaks: vdbs + objects,
        broken: state.violations.clone(),
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|t| t.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn random_schedules_end_with_one_database_for_each_resource_and_leave_nothing() {
    let (first, count) = (number("SEED", 1), number("SCHEDULES", 2000));
    println!("seeds {first} to {}", first + count - 1);
    let cores = std::thread::available_parallelism().map_or(1, |n| u64::try_from(n.get()).unwrap());
    let (found, steps, busy) = std::thread::scope(|scope| {
        let run = move |core: u64| {
            let mut bad = Vec::new();
            let mut steps = 0;
            for seed in (first..first + count).filter(|seed| seed % cores == core) {
                let outcome = std::panic::catch_unwind(|| schedule(seed)).ok();
                steps += outcome.as_ref().map_or(0, |(_, steps)| *steps);
                let found = outcome.map(|(found, _)| found);
                if found != Some(Found::default()) {
                    bad.push((seed, found));
                }
            }
            (bad, steps, processor_time())
        };
        let threads: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || run(core)))
            .collect();
        let ends = threads.into_iter().map(|t| t.join().unwrap());
        ends.fold(
            (Vec::new(), 0, Duration::ZERO),
            |(mut all, sum, time), (bad, steps, busy)| {
                all.extend(bad);
                (all, sum + steps, time + busy)
            },
        )
    });
    let (mut duplicates, mut leaks, mut broken) = (0, 0, 0);
    for (seed, found) in &found {
        println!("seed {seed}: {found:?}");
        let found = found.clone().unwrap_or_default();
        (duplicates, leaks) = (duplicates + found.duplicates, leaks + found.leaks);
        broken += found.broken.len();
    }
    let speed = u128::from(count) * 1000 / busy.as_millis().max(1);
    let steps = steps / usize::try_from(count.max(1)).unwrap();
    println!("{speed} schedules a second and core, {steps} steps each, {broken} broken rules");
    println!("{count} schedules, {duplicates} duplicates, {leaks} leaks");
    assert!(
        found.is_empty(),
        "{} schedules failed; their seeds stand above",
        found.len()
    );
}

/// How long this thread has run: other programs on the machine do not count.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    let nanoseconds = first.and_then(|n| n.parse().ok()).unwrap_or_default();
    Duration::from_nanos(nanoseconds)
}
