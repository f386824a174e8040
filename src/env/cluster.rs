//! The cluster that runs the environments, read through its API server; bookmarks and the forced end of a deletion are the only writes.

mod bookmark;
mod object;

use std::path::Path;

use anyhow::{Context as _, Result};
use environment::EnvironmentName;
use environment::names::{ENVIRONMENT_LABEL, GROUP, KIND, PLURAL, VERSION};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, Secret};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::observed::{Application, Database, Observed, Volume};
pub(crate) use object::{Reference, Thing};

const ARGOCD_NAMESPACE: &str = "argocd";
/// Where the operator keeps what was let go without being deleted.
const ORPHANS: (&str, &str) = ("vdb-system", "vdb-orphans");

pub(crate) struct Cluster {
    client: Client,
}

impl Cluster {
    pub(crate) async fn connect(kubeconfig: &Path) -> Result<Self> {
        let read = Kubeconfig::read_from(kubeconfig)
            .with_context(|| format!("cannot read the kubeconfig file {}", kubeconfig.display()))?;
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .with_context(|| {
                format!("the kubeconfig file {} is not usable", kubeconfig.display())
            })?;
        // A cluster that is down is said soon.
        config.connect_timeout = Some(std::time::Duration::from_secs(5));
        config.read_timeout = Some(std::time::Duration::from_secs(15));
        Ok(Self {
            client: Client::try_from(config).context("cannot set up a client for the cluster")?,
        })
    }

    pub(super) async fn observe(&self, name: &EnvironmentName) -> Result<Observed> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = name.namespace();
        let (application, databases, space, volumes) = tokio::try_join!(
            async { present(self.applications().get_opt(name.as_str()).await) },
            self.databases(name),
            async { present(namespaces.get_opt(&namespace).await) },
            self.volumes(&namespace),
        )
        .context("cannot ask the cluster")?;
        Ok(Observed {
            application: application.map(|object| Application::read(&json!(object))),
            namespace: space.map(|space| space.metadata.deletion_timestamp.is_some()),
            databases,
            volumes,
        })
    }

    /// The databases of every environment.
    pub(super) async fn all_databases(&self) -> Result<Vec<Database>> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource());
        let parameters = ListParams::default().labels(ENVIRONMENT_LABEL);
        let list = present(api.list(&parameters).await.map(|list| Some(list.items)))
            .context("cannot ask the cluster")?;
        Ok(list
            .unwrap_or_default()
            .iter()
            .map(|object| Database::read(&json!(object)))
            .collect())
    }

    /// Names of all environments that have an Application.
    pub(super) async fn applications_by_name(&self) -> Result<Vec<(String, Application)>> {
        let parameters = ListParams::default().labels(ENVIRONMENT_LABEL);
        let list = present(
            self.applications()
                .list(&parameters)
                .await
                .map(|list| Some(list.items)),
        );
        let list = list.context("cannot ask the cluster")?.unwrap_or_default();
        let named = |object: &DynamicObject| {
            (
                object.metadata.name.clone().unwrap_or_default(),
                Application::read(&json!(object)),
            )
        };
        Ok(list.iter().map(named).collect())
    }

    /// One key of a Secret, as text.
    pub(super) async fn secret(&self, namespace: &str, name: &str) -> Result<Secret> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        api.get(name)
            .await
            .with_context(|| format!("cannot read Secret {name} in {namespace}"))
    }

    /// Version of the API server, as Helm wants it.
    pub(crate) async fn version(&self) -> Result<String> {
        Ok(self
            .client
            .apiserver_version()
            .await
            .context("cannot ask the cluster for its version")?
            .git_version)
    }

    async fn databases(&self, name: &EnvironmentName) -> Result<Vec<Database>, kube::Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &name.namespace(), &resource());
        let list = present(
            api.list(&ListParams::default())
                .await
                .map(|list| Some(list.items)),
        )?;
        Ok(list
            .unwrap_or_default()
            .iter()
            .map(|object| Database::read(&json!(object)))
            .collect())
    }

    async fn volumes(&self, namespace: &str) -> Result<Vec<Volume>, kube::Error> {
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default()).await?;
        Ok(list
            .items
            .iter()
            .filter_map(|volume| own_volume(volume, namespace))
            .collect())
    }

    fn applications(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application");
        Api::namespaced_with(
            self.client.clone(),
            ARGOCD_NAMESPACE,
            &ApiResource::from_gvk_with_plural(&kind, "applications"),
        )
    }

    /// Takes the finalizers off a database that nobody finishes deleting. Its virtual database is written down first.
    pub(super) async fn orphan(
        &self,
        name: &EnvironmentName,
        database: &Database,
        now: &str,
    ) -> Result<()> {
        self.record(name, database, now).await?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &name.namespace(), &resource());
        release(&api, &database.name).await
    }

    /// Lets a stuck Application go and removes the namespace and volumes that it would have removed.
    pub(super) async fn sweep(&self, name: &EnvironmentName, observed: &Observed) -> Result<()> {
        if observed
            .application
            .as_ref()
            .is_some_and(|application| application.deleting)
        {
            release(&self.applications(), name.as_str()).await?;
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if observed.namespace == Some(false) {
            present(
                namespaces
                    .delete(&name.namespace(), &DeleteParams::background())
                    .await
                    .map(Some),
            )?;
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        for volume in &observed.volumes {
            present(
                volumes
                    .delete(&volume.name, &DeleteParams::background())
                    .await
                    .map(Some),
            )?;
        }
        Ok(())
    }

    /// Ids of the virtual databases that were let go without being deleted.
    pub(super) async fn orphans(&self) -> Result<Vec<String>> {
        let (namespace, map) = ORPHANS;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let found = api
            .get_opt(map)
            .await
            .with_context(|| format!("cannot read ConfigMap {map} in {namespace}"))?;
        Ok(orphan_ids(
            &found.and_then(|found| found.data).unwrap_or_default(),
        ))
    }

    async fn record(&self, name: &EnvironmentName, database: &Database, now: &str) -> Result<()> {
        self.write_ledger(&database.uid, &orphan_entry(name, database, now))
            .await
    }

    /// One entry of the ledger, by the uid of the resource that is let go.
    pub(super) async fn write_ledger(&self, uid: &str, entry: &Value) -> Result<()> {
        let (namespace, map) = ORPHANS;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let patch = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": map},
            "data": {uid: entry.to_string()},
        });
        let exists = api
            .get_opt(map)
            .await
            .with_context(|| format!("cannot read ConfigMap {map} in {namespace}"))?
            .is_some();
        let written = if exists {
            api.patch(map, &PatchParams::default(), &Patch::Merge(&patch))
                .await
        } else {
            api.create(
                &kube::api::PostParams::default(),
                &serde_json::from_value(patch)?,
            )
            .await
        };
        written.map(drop).with_context(|| {
            format!(
                "cannot record the orphan in ConfigMap {map} in {namespace}; nothing was forced"
            )
        })
    }
}

