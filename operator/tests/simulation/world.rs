//! A world in memory: time moves only when somebody waits, and any call can be the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use dct::types::{Bookmark, ContainerizationState, Job, JobStatus, Vdb};
use environment::status::Refresh;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator::actions::Action;
use operator::clock::Clock;
use operator::cluster::{self, ErrorKind, Kind, Name, Notice, Object, Orphan};
use operator::controller::build::Helper;
use operator::controller::memory::Memory;
use operator::controller::{Context, Requeue, reconcile};
use operator::crd::{Key, PostgresVdb};
use operator::metrics::Metrics;
use operator::poller::Poller;
use operator::settings::Settings;
use operator::sql::{Collations, Farewell};
use operator::{sql, tower};
use serde_json::json;

mod cluster_port;
mod server;
mod tower_port;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call has its effect, then the process is gone.
    Crash,
    /// The call has its effect, and the answer is lost.
    LostReply,
    /// The call never arrives.
    NotSent,
    /// The resource is shown as it was so many changes ago.
    Stale(usize),
    /// The same to the next process, because this one is gone after its call.
    CrashThenStale(usize),
}

/// What can go wrong with a call. A read has no effect, so losing its answer is as good as any other end of it.
pub(crate) fn faults(call: &str) -> &'static [Fault] {
    let reads = ["read", "list", "find", "poll", "inventory", "log"]
        .iter()
        .any(|word| call.starts_with(word));
    if reads {
        &[Fault::Crash]
    } else {
        &[Fault::Crash, Fault::LostReply, Fault::NotSent]
    }
}

#[derive(Clone)]
pub(crate) struct SimVdb {
    pub(crate) vdb: Vdb,
    visible: bool,
    /// The data of each timeflow, and what was done to it.
    flows: BTreeMap<String, Data>,
}

#[derive(Clone, Default)]
pub(crate) struct Data {
    /// Where it came from.
    pub(crate) origin: String,
    as_of: String,
    prepared: Option<String>,
    roles: BTreeSet<String>,
    passwords: BTreeMap<String, String>,
    /// What the hook on a target host gave the platform's role.
    verifier: Option<String>,
}

impl SimVdb {
    pub(crate) fn data(&self) -> &Data {
        &self.flows[self.vdb.current_timeflow_id.as_ref().unwrap()]
    }

    /// Another timeflow is the present one.
    fn switch(&mut self, flow: &str) {
        let before = self.vdb.current_timeflow_id.replace(flow.to_owned());
        self.vdb.previous_timeflow_id = before;
        self.vdb.parent_timeflow_timestamp = Some(self.flows[flow].as_of.clone());
    }

    /// A timeflow of its own for other data.
    fn begin(&mut self, data: Data) {
        let next = format!("tf-{}", self.flows.len() + 1);
        self.flows.insert(next.clone(), data);
        self.switch(&next);
    }

    fn is_remote(&self) -> bool {
        self.vdb.ip_address.is_some()
    }

    /// The hook of a target host on new data.
    fn configure_clone(&mut self) {
        let hooks = self.vdb.hooks.as_ref();
        let command = hooks
            .and_then(|h| h.configure_clone.as_ref()?.first()?.command.as_deref())
            .unwrap_or_default();
        let verifier = command
            .split('\'')
            .find(|part| part.starts_with("SCRAM-SHA-256$"))
            .map(str::to_owned);
        let flow = self.vdb.current_timeflow_id.clone().unwrap();
        let data = self.flows.get_mut(&flow).unwrap();
        if verifier.is_none() {
            // The roles are those of the source.
            let known = ("app".to_owned(), "of-the-source".to_owned());
            data.passwords.extend([known]);
        }
        data.verifier = verifier;
    }

    fn directory(&self) -> String {
        let flow = self.vdb.current_timeflow_id.as_deref().unwrap();
        format!("/pool/vdbs/{}-{flow}", self.vdb.id)
    }
}

/// What a pass has read of its resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    pub(crate) deleting: bool,
    pub(crate) pod: bool,
    /// Another process acts at the same time: then it answers for the pod that it saw, not for the one that is there.
    pub(crate) shares: bool,
}

