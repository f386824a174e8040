//! The operator's ports over a world of the model. Reads answer at once; each call with an effect is a step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use environment::PostgresVdbStatus;
use environment::actions::{ActionStatus, Kind as ActionKind};
use environment::names::FINALIZER;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use operator::actions::Action;
use operator::clock::Clock;
use operator::cluster::{
    self, Cluster, Ending, ErrorKind, HookRun, Kind, Name, Notice, Object, Orphan,
};
use operator::controller::build::APPLIED;
use operator::crd::{Key, PostgresVdb};
use operator::scram::Password;
use operator::sql::{self, Collations, Farewell, Login, Preparation, Prepared, Server, Sql};

use super::defect::Defect;
use super::run::{Lost, Ports, stages};
use super::table::OBJECTS;
use super::time;
use super::world::{Broken, PodPhase, World};

impl Lost for cluster::Error {
    fn lost() -> Self {
        refused(ErrorKind::Unreachable)
    }
}

impl Lost for sql::Error {
    fn lost() -> Self {
        Self::NotYet("connection reset".into())
    }
}

fn refused(kind: ErrorKind) -> cluster::Error {
    cluster::Error {
        kind,
        call: "call".into(),
        message: format!("{kind:?}"),
    }
}

#[async_trait]
impl Clock for Ports {
    fn now(&self) -> Timestamp {
        time::now()
    }

    async fn sleep(&self, _: Duration) {}
}

/// Who writes has to know the present revision.
fn fence(world: &World, cr: &PostgresVdb) -> Result<(), cluster::Error> {
    if world.cr.is_none() {
        return Err(refused(ErrorKind::NotFound));
    }
    let known = cr.metadata.resource_version.as_deref();
    if known != Some(&world.revision.to_string()) {
        return Err(refused(ErrorKind::Conflict));
    }
    Ok(())
}

fn release(world: &mut World) {
    world.released = true;
    if world.is_deleting() {
        world.cr = None;
        world.collect();
    } else {
        world.change(|cr| cr.metadata.finalizers = None);
    }
}

fn write_status(world: &mut World, status: &PostgresVdbStatus) {
    let before = world.recorded().intent;
    let intent = status.vdb.as_ref().and_then(|v| v.intent.clone());
    if intent != before {
        for job in &mut world.tower.jobs {
            job.earlier = true;
        }
    }
    let ready = status
        .condition("Ready")
        .is_some_and(|c| c.status == "True");
    let generation = status.vdb.as_ref().and_then(|v| v.generation);
    let answered = world.proved.map(|(_, generation)| u32::from(generation));
    if ready && (generation.is_none() || generation != answered) {
        world.breaks(Broken::ReadyWithoutProof);
    }
    world.change(|cr| {
        cr.status = Some(PostgresVdbStatus {
            stages: stages(),
            ..status.clone()
        });
        time::pass(cr, 0);
    });
}

/// Passwords are random; here there is one.
fn plain(mut object: Object) -> Object {
    if let Object::Secret(secret) = &mut object
        && secret
            .metadata
            .name
            .as_deref()
            .is_some_and(|n| n.ends_with("-admin"))
    {
        let secret = Arc::make_mut(secret);
        secret.data = Some([("password".to_owned(), ByteString(b"admin".to_vec()))].into());
        secret.metadata.annotations = Some([(APPLIED.to_owned(), "admin".to_owned())].into());
    }
    let name = Name::of(&object).to_string();
    object.meta_mut().uid = Some(format!("uid of {name}"));
    object.meta_mut().resource_version = Some("1".into());
    object
}

fn apply(world: &mut World, object: &Object, late: bool) {
    if object.kind() != Kind::Job && late {
        world.breaks(Broken::CreatedInADeletion);
    }
    world.put(plain(object.clone()));
    let volumes = if world.is_rolled_back() { 3 } else { 2 };
    if world.count(Kind::PersistentVolume) > volumes {
        world.breaks(Broken::TooManyVolumes);
    }
}

