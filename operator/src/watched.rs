//! What is kept of the objects that are watched: as little as says whether a resource rests. A resource that rests
//! costs no request, whoever wakes it; in doubt the pass over it reads everything.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::time::Duration;

use environment::names::INSTANCE_LABEL;
use environment::status::RefreshState;
use environment::{PostgresVdbSpec, PostgresVdbStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tokio::sync::watch;

use crate::clock::{between, parse};
use crate::controller::refresh::{self, begin};
use crate::controller::{expiry, pod};
use crate::crd::{Key, PostgresVdb};
use crate::rules;
use crate::settings::Allow;

/// A resource. One that cannot be parsed is one that does not rest: it stops only itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Watched {
    pub metadata: ObjectMeta,
    #[serde(default, deserialize_with = "lenient")]
    spec: Option<Box<PostgresVdbSpec>>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<Box<PostgresVdbStatus>>,
    #[serde(skip)]
    rest: Option<Rest>,
    /// Another number: somebody else than the passes over this resource has changed it.
    #[serde(skip)]
    wakes: u64,
}

/// Nothing is left to do while this holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    pod: String,
    restarts: i32,
    /// The end of its life, or the next refresh.
    pub until: Option<Timestamp>,
}

impl kube::Resource for Watched {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        PostgresVdb::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        PostgresVdb::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        PostgresVdb::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        PostgresVdb::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Watched {
    /// Keeps what is needed later and drops the rest.
    pub fn reduce(&mut self, allow: &Allow, now: Timestamp) {
        let meta = std::mem::take(&mut self.metadata);
        let status = self.status.take();
        let mut hasher = DefaultHasher::new();
        (meta.generation, &meta.labels, &meta.annotations).hash(&mut hasher);
        meta.deletion_timestamp.is_some().hash(&mut hasher);
        // Actions write an exchange of the data into the status; everything else in it is the passes' own.
        let exchange = status.as_ref().and_then(|s| s.refresh.as_ref());
        format!("{exchange:?}").hash(&mut hasher);
        self.wakes = hasher.finish();
        self.metadata = ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            ..ObjectMeta::default()
        };
        self.rest = self.spec.take().and_then(|spec| {
            let mut cr = PostgresVdb::new(meta, *spec);
            cr.status = status.map(|status| *status);
            rest(&cr, allow, now)
        });
    }

    pub fn wakes(&self) -> Option<u64> {
        Some(self.wakes)
    }

    pub fn key(&self) -> Key {
        Key {
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            name: self.metadata.name.clone().unwrap_or_default(),
        }
    }

    /// How long there is certainly nothing to do; `None`: look.
    pub fn rests(
        &self,
        server: Option<&Server>,
        set: Option<&Set>,
        now: Timestamp,
    ) -> Option<Duration> {
        let (rest, server, set) = (self.rest.as_ref()?, server?, set?);
        let same = server.uid == rest.pod && server.restarts == rest.restarts;
        if !same || !server.ready || set.leaving {
            return None;
        }
        match rest.until {
            Some(until) if until <= now => None,
            Some(until) => Some(between(now, until)),
            None => Some(Duration::MAX),
        }
    }
}

/// Ready as it is ordered, nothing under way, nothing that anybody waits for.
pub fn rest(cr: &PostgresVdb, allow: &Allow, now: Timestamp) -> Option<Rest> {
    let status = cr.status.as_ref()?;
    let exchange = status.refresh.as_ref();
    let quiet = exchange.is_none_or(|r| {
        matches!(r.state, None | Some(RefreshState::Succeeded)) && r.ended.is_empty()
    });
    let stands = cr.has_finalizer()
        && !cr.is_deleting()
        && status.is_ready(cr.generation())
        && status.vdb.as_ref().is_some_and(|v| v.job.is_none())
        && quiet
        && !begin::asks(cr, now)
        && expiry::rests(cr, now).is_none()
        && rules::check(cr, allow, now).is_ok();
    let verified = status.verified.as_ref().filter(|_| stands)?;
    let end = cr.spec.expires_at.as_deref().and_then(parse);
    let due = refresh::recorded(cr)
        .and_then(|r| r.next.as_deref())
        .and_then(parse);
    Some(Rest {
        pod: verified.pod_uid.clone(),
        restarts: verified.restarts,
        until: [end, due].into_iter().flatten().min(),
    })
}