#[derive(Clone)]
struct SimJob {
    job: Job,
    ends: Timestamp,
    operation: &'static str,
    /// What a rewind goes back to.
    data: Option<Data>,
}

/// What somebody else does.
pub(crate) type Happens = fn(&mut State);

#[derive(Clone)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) calls: usize,
    pub(crate) fault: Option<(usize, Fault)>,
    crashed: bool,
    /// The calls, one line each; random schedules go without, because they make millions.
    pub(crate) logs: bool,
    pub(crate) log: Vec<String>,
    pub(crate) cr: Option<PostgresVdb>,
    /// The resource as it was read so far, each version once, and when it was read first; only for who wants it.
    pub(crate) shown: Option<Vec<(Timestamp, PostgresVdb)>>,
    /// How many changes ago the next read shows the resource.
    behind: usize,
    version: u64,
    pub(crate) objects: BTreeMap<Name, Object>,
    pub(crate) vdbs: BTreeMap<String, SimVdb>,
    jobs: BTreeMap<String, SimJob>,
    pub(crate) provisioned: usize,
    /// The tower refuses a second object of one name; when it does not, the operator has to be careful alone.
    pub(crate) unique_names: bool,
    pub(crate) tower_answers: Result<(), (dct::Class, &'static str)>,
    pub(crate) job_fails: Option<&'static str>,
    /// Operations whose job fails, and those that are refused at once.
    pub(crate) failing: Vec<&'static str>,
    pub(crate) refusing: Vec<&'static str>,
    pub(crate) bookmarks: BTreeMap<String, (Bookmark, Data)>,
    /// The engine serves the copies itself, on a target host.
    pub(crate) remote: bool,
    /// Virtual databases of others, and what their namespaces consent to.
    pub(crate) foreign: BTreeMap<String, Vdb>,
    pub(crate) shares: BTreeMap<String, String>,
    pub(crate) actions: BTreeMap<String, Action>,
    /// Orders that exchange data, as the tower accepted them.
    pub(crate) exchanges: Vec<&'static str>,
    /// A server on this claim does not start.
    pub(crate) broken_claim: Option<&'static str>,
    pub(crate) job_takes: SignedDuration,
    /// What happens while such an object is written; the answer comes a second later.
    pub(crate) meanwhile: Option<(Kind, Happens)>,
    /// How long the cluster takes to write an object.
    pub(crate) write_takes: SignedDuration,
    pub(crate) databases: Vec<String>,
    pub(crate) pod_status: Option<serde_json::Value>,
    pub(crate) hook_fails: bool,
    /// What a Job prints.
    pub(crate) prints: String,
    /// What sessions were told.
    pub(crate) told: Vec<Farewell>,
    /// What differs in the copies, how many more looks its rebuild takes or why it fails, and what it has done.
    pub(crate) collations: Collations,
    pub(crate) rebuild: Result<u8, &'static str>,
    pub(super) rebuilt: Option<String>,
    pub(crate) stuck_pod: bool,
    /// The namespace goes, and the operator's role in it is gone already.
    pub(crate) namespace_ends: bool,
    pub(crate) orphans: Vec<Orphan>,
    pub(crate) notices: Vec<Notice>,
    /// What all processes of this world have counted.
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) writes: usize,
    /// Reads of the resource.
    pub(crate) looks: usize,
    pub(crate) status_writes: usize,
    pub(crate) ready_without_query: bool,
    queried: bool,
    /// Where the resource lives. Ids of the tower begin with the prefix, so that several worlds can share a process.
    pub(crate) namespace: String,
    pub(crate) prefix: String,
    /// How the next jobs end, instead of well.
    pub(crate) job_ends: Vec<JobStatus>,
    /// Jobs of which nobody knows how they ended did nothing.
    pub(crate) in_vain: bool,
    /// The operator's role has lost the right to read these.
    pub(crate) barred: Option<Kind>,
    /// What always holds and did not: asserted at once, unless there is a seed to be told first.
    pub(crate) gathers: bool,
    pub(crate) violations: Vec<String>,
    /// What the process whose call is carried out has read itself. Between that and its call others may act, so it
    /// answers for what it knew; `None`: it answers for how things are.
    pub(crate) known: Option<Known>,
    /// Virtual databases that were ordered though their resource had one.
    pub(crate) duplicates: usize,
    /// Names of virtual databases that have been there.
    made: BTreeSet<String>,
}

