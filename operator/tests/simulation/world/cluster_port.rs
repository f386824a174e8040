//! The API server: preconditions are checked, and nothing but hooks is created in a deletion.

use async_trait::async_trait;
use environment::PostgresVdbStatus;
use environment::actions::{ActionStatus, Kind as ActionKind};
use environment::names::FINALIZER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator::actions::Action;
use operator::cluster::{
    self, Cluster, Ending, ErrorKind, HookRun, Kind, Name, Notice, Object, Orphan,
};
use operator::crd::{Key, PostgresVdb};

use super::World;

fn conflict() -> cluster::Error {
    cluster::Error {
        kind: ErrorKind::Conflict,
        call: "write".into(),
        message: "the object has been modified".into(),
    }
}

/// What the role bound in the environment's namespace allows, and no cluster-wide one.
fn needs_the_namespaces_role(name: &Name) -> bool {
    !matches!(
        name.kind,
        Kind::Pod | Kind::StatefulSet | Kind::PersistentVolume
    )
}

#[async_trait]
impl Cluster for World {
    async fn vdb(&self, _: &Key) -> Result<Option<PostgresVdb>, cluster::Error> {
        self.call(format_args!("read PostgresVDB"), |s| {
            s.looks += 1;
            Ok(s.look())
        })
    }

    async fn set_finalizer(&self, cr: &PostgresVdb, present: bool) -> Result<(), cluster::Error> {
        self.call(format_args!("finalizer {present}"), |s| {
            s.writes += 1;
            let Some(live) = &mut s.cr else {
                return Err(cluster::Error {
                    kind: ErrorKind::NotFound,
                    ..conflict()
                });
            };
            if live.metadata.resource_version != cr.metadata.resource_version {
                return Err(conflict());
            }
            // What changes nothing makes no version.
            if live.has_finalizer() == present {
                return Ok(());
            }
            let version = s.bump();
            let Some(live) = &mut s.cr else {
                return Err(conflict());
            };
            live.metadata.resource_version = Some(version);
            let finalizers = live.metadata.finalizers.get_or_insert_default();
            finalizers.retain(|f| f != FINALIZER);
            if present {
                finalizers.push(FINALIZER.to_owned());
            }
            if finalizers.is_empty() && live.is_deleting() {
                s.cr = None;
            }
            Ok(())
        })
    }

    async fn write_status(
        &self,
        cr: &PostgresVdb,
        status: &PostgresVdbStatus,
    ) -> Result<(), cluster::Error> {
        self.call(
            format_args!(
                "status {}",
                status.condition("Ready").map_or("", |c| &c.reason)
            ),
            |s| {
                s.writes += 1;
                s.status_writes += 1;
                let version = s.bump();
                let queried = s.queried;
                let Some(live) = &mut s.cr else {
                    return Err(cluster::Error {
                        kind: ErrorKind::NotFound,
                        ..conflict()
                    });
                };
                if live.metadata.resource_version != cr.metadata.resource_version {
                    return Err(conflict());
                }
                live.metadata.resource_version = Some(version);
                live.status = Some(status.clone());
                let serves = status
                    .condition("Ready")
                    .is_some_and(|c| c.status == "True");
                s.ready_without_query |= serves && !queried;
                Ok(())
            },
        )
    }

    async fn action(&self, _: ActionKind, key: &Key) -> Result<Option<Action>, cluster::Error> {
        self.call(format_args!("read the action"), |s| {
            Ok(s.actions.get(&key.name).cloned())
        })
    }

    async fn actions(&self, _: &str) -> Result<Vec<Action>, cluster::Error> {
        self.call(format_args!("list actions"), |s| {
            Ok(s.actions.values().cloned().collect())
        })
    }

    async fn write_action_status(
        &self,
        action: &Action,
        status: &ActionStatus,
    ) -> Result<(), cluster::Error> {
        self.call(format_args!("action {:?}", status.phase), |s| {
            let version = s.bump();
            let name = action.key().name;
            let Some(live) = s.actions.get_mut(&name) else {
                return Err(cluster::Error {
                    kind: ErrorKind::NotFound,
                    ..conflict()
                });
            };
            if live.metadata.resource_version != action.metadata.resource_version {
                return Err(conflict());
            }
            assert!(
                !live.status.phase.is_over(),
                "an action that is over is changed"
            );
            live.metadata.resource_version = Some(version);
            live.status = status.clone();
            Ok(())
        })
    }

