//! The cluster through its API server. The only module of the sidecar that names the Kubernetes client.

mod bookmarks;

use std::collections::BTreeMap;

use async_trait::async_trait;
use environment::EnvironmentName;
use environment::names::{GROUP, KIND, NAMESPACE_PREFIX, PLURAL, VERSION};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind};

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};

use super::{
    Change, Changes, Cluster, Error, LiveBookmark, LiveDatabase, NamespaceState, NewBookmark,
};

const KEY_SECRET: &str = "vdb-sidecar-key";
const KEY: &str = "key.pem";
const LEASE: &str = "vdb-sidecar";
/// A replica that died is replaced after this time; renewing takes a third of it.
const LEASE_SECONDS: i32 = 30;
/// The API server ends a watch after this time, and it is continued where it was: a dead connection is noticed soon.
const WATCH_SECONDS: u32 = 10;

pub(crate) struct Kubernetes {
    client: kube::Client,
    resource: ApiResource,
}

impl Kubernetes {
    /// Access from inside the cluster, or as the kubeconfig of the environment says.
    pub(crate) async fn connect() -> Result<Self, Error> {
        let mut config = kube::Config::infer().await.map_err(|e| Error::Access {
            source: Box::new(e),
        })?;
        // An action must answer within 45 seconds even where the API server hangs.
        config.read_timeout = Some(std::time::Duration::from_secs(15));
        config.connect_timeout = Some(std::time::Duration::from_secs(5));
        let client = kube::Client::try_from(config).map_err(|e| Error::Access {
            source: Box::new(e),
        })?;
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, KIND), PLURAL);
        Ok(Self { client, resource })
    }

    fn own<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::default_namespaced(self.client.clone())
    }

    async fn list(&self, api: Api<DynamicObject>) -> Result<Vec<LiveDatabase>, Error> {
        let mut found = Vec::new();
        let mut parameters = ListParams::default().limit(500);
        loop {
            let page = match api.list(&parameters).await {
                Ok(page) => page,
                // The CRD is not installed (yet): there are no databases.
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(found),
                Err(source) => return Err(failed("list postgresvdbs", source)),
            };
            let next = page
                .metadata
                .continue_
                .clone()
                .filter(|token| !token.is_empty());
            found.extend(page.items.into_iter().map(live));
            match next {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
    }
}

fn failed(what: &'static str, source: kube::Error) -> Error {
    Error::Kubernetes {
        what,
        source: Box::new(source),
    }
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// A status that is not ours to read leaves its fields empty: one odd object must not hide the others.
fn live(object: DynamicObject) -> LiveDatabase {
    let DynamicObject {
        metadata, mut data, ..
    } = object;
    LiveDatabase {
        name: metadata.name.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        created_at: metadata.creation_timestamp.map(|time| time.0.to_string()),
        deleting: metadata.deletion_timestamp.is_some(),
        annotations: metadata.annotations.unwrap_or_default(),
        status: serde_json::from_value(data["status"].take()).unwrap_or_default(),
        spec: data["spec"].take(),
    }
}

/// A database as its API server writes it; none where it is not written as an object of Kubernetes.
pub(super) fn read(object: serde_json::Value) -> Option<LiveDatabase> {
    serde_json::from_value(object).ok().map(live)
}

fn state(terminating: bool) -> NamespaceState {
    if terminating {
        NamespaceState::Terminating
    } else {
        NamespaceState::Active
    }
}

/// None for databases that are not in an environment's namespace.
fn change(event: watcher::Event<DynamicObject>) -> Option<Change> {
    let ours = |object| {
        let database = live(object);
        let ours = database.namespace.starts_with(NAMESPACE_PREFIX);
        ours.then(|| Box::new(database))
    };
    match event {
        watcher::Event::Init => Some(Change::Begin),
        watcher::Event::InitApply(object) => ours(object).map(Change::Listed),
        watcher::Event::InitDone => Some(Change::Complete),
        watcher::Event::Apply(object) => ours(object).map(Change::Is),
        watcher::Event::Delete(object) => ours(object).map(|database| Change::Gone {
            namespace: database.namespace,
            name: database.name,
        }),
    }
}

#[async_trait]
impl Cluster for Kubernetes {
    async fn databases(&self, environment: &EnvironmentName) -> Result<Vec<LiveDatabase>, Error> {
        self.list(Api::namespaced_with(
            self.client.clone(),
            &environment.namespace(),
            &self.resource,
        ))
        .await
    }

    async fn all_databases(&self) -> Result<Vec<LiveDatabase>, Error> {
        let mut all = self
            .list(Api::all_with(self.client.clone(), &self.resource))
            .await?;
        all.retain(|database| database.namespace.starts_with(NAMESPACE_PREFIX));
        Ok(all)
    }

    fn watch(&self) -> Changes {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &self.resource);
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        watcher(api, config)
            .default_backoff()
            .filter_map(async |event| match event {
                Ok(event) => change(event).map(Ok),
                Err(error) => Some(Err(Error::Watch {
                    source: Box::new(error),
                })),
            })
            .boxed()
    }

    async fn namespaces(&self) -> Result<BTreeMap<String, NamespaceState>, Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = api
            .list_metadata(&ListParams::default())
            .await
            .map_err(|e| failed("list namespaces", e))?;
        Ok(found
            .items
            .into_iter()
            .filter_map(|namespace| {
                let name = namespace.metadata.name?;
                let state = state(namespace.metadata.deletion_timestamp.is_some());
                name.starts_with(NAMESPACE_PREFIX).then_some((name, state))
            })
            .collect())
    }

    async fn namespace(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<NamespaceState>, Error> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = namespaces
            .get_opt(&environment.namespace())
            .await
            .map_err(|e| failed("get a namespace", e))?;
        Ok(found.map(|namespace| state(namespace.metadata.deletion_timestamp.is_some())))
    }

    async fn bookmark(
        &self,
        environment: &EnvironmentName,
        name: &str,
    ) -> Result<Option<LiveBookmark>, Error> {
        bookmarks::get(self.client.clone(), &environment.namespace(), name).await
    }

    async fn keep(
        &self,
        environment: &EnvironmentName,
        wanted: &NewBookmark,
    ) -> Result<LiveBookmark, Error> {
        bookmarks::make(self.client.clone(), &environment.namespace(), wanted).await
    }

    async fn signing_key(&self, new: &str) -> Result<String, Error> {
        let secrets: Api<Secret> = self.own();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(KEY_SECRET.into()),
                ..ObjectMeta::default()
            },
            data: Some([(KEY.to_owned(), ByteString(new.as_bytes().to_vec()))].into()),
            type_: Some("Opaque".into()),
            ..Secret::default()
        };
        let kept = match secrets
            .get_opt(KEY_SECRET)
            .await
            .map_err(|e| failed("get secret vdb-sidecar-key", e))?
        {
            Some(kept) => kept,
            None => match secrets.create(&PostParams::default(), &secret).await {
                Ok(made) => made,
                // Another replica was faster: its key is the one.
                Err(error) if is_conflict(&error) => secrets
                    .get(KEY_SECRET)
                    .await
                    .map_err(|e| failed("get secret vdb-sidecar-key", e))?,
                Err(error) => return Err(failed("create secret vdb-sidecar-key", error)),
            },
        };
        let bytes = kept
            .data
            .unwrap_or_default()
            .remove(KEY)
            .ok_or(Error::Key {
                name: KEY_SECRET,
                key: KEY,
            })?;
        String::from_utf8(bytes.0).map_err(|_| Error::Key {
            name: KEY_SECRET,
            key: KEY,
        })
    }

    async fn lead(&self, identity: &str) -> Result<bool, Error> {
        let leases: Api<Lease> = self.own();
        let now = Timestamp::now();
        let Some(lease) = leases
            .get_opt(LEASE)
            .await
            .map_err(|e| failed("get lease vdb-sidecar", e))?
        else {
            let metadata = ObjectMeta {
                name: Some(LEASE.into()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(held(identity, now, now, 0)),
            };
            return match leases.create(&PostParams::default(), &lease).await {
                Ok(_) => Ok(true),
                Err(error) if is_conflict(&error) => Ok(false),
                Err(error) => Err(failed("create lease vdb-sidecar", error)),
            };
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let ours = spec.holder_identity.as_deref() == Some(identity);
        if !ours && !is_over(&spec, now) {
            return Ok(false);
        }
        let since = if ours {
            spec.acquire_time.map_or(now, |time| time.0)
        } else {
            now
        };
        let transitions = spec.lease_transitions.unwrap_or_default() + i32::from(!ours);
        let renewed = Lease {
            spec: Some(held(identity, since, now, transitions)),
            ..lease
        };
        // The resource version that was read goes along: of two replicas one gets a conflict.
        match leases
            .replace(LEASE, &PostParams::default(), &renewed)
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(failed("renew lease vdb-sidecar", error)),
        }
    }

    async fn resign(&self, identity: &str) -> Result<(), Error> {
        let leases: Api<Lease> = self.own();
        let Some(mut lease) = leases
            .get_opt(LEASE)
            .await
            .map_err(|e| failed("get lease vdb-sidecar", e))?
        else {
            return Ok(());
        };
        match &mut lease.spec {
            Some(spec) if spec.holder_identity.as_deref() == Some(identity) => {
                spec.holder_identity = None;
            }
            _ => return Ok(()),
        }
        match leases.replace(LEASE, &PostParams::default(), &lease).await {
            Err(error) if !is_conflict(&error) => Err(failed("give lease vdb-sidecar back", error)),
            _ => Ok(()),
        }
    }
}