fn lenient<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<T>>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// A server's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    uid: String,
    restarts: i32,
    ready: bool,
    /// Another number: a pass may decide otherwise.
    stands: u64,
}

/// A server's set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub generation: i64,
    leaving: bool,
}

impl Server {
    fn of(pod: &Pod) -> Self {
        let container = pod::container(pod);
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            restarts: container.map_or(0, |c| c.restart_count),
            ready: container.is_some_and(|c| c.ready)
                && pod::lost(pod).is_none()
                && pod.metadata.deletion_timestamp.is_none(),
            stands: pod::stands(pod),
        }
    }
}

/// What the watches of one kind have shown, by resource. A list that begins anew forgets what it does not show again.
struct Shown<T> {
    known: HashMap<Key, T>,
    listed: Option<HashMap<Key, T>>,
}

impl<T> Default for Shown<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            listed: None,
        }
    }
}

impl<T> Shown<T> {
    /// Says whom it wakes: those whose object is gone, and those for whom `wakes` says so of what was known and what is
    /// shown now.
    fn take<K>(
        &mut self,
        event: &Event<K>,
        of: impl Fn(&K) -> Option<(Key, T)>,
        wakes: impl Fn(Option<&T>, &T) -> bool,
    ) -> Vec<Key> {
        let mut woken = Vec::new();
        match event {
            Event::Init => self.listed = Some(HashMap::new()),
            Event::InitApply(object) | Event::Apply(object) => {
                let Some((key, shown)) = of(object) else {
                    return woken;
                };
                if wakes(self.known.get(&key), &shown) {
                    woken.push(key.clone());
                }
                let lists = matches!(event, Event::InitApply(_));
                let listed = self.listed.as_mut().filter(|_| lists);
                listed.unwrap_or(&mut self.known).insert(key, shown);
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.known, listed);
                let gone = before.into_keys();
                woken.extend(gone.filter(|key| !self.known.contains_key(key)));
            }
            Event::Delete(object) => {
                let gone = of(object).map(|(key, _)| key);
                woken.extend(gone.inspect(|key| drop(self.known.remove(key))));
            }
        }
        woken
    }
}

/// What the watches have shown of the servers.
pub struct Servers {
    pods: Mutex<Shown<Server>>,
    sets: Mutex<Shown<Set>>,
    listed: watch::Sender<(bool, bool)>,
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            pods: Mutex::default(),
            sets: Mutex::default(),
            listed: watch::Sender::new((false, false)),
        }
    }
}

