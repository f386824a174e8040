//! What can be copied: the datasets of Data Control Tower and the references that name them.
//!
//! Calls of the tower are metered, so its lists are kept for half a minute; a reference that is missing is looked for again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dct::types::{DSource, Engine, Environment, Source};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::serve::error::ApiError;

const KEPT: Duration = Duration::from_secs(30);
/// A source that was linked just now is found after this time.
const KEPT_WHERE_MISSING: Duration = Duration::from_secs(3);

/// A dataset that an order can name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dataset {
    /// What an order writes: `host:name`.
    pub(crate) reference: String,
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) engine: Option<String>,
    /// Version of the database server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Bytes of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<i64>,
    /// Addresses and names that may stand before the colon.
    #[serde(skip)]
    hosts: Vec<String>,
    /// Names and ids that may stand after it, or alone.
    #[serde(skip)]
    names: Vec<String>,
}

impl Dataset {
    #[cfg(test)]
    pub(crate) fn named(host: &str, name: &str, version: &str) -> Self {
        let (hosts, names) = (vec![host.to_owned()], vec![name.to_owned()]);
        Self {
            reference: format!("{host}:{name}"),
            id: name.into(),
            name: name.into(),
            version: Some(version.into()),
            hosts,
            names,
            ..Self::default()
        }
    }

    fn answers_to(&self, reference: &str) -> bool {
        let is_name = |text: &str| self.names.iter().any(|name| name == text);
        if is_name(reference) {
            return true;
        }
        // A host may be an IPv6 address; a dataset's name holds no colon.
        reference.rsplit_once(':').is_some_and(|(host, name)| {
            is_name(name) && self.hosts.iter().any(|h| h.eq_ignore_ascii_case(host))
        })
    }
}

/// Data Control Tower, as far as orders need it.
#[async_trait]
pub(crate) trait Tower: Send + Sync {
    async fn datasets(&self) -> Result<Vec<Dataset>, dct::Error>;
    /// The time of the data of one snapshot, or of the dataset's newest one; None if there is none.
    async fn data_time(
        &self,
        dataset: &str,
        snapshot: Option<&str>,
    ) -> Result<Option<String>, dct::Error>;
}

#[async_trait]
impl Tower for dct::Client {
    async fn datasets(&self) -> Result<Vec<Dataset>, dct::Error> {
        let (dsources, sources, environments, engines) = tokio::try_join!(
            self.search_dsources(""),
            self.search_sources(""),
            self.search_environments(""),
            self.engines()
        )?;
        let known = Known {
            sources: sources.items,
            environments: environments.items,
            engines: engines.items,
        };
        Ok(dsources
            .items
            .into_iter()
            .map(|dsource| known.dataset(dsource))
            .collect())
    }

    async fn data_time(
        &self,
        dataset: &str,
        snapshot: Option<&str>,
    ) -> Result<Option<String>, dct::Error> {
        let of_dataset = dct::filter::equals("dataset_id", dataset);
        let the_one = snapshot.map(|id| dct::filter::equals("id", id));
        // An id that cannot be written down as a search is no snapshot's.
        let (Some(of_dataset), Some(the_one)) =
            (of_dataset, the_one.unwrap_or(Some(String::new())))
        else {
            return Ok(None);
        };
        let parts = [of_dataset.as_str(), the_one.as_str()];
        let filter = dct::filter::all(parts.into_iter().filter(|part| !part.is_empty()));
        let found = self.search_snapshots(&filter, "-timestamp", 1).await?;
        Ok(found
            .items
            .into_iter()
            .next()
            .and_then(|snapshot| snapshot.timestamp.or(snapshot.creation_time)))
    }
}

struct Known {
    sources: Vec<Source>,
    environments: Vec<Environment>,
    engines: Vec<Engine>,
}

impl Known {
    fn dataset(&self, dsource: DSource) -> Dataset {
        // A source that a version of the tower does not tie to its dataset has the same name.
        let source = self
            .sources
            .iter()
            .find(|s| Some(&s.id) == dsource.source_id.as_ref())
            .or_else(|| {
                self.sources
                    .iter()
                    .find(|s| s.name.is_some() && s.name == dsource.name)
            });
        let environment = source
            .and_then(|s| s.environment_id.as_ref())
            .and_then(|id| self.environments.iter().find(|e| e.id == *id));
        let engine = dsource
            .engine_id
            .as_ref()
            .and_then(|id| self.engines.iter().find(|engine| engine.id == *id));
        let mut hosts: Vec<String> = Vec::new();
        hosts.extend(
            source
                .into_iter()
                .flat_map(|s| [&s.ip_address, &s.fqdn, &s.environment_name])
                .flatten()
                .cloned(),
        );
        hosts.extend(environment.into_iter().flat_map(|e| {
            e.name
                .iter()
                .cloned()
                .chain(e.hosts.iter().flatten().filter_map(|h| h.hostname.clone()))
        }));
        hosts.extend(dsource.engine_name.clone());
        hosts.extend(
            engine
                .into_iter()
                .flat_map(|e| [&e.name, &e.hostname])
                .flatten()
                .cloned(),
        );
        let name = dsource.name.clone().unwrap_or_else(|| dsource.id.clone());
        let names = [
            Some(name.clone()),
            Some(dsource.id.clone()),
            source.and_then(|s| s.name.clone()),
        ]
        .into_iter()
        .flatten()
        .collect();
        Dataset {
            reference: hosts
                .first()
                .map_or_else(|| name.clone(), |host| format!("{host}:{name}")),
            id: dsource.id,
            name,
            engine: dsource.engine_name,
            version: dsource.database_version,
            size: dsource.size.or(source.and_then(|s| s.size)),
            hosts,
            names,
        }
    }
}