/// What is known of a virtual database that the platform has let go, in the form in which the operator writes it too.
fn orphan_entry(name: &EnvironmentName, database: &Database, now: &str) -> Value {
    let vdb = database.status.vdb.clone().unwrap_or_default();
    json!({
        "uid": database.uid,
        "namespace": name.namespace(),
        "resource": database.name,
        "vdbId": vdb.id,
        "vdbName": vdb.name.or_else(|| vdb.intent.map(|intent| intent.name)),
        "at": now,
        "why": "its finalizer was taken off by force",
        // The operator's sweep leaves alone what is kept.
        "kept": database.kept,
    })
}

fn orphan_ids(ledger: &std::collections::BTreeMap<String, String>) -> Vec<String> {
    let entries = ledger
        .values()
        .filter_map(|entry| serde_json::from_str::<Value>(entry).ok());
    entries
        .filter_map(|entry| entry["vdbId"].as_str().map(str::to_owned))
        .collect()
}

async fn release(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    present(
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .map(Some),
    )
    .map(drop)
    .with_context(|| format!("cannot take the finalizers off {name}"))
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, KIND), PLURAL)
}

/// "Not found" is an answer, also where the whole kind is not known.
fn present<T>(answer: Result<Option<T>, kube::Error>) -> Result<Option<T>, kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        other => other,
    }
}

fn own_volume(volume: &PersistentVolume, namespace: &str) -> Option<Volume> {
    let spec = volume.spec.as_ref()?;
    if spec.claim_ref.as_ref()?.namespace.as_deref() != Some(namespace) {
        return None;
    }
    let path = spec
        .local
        .as_ref()
        .map(|l| l.path.clone())
        .or_else(|| spec.nfs.as_ref().map(|n| n.path.clone()));
    Some(Volume {
        name: volume.metadata.name.clone()?,
        path: path.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_is_recorded_with_what_is_known_of_it() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let database = Database::read(&json!({
            "metadata": {"name": "feat-1-vdb", "uid": "u"},
            "status": {"vdb": {"intent": {"name": "postgres-vdbs-feat-1-feat-1-vdb-12345678", "at": "t"}}},
        }));
        let entry = orphan_entry(&name, &database, "2026-11-23T00:00:00Z");
        assert_eq!(entry["vdbName"], "postgres-vdbs-feat-1-feat-1-vdb-12345678");
        assert_eq!(entry["vdbId"], Value::Null);
        assert_eq!(entry["kept"], false);
        assert_eq!(entry["namespace"], "postgres-vdbs-feat-1");
        let ledger = [
            ("u".to_owned(), json!({"vdbId": "7-VDB-1"}).to_string()),
            ("v".to_owned(), entry.to_string()),
        ]
        .into();
        assert_eq!(orphan_ids(&ledger), ["7-VDB-1"]);
    }

    #[test]
    fn volumes_of_an_environment_whose_name_is_longer_are_not_its_own() {
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": {"name": "v"},
            "spec": {"claimRef": {"namespace": "postgres-vdbs-feat-12"}, "local": {"path": "/pool/vdbs/1"}},
        }))
        .unwrap();
        assert!(own_volume(&volume, "postgres-vdbs-feat-1").is_none());
        assert_eq!(
            own_volume(&volume, "postgres-vdbs-feat-12").unwrap().path,
            "/pool/vdbs/1"
        );
    }
}