#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

pub(crate) fn key() -> Key {
    Key {
        namespace: "postgres-vdbs-dev".into(),
        name: "dev-vdb".into(),
    }
}

pub(crate) fn cr(spec: serde_json::Value) -> PostgresVdb {
    let mut whole = json!({
        "source": { "type": "dct-source", "reference": "10.0.1.54:largedb" },
        "database": { "name": "orders", "user": "app" },
        "errorBackoffPeriod": "1m",
    });
    merge(&mut whole, spec);
    let metadata = json!({ "name": "dev-vdb", "namespace": "postgres-vdbs-dev", "uid": "0a1b2c3d-4e5f", "generation": 1, "resourceVersion": "1" });
    let mut cr: PostgresVdb =
        serde_json::from_value(json!({ "metadata": metadata, "spec": whole })).unwrap();
    cr.metadata.creation_timestamp = Some(Time(start()));
    cr
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match from {
        serde_json::Value::Object(fields) if into.is_object() => {
            for (name, value) in fields {
                merge(&mut into[name], value);
            }
        }
        other => *into = other,
    }
}

fn start() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

pub(crate) const TARGET_HOST: &str = "10.0.2.7";

pub(crate) fn settings() -> Settings {
    static SETTINGS: LazyLock<Settings> = LazyLock::new(|| settings_with(""));
    SETTINGS.clone()
}

fn settings_with(more: &str) -> Settings {
    let text = "dct: { url: 'http://e', apiKeyFile: /k, group: vdbs, visibilityGrace: 5s }\n\
                export: { kind: local, prefix: /pool/vdbs, node: node1 }\ndeletionDeadline: 10m\n";
    Settings {
        // Hashing passwords as often as a real server wants it would take half of the time.
        scram_iterations: 1,
        ..environment::yaml::read(&format!("{text}{more}")).unwrap()
    }
}

impl World {
    pub(crate) fn new(spec: serde_json::Value) -> Self {
        Self::of(State {
            now: start(),
            calls: 0,
            fault: None,
            crashed: false,
            logs: true,
            log: Vec::new(),
            cr: Some(cr(spec)),
            shown: None,
            behind: 0,
            version: 1,
            objects: BTreeMap::new(),
            vdbs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            provisioned: 0,
            unique_names: true,
            tower_answers: Ok(()),
            job_fails: None,
            failing: Vec::new(),
            refusing: Vec::new(),
            bookmarks: BTreeMap::new(),
            remote: false,
            foreign: BTreeMap::new(),
            shares: BTreeMap::new(),
            exchanges: Vec::new(),
            actions: BTreeMap::new(),
            broken_claim: None,
            job_takes: SignedDuration::from_millis(700),
            meanwhile: None,
            write_takes: SignedDuration::ZERO,
            databases: vec!["orders".into(), "postgres".into()],
            pod_status: None,
            hook_fails: false,
            prints: "psql:<stdin>:3: ERROR:  relation \"x\" does not exist\n".into(),
            told: Vec::new(),
            collations: Collations::default(),
            rebuild: Ok(2),
            rebuilt: None,
            stuck_pod: false,
            namespace_ends: false,
            orphans: Vec::new(),
            notices: Vec::new(),
            metrics: Arc::default(),
            writes: 0,
            looks: 0,
            status_writes: 0,
            ready_without_query: false,
            queried: false,
            namespace: key().namespace,
            prefix: String::new(),
            job_ends: Vec::new(),
            in_vain: false,
            barred: None,
            gathers: false,
            violations: Vec::new(),
            known: None,
            duplicates: 0,
            made: BTreeSet::new(),
        })
    }

