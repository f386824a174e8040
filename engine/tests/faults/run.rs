//! One seed: a link, batches of orders with faults, and the reckoning.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::http::text;
use crate::model::{Model, Order};
use crate::orders::{Sent, choose, send, subjects};
use crate::verify;
use crate::world::{Ground, World};

const BATCHES: usize = 14;
const DEADLINE: Duration = Duration::from_secs(60);

/// For an order whose caller has gone.
const GRACE: Duration = Duration::from_millis(300);

#[derive(Default)]
struct Counts {
    orders: usize,
    done: usize,
    failed: usize,
    kills: usize,
    full: usize,
    dropped: usize,
}

pub(crate) fn seed(ground: &Ground, seed: u64) -> Result<(), String> {
    let begun = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::new(ground, seed)?;
    let mut counts = Counts::default();
    let result =
        live(&world, &mut random, &mut counts).and_then(|model| verify::all(&world, &model));
    println!(
        "seed {seed}: {} orders, {} done, {} failed; {} kills, {} full disks, {} dropped connections; {:.0?}{}",
        counts.orders,
        counts.done,
        counts.failed,
        counts.kills,
        counts.full,
        counts.dropped,
        begun.elapsed(),
        if result.is_ok() { "" } else { " FAILED" }
    );
    if result.is_err() {
        let log = std::fs::read_to_string(world.log()).unwrap_or_default();
        let from = log.len().saturating_sub(12_000);
        println!("{}", log.get(from..).unwrap_or(&log));
    }
    result
}

fn live(world: &World<'_>, random: &mut StdRng, counts: &mut Counts) -> Result<Model, String> {
    let mut model = Model {
        source: world.ground.source.marks()?,
        ..Model::default()
    };
    world.up()?;
    link(world, &mut model)?;
    for _ in 0..BATCHES {
        let orders = batch(&mut model, random);
        if orders
            .iter()
            .any(|order| matches!(order, Order::SourceSnapshot))
        {
            let mark = format!("source-{:x}", random.random::<u64>());
            world.ground.source.mark(&mark)?;
            model.source.insert(mark);
        }
        counts.orders += orders.len();
        let known = job_ids(world)?;
        let sent = with_faults(world, &model, orders, random, counts);
        arrived(world, &sent, &known)?;
        let jobs = world.settled()?;
        account(world, &mut model, &sent, &jobs, &known, counts)?;
        if random.random_bool(0.5) {
            write(world, &mut model, random)?;
        }
    }
    Ok(model)
}

/// The engine links what its settings declare by itself.
fn link(world: &World<'_>, model: &mut Model) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let snapshots = world.api.list("/snapshots")?;
        if let [snapshot] = snapshots.as_slice() {
            model.dsource = text(snapshot, "dataset_id");
            let marks = model.source.clone();
            let dataset = model.dsource.clone();
            model
                .snapshots
                .insert(text(snapshot, "id"), crate::model::Point { dataset, marks });
            world.settled()?;
            return Ok(());
        }
        if begun.elapsed() > DEADLINE {
            return Err("the source is not linked".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn batch(model: &mut Model, random: &mut StdRng) -> Vec<Order> {
    let (mut orders, mut taken) = (Vec::new(), BTreeSet::new());
    for _ in 0..random.random_range(1..=3) {
        let order = choose(model, random);
        let subjects = subjects(model, &order);
        if subjects.iter().all(|subject| !taken.contains(subject)) {
            taken.extend(subjects);
            orders.push(order);
        }
    }
    orders
}

fn with_faults(
    world: &World<'_>,
    model: &Model,
    orders: Vec<Order>,
    random: &mut StdRng,
    counts: &mut Counts,
) -> Vec<Sent> {
    let long = orders
        .iter()
        .any(|order| matches!(order, Order::SourceSnapshot));
    let kill = random
        .random_bool(0.4)
        .then(|| random.random_range(0..if long { 3000 } else { 120 }));
    let full = random
        .random_bool(0.2)
        .then(|| random.random_range(50..600));
    let drops: Vec<bool> = orders.iter().map(|_| random.random_bool(0.2)).collect();
    counts.kills += usize::from(kill.is_some());
    counts.full += usize::from(full.is_some());
    counts.dropped += drops.iter().filter(|dropped| **dropped).count();
    if full.is_some() {
        world.fill();
    }
    let sent = std::thread::scope(|scope| {
        if let Some(after) = kill {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(after));
                world.kill();
            });
        }
        let orders = orders.into_iter().zip(drops);
        orders
            .map(|(order, dropped)| send(&world.api, model, order, dropped))
            .collect()
    });
    if let Some(after) = full {
        std::thread::sleep(Duration::from_millis(after));
        world.make_room();
    }
    sent
}

