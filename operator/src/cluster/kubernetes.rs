//! The adapter over kube's client.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use environment::PostgresVdbStatus;
use environment::actions::{ActionStatus, Kind as ActionKind};
use environment::names::{FINALIZER, INSTANCE_LABEL, SHARE_WITH};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{
    Api, DeleteParams, ListParams, LogParams, ObjectMeta, Patch, PatchParams, PostParams,
    Preconditions, PropagationPolicy,
};
use kube::core::{ClusterResourceScope, DynamicObject, NamespaceResourceScope};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::OnceCell;

use super::{
    Cluster, Ending, Error, ErrorKind, HookRun, Kind, MANAGER, Name, Notice, Object, Orphan,
    Progress,
};
use crate::actions::{Action, definition};
use crate::controller::build::COMPONENT_LABEL;
use crate::crd::{Key, PostgresVdb};
use crate::lease::Tenure;

/// The ledger of virtual databases that outlived their resource.
pub const LEDGER: &str = "vdb-orphans";
const JOB_LABEL: &str = "batch.kubernetes.io/job-name";
/// Enough for the error of a script and the line before it.
const LOG_LINES: i64 = 20;
/// The API server's limit for the text of an event.
const LONGEST_NOTE: usize = 1000;

pub struct Kubernetes {
    client: Client,
    recorder: Recorder,
    /// The operator's own namespace.
    home: String,
    tenure: Arc<Tenure>,
    cluster_id: OnceCell<String>,
    /// The resource as the last write's answer shows it, until the pass after that write asks for it.
    written: Mutex<HashMap<Key, PostgresVdb>>,
}

impl Kubernetes {
    pub fn new(client: Client, home: String, tenure: Arc<Tenure>) -> Self {
        Self {
            recorder: recorder(&client),
            client,
            home,
            tenure,
            cluster_id: OnceCell::new(),
            written: Mutex::default(),
        }
    }

    fn written(&self) -> MutexGuard<'_, HashMap<Key, PostgresVdb>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn namespaced<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(
        &self,
        namespace: &str,
    ) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn actions_api(&self, kind: ActionKind, namespace: &str) -> Api<DynamicObject> {
        let resource = definition::resource(kind);
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    async fn config_map(&self, name: &Name) -> Result<Option<Object>, Error> {
        let api = self.namespaced::<ConfigMap>(&name.namespace);
        let found = api.get_metadata_opt(&name.name).await;
        let found = found.map_err(failed(format!("read {name}")))?;
        Ok(found.map(|found| without_content(found.metadata)))
    }

    async fn apply_config_map(&self, namespace: &str, map: &ConfigMap) -> Result<Object, Error> {
        let name = map.metadata.name.as_deref().unwrap_or_default();
        let api = self.namespaced::<ConfigMap>(namespace);
        let params = PatchParams::apply(MANAGER).force();
        let written = api.patch_metadata(name, &params, &Patch::Apply(map)).await;
        let written = written.map_err(failed(format!("apply ConfigMap {name}")))?;
        Ok(without_content(written.metadata))
    }

    fn global<K: Resource<Scope = ClusterResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }
}

/// Runs `$action` with the typed API of an object's kind.
macro_rules! with_api {
    ($self:ident, $kind:expr, $namespace:expr, |$api:ident| $action:expr) => {
        match $kind {
            Kind::ConfigMap => {
                let $api = $self.namespaced::<ConfigMap>($namespace);
                $action
            }
            Kind::Secret => {
                let $api = $self.namespaced::<Secret>($namespace);
                $action
            }
            Kind::Service => {
                let $api = $self.namespaced::<Service>($namespace);
                $action
            }
            Kind::PersistentVolume => {
                let $api = $self.global::<PersistentVolume>();
                $action
            }
            Kind::PersistentVolumeClaim => {
                let $api = $self.namespaced::<PersistentVolumeClaim>($namespace);
                $action
            }
            Kind::EndpointSlice => {
                let $api = $self.namespaced::<EndpointSlice>($namespace);
                $action
            }
            Kind::StatefulSet => {
                let $api = $self.namespaced::<StatefulSet>($namespace);
                $action
            }
            Kind::Pod => {
                let $api = $self.namespaced::<Pod>($namespace);
                $action
            }
            Kind::Job => {
                let $api = $self.namespaced::<Job>($namespace);
                $action
            }
        }
    };
}