    pub(crate) fn of(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn process(&self) -> Context {
        let ports = Arc::new(self.clone());
        let (finished, _) = tokio::sync::mpsc::unbounded_channel();
        Context {
            cluster: ports.clone(),
            dct: ports.clone(),
            sql: ports.clone(),
            clock: ports,
            poller: Arc::new(Poller::new(finished)),
            settings: if self.state().remote {
                settings_with(
                    "remote: { sources: ['10.0.1.54:*'], hosts: [10.0.2.0/24], repository: pg16 }",
                )
            } else {
                settings()
            },
            helper: Helper::new(b"helper".to_vec()),
            memory: Memory::default(),
            metrics: self.state().metrics.clone(),
        }
    }

    /// As it is once its database is ready; from then on calls are counted and written down.
    pub(crate) async fn ready(self) -> State {
        self.drive(State::is_ready).await;
        let mut state = self.state().clone();
        state.log.clear();
        state.calls = 0;
        state
    }

    /// Lets processes work, and die, until the world is as wanted.
    pub(crate) async fn drive(&self, done: impl Fn(&State) -> bool) {
        let mut process = self.process();
        for _ in 0..400 {
            if done(&self.state()) {
                return;
            }
            let _ = process.poller.poll_once(process.dct.as_ref()).await;
            let open: Vec<_> = self
                .state()
                .actions
                .values()
                .filter(|a| !a.status.phase.is_over())
                .map(|a| (a.kind, a.key()))
                .collect();
            for (kind, key) in open {
                let _ = operator::actions::reconcile(&process, kind, &key).await;
            }
            let pause = match reconcile(&process, &key()).await {
                Ok(Requeue::After(after)) => after.min(Duration::from_secs(30)),
                Ok(Requeue::OnChange) | Err(_) => Duration::from_millis(500),
            };
            assert_eq!(process.metrics.endless_visits(), 0, "a visit found no end");
            // Jobs and pods wake the real controller earlier than its longest wait.
            self.state().advance(pause.min(Duration::from_secs(1)));
            if std::mem::take(&mut self.state().crashed) {
                process = self.process();
            }
        }
        let state = self.state();
        panic!(
            "no end: fault {:?}, status {:#?}\nlast calls {:?}",
            state.fault,
            state.cr.as_ref().map(|c| &c.status),
            state.log.iter().rev().take(30).collect::<Vec<_>>()
        );
    }

    pub(crate) fn delete(&self) {
        self.state().delete();
    }

    fn call<T, E: Lost>(
        &self,
        what: std::fmt::Arguments<'_>,
        effect: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state();
        if state.crashed {
            return Err(E::lost());
        }
        state.calls += 1;
        if state.logs {
            state.log.push(what.to_string());
        }
        match state
            .fault
            .filter(|(at, _)| *at == state.calls)
            .map(|(_, fault)| fault)
        {
            None => effect(&mut state),
            Some(Fault::NotSent) => Err(E::lost()),
            Some(Fault::Stale(behind)) => {
                state.behind = behind;
                effect(&mut state)
            }
            Some(fault) => {
                let _ = effect(&mut state);
                state.crashed = fault != Fault::LostReply;
                if let Fault::CrashThenStale(behind) = fault {
                    state.behind = behind;
                }
                Err(E::lost())
            }
        }
    }
}

impl State {
    pub(crate) fn condition(&self, kind: &str) -> Option<(String, String, String)> {
        let found = self.cr.as_ref()?.status.as_ref()?.condition(kind)?;
        Some((
            found.status.clone(),
            found.reason.clone(),
            found.message.clone(),
        ))
    }

    pub(crate) fn is_ready(&self) -> bool {
        let ready = |cr: &PostgresVdb| {
            let status = cr.status.as_ref();
            status.is_some_and(|s| s.is_ready(cr.generation()))
        };
        self.cr.as_ref().is_some_and(ready)
    }

    /// Events of this reason.
    pub(crate) fn told(&self, reason: &str) -> Vec<&Notice> {
        let notices = self.notices.iter();
        notices.filter(|n| n.reason.as_str() == reason).collect()
    }

