//! Each call goes to the world that it is about.

use std::time::Duration;

use async_trait::async_trait;
use dct::types::{Bookmark, Job, ProvisionBySnapshot, Snapshot, Vdb};
use environment::PostgresVdbStatus;
use environment::actions::{ActionStatus, Kind as ActionKind};
use environment::spec::Point;
use jiff::Timestamp;
use operator::actions::Action;
use operator::clock::Clock;
use operator::cluster::{self, Cluster, Ending, HookRun, Kind, Name, Notice, Object, Orphan};
use operator::crd::{Key, PostgresVdb};
use operator::scram::Password;
use operator::sql::{self, Farewell, Login, Preparation, Prepared, Server, Sql};
use operator::tower::{self, Accepted, Dct, Host, Inventory, NewBookmark};

use super::super::world::World;
use super::hub::{Chance, Port};

impl Port {
    fn at(&self, key: &Key) -> &World {
        self.hub.of(&key.namespace)
    }

    /// The read of a resource may show how it was a moment ago.
    fn lag(&self, key: &Key) {
        let mut chance = self.hub.chance();
        let Chance { random, rates, .. } = &mut *chance;
        if rates.stale > 0 && random.per_mille(rates.stale) {
            let draw = |end: usize| random.below(end);
            self.at(key).state().lag(super::LAG, draw);
        }
    }

    /// Cluster-wide names begin with the namespace of their resource.
    fn near(&self, name: &Name) -> &World {
        let text = if name.namespace.is_empty() {
            &name.name
        } else {
            &name.namespace
        };
        self.hub.of(text)
    }
}

#[async_trait]
impl Clock for Port {
    fn now(&self) -> Timestamp {
        self.hub.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.rest(duration).await;
    }
}

#[async_trait]
impl Cluster for Port {
    fn leads(&self) -> bool {
        self.hub.chance().leads(self.number)
    }

    async fn vdb(&self, key: &Key) -> Result<Option<PostgresVdb>, cluster::Error> {
        let effect = async {
            self.lag(key);
            Cluster::vdb(self.at(key), key).await
        };
        let found = self.read(|| "read PostgresVDB".to_owned(), effect).await?;
        let deleting = found.as_ref().is_none_or(PostgresVdb::is_deleting);
        self.hub.chance().known.deleting = deleting;
        Ok(found)
    }

    async fn set_finalizer(&self, cr: &PostgresVdb, present: bool) -> Result<(), cluster::Error> {
        let effect = self.at(&cr.key()).set_finalizer(cr, present);
        self.write(|| "finalizer".to_owned(), effect).await
    }

    async fn write_status(
        &self,
        cr: &PostgresVdb,
        status: &PostgresVdbStatus,
    ) -> Result<(), cluster::Error> {
        let what = || {
            let ready = status.condition("Ready");
            format!("status {}", ready.map_or("", |c| &c.reason))
        };
        let effect = self.at(&cr.key()).write_status(cr, status);
        self.write(what, effect).await
    }

    async fn action(&self, kind: ActionKind, key: &Key) -> Result<Option<Action>, cluster::Error> {
        self.read(
            || "read the action".to_owned(),
            self.at(key).action(kind, key),
        )
        .await
    }

    async fn actions(&self, namespace: &str) -> Result<Vec<Action>, cluster::Error> {
        self.read(
            || "list actions".to_owned(),
            self.hub.of(namespace).actions(namespace),
        )
        .await
    }

    async fn write_action_status(
        &self,
        action: &Action,
        status: &ActionStatus,
    ) -> Result<(), cluster::Error> {
        let effect = self.at(&action.key()).write_action_status(action, status);
        self.write(|| "action".to_owned(), effect).await
    }

    async fn object(&self, name: &Name) -> Result<Option<Object>, cluster::Error> {
        let found = self.look(self.near(name).object(name)).await?;
        if name.kind == Kind::Pod {
            self.hub.chance().known.pod = found.is_some();
        }
        Ok(found)
    }

    async fn hook_runs(&self, key: &Key) -> Result<Vec<HookRun>, cluster::Error> {
        self.read(|| "list Jobs".to_owned(), self.at(key).hook_runs(key))
            .await
    }

    async fn apply(&self, object: &Object) -> Result<(), cluster::Error> {
        let name = Name::of(object);
        let effect = self.near(&name).apply(object);
        self.write(|| format!("apply {name}"), effect).await
    }

    async fn delete(&self, name: &Name, uid: &str, ending: Ending) -> Result<(), cluster::Error> {
        let effect = Cluster::delete(self.near(name), name, uid, ending);
        self.write(|| format!("delete {name}"), effect).await
    }

    async fn job_log(&self, namespace: &str, job: &str) -> Result<String, cluster::Error> {
        self.read(
            || "log".to_owned(),
            self.hub.of(namespace).job_log(namespace, job),
        )
        .await
    }

    async fn namespace_ends(&self, namespace: &str) -> Result<bool, cluster::Error> {
        let effect = self.hub.of(namespace).namespace_ends(namespace);
        self.read(|| "read the namespace".to_owned(), effect).await
    }

    async fn shared_with(&self, namespace: &str) -> Result<Option<String>, cluster::Error> {
        let effect = self.hub.of(namespace).shared_with(namespace);
        self.read(|| "read the other namespace".to_owned(), effect)
            .await
    }

    async fn cluster_id(&self) -> Result<String, cluster::Error> {
        Ok("cluster".into())
    }