/// What no other step depends on is written together with what comes before it.
fn surrounds(object: &Object) -> bool {
    match object.kind() {
        Kind::ConfigMap | Kind::Service => true,
        Kind::Secret => object.name().ends_with("-admin"),
        _ => false,
    }
}

fn delete(world: &mut World, name: &Name, ending: Ending) {
    match (name.kind, ending) {
        (Kind::Pod, Ending::Graceful) => {
            if let Some(pod) = &mut world.pod {
                pod.leaving = true;
            }
        }
        (Kind::Pod, Ending::Forced) => world.pod = None,
        _ => {
            world.objects.remove(&super::table::name(name));
        }
    }
}

#[async_trait]
impl Cluster for Ports {
    async fn vdb(&self, _: &Key) -> Result<Option<PostgresVdb>, cluster::Error> {
        self.begins().await;
        let defect = self.run().defect;
        Ok(self.world(|w| {
            let mut cr = (*w.resource()?).clone();
            cr.metadata.resource_version = Some(w.revision.to_string());
            if let Some(defect) = defect {
                defect.shown(&mut cr);
            }
            Some(cr)
        }))
    }

    async fn set_finalizer(&self, cr: &PostgresVdb, present: bool) -> Result<(), cluster::Error> {
        self.effect(format!("finalizer {present}"), None, |run| {
            fence(&run.world, cr)?;
            if present {
                run.world
                    .change(|cr| cr.metadata.finalizers = Some(vec![FINALIZER.to_owned()]));
            } else {
                release(&mut run.world);
            }
            Ok(())
        })
        .await
    }

    async fn write_status(
        &self,
        cr: &PostgresVdb,
        status: &PostgresVdbStatus,
    ) -> Result<(), cluster::Error> {
        let reason = status.condition("Ready").map_or("", |c| &c.reason);
        let state = status.refresh.as_ref().and_then(|r| r.state);
        let job = status
            .vdb
            .as_ref()
            .and_then(|v| v.job.clone())
            .map(|j| j.operation);
        let what = format!("status {reason} {state:?} {job:?}");
        self.effect(what, None, |run| {
            fence(&run.world, cr)?;
            write_status(&mut run.world, status);
            if run.defect == Some(Defect::EarlyRelease) && run.world.is_deleting() {
                run.world.released = true;
            }
            Ok(())
        })
        .await
    }

    async fn action(&self, _: ActionKind, _: &Key) -> Result<Option<Action>, cluster::Error> {
        Ok(None)
    }

    async fn actions(&self, _: &str) -> Result<Vec<Action>, cluster::Error> {
        Ok(Vec::new())
    }

    async fn write_action_status(
        &self,
        _: &Action,
        _: &ActionStatus,
    ) -> Result<(), cluster::Error> {
        Ok(())
    }

    async fn object(&self, name: &Name) -> Result<Option<Object>, cluster::Error> {
        let defect = self.run().defect;
        let present = self.world(|w| w.recorded().generation);
        if defect.is_some_and(|defect| defect.hides(name, present)) {
            return Ok(None);
        }
        if name.kind == Kind::Pod {
            return Ok(self.world(|w| w.shown_pod()));
        }
        Ok(self
            .world(|w| w.object(name))
            .map(|object| (*object).clone()))
    }

    async fn hook_runs(&self, _: &Key) -> Result<Vec<HookRun>, cluster::Error> {
        let run = |number: &u32| match &*OBJECTS.at(*number) {
            Object::Job(job) => Some(HookRun::of(job)),
            _ => None,
        };
        Ok(self.world(|w| w.objects.values().filter_map(run).collect()))
    }