/// An order without an answer may still be on its way. When its job does not show up, the engine is killed: what has not
/// been written down by then never will be.
fn arrived(world: &World<'_>, sent: &[Sent], known: &BTreeSet<String>) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < GRACE && world.runs() {
        let jobs = world.api.list("/jobs").unwrap_or_default();
        let new = |job: &&Value| !known.contains(&text(job, "id"));
        let there =
            |sent: &Sent| sent.answer.is_some() || jobs.iter().filter(new).any(|job| sent.is(job));
        if sent.iter().all(there) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    world.kill();
    world.up()
}

fn job_ids(world: &World<'_>) -> Result<BTreeSet<String>, String> {
    Ok(world
        .api
        .list("/jobs")?
        .iter()
        .map(|job| text(job, "id"))
        .collect())
}

/// What became of the orders, and whether the engine now says exactly what follows from it.
fn account(
    world: &World<'_>,
    model: &mut Model,
    sent: &[Sent],
    jobs: &[Value],
    known: &BTreeSet<String>,
    counts: &mut Counts,
) -> Result<(), String> {
    let mut new: Vec<&Value> = jobs
        .iter()
        .filter(|job| !known.contains(&text(job, "id")))
        .collect();
    let mut done = Vec::new();
    for sent in sent {
        let Some(at) = new.iter().position(|job| sent.is(job)) else {
            if sent.answer.is_some() && !sent.refused() {
                return Err(format!("{:?} was accepted and its job is lost", sent.order));
            }
            continue;
        };
        let job = new.remove(at);
        if job["status"] == "COMPLETED" {
            counts.done += 1;
            done.push((sent.order.clone(), text(job, "target_id")));
        } else {
            counts.failed += 1;
        }
    }
    if let Some(job) = new.first() {
        return Err(format!("a job that nobody ordered: {job}"));
    }
    // Snapshots hold what their copies held before anything else of the same batch.
    let orders: Vec<Order> = done.iter().map(|(order, _)| order.clone()).collect();
    let there = world.api.list("/snapshots")?;
    for snapshot in &there {
        let id = text(snapshot, "id");
        if !model.snapshots.contains_key(&id) {
            model.learn(&id, &text(snapshot, "dataset_id"), &orders)?;
        }
    }
    for (order, target) in &done {
        model.apply(order, target);
        if let Order::Bookmark { bookmark, .. } = order {
            let object = world.api.get(&format!("/bookmarks/{bookmark}"))?;
            let snapshot = text(&object["vdbs"][0], "snapshot_id");
            model.bookmarks.insert(bookmark.clone(), snapshot);
        }
    }
    model.settle_loose(&there.iter().map(|snapshot| text(snapshot, "id")).collect());
    verify::objects(world, model)
}

/// As an application would, on an enabled copy; its server stops in one way or the other.
fn write(world: &World<'_>, model: &mut Model, random: &mut StdRng) -> Result<(), String> {
    let enabled: BTreeMap<String, String> = model
        .copies
        .iter()
        .filter(|(_, copy)| copy.enabled)
        .map(|(name, copy)| (name.clone(), copy.id.clone()))
        .collect();
    let at = random.random_range(0..enabled.len().max(1));
    let Some((name, id)) = enabled.into_iter().nth(at) else {
        return Ok(());
    };
    let vdb = world.api.get(&format!("/vdbs/{id}"))?;
    let server = world.serve(&text(&vdb, "exported_data_directory"))?;
    let mark = format!("copy-{:x}", random.random::<u64>());
    server.mark(&mark)?;
    let copy = model.copies.entry(name.clone()).or_default();
    copy.marks.insert(mark);
    if random.random_bool(0.4) {
        // Under the running server.
        let known = job_ids(world)?;
        let sent = send(&world.api, model, Order::Snapshot { name }, false);
        let jobs = world.settled()?;
        account(world, model, &[sent], &jobs, &known, &mut Counts::default())?;
    }
    if random.random_bool(0.4) {
        server.crash();
    }
    Ok(())
}