    async fn object(&self, name: &Name) -> Result<Option<Object>, cluster::Error> {
        self.call(format_args!("read {name}"), |s| {
            // A namespace takes its pods first, then all the rest.
            let rest_goes = s.namespace_ends && s.cr.as_ref().is_none_or(PostgresVdb::is_deleting);
            if rest_goes && needs_the_namespaces_role(name) || s.barred == Some(name.kind) {
                return Err(cluster::Error {
                    kind: ErrorKind::Forbidden,
                    ..conflict()
                });
            }
            Ok(s.objects.get(name).cloned())
        })
    }

    async fn hook_runs(&self, _: &Key) -> Result<Vec<HookRun>, cluster::Error> {
        let only = |object: &Object| match object {
            Object::Job(job) => Some(HookRun::of(job)),
            _ => None,
        };
        self.call(format_args!("list Jobs"), |s| {
            Ok(s.objects.values().filter_map(only).collect())
        })
    }

    async fn apply(&self, object: &Object) -> Result<(), cluster::Error> {
        let name = Name::of(object);
        self.call(format_args!("apply {name}"), |s| {
            s.writes += 1;
            s.now += s.write_takes;
            let hook = name.kind == Kind::Job;
            let late = s.is_late();
            s.must(hook || !late, || format!("{name} created in a deletion"));
            let version = s.bump();
            let uid = s
                .objects
                .get(&name)
                .and_then(|o| o.meta().uid.clone())
                .unwrap_or(format!("uid-{version}"));
            let mut object = object.clone();
            object.meta_mut().uid = Some(uid);
            object.meta_mut().resource_version = Some(version);
            s.objects.insert(name.clone(), object);
            if let Some((_, happens)) = s.meanwhile.take_if(|(kind, _)| *kind == name.kind) {
                happens(s);
                s.advance(std::time::Duration::from_secs(1));
            }
            Ok(())
        })
    }

    async fn delete(&self, name: &Name, uid: &str, ending: Ending) -> Result<(), cluster::Error> {
        self.call(format_args!("delete {name}"), |s| {
            s.writes += 1;
            let stuck = name.kind == Kind::Pod && s.stuck_pod && ending == Ending::Graceful;
            let now = s.now;
            if let Some(found) = s
                .objects
                .get_mut(name)
                .filter(|o| o.meta().uid.as_deref() == Some(uid))
            {
                if stuck {
                    found.meta_mut().deletion_timestamp = Some(Time(now));
                } else {
                    s.objects.remove(name);
                }
            }
            Ok(())
        })
    }

    async fn job_log(&self, _: &str, _: &str) -> Result<String, cluster::Error> {
        self.call(format_args!("log"), |s| Ok(s.prints.clone()))
    }

    async fn namespace_ends(&self, _: &str) -> Result<bool, cluster::Error> {
        self.call(format_args!("read the namespace"), |s| Ok(s.namespace_ends))
    }

    async fn shared_with(&self, namespace: &str) -> Result<Option<String>, cluster::Error> {
        self.call(format_args!("read the other namespace"), |s| {
            Ok(s.shares.get(namespace).cloned())
        })
    }

    async fn cluster_id(&self) -> Result<String, cluster::Error> {
        Ok("cluster".into())
    }

    async fn record_orphan(&self, orphan: &Orphan) -> Result<(), cluster::Error> {
        self.call(format_args!("ledger"), |s| {
            s.orphans.retain(|o| o.uid != orphan.uid);
            s.orphans.push(orphan.clone());
            Ok(())
        })
    }

    async fn notify(&self, _: &PostgresVdb, notice: &Notice) -> Result<(), cluster::Error> {
        self.call(format_args!("event"), |s| {
            s.notices.push(notice.clone());
            Ok(())
        })
    }
}