    async fn apply(&self, object: &Object) -> Result<(), cluster::Error> {
        let late = self.began_in_a_deletion();
        if surrounds(object) {
            self.world(|w| apply(w, object, late));
            return Ok(());
        }
        self.effect(format!("apply {}", Name::of(object)), None, |run| {
            let forgotten =
                run.defect == Some(Defect::SetForgotten) && object.kind() == Kind::StatefulSet;
            if !forgotten {
                let mut object = object.clone();
                if run.defect == Some(Defect::FirstDirectory) {
                    run.world.mix_up(&mut object);
                }
                apply(&mut run.world, &object, late);
            }
            Ok(())
        })
        .await
    }

    async fn delete(&self, name: &Name, _: &str, ending: Ending) -> Result<(), cluster::Error> {
        self.effect(format!("delete {name}"), None, |run| {
            delete(&mut run.world, name, ending);
            Ok(())
        })
        .await
    }

    async fn job_log(&self, _: &str, _: &str) -> Result<String, cluster::Error> {
        Ok("ERROR:  relation \"x\" does not exist".into())
    }

    async fn namespace_ends(&self, _: &str) -> Result<bool, cluster::Error> {
        Ok(false)
    }

    async fn shared_with(&self, _: &str) -> Result<Option<String>, cluster::Error> {
        Ok(None)
    }

    async fn cluster_id(&self) -> Result<String, cluster::Error> {
        Ok("cluster".into())
    }

    async fn record_orphan(&self, _: &Orphan) -> Result<(), cluster::Error> {
        self.effect("ledger".into(), None, |run| {
            run.world.listed = true;
            Ok(())
        })
        .await
    }

    async fn notify(&self, _: &PostgresVdb, _: &Notice) -> Result<(), cluster::Error> {
        Ok(())
    }
}

fn answers(world: &World) -> Result<(), sql::Error> {
    let served = world
        .objects
        .keys()
        .any(|n| super::table::NAMES.at(*n).kind == Kind::Service);
    match world.pod {
        Some(pod) if served && pod.phase == PodPhase::Running => Ok(()),
        _ => Err(sql::Error::NotYet("connection refused".into())),
    }
}

impl Ports {
    /// The first effect on the server is a step; who tries again at once changes nothing by that.
    async fn speak(
        &self,
        what: &str,
        effect: impl FnOnce(&mut World) -> Result<(), sql::Error>,
    ) -> Result<(), sql::Error> {
        self.world(|w| answers(w))?;
        let first = !std::mem::replace(&mut self.run().spoke, true);
        if !first {
            return self.world(effect);
        }
        self.effect(what.to_owned(), None, |run| {
            answers(&run.world)?;
            effect(&mut run.world)
        })
        .await
    }
}

#[async_trait]
impl Sql for Ports {
    async fn prepare(
        &self,
        _: &Server,
        _: &Password,
        _: &Preparation,
    ) -> Result<Prepared, sql::Error> {
        self.speak("prepare", |w| {
            if let Some(flow) = w.tower.flow() {
                flow.prepared = true;
            }
            Ok(())
        })
        .await?;
        Ok(Prepared::Done(Collations::default()))
    }

    async fn set_password(
        &self,
        _: &Server,
        _: &Password,
        _: &str,
        _: &Password,
    ) -> Result<(), sql::Error> {
        self.speak("set the password", |w| {
            if let Some(flow) = w.tower.flow() {
                flow.password = true;
            }
            Ok(())
        })
        .await
    }

    /// Changes nothing that anything is decided by.
    async fn tell(&self, _: &Server, _: &Password, _: &Farewell) -> Result<(), sql::Error> {
        Ok(())
    }

    async fn check(&self, _: &Server, _: &Login) -> Result<(), sql::Error> {
        if self.run().defect == Some(Defect::AnswersAnything) {
            return Ok(());
        }
        self.world(|w| {
            answers(w)?;
            let ready = w
                .tower
                .flow()
                .is_some_and(|flow| flow.prepared && flow.password);
            if !ready {
                return Err(sql::Error::Refused("password authentication failed".into()));
            }
            w.proved = w.serving().map(|pod| (pod.uid, pod.generation));
            Ok(())
        })
    }
}
