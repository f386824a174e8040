//! Everything that a decision is made from, read through the ports. Reads only.

use std::collections::BTreeMap;
use std::time::Duration;

use dct::types::{Job as TowerJob, Vdb};
use environment::names::INSTANCE_LABEL;
use environment::spec::Point;
use environment::status::{Intent, RefreshState, Vdb as Recorded};
use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod, Secret};

use super::build::{Names, UID_LABEL, vdb_name};
use super::memory::Remembered;
use super::{Context, build, cleanup, expiry, pod, provision, refresh};
use crate::clock::between;
use crate::cluster::{self, ErrorKind, HookRun, Kind, Name, Object};
use crate::consent::{self, Asker};
use crate::crd::PostgresVdb;
use crate::poller::Progress;
use crate::rules::{self, Refusal};
use crate::tower::Error;
use crate::{reason, source};

const YOUNG: Duration = Duration::from_secs(30);

pub struct Observed {
    pub cr: PostgresVdb,
    pub now: Timestamp,
    pub tower: Tower,
    pub exchange: refresh::look::Look,
    pub children: Children,
    pub memory: Remembered,
    /// Its namespace is going, too.
    pub namespace_ends: bool,
    pub cluster_id: String,
}

/// What Data Control Tower says about this resource's virtual database.
#[derive(Debug)]
pub enum Tower {
    NotAsked,
    Failed(Error),
    /// Nothing is ordered yet: the id of the source to order from.
    Source(Result<String, Refusal>),
    /// The intent is this process's own and nothing was sent after it.
    Fresh(String),
    /// An intent without ids: what can be found of it, and the source to order from if nothing is.
    Lookup {
        vdb: Option<Box<Vdb>>,
        job: Option<Box<TowerJob>>,
        source: Result<String, Refusal>,
    },
    Running,
    /// The recorded job ended without success.
    JobFailed(Box<TowerJob>),
    /// No job is under way: the virtual database itself.
    Vdb(Option<Box<Vdb>>),
    /// Nobody knows how the order ended, and the virtual database is not there.
    NotMade(Box<TowerJob>),
}

/// What cannot be read while both are asked.
pub enum Failure {
    Tower(Error),
    Cluster(cluster::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Tower(error)
    }
}

impl From<cluster::Error> for Failure {
    fn from(error: cluster::Error) -> Self {
        Self::Cluster(error)
    }
}

/// The objects around the resource, by name.
#[derive(Default)]
pub struct Children {
    objects: BTreeMap<Name, Object>,
    pub hook_runs: Vec<HookRun>,
    /// What may not be read: then nothing is known of the others either.
    pub barred: Option<cluster::Error>,
}

impl Children {
    pub fn get(&self, name: &Name) -> Option<&Object> {
        self.objects.get(name)
    }

    /// The object, if it is this resource's own.
    pub fn own(&self, name: &Name, cr: &PostgresVdb) -> Option<&Object> {
        self.get(name).filter(|object| is_own(object, cr))
    }

