//! The run: order, count, rest, change, start again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use operator::crd::{Key, PostgresVdb};
use serde_json::json;

use crate::Order;
use crate::audit::{self, Log, Totals};
use crate::children::Children;
use crate::control_plane::{ADMIN, ControlPlane, OPERATOR, REPLAY};
use crate::database::{self, Seen, key};
use crate::install::{install, settings};
use crate::mutants;
use crate::process::{self, Operator};
use crate::replay::Replay;
use crate::report::{line, percentile};
use crate::tower::{self, Tower};
use crate::upgrade;

/// Rounds of orders; with a comparison each is followed by one without the operator.
const ROUNDS: usize = 4;
/// Orders that come at once where only counts are checked: a machine that is overloaded waits, and waiting is told.
const FEW: usize = 30;
/// Databases that are changed one by one, for the time from the change to the operator's first question, and orders
/// that come alone. Where only counts are checked, few are enough.
const CHANGED: [usize; 2] = [100, 10];
const SINGLE: [usize; 2] = [20, 3];
const LONGEST: Duration = Duration::from_mins(60);

struct World {
    plane: ControlPlane,
    client: Client,
    children: Children,
    tower: Tower,
    seen: Seen,
    log: Log,
    limits: Vec<String>,
    check: bool,
}

pub(crate) async fn run(order: &Order) -> anyhow::Result<()> {
    let mut world = World::start(order).await?;
    let background = world.background();
    tokio::select! {
        done = world.measure(order) => done?,
        ended = background => ended.context("a stand-in ended")?,
    }
    anyhow::ensure!(world.limits.is_empty(), "{}", world.limits.join("; "));
    Ok(())
}

