//! Puts real adapters behind the ports and runs the controller until the process is told to end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use environment::actions::Kind;
use environment::names::{PART_OF, PART_OF_LABEL};
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, PartialObjectMeta};
use kube::core::DynamicObject;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{PredicateConfig, WatchStreamExt, watcher};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::mpsc;

use crate::actions::{self, definition};
use crate::backoff::Soon;
use crate::clock::{Clock as _, SystemClock};
use crate::cluster::{self, Kubernetes};
use crate::controller::build::Helper;
use crate::controller::memory::Memory;
use crate::controller::{self, Context, Requeue};
use crate::crd::{Key, definition_name};
use crate::http::{self, Health};
use crate::lease::{Leadership, Tenure};
use crate::metrics::Metrics;
use crate::poller::Poller;
use crate::settings::Settings;
use crate::sql::{Postgres, Sql};
use crate::sweep;
use crate::tower::Tower;
use crate::watched::{self, Servers, Watched};

/// Who and where this process is.
pub struct Place {
    pub pod: String,
    pub namespace: String,
}

/// What a `ConfigMap` can hold beside its own fields.
const LARGEST_HELPER: usize = 900 << 10;

/// # Errors
/// What stops the operator from starting, or that it lost the lease.
pub async fn run(settings: Settings, place: Place) -> anyhow::Result<()> {
    run_with(settings, place, Arc::new(Postgres::default())).await
}

/// The same with another way to the servers: the measurements at scale have none.
///
/// # Errors
/// As [`run`].
pub async fn run_with(settings: Settings, place: Place, sql: Arc<dyn Sql>) -> anyhow::Result<()> {
    let helper = read_helper(&settings.helper_file)?;
    let health = Arc::new(Health::default());
    let client = Client::try_default()
        .await
        .context("no access to a cluster")?;
    wait_for_definition(&client).await?;

    let asked = dct::Client::new(settings.dct.client())?;
    let estate = sweep::Live::new(client.clone(), asked.clone(), place.namespace.clone());
    let tower = Arc::new(Tower::new(asked));
    let (finished, wakeups) = mpsc::unbounded_channel();
    let poller = Arc::new(Poller::new(finished));
    let listen = settings.listen.clone();
    let tenure = Arc::new(Tenure::default());
    let context = Arc::new(Context {
        cluster: Arc::new(Kubernetes::new(
            client.clone(),
            place.namespace.clone(),
            tenure.clone(),
        )),
        dct: tower.clone(),
        sql,
        clock: Arc::new(SystemClock),
        poller: poller.clone(),
        settings,
        helper,
        memory: Memory::default(),
        metrics: Arc::new(Metrics::default()),
    });
    http::serve(&listen, health.clone(), context.metrics.clone())
        .with_context(|| format!("cannot listen on {listen}"))?;
    // A standby is ready: it takes over when the lease is free.
    health.set_ready(true);

    let leadership = Leadership::new(
        Api::namespaced(client.clone(), &place.namespace),
        place.pod,
        tenure,
    );
    tokio::select! {
        () = leadership.acquire() => {}
        () = shutdown() => return Ok(()),
    }
    tracing::info!("leading");
    context.metrics.leads(true);
    let (shortest, longest) = (context.settings.dct.poll_min, context.settings.dct.poll_max);
    let polling = poller.run(tower.as_ref(), &SystemClock, shortest, longest);
    tokio::select! {
        () = watch(client.clone(), context.clone(), wakeups) => {}
        () = watch_actions(client, context.clone()) => {}
        () = polling => {}
        () = sweep::run(&estate, &SystemClock, &context.settings.sweep, &context.metrics) => {}
        () = leadership.keep() => bail!("the leader lease was lost"),
        () = shutdown() => {}
    }
    leadership.release().await;
    Ok(())
}

fn read_helper(path: &Path) -> anyhow::Result<Helper> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read the helper {}", path.display()))?;
    if bytes.len() > LARGEST_HELPER {
        bail!(
            "the helper {} has {} bytes; a ConfigMap holds at most {LARGEST_HELPER}",
            path.display(),
            bytes.len()
        );
    }
    Ok(Helper::new(bytes))
}

