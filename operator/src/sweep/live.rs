//! What is there, read from the tower and the API server.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use environment::names::{PART_OF, PART_OF_LABEL};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ObjectReference, PersistentVolume};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Estate, Port, Report};
use crate::cluster::{LEDGER, MANAGER};
use crate::consent::CLUSTER_TAG;
use crate::crd::PostgresVdb;

/// The report's key in the ledger, beside the uids of resources.
const REPORT: &str = "sweep";
const PAGE: u32 = 500;
/// More than a cluster holds; a list that is longer is not decided on.
const PAGES: usize = 40;

pub struct Live {
    client: Client,
    tower: dct::Client,
    home: String,
    recorder: Recorder,
}

impl Live {
    pub fn new(client: Client, tower: dct::Client, home: String) -> Self {
        let reporter = Reporter {
            controller: MANAGER.to_owned(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            tower,
            home,
        }
    }

    async fn ledger(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.home);
        let found = api
            .get_opt(LEDGER)
            .await
            .context("cannot read the ledger")?;
        Ok(found.and_then(|map| map.data).unwrap_or_default())
    }

    async fn cluster_id(&self) -> anyhow::Result<String> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = api.get("kube-system").await;
        let uid = found
            .context("cannot read namespace kube-system")?
            .metadata
            .uid;
        uid.context("namespace kube-system has no uid")
    }

    async fn tagged(&self, cluster_id: &str) -> anyhow::Result<Vec<dct::types::Vdb>> {
        let wanted = dct::filter::tag(CLUSTER_TAG, cluster_id)
            .context("the cluster's id cannot be asked for")?;
        let page = self.tower.search_all_vdbs(&wanted, PAGES).await?;
        ensure!(
            page.errors.is_empty(),
            "Data Control Tower could not ask every engine"
        );
        ensure!(
            page.next_cursor().is_none(),
            "there are more virtual databases than a sweep reads"
        );
        Ok(page.items)
    }
}

/// Every object of a kind, page by page.
async fn all<K>(api: &Api<K>, mut parameters: ListParams, what: &str) -> anyhow::Result<Vec<K>>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    parameters.limit = Some(PAGE);
    let mut items = Vec::new();
    for _ in 0..PAGES {
        let list = api.list(&parameters).await;
        let list = list.with_context(|| format!("cannot list {what}"))?;
        items.extend(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(items),
        }
    }
    anyhow::bail!("there are more {what} than a sweep reads")
}

/// Uids of those that are to stay. An entry that does not say stays, too.
fn kept(ledger: &BTreeMap<String, String>) -> BTreeSet<String> {
    let stays = |entry: &str| {
        serde_json::from_str::<Value>(entry).map_or(true, |entry| entry["kept"] != json!(false))
    };
    ledger
        .iter()
        .filter(|(uid, entry)| *uid != REPORT && stays(entry))
        .map(|(uid, _)| uid.clone())
        .collect()
}

#[async_trait]
impl Port for Live {
    async fn estate(&self) -> anyhow::Result<Estate> {
        let cluster_id = self.cluster_id().await?;
        let vdbs = self.tagged(&cluster_id).await?;
        let ours = ListParams::default().labels(&format!("{PART_OF_LABEL}={PART_OF}"));
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volumes = all(&volumes, ours, "PersistentVolumes").await?;
        let kept = kept(&self.ledger().await?);
        let resources: Api<PostgresVdb> = Api::all(self.client.clone());
        let resources = all(&resources, ListParams::default(), "PostgresVDBs").await?;
        Ok(Estate {
            cluster_id,
            vdbs,
            volumes,
            kept,
            resources,
        })
    }

    async fn vdb_exists(&self, id: &str) -> anyhow::Result<bool> {
        Ok(self.tower.vdb(id).await?.is_some())
    }

    async fn living(&self) -> anyhow::Result<BTreeSet<String>> {
        let api: Api<PostgresVdb> = Api::all(self.client.clone());
        let listed = all(&api, ListParams::default(), "PostgresVDBs").await?;
        Ok(listed.into_iter().filter_map(|o| o.metadata.uid).collect())
    }

    async fn delete_vdb(&self, id: &str) -> anyhow::Result<()> {
        let request = dct::types::DeleteVdb {
            force: Some(false),
            delete_all_dependent_vdbs: None,
        };
        self.tower.delete_vdb(id, &request).await?;
        Ok(())
    }

    async fn delete_volume(&self, name: &str, uid: &str) -> anyhow::Result<()> {
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api.delete(name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot delete volume {name}")),
        }
    }

    async fn last_report(&self) -> anyhow::Result<Report> {
        let ledger = self.ledger().await?;
        let last = ledger.get(REPORT);
        // One that cannot be read is written anew.
        Ok(last
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default())
    }

    async fn report(&self, report: &Report, at: &str) -> anyhow::Result<()> {
        let mut entry = json!(report);
        entry["at"] = at.into();
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.home);
        let data = json!({ "data": { REPORT: entry.to_string() } });
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api.patch(LEDGER, &parameters, &Patch::Merge(&data)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let mut ledger = ConfigMap::default();
                ledger.metadata.name = Some(LEDGER.to_owned());
                ledger.data = Some([(REPORT.to_owned(), entry.to_string())].into());
                let written = PostParams {
                    field_manager: Some(MANAGER.to_owned()),
                    ..PostParams::default()
                };
                api.create(&written, &ledger)
                    .await
                    .context("cannot create the ledger")?;
            }
            Err(error) => return Err(error).context("cannot write the ledger"),
        }
        let Some(event) = event(report) else {
            return Ok(());
        };
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            namespace: Some(self.home.clone()),
            name: Some(LEDGER.to_owned()),
            ..ObjectReference::default()
        };
        self.recorder
            .publish(&event, &about)
            .await
            .context("cannot write an event")
    }
}

fn event(report: &Report) -> Option<Event> {
    let first = report.left_behind.first()?;
    let more = match report.found - 1 {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let note = format!(
        "{} {}: {} ({}){more}. ConfigMap {LEDGER}, key {REPORT}, has the list",
        first.kind, first.name, first.why, first.fate
    );
    Some(Event {
        type_: EventType::Warning,
        reason: "LeftBehind".to_owned(),
        note: Some(note.chars().take(1000).collect()),
        action: "Sweep".to_owned(),
        secondary: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_entry_that_says_so_is_not_kept() {
        let ledger = [
            ("a", r#"{"kept":true}"#),
            ("b", r#"{"kept":false}"#),
            ("c", r#"{"why":"x"}"#),
            ("d", "nonsense"),
            (REPORT, r#"{"found":1}"#),
        ]
        .map(|(key, entry)| (key.to_owned(), entry.to_owned()))
        .into();
        let kept: Vec<_> = kept(&ledger).into_iter().collect();
        assert_eq!(kept, ["a", "c", "d"]);
    }

    #[test]
    fn an_event_names_one_and_counts_the_rest() {
        assert!(event(&Report::default()).is_none());
        let named = |name: &str| super::super::Named {
            kind: "vdb".into(),
            name: name.into(),
            why: "no resource".into(),
            fate: "left alone".into(),
        };
        let report = Report {
            deletes: false,
            found: 2,
            left_behind: vec![named("a"), named("b")],
        };
        let note = event(&report).unwrap().note.unwrap();
        assert!(
            note.starts_with("vdb a: no resource (left alone); and 1 more"),
            "{note}"
        );
    }
}
