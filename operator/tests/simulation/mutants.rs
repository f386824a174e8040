//! Orders that nobody would write: mutants of a good spec, drawn over the schema that the API server checks. What that
//! server accepts comes to rest with a database, or with a refusal that names its field; what it would refuse and the
//! operator can still read does no harm either.

use std::time::Duration;

use environment::PostgresVdbSpec;
use operator::controller::{Requeue, reconcile};
use operator::reason::{Kind, Reason};
use serde_json::{Value, json};

use super::random::Random;
use super::world::{State, World, key};

mod accept;
mod draw;

use draw::Mutant;

/// Time in which an order comes to rest, and time in which nothing happens after that.
const SETTLES: Duration = Duration::from_mins(5);
const RESTS: Duration = Duration::from_mins(3);
/// A pass that takes more steps than this is one that found no end.
const STEPS: usize = 35;

/// Runs one process for so long; says how many passes it made.
async fn live(world: &World, time: Duration) -> usize {
    let process = world.process();
    let end = world.state().now + jiff::SignedDuration::try_from(time).unwrap();
    let mut passes = 0;
    while world.state().now < end {
        let _ = process.poller.poll_once(process.dct.as_ref()).await;
        let before = world.state().looks;
        let wait = match reconcile(&process, &key()).await {
            Ok(Requeue::After(wait)) => wait,
            Ok(Requeue::OnChange) => Duration::from_mins(1),
            Err(_) => Duration::from_millis(500),
        };
        passes += 1;
        let steps = world.state().looks - before;
        assert!(steps < STEPS, "a pass without an end: {steps} steps");
        // Jobs and pods wake the real controller.
        let settled = world.state().is_ready() || wait >= Duration::from_secs(30);
        let most = Duration::from_secs(if settled { 60 } else { 1 });
        world.state().advance(wait.min(most));
    }
    passes
}

/// It stands still now: no loop, and no write but those of a schedule that asks for them.
async fn rests(world: &World) {
    let writes = world.state().writes;
    let passes = live(world, RESTS).await;
    assert!(
        passes <= 2 * usize::try_from(RESTS.as_secs()).unwrap(),
        "{passes} passes in {RESTS:?}"
    );
    let state = world.state();
    let cr = state.cr.as_ref().unwrap();
    let asks = cr
        .spec
        .refresh
        .as_ref()
        .is_some_and(|r| r.schedule.is_some());
    assert!(asks || state.writes == writes, "it writes again and again");
}

/// Ready, stopped as ordered, or refused with a reason and a sentence that names what is wrong.
fn judge(state: &State, mutant: &Mutant) {
    if state.is_ready() {
        return;
    }
    let (_, reason, message) = state.condition("Ready").expect("it says where it stands");
    let known = Reason::ALL.iter().find(|r| r.as_str() == reason);
    let known = *known.unwrap_or_else(|| panic!("{reason} is not in the list"));
    if matches!(known, Reason::Suspended | Reason::Expired) {
        return;
    }
    assert_ne!(known.kind(), Kind::Progress, "no end: {reason}: {message}");
    assert!(message.ends_with(known.hint()), "{message}");
    let spoken = message.to_lowercase();
    let named = |path: &Vec<String>| {
        let leaf = path
            .iter()
            .rev()
            .find(|part| part.parse::<usize>().is_err());
        let value = path.iter().try_fold(&mutant.spec, |value, part| {
            value
                .get(part)
                .or_else(|| value.get(part.parse::<usize>().ok()?))
        });
        let value = value.and_then(Value::as_str).unwrap_or_default();
        path.iter()
            .chain(leaf)
            .any(|part| spoken.contains(part.trim_end_matches('s').to_lowercase().as_str()))
            || !value.is_empty() && spoken.contains(&value.to_lowercase())
    };
    // An empty path is the whole spec.
    let whole = mutant.paths.iter().any(Vec::is_empty);
    assert!(
        whole || mutant.paths.iter().any(named),
        "{reason} does not name what is wrong: {message}"
    );
}