pub(crate) struct Sources {
    tower: Arc<dyn Tower>,
    kept: Mutex<Option<(Instant, Vec<Dataset>)>>,
    newest: Mutex<HashMap<String, (Instant, Option<Timestamp>)>>,
}

impl Sources {
    pub(crate) fn new(tower: Arc<dyn Tower>) -> Self {
        Self {
            tower,
            kept: Mutex::default(),
            newest: Mutex::default(),
        }
    }

    /// The time of the newest data of a dataset.
    pub(crate) async fn newest_snapshot(
        &self,
        dataset: &str,
    ) -> Result<Option<Timestamp>, ApiError> {
        let mut kept = self.newest.lock().await;
        kept.retain(|_, (since, _)| since.elapsed() < KEPT);
        if let Some((_, newest)) = kept.get(dataset) {
            return Ok(*newest);
        }
        let newest = self.tower.data_time(dataset, None).await;
        let newest = newest.map_err(|error| unavailable(&error))?;
        let newest = newest.and_then(|at| at.parse().ok());
        kept.insert(dataset.to_owned(), (Instant::now(), newest));
        Ok(newest)
    }

    pub(crate) async fn list(&self) -> Result<Vec<Dataset>, ApiError> {
        self.fresh(KEPT).await
    }

    /// The dataset that a reference names; the references there are if it names none.
    pub(crate) async fn find(
        &self,
        reference: &str,
    ) -> Result<Result<Dataset, Vec<String>>, ApiError> {
        let mut datasets = Vec::new();
        for oldest in [KEPT, KEPT_WHERE_MISSING] {
            datasets = self.fresh(oldest).await?;
            if let Some(found) = datasets
                .iter()
                .find(|dataset| dataset.answers_to(reference))
            {
                return Ok(Ok(found.clone()));
            }
        }
        Ok(Err(datasets
            .into_iter()
            .map(|dataset| dataset.reference)
            .collect()))
    }

    /// The time of the data of a snapshot, or of the newest one.
    pub(crate) async fn data_time(
        &self,
        dataset: &Dataset,
        snapshot: Option<&str>,
    ) -> Result<Option<String>, ApiError> {
        if snapshot.is_none() {
            let newest = self.newest_snapshot(&dataset.id).await?;
            return Ok(newest.map(|at| at.to_string()));
        }
        let found = self.tower.data_time(&dataset.id, snapshot).await;
        found.map_err(|error| unavailable(&error))
    }

    async fn fresh(&self, oldest: Duration) -> Result<Vec<Dataset>, ApiError> {
        let mut kept = self.kept.lock().await;
        if let Some((since, datasets)) = kept.as_ref()
            && since.elapsed() < oldest
        {
            return Ok(datasets.clone());
        }
        let datasets = self
            .tower
            .datasets()
            .await
            .map_err(|error| unavailable(&error))?;
        *kept = Some((Instant::now(), datasets.clone()));
        Ok(datasets)
    }
}

fn unavailable(error: &dct::Error) -> ApiError {
    let remedy = match error.class() {
        dct::Class::Unauthorized | dct::Class::Forbidden => {
            "put a valid key into Secret vdb-dct, key api-key"
        }
        dct::Class::Unreachable | dct::Class::Unavailable => {
            "check that the engine is up and dct.url is right, then run this again"
        }
        _ => "check that dct.url is the address of a Data Control Tower",
    };
    ApiError::down(error, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let source = Source {
            id: "s1".into(),
            name: Some("largedb".into()),
            ip_address: Some("10.0.1.54".into()),
            environment_id: Some("e1".into()),
            ..Source::default()
        };
        let environment = Environment {
            id: "e1".into(),
            name: Some("prod-host".into()),
            ..Environment::default()
        };
        let engine = Engine {
            id: "g1".into(),
            name: Some("engine-a".into()),
            ..Engine::default()
        };
        Known {
            sources: vec![source],
            environments: vec![environment],
            engines: vec![engine],
        }
    }

    #[test]
    fn a_dataset_answers_to_each_of_its_hosts_and_names() {
        let dsource = DSource {
            id: "d1".into(),
            name: Some("largedb".into()),
            source_id: Some("s1".into()),
            engine_id: Some("g1".into()),
            ..DSource::default()
        };
        let dataset = known().dataset(dsource);
        assert_eq!(dataset.reference, "10.0.1.54:largedb");
        for reference in [
            "10.0.1.54:largedb",
            "prod-host:largedb",
            "engine-a:largedb",
            "Engine-A:d1",
            "largedb",
            "d1",
        ] {
            assert!(dataset.answers_to(reference), "{reference}");
        }
        for reference in [
            "10.0.1.55:largedb",
            "10.0.1.54:other",
            "10.0.1.54",
            ":largedb",
            "large",
        ] {
            assert!(!dataset.answers_to(reference), "{reference}");
        }
    }

    struct Down;

    #[async_trait]
    impl Tower for Down {
        async fn datasets(&self) -> Result<Vec<Dataset>, dct::Error> {
            Err(dct::Error::Refused {
                call: "POST /dsources/search".into(),
                status: 401,
                message: "no".into(),
            })
        }

        async fn data_time(&self, _: &str, _: Option<&str>) -> Result<Option<String>, dct::Error> {
            Ok(None)
        }
    }

    #[tokio::test]
    async fn a_tower_that_refuses_the_key_is_said_with_what_to_change() {
        let error = Sources::new(Arc::new(Down)).find("x").await.unwrap_err();
        assert_eq!(error.status, 503);
        assert!(error.message.contains("vdb-dct"), "{}", error.message);
    }
}