fn failed(call: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let call = call.into();
    move |error| {
        let kind = match &error {
            kube::Error::Api(status) => match status.code {
                409 => ErrorKind::Conflict,
                404 | 410 => ErrorKind::NotFound,
                403 => ErrorKind::Forbidden,
                400 | 422 => ErrorKind::Rejected,
                _ => ErrorKind::Unreachable,
            },
            _ => ErrorKind::Unreachable,
        };
        let message = match error {
            kube::Error::Api(status) => status.message,
            other => crate::error_chain(&other),
        };
        Error {
            kind,
            call,
            message,
        }
    }
}

fn parsed(kind: ActionKind, object: DynamicObject, call: String) -> Result<Action, Error> {
    definition::parse(kind, object).map_err(|error| Error {
        kind: ErrorKind::Rejected,
        call,
        message: error.to_string(),
    })
}

async fn read<K>(api: Api<K>, name: &Name) -> Result<Option<Object>, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug + Into<Object>,
{
    Ok(api
        .get_opt(&name.name)
        .await
        .map_err(failed(format!("read {name}")))?
        .map(Into::into))
}

async fn patch<K>(api: Api<K>, object: &Object) -> Result<Object, Error>
where
    K: Resource + Clone + DeserializeOwned + Debug + Into<Object>,
{
    let call = format!("apply {}", Name::of(object));
    let params = PatchParams::apply(MANAGER).force();
    let written = api
        .patch(object.name(), &params, &Patch::Apply(object))
        .await;
    Ok(written.map_err(failed(call))?.into())
}

/// Content that nobody looks at: the helper in it is a megabyte.
fn without_content(metadata: ObjectMeta) -> Object {
    let map = ConfigMap {
        metadata,
        ..ConfigMap::default()
    };
    map.into()
}

async fn remove<K>(api: Api<K>, name: &Name, params: &DeleteParams) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    match api.delete(&name.name, params).await {
        Ok(_) => Ok(()),
        // A conflict is the uid's: the object that was meant is gone.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(failed(format!("delete {name}"))(error)),
    }
}

fn succeeded(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Succeeded")
}

fn recorder(client: &Client) -> Recorder {
    let reporter = Reporter {
        controller: MANAGER.to_owned(),
        instance: None,
    };
    Recorder::new(client.clone(), reporter)
}

fn written() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn merged() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

#[async_trait]
impl Cluster for Kubernetes {
    fn leads(&self) -> bool {
        self.tenure.lasts()
    }

    async fn vdb(&self, key: &Key) -> Result<Option<PostgresVdb>, Error> {
        self.written().remove(key);
        let api = self.namespaced::<PostgresVdb>(&key.namespace);
        api.get_opt(&key.name)
            .await
            .map_err(failed(format!("read PostgresVDB {}", key.name)))
    }

    async fn vdb_again(&self, key: &Key) -> Result<Option<PostgresVdb>, Error> {
        let written = self.written().remove(key);
        match written {
            Some(written) => Ok(Some(written)),
            None => self.vdb(key).await,
        }
    }

    fn leave(&self, key: &Key) {
        self.written().remove(key);
    }

    async fn set_finalizer(&self, cr: &PostgresVdb, present: bool) -> Result<(), Error> {
        let key = cr.key();
        let mut finalizers: Vec<_> = cr
            .metadata
            .finalizers
            .iter()
            .flatten()
            .filter(|f| *f != FINALIZER)
            .cloned()
            .collect();
        if present {
            finalizers.push(FINALIZER.to_owned());
        }
        let change = json!({ "metadata": { "resourceVersion": cr.metadata.resource_version, "finalizers": finalizers } });
        let api = self.namespaced::<PostgresVdb>(&key.namespace);
        let written = api
            .patch(&key.name, &merged(), &Patch::Merge(change))
            .await
            .map_err(failed("write the finalizer"))?;
        if present {
            self.written().insert(key, written);
        }
        Ok(())
    }

