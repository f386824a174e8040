//! One seed: a link, batches of orders with faults, and the reckoning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::hook::{self, Hook};
use crate::http::text;
use crate::mishaps::{Mishaps, place};
use crate::model::{Model, Order};
use crate::orders::{Sent, choose, send, subjects};
use crate::pace::{Kind, Pace};
use crate::postgres::Asked as _;
use crate::served;
use crate::source::{self, Fault};
use crate::verify;
use crate::world::{Ground, World};

const BATCHES: usize = 10;
const DEADLINE: Duration = Duration::from_secs(60);

/// For an order whose caller has gone.
const GRACE: Duration = Duration::from_millis(300);

#[derive(Default)]
struct Counts {
    orders: usize,
    done: usize,
    failed: usize,
    refused: usize,
    kills: usize,
    full: usize,
    dropped: usize,
    source: usize,
    murders: usize,
    moments: usize,
    /// Jobs whose hooks did what they must: worked, or undid them.
    hooks: usize,
}

/// A seed under way: what must be, what happened so far, and what is told of it.
struct Run<'a> {
    world: &'a World<'a>,
    seed: u64,
    begun: Instant,
    random: StdRng,
    model: Model,
    counts: Counts,
    /// Everything that was ordered and done to the engine, for whoever looks for the cause of a failure.
    schedule: Vec<String>,
}

pub(crate) fn seed(ground: &Ground, seed: u64) -> Result<(), String> {
    let begun = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let logged = random.random_bool(0.6);
    let world = World::new(ground, seed, logged)?;
    let mut run = Run {
        world: &world,
        seed,
        begun,
        random,
        model: Model {
            logged,
            ..Model::default()
        },
        counts: Counts::default(),
        schedule: Vec::new(),
    };
    let result = run.live().and_then(|()| {
        run.schedule
            .push(format!("reckoning at {:.1?}", begun.elapsed()));
        verify::all(&world, &mut run.model, seed)
    });
    let c = &run.counts;
    println!(
        "seed {seed}: {} orders, {} done ({} of moments), {} refused, {} failed; {} ends of the engine ({} with work under way), {} full disks, {} dropped connections, {} troubles of the source, {} of servers, {} hooks; {:.1?}{}",
        c.orders,
        c.done,
        c.moments,
        c.refused,
        c.failed,
        c.kills,
        interrupted(&world),
        c.full,
        c.dropped,
        c.source,
        c.murders,
        c.hooks,
        begun.elapsed(),
        if result.is_ok() { "" } else { " FAILED" }
    );
    if result.is_err() || std::env::var_os("TOLD").is_some() {
        println!("schedule of seed {seed} (log of the source received: {logged}):");
        for line in &run.schedule {
            println!("  {line}");
        }
        println!("programs at work:");
        for line in verify::naming(&world.pool) {
            println!("  {line}");
        }
        for log in world.server_logs() {
            println!("{log}");
        }
        let log = std::fs::read_to_string(world.log()).unwrap_or_default();
        let from = log.len().saturating_sub(20_000);
        println!(
            "end of the engine's log:\n{}",
            log.get(from..).unwrap_or(&log)
        );
    }
    result
}

/// Jobs that the engine found unfinished at its starts.
fn interrupted(world: &World<'_>) -> usize {
    let log = std::fs::read_to_string(world.log()).unwrap_or_default();
    log.matches("was interrupted").count()
}