    async fn record_orphan(&self, orphan: &Orphan) -> Result<(), cluster::Error> {
        let effect = self.hub.of(&orphan.namespace).record_orphan(orphan);
        self.write(|| "ledger".to_owned(), effect).await
    }

    async fn notify(&self, cr: &PostgresVdb, notice: &Notice) -> Result<(), cluster::Error> {
        let effect = self.at(&cr.key()).notify(cr, notice);
        self.write(|| "event".to_owned(), effect).await
    }
}

#[async_trait]
impl Dct for Port {
    async fn inventory(&self) -> Result<Inventory, tower::Error> {
        self.read(|| "inventory".to_owned(), self.hub.worlds[0].inventory())
            .await
    }

    async fn provision(
        &self,
        request: &ProvisionBySnapshot,
        point: &Point,
    ) -> Result<Accepted, tower::Error> {
        let name = request.name.clone().unwrap_or_default();
        let effect = self.hub.of(&name).provision(request, point);
        self.write(|| format!("provision {name}"), effect).await
    }

    async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, tower::Error> {
        self.read(
            || "read the snapshot".to_owned(),
            self.hub.of(id).snapshot(id),
        )
        .await
    }

    async fn bookmark(&self, name: &str) -> Result<Option<Bookmark>, tower::Error> {
        self.read(
            || "find the bookmark".to_owned(),
            self.hub.of(name).bookmark(name),
        )
        .await
    }

    async fn keep(&self, wanted: &NewBookmark<'_>) -> Result<Option<Job>, tower::Error> {
        let effect = self.hub.of(wanted.vdb).keep(wanted);
        self.write(|| format!("bookmark {}", wanted.name), effect)
            .await
    }

    async fn forget(&self, bookmark: &str) -> Result<(), tower::Error> {
        self.write(
            || "forget".to_owned(),
            self.hub.of(bookmark).forget(bookmark),
        )
        .await
    }

    async fn refresh(&self, id: &str, point: &Point) -> Result<Job, tower::Error> {
        let effect = Dct::refresh(self.hub.of(id), id, point);
        self.write(|| format!("refresh {id}"), effect).await
    }

    async fn rewind(&self, id: &str, point: &Point) -> Result<Job, tower::Error> {
        let effect = self.hub.of(id).rewind(id, point);
        self.write(|| format!("rewind {id}"), effect).await
    }

    async fn undo_refresh(&self, id: &str) -> Result<Job, tower::Error> {
        self.write(|| format!("undo {id}"), self.hub.of(id).undo_refresh(id))
            .await
    }

    async fn vdb(&self, id: &str) -> Result<Option<Vdb>, tower::Error> {
        self.read(|| "read the VDB".to_owned(), Dct::vdb(self.hub.of(id), id))
            .await
    }

    async fn vdb_by_name(&self, name: &str) -> Result<Option<Vdb>, tower::Error> {
        self.read(
            || "find the VDB".to_owned(),
            self.hub.of(name).vdb_by_name(name),
        )
        .await
    }

    async fn job_by_target(&self, name: &str) -> Result<Option<Job>, tower::Error> {
        self.read(
            || "find the job".to_owned(),
            self.hub.of(name).job_by_target(name),
        )
        .await
    }

    async fn enable(&self, id: &str, owner: Option<&str>) -> Result<Job, tower::Error> {
        let effect = self.hub.of(id).enable(id, owner);
        self.write(|| format!("enable {id}"), effect).await
    }

    async fn disable(&self, id: &str, host: Host) -> Result<Option<Job>, tower::Error> {
        let effect = self.hub.of(id).disable(id, host);
        self.write(|| format!("disable {id}"), effect).await
    }

    async fn delete(&self, id: &str) -> Result<Option<Job>, tower::Error> {
        let effect = Dct::delete(self.hub.of(id), id);
        self.write(|| format!("delete {id}"), effect).await
    }

    async fn jobs(&self, ids: &[String]) -> Result<Vec<Job>, tower::Error> {
        let effect = async {
            let mut found = Vec::new();
            for world in &self.hub.worlds {
                let prefix = world.state().prefix.clone();
                let own: Vec<_> = ids
                    .iter()
                    .filter(|i| i.starts_with(&prefix))
                    .cloned()
                    .collect();
                if !own.is_empty() {
                    found.extend(world.jobs(&own).await?);
                }
            }
            Ok(found)
        };
        self.read(|| "poll".to_owned(), effect).await
    }
}

#[async_trait]
impl Sql for Port {
    async fn prepare(
        &self,
        server: &Server,
        admin: &Password,
        order: &Preparation,
    ) -> Result<Prepared, sql::Error> {
        let effect = self.hub.of(&server.host).prepare(server, admin, order);
        self.write(|| "prepare".to_owned(), effect).await
    }

    async fn set_password(
        &self,
        server: &Server,
        admin: &Password,
        user: &str,
        password: &Password,
    ) -> Result<(), sql::Error> {
        let world = self.hub.of(&server.host);
        let effect = world.set_password(server, admin, user, password);
        self.write(|| "set the password".to_owned(), effect).await
    }

    async fn tell(
        &self,
        server: &Server,
        admin: &Password,
        farewell: &Farewell,
    ) -> Result<(), sql::Error> {
        let effect = self.hub.of(&server.host).tell(server, admin, farewell);
        self.write(|| "tell the sessions".to_owned(), effect).await
    }

    async fn check(&self, server: &Server, login: &Login) -> Result<(), sql::Error> {
        let effect = self.hub.of(&server.host).check(server, login);
        self.read(|| "check".to_owned(), effect).await
    }
}