    /// How often the operator has counted a stop for this reason.
    pub(crate) fn counted(&self, reason: &str) -> u32 {
        let series = format!("vdb_operator_stops_total{{reason=\"{reason}\"}} ");
        let text = self.metrics.text();
        let line = text.lines().find_map(|l| l.strip_prefix(&series));
        line.map_or(0, |count| count.parse().unwrap())
    }

    pub(crate) fn refresh(&self) -> Option<&Refresh> {
        self.cr.as_ref()?.status.as_ref()?.refresh.as_ref()
    }

    pub(crate) fn delete(&mut self) {
        let now = self.now;
        if let Some(cr) = &mut self.cr {
            if cr.has_finalizer() {
                cr.metadata.deletion_timestamp.get_or_insert(Time(now));
            } else {
                self.cr = None;
            }
        }
    }

    /// Somebody changes the order.
    pub(crate) fn change(&mut self, with: impl FnOnce(&mut PostgresVdb)) {
        let version = self.bump();
        let cr = self.cr.as_mut().unwrap();
        with(cr);
        cr.metadata.generation = cr.metadata.generation.map(|g| g + 1);
        cr.metadata.resource_version = Some(version);
    }

    pub(crate) fn reason(&self) -> String {
        self.condition("Ready")
            .map(|(_, reason, _)| reason)
            .unwrap_or_default()
    }

    pub(crate) fn object(&self, kind: Kind, name: &str) -> Option<&Object> {
        self.objects
            .values()
            .find(|o| o.kind() == kind && o.name() == name)
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += SignedDuration::try_from(by).unwrap();
        self.tower_works();
        self.kubelet_works();
        self.collector_works();
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What always holds.
    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            assert!(self.gathers, "{}", what());
            self.violations.push(what());
        }
    }

    /// Nothing uses the data, or nobody could know that something does.
    fn is_free(&self) -> bool {
        let pod = self.objects.keys().any(|n| n.kind == Kind::Pod);
        !pod || self.known.is_some_and(|known| known.shares && !known.pod)
    }

    /// The resource is being deleted, and whoever acts could know it.
    fn is_late(&self) -> bool {
        let deleting = self.cr.as_ref().is_some_and(PostgresVdb::is_deleting);
        self.known
            .map_or(deleting, |known| known.deleting && deleting)
    }

    /// The resource as a read shows it.
    fn look(&mut self) -> Option<PostgresVdb> {
        let behind = std::mem::take(&mut self.behind);
        let (now, cr) = (self.now, self.cr.as_ref());
        let Some(shown) = &mut self.shown else {
            return cr.cloned();
        };
        let version = |cr: &PostgresVdb| cr.metadata.resource_version.clone();
        let last = shown.last().map(|(_, cr)| version(cr));
        if let Some(cr) = cr.filter(|cr| Some(version(cr)) != last) {
            shown.push((now, cr.clone()));
        }
        if behind == 0 {
            return cr.cloned();
        }
        // One that is gone is still shown, too.
        let behind = behind - usize::from(cr.is_none());
        let place = shown.len().checked_sub(behind + 1)?;
        Some(shown[place].1.clone())
    }

    /// The next read shows a version that stopped being the present one at most so long ago.
    pub(crate) fn lag(&mut self, longest: SignedDuration, draw: impl FnOnce(usize) -> usize) {
        let now = self.now;
        let Some(shown) = &self.shown else { return };
        let since = |(at, _): &&(Timestamp, PostgresVdb)| now.duration_since(*at) < longest;
        let fresh = shown.iter().rev().take_while(since).count();
        self.behind = draw(fresh.min(shown.len().saturating_sub(1)) + 1);
    }