    async fn write_status(
        &self,
        cr: &PostgresVdb,
        status: &PostgresVdbStatus,
    ) -> Result<(), Error> {
        let key = cr.key();
        let api = self.namespaced::<PostgresVdb>(&key.namespace);
        // A replacement, not a merge: what is absent in the new status has to go.
        let mut whole = cr.clone();
        whole.status = Some(status.clone());
        whole.metadata.managed_fields = None;
        let answer = api.replace_status(&key.name, &written(), &whole).await;
        self.written()
            .insert(key, answer.map_err(failed("write the status"))?);
        Ok(())
    }

    async fn action(&self, kind: ActionKind, key: &Key) -> Result<Option<Action>, Error> {
        let call = format!("read {} {}", kind.as_str(), key.name);
        let found = self
            .actions_api(kind, &key.namespace)
            .get_opt(&key.name)
            .await
            .map_err(failed(call.clone()))?;
        found.map(|object| parsed(kind, object, call)).transpose()
    }

    async fn actions(&self, namespace: &str) -> Result<Vec<Action>, Error> {
        let mut all = Vec::new();
        for kind in ActionKind::ALL {
            let call = format!("list {}", kind.plural());
            let found = self
                .actions_api(kind, namespace)
                .list(&ListParams::default())
                .await
                .map_err(failed(call.clone()))?;
            for object in found.items {
                all.push(parsed(kind, object, call.clone())?);
            }
        }
        Ok(all)
    }

    async fn write_action_status(
        &self,
        action: &Action,
        status: &ActionStatus,
    ) -> Result<(), Error> {
        let key = action.key();
        let mut shown = json!(status);
        // A merge keeps what is not named.
        for optional in ["reason", "message"] {
            if shown.get(optional).is_none() {
                shown[optional] = serde_json::Value::Null;
            }
        }
        let version = &action.metadata.resource_version;
        let change = json!({ "metadata": { "resourceVersion": version }, "status": shown });
        self.actions_api(action.kind, &key.namespace)
            .patch_status(&key.name, &merged(), &Patch::Merge(change))
            .await
            .map_err(failed(format!("write the status of {}", key.name)))?;
        Ok(())
    }

    async fn object(&self, name: &Name) -> Result<Option<Object>, Error> {
        if name.kind == Kind::ConfigMap {
            return self.config_map(name).await;
        }
        with_api!(self, name.kind, &name.namespace, |api| read(api, name)
            .await)
    }

    async fn hook_runs(&self, key: &Key) -> Result<Vec<HookRun>, Error> {
        let selector = ListParams::default().labels(&format!(
            "{INSTANCE_LABEL}={},{COMPONENT_LABEL}=hook",
            key.name
        ));
        let jobs = self
            .namespaced::<Job>(&key.namespace)
            .list(&selector)
            .await
            .map_err(failed("list Jobs"))?;
        let mut runs: Vec<_> = jobs.items.iter().map(HookRun::of).collect();
        if runs.iter().any(|run| run.progress == Progress::Running) {
            // The Job controller gathers changes for a second; the pod knows its end before that.
            let pods = self
                .namespaced::<Pod>(&key.namespace)
                .list(&selector)
                .await
                .map_err(failed("list pods"))?;
            let ended: Vec<_> = pods
                .items
                .iter()
                .filter(|pod| succeeded(pod))
                .filter_map(|pod| pod.labels().get(JOB_LABEL))
                .collect();
            for run in runs.iter_mut().filter(|run| ended.contains(&&run.job)) {
                run.progress = Progress::Succeeded;
            }
        }
        Ok(runs)
    }