impl Run<'_> {
    fn live(&mut self) -> Result<(), String> {
        let world = self.world;
        let now = source::moment(&world.ground.source, None)?;
        self.model.moments.push(now);
        world.up()?;
        self.link()?;
        for number in 1..=BATCHES {
            let orders = batch(&mut self.model, &mut self.random);
            let backup = orders
                .iter()
                .any(|order| matches!(order, Order::SourceSnapshot));
            if backup || self.model.logged && self.random.random_bool(0.7) {
                source::change(&world.ground.source, &mut self.model, self.seed)?;
            }
            let kind = Kind::of(&self.model, &orders);
            let within = self.pace()?.within(kind);
            let mishaps = Mishaps::draw(&self.model, &orders, within, &mut self.random);
            self.count(&orders, &mishaps);
            let at = self.begun.elapsed();
            self.schedule.push(format!(
                "batch {number} at {at:.1?}: {orders:?}\n    with {mishaps:?}"
            ));
            let known = job_ids(world)?;
            let begun = Instant::now();
            let sent = place(world, &self.model, orders, &mishaps)?;
            arrived(world, &sent, &known)?;
            let jobs = world.settled()?;
            if mishaps.are_none() && sent.iter().any(|sent| !sent.refused()) {
                self.pace()?.took(kind, begun.elapsed());
            }
            self.account(&sent, &jobs, &known, &mishaps)?;
            if self.random.random_bool(0.5) {
                self.write()?;
            }
        }
        Ok(())
    }

    fn pace(&self) -> Result<MutexGuard<'_, Pace>, String> {
        self.world.ground.pace.lock().map_err(|e| e.to_string())
    }

    fn count(&mut self, orders: &[Order], mishaps: &Mishaps) {
        let counts = &mut self.counts;
        counts.orders += orders.len();
        counts.kills += usize::from(mishaps.end.is_some());
        counts.full += usize::from(mishaps.full.is_some());
        counts.dropped += mishaps.hang_ups.iter().flatten().count();
        counts.source += usize::from(mishaps.source.is_some());
        counts.murders += usize::from(mishaps.murdered.is_some());
    }

    /// The engine links what its settings declare by itself.
    fn link(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let snapshots = self.world.api.list("/snapshots")?;
            if let [snapshot] = snapshots.as_slice() {
                self.model.dsource = text(snapshot, "dataset_id");
                let dataset = self.model.dsource.clone();
                let data = self.model.source_at(&text(snapshot, "timestamp"))?;
                self.model
                    .snapshots
                    .insert(text(snapshot, "id"), crate::model::Point { dataset, data });
                self.world.settled()?;
                return Ok(());
            }
            if begun.elapsed() > DEADLINE {
                return Err("the source is not linked".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What became of the orders, and whether the engine now says exactly what follows from it.
    fn account(
        &mut self,
        sent: &[Sent],
        jobs: &[Value],
        known: &BTreeSet<String>,
        mishaps: &Mishaps,
    ) -> Result<(), String> {
        let mut new: Vec<&Value> = jobs
            .iter()
            .filter(|job| !known.contains(&text(job, "id")))
            .collect();
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        // Or by this test, to be sure that an order without an answer is on its way no more.
        let ended = mishaps.end.is_some() || sent.iter().any(|sent| sent.answer.is_none());
        for sent in sent {
            let Some(at) = new.iter().position(|job| sent.is(job)) else {
                self.schedule.push(format!("  no job: {}", sent.told()));
                if sent.answer.is_some() && !sent.refused() {
                    return Err(format!("{:?} was accepted and its job is lost", sent.order));
                }
                self.counts.refused += usize::from(sent.refused());
                continue;
            };
            let job = new.remove(at);
            self.schedule.push(format!(
                "  {}: {:?} {}",
                text(job, "status"),
                sent.order,
                text(job, "error_details")
            ));
            if job["status"] == "COMPLETED" {
                self.counts.done += 1;
                if self.hook(&sent.order).forbids(&sent.order) {
                    return Err(format!("its hook did not fail: {:?}", sent.order));
                }
                done.push((sent.order.clone(), text(job, "target_id")));
            } else {
                self.counts.failed += 1;
                let copy = sent
                    .order
                    .name()
                    .and_then(|name| self.model.copies.get(name));
                let said = text(job, "error_details");
                let murdered = mishaps.murdered.is_some();
                // What a hook undoes is as it was before.
                if hook::broke(copy, &sent.order, &said, murdered) {
                    self.counts.hooks += 1;
                } else {
                    may_fail(sent, job, mishaps, ended)?;
                    failed.push(sent.order.clone());
                }
            }
        }
        for job in new {
            self.may_be(job)?;
        }
        let orders: Vec<Order> = done.iter().map(|(order, _)| order.clone()).collect();
        let there = verify::learn(self.world, &mut self.model, &orders)?;
        for (order, target) in &done {
            self.model.apply(order, target);
            let new = matches!(order, Order::Provision { .. } | Order::ProvisionAt { .. });
            let renewed = matches!(order, Order::Refresh { .. } | Order::RefreshAt { .. });
            let ran = new || renewed;
            self.counts.hooks += usize::from(ran && self.hook(order) == Hook::Marks);
            if let Order::Bookmark { bookmark, .. } = order {
                let object = self.world.api.get(&format!("/bookmarks/{bookmark}"))?;
                let snapshot = text(&object["vdbs"][0], "snapshot_id");
                self.model.bookmarks.insert(bookmark.clone(), snapshot);
            }
        }
        self.model.settle_loose(&there);
        verify::objects(self.world, &self.model)?;
        let unsure = |name: &str| {
            let of_failed = |order: &Order| order.name() == Some(name);
            mishaps.unsure(name) || failed.iter().any(of_failed)
        };
        served::check(self.world, &mut self.model, unsure)?;
        for (order, _) in &done {
            self.look(order)?;
        }
        Ok(())
    }

    fn hook(&self, order: &Order) -> Hook {
        let copy = order.name().and_then(|name| self.model.copies.get(name));
        copy.map(|copy| copy.hook).unwrap_or_default()
    }

    /// Jobs that the engine begins by itself: servers that ran before it stopped, and a backup where the log was lost.
    fn may_be(&mut self, job: &Value) -> Result<(), String> {
        self.schedule.push(format!("  by the engine itself: {job}"));
        let backup = job["type"] == "DB_SYNC" && self.model.logged;
        // Which servers run in the end is looked at afterwards.
        if backup || job["type"] == "DB_START" {
            return Ok(());
        }
        Err(format!("a job that nobody ordered: {job}"))
    }

    /// A moment's data, at once: later orders may change it.
    fn look(&mut self, order: &Order) -> Result<(), String> {
        let (Order::ProvisionAt { name, .. } | Order::RefreshAt { name, .. }) = order else {
            return Ok(());
        };
        let Some(copy) = self.model.copies.get_mut(name) else {
            return Ok(());
        };
        self.counts.moments += 1;
        let found = if copy.served {
            if !copy.running {
                return Ok(());
            }
            served::ask(self.world, &copy.id)?.holds()?
        } else {
            copy.enabled = true;
            let export = self.world.enabled(&copy.id)?;
            self.world.serve(&export)?.holds()?
        };
        verify::same_data(&format!("{order:?}"), &found, &copy.data)
    }

    /// As an application would, on an enabled copy; its server stops in one way or the other.
    fn write(&mut self) -> Result<(), String> {
        let usable: BTreeMap<String, String> = self
            .model
            .copies
            .iter()
            .filter(|(_, copy)| {
                if copy.served {
                    copy.running
                } else {
                    copy.enabled
                }
            })
            .map(|(name, copy)| (name.clone(), copy.id.clone()))
            .collect();
        let at = self.random.random_range(0..usable.len().max(1));
        let mark = self.model.word("copy");
        let (below, crash) = (self.random.random_bool(0.4), self.random.random_bool(0.4));
        let Some((name, id)) = usable.into_iter().nth(at) else {
            return Ok(());
        };
        self.schedule.push(format!(
            "  writes {mark} to {name}, snapshot below: {below}, crash: {crash}"
        ));
        if self.model.copies[&name].served {
            served::ask(self.world, &id)?.mark(&mark)?;
            return self.written(name, mark, below);
        }
        let vdb = self.world.api.get(&format!("/vdbs/{id}"))?;
        let server = self.world.serve(&text(&vdb, "exported_data_directory"))?;
        server.mark(&mark)?;
        self.written(name, mark, below)?;
        if crash {
            server.crash();
        }
        Ok(())
    }

    fn written(&mut self, name: String, mark: String, below: bool) -> Result<(), String> {
        let copy = self.model.copies.entry(name.clone()).or_default();
        copy.data.marks.insert(mark);
        if !below {
            return Ok(());
        }
        // Under the running server.
        let known = job_ids(self.world)?;
        let sent = send(&self.world.api, &self.model, Order::Snapshot { name }, None);
        let jobs = self.world.settled()?;
        self.account(&[sent], &jobs, &known, &Mishaps::default())
    }
}

/// A job ends in failure for a reason that it tells, and only if there was one.
fn may_fail(sent: &Sent, job: &Value, mishaps: &Mishaps, ended: bool) -> Result<(), String> {
    let said = text(job, "error_details");
    let backup = matches!(sent.order, Order::SourceSnapshot);
    let given_up = backup && ended;
    // A damaged page is found once the backup has begun, and then it is tried again.
    let away = backup
        && mishaps
            .source
            .is_some_and(|trouble| !matches!(trouble.what, Fault::Corrupted));
    let murdered = mishaps.murdered.is_some() && said.contains("did not start");
    if !said.is_empty() && (mishaps.full.is_some() || given_up || away || murdered) {
        return Ok(());
    }
    Err(format!("{:?} failed without a reason: {job}", sent.order))
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

/// An order without an answer may still be on its way. When its job does not show up, the engine is killed: what has not
/// been written down by then never will be.
fn arrived(world: &World<'_>, sent: &[Sent], known: &BTreeSet<String>) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < GRACE && world.runs() {
        let jobs = world.api.list("/jobs").unwrap_or_default();
        let new = |job: &&Value| !known.contains(&text(job, "id"));
        let there = |sent: &Sent| {
            sent.half || sent.answer.is_some() || jobs.iter().filter(new).any(|job| sent.is(job))
        };
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