    pub(crate) fn bump(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn tower_works(&mut self) {
        let due: Vec<_> = self
            .jobs
            .values()
            .filter(|j| j.ends <= self.now && !j.job.status.is_over())
            .cloned()
            .collect();
        for mut done in due {
            let target = done.job.target_id.clone().unwrap();
            done.job.status = JobStatus::Completed;
            let fails = self.failing.contains(&done.operation);
            let end = self.job_ends.pop();
            let failed = end == Some(JobStatus::Failed) || fails;
            if let Some(end) = end {
                done.job.status = end;
            }
            if let Some(why) = self.job_fails.or(failed.then_some("out of space")) {
                done.job.status = JobStatus::Failed;
                done.job.error_details = Some(why.into());
                if done.operation == "provision" {
                    self.vdbs.remove(&target);
                }
            } else if end.is_some_and(JobStatus::is_inconclusive) && self.in_vain {
                if done.operation == "provision" {
                    self.vdbs.remove(&target);
                }
            } else if done.operation == "delete" {
                self.vdbs.remove(&target);
                self.bookmarks.clear();
            } else if done.operation == "bookmark" {
                if let Some((bookmark, _)) = self.bookmarks.get_mut(&target) {
                    bookmark.bookmark_status = Some("ACTIVE".into());
                }
            } else if let Some(found) = self.vdbs.get_mut(&target) {
                found.visible = true;
                self.made.extend(found.vdb.name.clone());
                work(found, &done, &mut self.queried);
            }
            self.jobs.insert(done.job.id.clone(), done);
        }
    }

    fn kubelet_works(&mut self) {
        if self.objects.is_empty() {
            return;
        }
        let namespace = self.namespace.clone();
        let pod = Name::new(Kind::Pod, &namespace, "dev-vdb-0");
        let set = match self.object(Kind::StatefulSet, "dev-vdb") {
            Some(Object::StatefulSet(set)) => Some(set.clone()),
            _ => None,
        };
        let wanted = set
            .as_ref()
            .and_then(|set| set.spec.as_ref())
            .filter(|s| s.replicas == Some(1));
        let mounted = self
            .objects
            .keys()
            .any(|n| n.kind == Kind::PersistentVolumeClaim)
            && self
                .objects
                .keys()
                .any(|n| n.kind == Kind::PersistentVolume);
        match wanted {
            Some(set) if mounted && !self.namespace_ends && !self.objects.contains_key(&pod) => {
                let uid = format!("pod-{}", self.bump());
                let claim = claim_of(set.template.spec.as_ref().unwrap());
                let volume = Name::new(Kind::PersistentVolumeClaim, &namespace, &claim);
                if !self.objects.contains_key(&volume) {
                    let shares = self.known.is_some_and(|known| known.shares);
                    return self.must(shares, || format!("{claim} does not exist"));
                }
                let broken = self.broken_claim == Some(claim.as_str());
                let ended = json!({ "exitCode": 3, "message": json!({ "reason": "VersionMismatch", "message": "the data is of PostgreSQL 17" }).to_string() });
                let stopped = json!([{ "name": "postgres", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
                    "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": { "terminated": ended } }]);
                let container = json!({ "name": "postgres", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": {} } });
                let status = self
                    .pod_status
                    .clone()
                    .or(broken.then(|| json!({ "containerStatuses": stopped })))
                    .unwrap_or(json!({ "containerStatuses": [container] }));
                let labels = set.template.metadata.as_ref().unwrap().labels.clone();
                let made: Pod = serde_json::from_value(json!({
                    "metadata": { "name": "dev-vdb-0", "namespace": namespace, "uid": uid, "labels": labels, "annotations": { "claim": claim } },
                    "spec": { "nodeName": "node1", "containers": [] }, "status": status,
                }))
                .unwrap();
                self.objects.insert(pod, made.into());
            }
            Some(set) if self.objects.contains_key(&pod) => {
                // A set would roll; the operator never lets it while data is exchanged.
                let claim = claim_of(set.template.spec.as_ref().unwrap());
                let used = self.objects[&pod].annotation("claim");
                let (same, used) = (used == Some(claim.as_str()), used.map(str::to_owned));
                let shares = self.known.is_some_and(|known| known.shares);
                self.must(same || shares, || format!("{claim} beside {used:?}"));
                if !same {
                    self.objects.remove(&pod);
                }
            }
            None if !self.stuck_pod => {
                self.objects.remove(&pod);
            }
            _ => {}
        }
        let verdict = if self.hook_fails {
            "Failed"
        } else {
            "Complete"
        };
        for object in self.objects.values_mut() {
            // What a Job came to stays.
            if let Object::Job(job) = object
                && job.status.is_none()
            {
                Arc::make_mut(job).status = serde_json::from_value(
                    json!({ "conditions": [{ "type": verdict, "status": "True" }] }),
                )
                .unwrap();
            }
        }
    }

    /// What the resource owned goes with it; in a deletion in the foreground it goes first, and none of it is waited for.
    fn collector_works(&mut self) {
        let foreground = self.cr.as_ref().is_some_and(in_the_foreground);
        let Self {
            cr,
            actions,
            objects,
            version,
            ..
        } = self;
        let owner = cr.as_ref().map(PostgresVdb::uid);
        let version = *version;
        objects.retain(|name, object| {
            let owners = object.meta().owner_references.as_ref();
            let place = version + u64::from(name.name.as_bytes()[0]);
            let reached = foreground && place.is_multiple_of(2);
            owners.is_none_or(|all| {
                all.iter().any(|o| {
                    Some(o.uid.as_str()) == owner && !reached
                        || actions.values().any(|a| a.uid() == o.uid)
                })
            })
        });
        // It comes by once: what it did not reach goes after the resource.
        if foreground && let Some(cr) = cr {
            let finalizers = cr.metadata.finalizers.get_or_insert_default();
            finalizers.retain(|f| f != FOREGROUND);
            let ends = finalizers.is_empty();
            self.bump();
            if ends {
                self.cr = None;
            }
        }
    }
}

/// Finalizer of a deletion that takes what the resource owns before the resource.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

fn in_the_foreground(cr: &PostgresVdb) -> bool {
    let mut finalizers = cr.metadata.finalizers.iter().flatten();
    cr.is_deleting() && finalizers.any(|f| f == FOREGROUND)
}

fn claim_of(pod: &PodSpec) -> String {
    let mut volumes = pod.volumes.iter().flatten();
    let data = volumes.find(|v| v.name == "data").unwrap();
    data.persistent_volume_claim.clone().unwrap().claim_name
}

/// What a job does to its virtual database.
fn work(found: &mut SimVdb, job: &SimJob, queried: &mut bool) {
    if found.is_remote() {
        // The server is moved: whoever was connected no longer is.
        *queried = false;
        match job.operation {
            "enable" => found.vdb.enabled = Some(true),
            "disable" => found.vdb.enabled = Some(false),
            "provision" => found.configure_clone(),
            _ => {}
        }
    }
    match job.operation {
        "enable" | "disable" if found.is_remote() => {}
        "enable" => {
            found.vdb.containerization_state = Some(ContainerizationState::RunningInContainer);
            found.vdb.exported_data_directory = Some(found.directory());
        }
        "disable" => {
            found.vdb.containerization_state = Some(ContainerizationState::ReadyForContainer);
            found.vdb.exported_data_directory = None;
            *queried = false;
        }
        "refresh" => {
            found.begin(Data {
                origin: "refreshed".into(),
                as_of: "2026-11-23T10:30:00Z".into(),
                ..Data::default()
            });
            if found.is_remote() {
                found.configure_clone();
            }
        }
        "rewind" => {
            found.begin(job.data.clone().unwrap());
            if found.is_remote() && found.data().verifier.is_none() {
                // Its own earlier data has been through the hook.
                found.configure_clone();
            }
        }
        "undo" => {
            let before = found.vdb.previous_timeflow_id.clone().unwrap();
            found.switch(&before);
        }
        _ => {}
    }
}

pub(crate) trait Lost {
    fn lost() -> Self;
}

impl Lost for cluster::Error {
    fn lost() -> Self {
        Self {
            kind: ErrorKind::Unreachable,
            call: "call".into(),
            message: "connection reset".into(),
        }
    }
}

impl Lost for tower::Error {
    fn lost() -> Self {
        Self {
            class: dct::Class::Unreachable,
            conflict: false,
            message: "connection reset".into(),
        }
    }
}

impl Lost for sql::Error {
    fn lost() -> Self {
        Self::NotYet("connection reset".into())
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    async fn sleep(&self, duration: Duration) {
        self.state().advance(duration);
    }
}