pub async fn shutdown() {
    let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Two operators of one resource would destroy each other's databases: a definition that is not ours ends the start.
async fn wait_for_definition(client: &Client) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = definition_name();
    let mut told = false;
    loop {
        match api.get_opt(&name).await {
            Ok(Some(found)) => {
                if found.labels().get(PART_OF_LABEL).map(String::as_str) != Some(PART_OF) {
                    bail!(
                        "{name} exists and is not this platform's (no label {PART_OF_LABEL}={PART_OF}): one operator per cluster may own it"
                    );
                }
                return Ok(());
            }
            Ok(None) if !told => {
                tracing::warn!("{name} does not exist yet; waiting for it");
                told = true;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(
                error = crate::error_chain(&error),
                "the cluster does not answer yet"
            ),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn watch(client: Client, context: Arc<Context>, wakeups: mpsc::UnboundedReceiver<Key>) {
    let woken = futures::stream::unfold(wakeups, |mut wakeups| async move {
        wakeups.recv().await.map(|key| (reference(&key), wakeups))
    });
    let config = Config::default().concurrency(context.settings.concurrency);
    let servers = Arc::new(Servers::default());
    let (reader, writer) = reflector::store();
    let allow = context.settings.allow.clone();
    // A pass's own writes of the status wake nobody: it goes on until it has to wait for something else.
    let resources = watcher(
        Api::<Watched>::all(client.clone()),
        watcher::Config::default(),
    )
    .backoff(Soon::default())
    .modify(move |watched| watched.reduce(&allow, SystemClock.now()))
    .reflect(writer)
    .applied_objects()
    .predicate_filter(Watched::wakes, PredicateConfig::default());
    let (shown, shown_sets) = (servers.clone(), servers.clone());
    let pods = watcher(Api::<Pod>::all(client.clone()), ours())
        .backoff(Soon::default())
        .map_ok(move |event| shown.pod(&event));
    let sets = watcher(children::<StatefulSet>(&client), ours())
        .backoff(Soon::default())
        .map_ok(move |event| shown_sets.set(&event));
    let passing = Arc::new(Passing { context, servers });
    Controller::for_stream(resources, reader)
        .with_config(config)
        .reconcile_on(told(pods))
        .reconcile_on(told(sets))
        .watches(children::<Job>(&client), ours(), |object| {
            owner(&object.metadata)
        })
        .reconcile_on(woken)
        .run(
            reconcile,
            |object, error, passing| on_error(&object, error, &passing.context),
            passing,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

/// A watch that fails is tried again; meanwhile the passes come from their own clocks.
fn told(
    woken: impl Stream<Item = Result<Vec<Key>, watcher::Error>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<Watched>> + Send + 'static {
    let keys = woken.map(|woken| {
        woken.unwrap_or_else(|error| {
            tracing::debug!(error = crate::error_chain(&error), "watch failed");
            Vec::new()
        })
    });
    keys.flat_map(|keys| futures::stream::iter(keys).map(|key| reference(&key)))
}

/// One controller for each kind of action. Until its definition is there, the watch tries again.
async fn watch_actions(client: Client, context: Arc<Context>) {
    let each = Kind::ALL.into_iter().map(|kind| {
        let resource = definition::resource(kind);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let config = Config::default().concurrency(context.settings.concurrency);
        Controller::new_with(api, watcher::Config::default(), resource)
            .with_config(config)
            .run(
                move |object: Arc<DynamicObject>, context: Arc<Context>| async move {
                    let key = key(object.as_ref());
                    let requeue = actions::reconcile(&context, kind, &key).await?;
                    Ok::<_, cluster::Error>(action_of(requeue))
                },
                |object, error: &cluster::Error, _| on_action_error(&object, error),
                context.clone(),
            )
            .for_each(|_| std::future::ready(()))
    });
    futures::future::join_all(each).await;
}

fn key(object: &impl ResourceExt) -> Key {
    Key {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

fn action_of(requeue: Requeue) -> Action {
    match requeue {
        Requeue::After(after) => Action::requeue(after),
        Requeue::OnChange => Action::await_change(),
    }
}

fn on_action_error(object: &DynamicObject, error: &cluster::Error) -> Action {
    let key = key(object);
    if error.kind == cluster::ErrorKind::Conflict {
        return Action::requeue(Duration::from_millis(100));
    }
    tracing::warn!(%key, error = crate::error_chain(error), "pass over an action failed");
    Action::requeue(Duration::from_secs(5))
}

/// Objects of one kind, without their content.
fn children<K: Resource<DynamicType = ()>>(client: &Client) -> Api<PartialObjectMeta<K>> {
    Api::all(client.clone())
}

fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{PART_OF_LABEL}={PART_OF}"))
}

/// A hook's Job.
fn owner(meta: &ObjectMeta) -> Option<ObjectRef<Watched>> {
    watched::key_of(meta).map(|key| reference(&key))
}

fn reference(key: &Key) -> ObjectRef<Watched> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

/// Shared by all passes.
struct Passing {
    context: Arc<Context>,
    servers: Arc<Servers>,
}

/// A list of ten thousand takes a second or two.
const LISTED_WITHIN: Duration = Duration::from_secs(30);

async fn reconcile(object: Arc<Watched>, passing: Arc<Passing>) -> Result<Action, cluster::Error> {
    let context = &passing.context;
    let key = object.key();
    let started = Instant::now();
    passing.servers.listed(LISTED_WITHIN).await;
    let now = context.clock.now();
    let uid = object.uid().unwrap_or_default();
    let (server, set) = passing.servers.of(&key);
    let left = object.rests(server.as_ref(), set.as_ref(), now);
    if let (Some(left), Some(set)) = (left, set)
        && let Some(after) = context.memory.rest(&key, &uid, set.generation, now)
    {
        context.metrics.passed(started.elapsed(), true);
        return Ok(Action::requeue(after.min(left)));
    }
    let result = controller::reconcile(context, &key).await;
    context.metrics.passed(started.elapsed(), result.is_ok());
    Ok(action_of(result?))
}

/// Somebody else was faster: look again at once. Everything else is tried again later and later.
fn on_error(object: &Watched, error: &cluster::Error, context: &Context) -> Action {
    let key = object.key();
    if error.kind == cluster::ErrorKind::Conflict {
        tracing::debug!(%key, %error, "changed meanwhile");
        return Action::requeue(Duration::from_millis(100));
    }
    tracing::warn!(%key, error = crate::error_chain(error), "pass failed");
    Action::requeue(
        context
            .memory
            .with(&key, controller::memory::Remembered::backoff),
    )
}