    async fn apply(&self, object: &Object) -> Result<(), Error> {
        self.applied(object).await.map(drop)
    }

    async fn applied(&self, object: &Object) -> Result<Option<Object>, Error> {
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        if let Object::ConfigMap(map) = object {
            return self.apply_config_map(&namespace, map).await.map(Some);
        }
        with_api!(self, object.kind(), &namespace, |api| patch(api, object)
            .await)
        .map(Some)
    }

    async fn delete(&self, name: &Name, uid: &str, ending: Ending) -> Result<(), Error> {
        let params = DeleteParams {
            grace_period_seconds: (ending == Ending::Forced).then_some(0),
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        with_api!(self, name.kind, &name.namespace, |api| remove(
            api, name, &params
        )
        .await)
    }

    async fn job_log(&self, namespace: &str, job: &str) -> Result<String, Error> {
        let pods = self.namespaced::<Pod>(namespace);
        let found = pods
            .list(&ListParams::default().labels(&format!("{JOB_LABEL}={job}")))
            .await
            .map_err(failed("list pods"))?;
        let newest = found.items.into_iter().max_by(|a, b| {
            a.metadata
                .creation_timestamp
                .cmp(&b.metadata.creation_timestamp)
        });
        let Some(name) = newest.and_then(|pod| pod.metadata.name) else {
            return Ok(String::new());
        };
        pods.logs(
            &name,
            &LogParams {
                tail_lines: Some(LOG_LINES),
                ..LogParams::default()
            },
        )
        .await
        .map_err(failed("read the job's log"))
    }

    async fn namespace_ends(&self, namespace: &str) -> Result<bool, Error> {
        let found = self
            .global::<Namespace>()
            .get_opt(namespace)
            .await
            .map_err(failed("read the namespace"))?;
        Ok(found.is_none_or(|n| n.metadata.deletion_timestamp.is_some()))
    }

    async fn shared_with(&self, namespace: &str) -> Result<Option<String>, Error> {
        let found = self
            .global::<Namespace>()
            .get_opt(namespace)
            .await
            .map_err(failed(format!("read namespace {namespace}")))?;
        Ok(found.and_then(|n| n.annotations().get(SHARE_WITH).cloned()))
    }

    async fn cluster_id(&self) -> Result<String, Error> {
        let read = || async {
            let found = self
                .global::<Namespace>()
                .get("kube-system")
                .await
                .map_err(failed("read namespace kube-system"))?;
            Ok(found.metadata.uid.unwrap_or_default())
        };
        self.cluster_id.get_or_try_init(read).await.cloned()
    }

    async fn record_orphan(&self, orphan: &Orphan) -> Result<(), Error> {
        let entry = serde_json::to_string(orphan).unwrap_or_default();
        let api = self.namespaced::<ConfigMap>(&self.home);
        let change = json!({ "data": { &orphan.uid: entry } });
        match api.patch(LEDGER, &merged(), &Patch::Merge(&change)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let mut ledger = ConfigMap::default();
                ledger.metadata.name = Some(LEDGER.to_owned());
                ledger.data = Some([(orphan.uid.clone(), entry)].into());
                api.create(&written(), &ledger)
                    .await
                    .map_err(failed("create the ledger"))?;
                Ok(())
            }
            Err(error) => Err(failed("write the ledger")(error)),
        }
    }

    async fn notify(&self, cr: &PostgresVdb, notice: &Notice) -> Result<(), Error> {
        let event = Event {
            type_: if notice.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: notice.reason.to_string(),
            note: Some(notice.note.chars().take(LONGEST_NOTE).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        // A recorder remembers what it told, to count what comes again, whatever its words are by then. Of progress, which
        // comes once, that would be three events for each of many orders.
        let recorder = if notice.counted {
            self.recorder.clone()
        } else {
            recorder(&self.client)
        };
        recorder
            .publish(&event, &cr.object_ref(&()))
            .await
            .map_err(failed("write an event"))
    }
}