    pub fn secret(&self, name: &Name) -> Option<&Secret> {
        match self.get(name) {
            Some(Object::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    pub fn volume(&self, name: &Name) -> Option<&PersistentVolume> {
        match self.get(name) {
            Some(Object::PersistentVolume(volume)) => Some(volume),
            _ => None,
        }
    }

    pub fn stateful_set(&self, name: &Name) -> Option<&StatefulSet> {
        match self.get(name) {
            Some(Object::StatefulSet(set)) => Some(set),
            _ => None,
        }
    }

    pub fn pod(&self, name: &Name) -> Option<&Pod> {
        match self.get(name) {
            Some(Object::Pod(pod)) => Some(pod),
            _ => None,
        }
    }
}

pub fn is_own(object: &Object, cr: &PostgresVdb) -> bool {
    object.label(UID_LABEL) == Some(cr.uid())
        && object.label(INSTANCE_LABEL) == cr.metadata.name.as_deref()
}

/// `comes`: on the first way to Ready, where not everything is read anew (see [`super::sight`]).
pub async fn observe(
    ctx: &Context,
    cr: PostgresVdb,
    comes: bool,
) -> Result<Observed, cluster::Error> {
    let key = cr.key();
    let memory = ctx.memory.with(&key, |m| m.clone());
    let mut observed = Observed {
        cr,
        now: ctx.clock.now(),
        tower: Tower::NotAsked,
        exchange: refresh::look::Look::NotAsked,
        children: Children::default(),
        memory,
        namespace_ends: false,
        cluster_id: String::new(),
    };
    if !observed.cr.has_finalizer() {
        return Ok(observed);
    }
    if observed.cr.is_deleting() {
        observed.namespace_ends = ctx.cluster.namespace_ends(&key.namespace).await?;
    }
    let frame = ctx.frame(&observed.cr);
    let others = refresh::others(&observed.cr, frame.generation);
    let plain = observed.cr.spec.hooks.is_empty() && !frame.is_remote() && others.is_empty();
    observed.cluster_id = ctx.cluster.cluster_id().await?;
    let in_turn = comes && plain;
    let found = if in_turn {
        in_turn_with_the_tower(ctx, &mut observed).await
    } else {
        children(ctx, &mut observed, comes, others).await
    };
    match found {
        Err(error) if error.kind == ErrorKind::Forbidden && !is_young(&observed) => {
            observed.children.barred = Some(error);
            return Ok(observed);
        }
        found => found?,
    }
    if !observed.cr.is_deleting() && cleanup::is_stuck(&observed, &ctx.frame(&observed.cr)) {
        observed.namespace_ends = ctx.cluster.namespace_ends(&key.namespace).await?;
    }
    if in_turn {
        return Ok(observed);
    }
    if !observed.cr.is_deleting() {
        observed.exchange = refresh::look::look(ctx, &observed).await?;
    }
    ask(ctx, &mut observed).await?;
    Ok(observed)
}

/// Everything that may decide.
async fn children(
    ctx: &Context,
    observed: &mut Observed,
    comes: bool,
    others: Vec<u32>,
) -> Result<(), cluster::Error> {
    let mut wanted = Names::of(&ctx.frame(&observed.cr)).all();
    for generation in others {
        let names = Names::of(&build::Frame {
            generation,
            ..ctx.frame(&observed.cr)
        });
        wanted.extend(names.data().into_iter().map(|(name, _)| name));
    }
    read(ctx, observed, comes, wanted).await?;
    read_ordered(ctx, observed).await?;
    if !observed.cr.spec.hooks.is_empty() {
        observed.children.hook_runs = ctx.cluster.hook_runs(&observed.cr.key()).await?;
    }
    Ok(())
}

/// On the first way to Ready: what stands of the copy, then the tower, then what its answer makes decide.
async fn in_turn_with_the_tower(
    ctx: &Context,
    observed: &mut Observed,
) -> Result<(), cluster::Error> {
    let names = Names::of(&ctx.frame(&observed.cr));
    let mut first = vec![names.record()];
    if recorded(&observed.cr).generation.is_none() {
        first.push(names.stateful_set());
    }
    read(ctx, observed, true, first).await?;
    ask(ctx, observed).await?;
    let decides = decides(observed, &ctx.frame(&observed.cr), &names);
    read(ctx, observed, true, decides).await?;
    let pod = pod::state(observed.children.pod(&names.pod()), &observed.cr);
    if matches!(pod, pod::State::Up(_)) {
        read(ctx, observed, true, vec![names.credentials()]).await?;
        read_ordered(ctx, observed).await?;
    }
    Ok(())
}

/// What the next step is decided from, where nothing is decided from all of it at once: an order that comes reads
/// nothing that is not there yet, and each object just before it is written.
fn decides(observed: &Observed, frame: &build::Frame<'_>, names: &Names) -> Vec<Name> {
    let all = names.all().into_iter();
    match &observed.tower {
        // The copy is delivered; the credentials come with the pod.
        Tower::NotAsked => all.filter(|n| *n != names.credentials()).collect(),
        Tower::Running => {
            let early = [
                names.helper(),
                names.config(),
                names.admin(),
                names.service(),
            ];
            early.into()
        }
        Tower::Vdb(Some(vdb)) if provision::offers(frame, vdb) => all
            .filter(|n| *n != names.credentials() && *n != names.pod())
            .collect(),
        Tower::Failed(_)
        | Tower::Source(_)
        | Tower::Fresh(_)
        | Tower::Lookup { .. }
        | Tower::JobFailed(_)
        | Tower::NotMade(_)
        | Tower::Vdb(_) => Vec::new(),
    }
}

/// Reads the resource's own objects; `comes`: not those that were noted.
async fn read(
    ctx: &Context,
    observed: &mut Observed,
    comes: bool,
    wanted: Vec<Name>,
) -> Result<(), cluster::Error> {
    let (key, sight, seen) = (observed.cr.key(), &ctx.memory.sight, &*observed);
    let reads = wanted.iter().map(|name| {
        let key = &key;
        async move {
            let known = sight.recall(key, name).filter(|_| comes);
            if let Some(known) = known {
                return Ok(known);
            }
            let found = child(ctx, name, seen.namespace_ends).await?;
            if comes {
                sight.note(key, name.clone(), found.clone(), seen.now);
            }
            Ok(found)
        }
    });
    let found = try_join_all(reads).await?;
    let found = wanted.into_iter().zip(found);
    let found = found.filter_map(|(name, object)| Some((name, object?)));
    observed.children.objects.extend(found);
    Ok(())
}

/// The Secret that the order names is somebody else's, so it is always read as it is.
async fn read_ordered(ctx: &Context, observed: &mut Observed) -> Result<(), cluster::Error> {
    let cr = &observed.cr;
    let Some(secret) = &cr.spec.database.password_secret_ref else {
        return Ok(());
    };
    let name = Name::new(Kind::Secret, &cr.key().namespace, secret);
    if let Some(found) = child(ctx, &name, observed.namespace_ends).await? {
        observed.children.objects.insert(name, found);
    }
    Ok(())
}

async fn ask(ctx: &Context, observed: &mut Observed) -> Result<(), cluster::Error> {
    if wants_tower(ctx, observed) {
        observed.tower = match tower(ctx, observed).await {
            Ok(tower) => tower,
            Err(Failure::Tower(error)) => Tower::Failed(error),
            Err(Failure::Cluster(error)) => return Err(error),
        };
    }
    Ok(())
}

/// The operator's role may come into a new namespace a moment after the resource.
fn is_young(observed: &Observed) -> bool {
    let created = observed.cr.metadata.creation_timestamp.as_ref();
    created.is_some_and(|at| between(at.0, observed.now) < YOUNG)
}

/// A namespace that goes may take the operator's role in it away first. What can then no longer be read is the namespace's
/// to remove; server, pod and volume stay readable.
async fn child(
    ctx: &Context,
    name: &Name,
    namespace_ends: bool,
) -> Result<Option<Object>, cluster::Error> {
    match ctx.cluster.object(name).await {
        Err(error) if namespace_ends && error.kind == ErrorKind::Forbidden => Ok(None),
        answer => answer,
    }
}

/// The tower is asked only while the answer decides something: its calls are metered.
fn wants_tower(ctx: &Context, observed: &Observed) -> bool {
    let names = Names::of(&ctx.frame(&observed.cr));
    let children = &observed.children;
    if observed.cr.is_deleting() {
        return may_have_ordered(observed)
            && children.own(&names.stateful_set(), &observed.cr).is_none()
            && children.own(&names.pod(), &observed.cr).is_none();
    }
    let refused = rules::check(&observed.cr, &ctx.settings.allow, observed.now).is_err();
    let delivered = is_known(&observed.cr) && children.own(&names.record(), &observed.cr).is_some();
    let wanted = match refresh::recorded(&observed.cr).and_then(|r| r.state) {
        Some(RefreshState::Starting | RefreshState::Restoring) => !delivered,
        Some(state) if !state.is_over() => false,
        _ if expiry::rests(&observed.cr, observed.now).is_none() => !delivered,
        // The engine stops what it runs; a pod's server is stopped by its set.
        _ => delivered && ctx.frame(&observed.cr).is_remote(),
    };
    !refused && wanted
}

/// Only of a resource that this process has met first it is certain that nothing was ordered: the status of another one
/// may have been lost.
fn may_have_ordered(observed: &Observed) -> bool {
    let vdb = recorded(&observed.cr);
    vdb.intent.is_some() || vdb.id.is_some() || !observed.memory.is_new
}

/// The status names the virtual database. Without that, what stands around the resource says nothing: whoever went on
/// with it would never delete the virtual database.
fn is_known(cr: &PostgresVdb) -> bool {
    let vdb = cr.status.as_ref().and_then(|s| s.vdb.as_ref());
    vdb.is_some_and(|vdb| vdb.id.is_some())
}

pub fn recorded(cr: &PostgresVdb) -> Recorded {
    cr.status
        .as_ref()
        .and_then(|s| s.vdb.clone())
        .unwrap_or_default()
}

async fn tower(ctx: &Context, observed: &Observed) -> Result<Tower, Failure> {
    let vdb = recorded(&observed.cr);
    if vdb.intent.is_none() && vdb.id.is_none() {
        return before_the_intent(ctx, observed).await;
    }
    let Some(id) = vdb.id else {
        // Another process may have written its own over it, and sends that one.
        let fresh = observed.memory.fresh_intent.as_ref();
        let is_own = |own: &Intent| vdb.intent.as_ref() == Some(own);
        let fresh = fresh.filter(|(own, _)| is_own(own) && !observed.cr.is_deleting());
        if let Some((_, source)) = fresh {
            return Ok(Tower::Fresh(source.clone()));
        }
        return lookup(ctx, observed).await;
    };
    let Some(job) = vdb.job else {
        return Ok(Tower::Vdb(ctx.dct.vdb(&id).await?.map(Box::new)));
    };
    match ctx.poller.progress(&job.id, &observed.cr.key()) {
        // Nobody knows how far the job is while the tower does not say.
        Progress::Running => match ctx.poller.trouble() {
            Some(error) => Err(error.into()),
            None => Ok(Tower::Running),
        },
        Progress::Over(over)
            if over.status == dct::types::JobStatus::Completed || over.status.is_inconclusive() =>
        {
            if job.operation == "delete" && !over.status.is_inconclusive() {
                return Ok(Tower::Vdb(None));
            }
            Ok(match ctx.dct.vdb(&id).await? {
                // A deletion asks no more than whether it is there.
                None if over.status.is_inconclusive()
                    && job.operation == "provision"
                    && !observed.cr.is_deleting() =>
                {
                    Tower::NotMade(over)
                }
                found => Tower::Vdb(found.map(Box::new)),
            })
        }
        // What a failed job has left decides how a deletion goes on; of a failed order, that may be nothing.
        Progress::Over(over) if observed.cr.is_deleting() => {
            let ends = matches!(job.operation.as_str(), "delete" | "disable");
            Ok(match ctx.dct.vdb(&id).await? {
                Some(_) if ends => Tower::JobFailed(over),
                found => Tower::Vdb(found.map(Box::new)),
            })
        }
        Progress::Over(over) => Ok(Tower::JobFailed(over)),
        Progress::Gone => Ok(Tower::Vdb(ctx.dct.vdb(&id).await?.map(Box::new))),
    }
}

/// What the status names nothing of. It may have been lost with what was ordered: that is looked for by its name before
/// anything is ordered, and in a deletion.
async fn before_the_intent(ctx: &Context, observed: &Observed) -> Result<Tower, Failure> {
    if observed.cr.is_deleting() {
        return lookup(ctx, observed).await;
    }
    if !observed.memory.is_new {
        let name = vdb_name(&observed.cr);
        let made = ctx.dct.vdb_by_name(&name).await?.is_some();
        let job = ctx.dct.job_by_target(&name).await?;
        if made || job.is_some_and(|job| !job.status.is_over()) {
            // An intent without a source is never sent before it was looked for.
            return Ok(Tower::Source(Ok(String::new())));
        }
    }
    Ok(Tower::Source(resolve(ctx, observed).await?))
}

async fn lookup(ctx: &Context, observed: &Observed) -> Result<Tower, Failure> {
    let name = vdb_name(&observed.cr);
    let vdb = ctx.dct.vdb_by_name(&name).await?.map(Box::new);
    let job = ctx.dct.job_by_target(&name).await?.map(Box::new);
    let idle = job
        .as_ref()
        .is_none_or(|job| job.status.is_over() && job.status != dct::types::JobStatus::Completed);
    let needed = vdb.is_none() && idle && !observed.cr.is_deleting();
    let source = if needed {
        resolve(ctx, observed).await?
    } else {
        Err((reason::Reason::Pending, String::new()))
    };
    Ok(Tower::Lookup { vdb, job, source })
}

async fn resolve(ctx: &Context, observed: &Observed) -> Result<Result<String, Refusal>, Failure> {
    let wanted = &observed.cr.spec.source;
    let inventory = ctx.dct.inventory().await?;
    let id = match source::resolve(&wanted.reference, &inventory) {
        Ok(dsource) => dsource.id.clone(),
        Err(refusal) => return Ok(Err(refusal)),
    };
    let may = may_have(ctx, observed, &id, &wanted.point()).await?;
    Ok(may.map(|()| id))
}

/// Whether this source has the point, and whoever's data it is lets this resource have it.
pub async fn may_have(
    ctx: &Context,
    observed: &Observed,
    source: &str,
    point: &Point,
) -> Result<Result<(), Refusal>, Failure> {
    let key = observed.cr.key();
    let asker = Asker {
        namespace: &key.namespace,
        cluster_id: &observed.cluster_id,
        prefix: &ctx.settings.namespace_prefix,
    };
    match source::holds(ctx.dct.as_ref(), &asker, source, point).await? {
        Ok(home) => Ok(consent::given(ctx.cluster.as_ref(), &asker, home).await?),
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// What the annotations of volume or endpoint record of the copy.
pub fn copy(observed: &Observed, names: &build::Names) -> Option<build::Copy> {
    let object = observed.children.own(&names.record(), &observed.cr)?;
    is_known(&observed.cr).then_some(())?;
    Some(build::Copy {
        export: object.annotation(build::volume::EXPORT)?.to_owned(),
        identity: object.annotation(build::volume::IDENTITY)?.to_owned(),
        data_as_of: object
            .annotation(build::volume::DATA_AS_OF)
            .map(str::to_owned),
    })
}