/// A new order of it; then it is deleted, and nothing is left.
async fn created(mutant: &Mutant, spec: PostgresVdbSpec, accepted: bool) {
    let world = World::new(json!({}));
    world.state().cr.as_mut().unwrap().spec = spec;
    live(&world, SETTLES).await;
    rests(&world).await;
    let keeps = {
        let state = world.state();
        if accepted {
            judge(&state, mutant);
        }
        assert!(
            state.provisioned <= 1,
            "ordered {} times",
            state.provisioned
        );
        let policy = state.cr.as_ref().unwrap().spec.deletion_policy;
        policy == environment::spec::DeletionPolicy::Retain
    };
    world.delete();
    world.drive(|s| s.cr.is_none()).await;
    world.state().advance(Duration::from_secs(5));
    let state = world.state();
    assert!(keeps || state.vdbs.is_empty(), "a virtual database is left");
    let mut left = state.objects.keys();
    assert!(left.all(|n| n.name.starts_with("vdb-init-")));
}

/// A database that is Ready is changed into it and back: it is the same database.
async fn changed(mutant: &Mutant, spec: PostgresVdbSpec, accepted: bool, ready: &State) {
    let world = World::of(ready.clone());
    let before = world.state().cr.as_ref().unwrap().spec.clone();
    world.state().change(|cr| cr.spec = spec);
    live(&world, SETTLES).await;
    rests(&world).await;
    {
        let mut state = world.state();
        if accepted {
            judge(&state, mutant);
        }
        state.change(|cr| cr.spec = before);
    }
    world.drive(State::is_ready).await;
    let state = world.state();
    assert!(!state.ready_without_query);
    assert_eq!(state.provisioned, 1, "the database is another");
    assert!(state.vdbs.contains_key("vdb-1"));
}

fn number(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|t| t.parse().ok()).unwrap_or(otherwise)
}

#[tokio::test]
async fn mutants_of_an_order_come_to_rest_and_lose_no_database() {
    let (first, count) = (number("SEED", 1), number("MUTANTS", 300));
    println!("seeds {first} to {}", first + count - 1);
    let ready = World::new(json!({}));
    ready.drive(State::is_ready).await;
    let ready = ready.state().clone();
    let ordered = json!(ready.cr.as_ref().unwrap().spec);
    assert_eq!(draw::base(), ordered, "the mutants are of another order");
    let server = accept::Server::new();
    let (mut accepted, mut unreadable, mut failed) = (0, 0, Vec::new());
    for seed in first..first + count {
        let mutant = draw::mutant(&mut Random::new(seed), server.schema(), &draw::base());
        let verdict = server.accepts(&mutant.spec);
        let stored = verdict.clone().unwrap_or_else(|_| mutant.spec.clone());
        let Ok(spec) = serde_json::from_value::<PostgresVdbSpec>(stored) else {
            assert!(
                verdict.is_err(),
                "seed {seed}: accepted, but not readable: {}",
                mutant.spec
            );
            unreadable += 1;
            continue;
        };
        accepted += usize::from(verdict.is_ok());
        // The API server lets nobody change the source of a database.
        let moves = spec.source != ready.cr.as_ref().unwrap().spec.source;
        let run = async {
            created(&mutant, spec.clone(), verdict.is_ok()).await;
            changed(&mutant, spec.clone(), verdict.is_ok() && !moves, &ready).await;
        };
        let run = std::panic::AssertUnwindSafe(run);
        if futures::FutureExt::catch_unwind(run).await.is_err() {
            println!("SEED={seed} MUTANTS=1: {:?} {}", mutant.paths, mutant.spec);
            failed.push(seed);
        }
    }
    println!("{count} mutants: {accepted} accepted by the schema, {unreadable} not readable");
    assert!(
        count < 100 || accepted * 4 > usize::try_from(count).unwrap(),
        "too few are accepted"
    );
    assert_eq!(failed, Vec::<u64>::new());
}