impl World {
    async fn start(order: &Order) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(&order.kube, &order.work).await?;
        let client = plane.client(ADMIN).await?;
        let earlier = upgrade::before(&plane, &client).await?;
        install(&plane, &order.helm).await?;
        earlier.is_kept(&client).await?;
        if order.check {
            mutants::agree(&client).await?;
        }
        settings(&order.work)?;
        let tower = Tower::default();
        tower.serve().await?;
        let log = Log::new(plane.audit_log());
        Ok(Self {
            children: Children::new(client.clone()),
            plane,
            client,
            tower,
            seen: Seen::default(),
            log,
            limits: Vec::new(),
            check: order.check,
        })
    }

    fn background(&self) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let watching = self.seen.clone().watch(self.client.clone());
        let children = self.children.clone().work();
        async { tokio::try_join!(watching, children).map(drop) }
    }

    fn limit(&mut self, what: &str, is: f64, most: f64) {
        if self.check && is > most {
            self.limits.push(format!("{what}: {is:.2}, at most {most}"));
        }
    }

    async fn measure(&mut self, order: &Order) -> anyhow::Result<()> {
        let operator = Operator::start(&self.plane, order)?;
        upgrade::goes_on(&self.seen).await?;
        line(
            "upgrade: objects of the first definition are unchanged under today's, and one of them is ready",
        );
        self.quiet().await;
        // Few first: what one database costs must not depend on how many there are.
        let few: Vec<_> = (0..FEW.min(order.vdbs)).map(|n| key("few", n, 1)).collect();
        let alone = self.orders(&few, &operator).await?;
        let mut all = few.clone();
        let many: Vec<_> = (0..order.vdbs)
            .map(|n| key("many", n, order.per_namespace))
            .collect();
        let compared = if order.compare {
            Some(self.learn(&few[0], &alone).await?)
        } else {
            None
        };
        let (mut counted, mut ratio) = (Counted::default(), (0.0, 0.0));
        let (mut with, mut without) = (Used::default(), Used::default());
        let size = if order.check {
            FEW
        } else {
            order.vdbs.div_ceil(ROUNDS)
        };
        for (round, keys) in many.chunks(size).enumerate() {
            let before = self.used(&operator);
            let one = self.orders(keys, &operator).await?;
            with.add(before, self.used(&operator));
            ratio.0 += one.took.as_secs_f64();
            counted.add(one);
            all.extend_from_slice(keys);
            let Some(replay) = &compared else { continue };
            let others: Vec<_> = (0..keys.len())
                .map(|n| key(&format!("replay{round}x"), n, order.per_namespace))
                .collect();
            database::make_namespaces(&self.client, &others).await?;
            let before = self.used(&operator);
            ratio.1 += replay.run(&self.children, &others).await?.as_secs_f64();
            without.add(before, self.used(&operator));
            drop(self.log.since(REPLAY)?);
        }
        self.tell_counts("one of 30", &alone);
        self.tell_counts(&format!("one of {}", order.vdbs), &counted);
        self.grows(&alone, &counted);
        let took = counted.took.as_secs_f64();
        line(&format!(
            "{} databases ready in {took:.1} s; {}",
            order.vdbs,
            operator.memory()
        ));
        if order.compare {
            line(&format!(
                "the same writes without an operator: {:.1} s, ratio {:.2} (at most 1.3)",
                ratio.1,
                ratio.0 / ratio.1
            ));
            line(&format!("    processors with it: {}", with.text()));
            line(&format!("    without it: {}", without.text()));
        }
        self.idle(order.idle, &operator).await?;
        self.latency(&all).await?;
        self.single(&operator).await?;
        operator.stop().await?;
        self.restart(order, all.len()).await
    }

    /// Until all are ready, and what it cost.
    async fn orders(&mut self, keys: &[Key], operator: &Operator) -> anyhow::Result<Counted> {
        database::make_namespaces(&self.client, keys).await?;
        drop(self.log.since(OPERATOR)?);
        let told = operator.told_progress().await?;
        self.tower.take_calls();
        let started = Instant::now();
        database::order(&self.client, keys).await?;
        let last = self.seen.all(keys, 1, LONGEST).await?;
        let took = last.duration_since(started);
        self.quiet().await;
        let entries = self.log.since(OPERATOR)?;
        let mut calls = self.tower.take_calls();
        let watched = started.elapsed();
        let polls = calls.remove("poll").unwrap_or_default();
        let shared = calls.remove("inventory").unwrap_or_default();
        Ok(Counted {
            vdbs: keys.len(),
            namespaces: keys
                .iter()
                .map(|k| &k.namespace)
                .collect::<BTreeSet<_>>()
                .len(),
            writes: audit::counts(&entries),
            totals: audit::totals(&entries),
            progress: operator.told_progress().await?.saturating_sub(told),
            calls: calls.values().sum(),
            polls,
            busiest: per_minute(polls, watched),
            shared,
            took,
        })
    }

    fn used(&self, operator: &Operator) -> Used {
        Used {
            plane: self.plane.cpu_seconds(),
            operator: operator.cpu_seconds(),
            here: process::cpu_seconds(std::process::id()),
        }
    }

    /// Until the audit log stands still.
    async fn quiet(&self) {
        let size = || std::fs::metadata(self.plane.audit_log()).map_or(0, |m| m.len());
        let mut before = size();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let now = size();
            // A renewal of the lease is two lines.
            if now.saturating_sub(before) < 3000 {
                return;
            }
            before = now;
        }
    }

    async fn learn(&self, pattern: &Key, counted: &Counted) -> anyhow::Result<Replay> {
        let client = self.plane.client(REPLAY).await?;
        Replay::learn(&self.plane, client, pattern, &counted.writes, counted.vdbs).await
    }

    fn tell_counts(&mut self, whose: &str, counted: &Counted) {
        line(&format!("{whose}: {}", counted.text()));
        for (what, count) in &counted.writes {
            let each = each(*count, counted.vdbs);
            if each >= 0.05 {
                line(&format!("    {each:6.2}  {what}"));
            }
        }
        let (vdbs, totals) = (counted.vdbs, counted.totals);
        let status = totals.status.saturating_sub(counted.progress);
        self.limit("writes per database", each(counted.own(), vdbs), 12.0);
        self.limit("status writes per database", each(status, vdbs), 4.0);
        self.limit("events per database", each(totals.events, vdbs), 5.0);
        self.limit("tower calls per database", each(counted.calls, vdbs), 8.0);
        // The same for any number of databases: one search for all, and never sooner than this after the one before.
        self.limit(
            &format!("polls per minute, {whose}"),
            counted.busiest,
            60.0 / tower::POLL.as_secs_f64(),
        );
    }

    /// What one database costs is the same among many.
    fn grows(&mut self, few: &Counted, many: &Counted) {
        let both = |of: fn(&Counted) -> usize| (each(of(few), few.vdbs), each(of(many), many.vdbs));
        let writes = both(Counted::own);
        let calls = both(|c| c.calls);
        self.limit(
            "writes per database, many against few",
            writes.1,
            writes.0 + 0.1,
        );
        self.limit(
            "tower calls per database, many against few",
            calls.1,
            calls.0 + 0.1,
        );
    }

    async fn idle(&mut self, seconds: u64, operator: &Operator) -> anyhow::Result<()> {
        drop(self.log.since(OPERATOR)?);
        self.tower.take_calls();
        let cpu = operator.cpu_seconds();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let entries = self.log.since(OPERATOR)?;
        let totals = audit::totals(&entries);
        let calls: usize = self.tower.take_calls().values().sum();
        line(&format!(
            "idle for {seconds} s: {} writes, {} reads beside the lease, {calls} tower calls, {:.1} s CPU; {}",
            totals.writes + totals.events,
            totals.reads,
            operator.cpu_seconds() - cpu,
            operator.memory()
        ));
        for (what, count) in audit::counts(&entries) {
            line(&format!("    {count:6}  {what}"));
        }
        self.limit(
            "writes when idle",
            whole(totals.writes + totals.events),
            0.0,
        );
        self.limit("reads when idle", whole(totals.reads), 0.0);
        self.limit("tower calls when idle", whole(calls), 0.0);
        Ok(())
    }

    /// From a change of the order to the operator's first question about it, by the API server's clock.
    async fn latency(&mut self, all: &[Key]) -> anyhow::Result<()> {
        let mut waited = Vec::new();
        let changed = CHANGED[usize::from(self.check)];
        let step = (all.len() / changed).max(1);
        let keys: Vec<_> = all.iter().step_by(step).take(changed).cloned().collect();
        for key in &keys {
            drop(self.log.since(OPERATOR)?);
            let api = Api::<PostgresVdb>::namespaced(self.client.clone(), &key.namespace);
            let change = json!({ "spec": { "errorBackoffPeriod": "7m" } });
            let sent = jiff::Timestamp::now();
            api.patch(&key.name, &PatchParams::default(), &Patch::Merge(change))
                .await?;
            self.seen
                .all(std::slice::from_ref(key), 2, Duration::from_mins(1))
                .await?;
            let entries = self.log.since(OPERATOR)?;
            let first = entries.iter().find(|e| {
                e.object_ref.as_ref().is_some_and(|o| {
                    o.namespace == key.namespace
                        && o.name == key.name
                        && e.request_received_timestamp > sent
                })
            });
            let first = first.context("the operator asked nothing")?;
            waited.push(
                first
                    .request_received_timestamp
                    .duration_since(sent)
                    .as_secs_f64()
                    * 1e3,
            );
        }
        line(&format!(
            "{} changes, until the operator's first request: p50 {:.0} ms, p99 {:.0} ms (at most 100)",
            keys.len(),
            percentile(&waited, 0.5),
            percentile(&waited, 0.99)
        ));
        Ok(())
    }

    /// One order at a time beside all that are there: what the platform adds to the tower's jobs.
    async fn single(&mut self, operator: &Operator) -> anyhow::Result<()> {
        let mut took = Vec::new();
        for number in 0..SINGLE[usize::from(self.check)] {
            let one = [key("single", number, 1)];
            database::make_namespaces(&self.client, &one).await?;
            let started = Instant::now();
            database::order(&self.client, &one).await?;
            let ready = self.seen.all(&one, 1, LONGEST).await?;
            let jobs = 2 * tower::JOB;
            took.push(
                ready
                    .duration_since(started)
                    .saturating_sub(jobs)
                    .as_secs_f64(),
            );
        }
        line(&format!(
            "one order at a time, beyond the tower's jobs: p50 {:.2} s, p95 {:.2} s (at most 3); {}",
            percentile(&took, 0.5),
            percentile(&took, 0.95),
            operator.memory()
        ));
        Ok(())
    }

    /// A process that knows nothing yet.
    async fn restart(&mut self, order: &Order, vdbs: usize) -> anyhow::Result<()> {
        self.quiet().await;
        drop(self.log.since(OPERATOR)?);
        self.tower.take_calls();
        let started = Instant::now();
        let operator = Operator::start(&self.plane, order)?;
        while operator.passes().await < vdbs {
            anyhow::ensure!(started.elapsed() < LONGEST, "the first pass does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let took = started.elapsed();
        self.quiet().await;
        let entries = self.log.since(OPERATOR)?;
        let totals = audit::totals(&entries);
        let calls: usize = self.tower.take_calls().values().sum();
        line(&format!(
            "restart with {vdbs}: first pass {:.1} s (at most 10), {} writes, {} reads, {calls} tower calls; {}",
            took.as_secs_f64(),
            totals.writes + totals.events,
            totals.reads,
            operator.memory()
        ));
        for (what, count) in audit::counts(&entries) {
            line(&format!("    {count:6}  {what}"));
        }
        self.limit(
            "writes of a restart",
            whole(totals.writes + totals.events),
            0.0,
        );
        self.limit("tower calls of a restart", whole(calls), 0.0);
        operator.stop().await
    }
}

/// Seconds of the processors.
#[derive(Clone, Copy, Default)]
struct Used {
    plane: f64,
    operator: f64,
    /// Client, children and tower.
    here: f64,
}

impl Used {
    fn add(&mut self, before: Self, after: Self) {
        self.plane += after.plane - before.plane;
        self.operator += after.operator - before.operator;
        self.here += after.here - before.here;
    }

    fn text(&self) -> String {
        format!(
            "etcd and API server {:.1} s, operator {:.1} s, client and everything stood in for {:.1} s",
            self.plane, self.operator, self.here
        )
    }
}

#[derive(Default)]
struct Counted {
    vdbs: usize,
    /// The helper is written once in each.
    namespaces: usize,
    writes: BTreeMap<String, usize>,
    totals: Totals,
    /// Writes of the status that only told how far an order is: on a machine so slow that one takes longer than ten
    /// seconds, one more in each ten. They say how slow the machine is, so they are counted apart.
    progress: usize,
    calls: usize,
    polls: usize,
    /// Polls per minute in the round that had the most.
    busiest: f64,
    shared: usize,
    took: Duration,
}

impl Counted {
    /// Writes for the databases themselves.
    fn own(&self) -> usize {
        let apart = self.namespaces + self.progress;
        self.totals.writes.saturating_sub(apart)
    }

    fn add(&mut self, other: Self) {
        self.vdbs += other.vdbs;
        self.namespaces += other.namespaces;
        for (what, count) in other.writes {
            *self.writes.entry(what).or_default() += count;
        }
        self.totals.writes += other.totals.writes;
        self.totals.status += other.totals.status;
        self.totals.events += other.totals.events;
        self.totals.reads += other.totals.reads;
        self.progress += other.progress;
        self.calls += other.calls;
        self.polls += other.polls;
        self.busiest = self.busiest.max(other.busiest);
        self.shared += other.shared;
        self.took += other.took;
    }

    fn text(&self) -> String {
        let each = |count| each(count, self.vdbs);
        format!(
            "{:.2} writes (status {:.2}), one for each of {} namespaces, {} of progress, {:.2} events, {:.2} reads, {:.2} tower calls; {} polls in {:.1} s ({:.0} a minute), {} of the inventory",
            each(self.own()),
            each(self.totals.status.saturating_sub(self.progress)),
            self.namespaces,
            self.progress,
            each(self.totals.events),
            each(self.totals.reads),
            each(self.calls),
            self.polls,
            self.took.as_secs_f64(),
            self.busiest,
            self.shared
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn whole(count: usize) -> f64 {
    count as f64
}

/// How often something came that is never sooner than some time after the one before: the first has none before it.
fn per_minute(count: usize, within: Duration) -> f64 {
    whole(count.saturating_sub(1)) * 60.0 / within.as_secs_f64()
}

fn each(count: usize, of: usize) -> f64 {
    whole(count) / whole(of.max(1))
}