fn held(identity: &str, since: Timestamp, now: Timestamp, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(LEASE_SECONDS),
        acquire_time: Some(MicroTime(since)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

fn is_over(spec: &LeaseSpec, now: Timestamp) -> bool {
    let duration = SignedDuration::from_secs(i64::from(
        spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS),
    ));
    spec.holder_identity
        .as_deref()
        .unwrap_or_default()
        .is_empty()
        || spec
            .renew_time
            .as_ref()
            .is_none_or(|renewed| now.duration_since(renewed.0) > duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_when_it_was_not_renewed_in_time() {
        let now = Timestamp::now();
        let renewed = |seconds| held("a", now, now - SignedDuration::from_secs(seconds), 0);
        assert!(!is_over(&renewed(29), now));
        assert!(is_over(&renewed(31), now));
        assert!(is_over(&LeaseSpec::default(), now));
    }

    #[test]
    fn an_odd_status_does_not_hide_the_object() {
        let object = serde_json::json!({
            "apiVersion": "core.delphix.com/v1alpha1", "kind": "PostgresVDB",
            "metadata": {"name": "a-vdb", "namespace": "postgres-vdbs-a", "generation": 3},
            "spec": {"source": {"reference": "h:d"}}, "status": {"conditions": 7}
        });
        let database = live(serde_json::from_value(object).unwrap());
        assert_eq!((database.name.as_str(), database.generation), ("a-vdb", 3));
        assert_eq!(database.spec_text("/source/reference"), Some("h:d"));
    }
}