impl Servers {
    /// Takes in what a watch shows, and says which resources it wakes.
    pub fn pod(&self, event: &Event<Pod>) -> Vec<Key> {
        let ours = |pod: &Pod| Some((key_of(&pod.metadata)?, Server::of(pod)));
        // Pods of hooks carry the label of the resource as well.
        let servers = |pod: &Pod| ours(pod).filter(|(key, _)| named(pod, key));
        let changes = |before: Option<&Server>, now: &Server| before != Some(now);
        let mut woken = lock(&self.pods).take(event, servers, changes);
        match event {
            Event::InitDone => self.listed.send_modify(|listed| listed.0 = true),
            Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod) => {
                let hooks = key_of(&pod.metadata).filter(|key| !named(pod, key));
                woken.extend(hooks);
            }
            Event::Init => {}
        }
        woken
    }

    /// A new set is the operator's own.
    pub fn set(
        &self,
        event: &Event<kube::api::PartialObjectMeta<k8s_openapi::api::apps::v1::StatefulSet>>,
    ) -> Vec<Key> {
        let changes = |before: Option<&Set>, now: &Set| before.is_some_and(|set| set != now);
        let shown = |set: &kube::api::PartialObjectMeta<_>| {
            let meta = &set.metadata;
            let shown = Set {
                generation: meta.generation.unwrap_or_default(),
                leaving: meta.deletion_timestamp.is_some(),
            };
            Some((key_of(meta)?, shown))
        };
        let woken = lock(&self.sets).take(event, shown, changes);
        if matches!(event, Event::InitDone) {
            self.listed.send_modify(|listed| listed.1 = true);
        }
        woken
    }

    pub fn of(&self, key: &Key) -> (Option<Server>, Option<Set>) {
        let pod = lock(&self.pods).known.get(key).cloned();
        (pod, lock(&self.sets).known.get(key).cloned())
    }

    /// Until everything was shown once. Without it nothing rests, so a list that does not come is not waited for longer.
    pub async fn listed(&self, within: Duration) {
        let mut listed = self.listed.subscribe();
        let both = listed.wait_for(|(pods, sets)| *pods && *sets);
        let _ = tokio::time::timeout(within, both).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The resource that an object belongs to.
pub fn key_of(meta: &ObjectMeta) -> Option<Key> {
    Some(Key {
        namespace: meta.namespace.clone()?,
        name: meta.labels.as_ref()?.get(INSTANCE_LABEL)?.clone(),
    })
}

fn named(pod: &Pod, key: &Key) -> bool {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    name.strip_suffix("-0") == Some(&key.name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resource() -> Value {
        json!({
            "metadata": { "name": "a-vdb", "namespace": "n", "uid": "u", "generation": 3, "finalizers": ["postgres-vdb-platform/finalizer"] },
            "spec": { "source": { "type": "dct-source", "reference": "h:d" }, "database": { "name": "d", "user": "app" } },
            "status": {
                "observedGeneration": 3, "verified": { "podUID": "p", "restarts": 1, "secretHash": "h" }, "vdb": { "id": "v" },
                "conditions": [{ "type": "Ready", "status": "True", "reason": "Verified", "observedGeneration": 3, "lastTransitionTime": "2026-01-01T00:00:00Z" }],
            },
        })
    }

    fn watched(resource: Value) -> Watched {
        let mut watched: Watched = serde_json::from_value(resource).unwrap();
        watched.reduce(&Allow::default(), now());
        watched
    }

    fn now() -> Timestamp {
        parse("2026-01-01T10:00:00Z").unwrap()
    }

    fn rests(watched: &Watched, change: impl FnOnce(&mut Server)) -> Option<Duration> {
        let mut server = Server {
            uid: "p".to_owned(),
            restarts: 1,
            ready: true,
            stands: 0,
        };
        change(&mut server);
        let set = Set {
            generation: 1,
            leaving: false,
        };
        watched.rests(Some(&server), Some(&set), now())
    }

    #[test]
    fn what_was_proved_rests_while_its_server_is_the_one_that_was_proved() {
        let watched = watched(resource());
        assert_eq!(rests(&watched, |_| ()), Some(Duration::MAX));
        assert_eq!(rests(&watched, |s| s.uid = "q".to_owned()), None);
        assert_eq!(rests(&watched, |s| s.restarts = 2), None);
        assert_eq!(rests(&watched, |s| s.ready = false), None);
        assert_eq!(watched.rests(None, None, now()), None);
    }

    #[rstest::rstest]
    #[case("/metadata/generation", json!(4))]
    #[case("/metadata/finalizers", json!([]))]
    #[case("/metadata/deletionTimestamp", json!("2026-01-01T09:00:00Z"))]
    #[case("/spec/enabled", json!(false))]
    #[case("/spec/expiresAt", json!("2026-01-01T09:00:00Z"))]
    #[case("/spec/refresh", json!({ "token": "again" }))]
    #[case("/spec/image", json!("elsewhere/postgres:16.9"))]
    #[case("/spec", json!("nonsense"))]
    #[case("/status/conditions/0/status", json!("False"))]
    #[case("/status/verified", Value::Null)]
    #[case("/status/refresh", json!({ "state": "Keeping" }))]
    #[case("/status/vdb/job", json!({ "id": "j", "operation": "enable" }))]
    fn whatever_is_to_be_done_wakes_it(#[case] at: &str, #[case] value: Value) {
        let mut resource = resource();
        let (parent, field) = at.rsplit_once('/').unwrap();
        resource.pointer_mut(parent).unwrap()[field] = value;
        assert_eq!(rests(&watched(resource), |_| ()), None);
    }

    #[test]
    fn it_rests_until_its_end() {
        let mut ends = resource();
        ends["spec"]["expiresAt"] = json!("2026-01-01T10:00:30Z");
        assert_eq!(rests(&watched(ends), |_| ()), Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_passes_own_status_wakes_nobody_but_an_exchange_does() {
        let (before, mut own) = (watched(resource()), resource());
        own["metadata"]["resourceVersion"] = json!("7");
        own["status"]["phase"] = json!("Running");
        assert_eq!(watched(own).wakes(), before.wakes());
        for (at, value) in [
            ("/metadata/generation", json!(4)),
            ("/metadata/annotations", json!({ "a": "b" })),
            ("/status/refresh", json!({ "state": "Keeping" })),
        ] {
            let mut changed = resource();
            let (parent, field) = at.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[field] = value;
            assert_ne!(watched(changed).wakes(), before.wakes(), "{at}");
        }
    }

    fn pod(uid: &str, status: &Value) -> Pod {
        let metadata = json!({ "name": "a-0", "namespace": "n", "uid": uid, "labels": { INSTANCE_LABEL: "a" } });
        serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap()
    }

    fn key() -> Key {
        Key {
            namespace: "n".to_owned(),
            name: "a".to_owned(),
        }
    }

    #[test]
    fn a_list_that_begins_anew_forgets_what_it_does_not_show() {
        let pod = |uid: &str| pod(uid, &json!({}));
        let servers = Servers::default();
        let shown = || servers.of(&key()).0.map(|s| s.uid);
        for event in [Event::Init, Event::InitApply(pod("p")), Event::InitDone] {
            servers.pod(&event);
        }
        assert_eq!(shown().as_deref(), Some("p"));
        servers.pod(&Event::Apply(pod("q")));
        servers.pod(&Event::Init);
        assert_eq!(shown().as_deref(), Some("q"));
        assert_eq!(servers.pod(&Event::InitDone), [key()]);
        assert_eq!(shown(), None);
    }

    #[test]
    fn a_pod_wakes_its_resource_when_a_pass_would_see_something_new() {
        let status = |ready: bool, probed: &str| {
            let container = json!({ "name": "postgres", "image": "i", "imageID": "", "ready": ready, "restartCount": 0 });
            let condition =
                json!({ "type": "PodScheduled", "status": "True", "lastProbeTime": probed });
            json!({ "conditions": [condition], "containerStatuses": [container] })
        };
        let servers = Servers::default();
        let wakes = |ready, probed| {
            let shown = pod("p", &status(ready, probed));
            !servers.pod(&Event::Apply(shown)).is_empty()
        };
        assert!(wakes(false, "2026-01-01T10:00:00Z"));
        assert!(!wakes(false, "2026-01-01T10:00:01Z"));
        assert!(wakes(true, "2026-01-01T10:00:01Z"));
        let gone = pod("p", &json!({}));
        assert_eq!(servers.pod(&Event::Delete(gone)), [key()]);
    }

    #[test]
    fn each_step_of_a_hooks_pod_wakes_its_resource() {
        let servers = Servers::default();
        let mut hook = pod("h", &json!({}));
        hook.metadata.name = Some("a-hook-x".to_owned());
        for _ in 0..2 {
            assert_eq!(servers.pod(&Event::Apply(hook.clone())), [key()]);
        }
        assert_eq!(servers.of(&key()).0, None);
    }
}
