//! Port to Data Control Tower, and its adapter over the typed client.
//!
//! What is assumed of the tower beyond its documents stands at the one method that relies on it.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use dct::types::{
    Bookmark, BySnapshot, CreateBookmark, DSource, DeleteVdb, DisableVdb, EnableVdb, Engine,
    Environment, FromBookmark, Job, PointInTime, ProvisionBySnapshot, ProvisionByTimestamp,
    ProvisionFromBookmark, Snapshot, Source, Tag, Vdb,
};
use dct::{Class, Client, filter};
use environment::spec::Point;
use tokio::sync::Mutex;

/// Everything that a source's reference can name.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub dsources: Vec<DSource>,
    pub sources: Vec<Source>,
    pub environments: Vec<Environment>,
    pub engines: Vec<Engine>,
}

/// An answer to an accepted order.
#[derive(Clone, Debug)]
pub struct Accepted {
    pub vdb_id: Option<String>,
    pub job: Option<Job>,
}

/// Who runs the server of a virtual database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    Pod,
    /// The engine, on a target host.
    Target,
}

/// A bookmark to be made, and for whom: a name alone does not say whose it is.
#[derive(Clone, Copy, Debug)]
pub struct NewBookmark<'a> {
    pub vdb: &'a str,
    pub name: &'a str,
    pub days: i64,
    /// The uid of the resource that it is made for.
    pub owner: &'a str,
}

impl NewBookmark<'_> {
    /// Tag of every bookmark that the operator makes.
    const OWNER_TAG: &'static str = "owner-uid";

    pub fn tags(&self) -> Vec<Tag> {
        vec![Tag::new(Self::OWNER_TAG, self.owner)]
    }

    /// Whether a bookmark that was found is the one that was made for this resource.
    pub fn is_of(found: &Bookmark, owner: &str) -> bool {
        let mut tags = found.tags.iter().flatten();
        tags.any(|tag| tag.key == Self::OWNER_TAG && tag.value == owner)
    }
}

/// A call that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub class: Class,
    /// The name is taken, or somebody else changes the same object.
    pub conflict: bool,
    pub message: String,
}

impl From<dct::Error> for Error {
    fn from(error: dct::Error) -> Self {
        Self {
            class: error.class(),
            conflict: error.is_conflict(),
            message: crate::error_chain(&error),
        }
    }
}

#[async_trait]
pub trait Dct: Send + Sync {
    async fn inventory(&self) -> Result<Inventory, Error>;
    /// Assumes that names are unique in a group, so that a second order of one name is refused.
    async fn provision(
        &self,
        request: &ProvisionBySnapshot,
        point: &Point,
    ) -> Result<Accepted, Error>;
    async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, Error>;
    /// By name or id. Assumes that searches find a bookmark by its name.
    async fn bookmark(&self, name: &str) -> Result<Option<Bookmark>, Error>;
    /// Bookmarks a virtual database as it is, running or not.
    async fn keep(&self, wanted: &NewBookmark<'_>) -> Result<Option<Job>, Error>;
    async fn forget(&self, bookmark: &str) -> Result<(), Error>;
    /// Assumes that a refresh begins a new timeflow, and so does a rewind.
    async fn refresh(&self, id: &str, point: &Point) -> Result<Job, Error>;
    async fn rewind(&self, id: &str, point: &Point) -> Result<Job, Error>;
    /// Assumes that it brings back the timeflow before the last refresh, with its directory.
    async fn undo_refresh(&self, id: &str) -> Result<Job, Error>;
    async fn vdb(&self, id: &str) -> Result<Option<Vdb>, Error>;
    async fn vdb_by_name(&self, name: &str) -> Result<Option<Vdb>, Error>;
    /// The newest job whose target has this name. Assumes that a job names its target from its first moment.
    async fn job_by_target(&self, name: &str) -> Result<Option<Job>, Error>;
    /// Assumes that container mode exists for `PostgreSQL`, and that `exported_data_directory` is set once the job is done.
    /// Without an owner: on its own host.
    async fn enable(&self, id: &str, owner: Option<&str>) -> Result<Job, Error>;
    async fn disable(&self, id: &str, host: Host) -> Result<Option<Job>, Error>;
    /// `None`: it is gone already.
    async fn delete(&self, id: &str) -> Result<Option<Job>, Error>;
    /// Those of the named jobs that the tower knows; at most 100 ids.
    async fn jobs(&self, ids: &[String]) -> Result<Vec<Job>, Error>;
}

/// Orders that arrive together ask for the same lists.
const INVENTORY_AGE: Duration = Duration::from_secs(5);

pub struct Tower {
    client: Client,
    inventory: Mutex<Option<(Instant, Inventory)>>,
}

impl Tower {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            inventory: Mutex::default(),
        }
    }
}

fn moment(point: &Point, dataset: Option<&str>) -> PointInTime {
    PointInTime {
        timestamp: point.timestamp.clone(),
        dataset_id: dataset.map(str::to_owned),
        ..PointInTime::default()
    }
}

fn by_snapshot(point: &Point) -> BySnapshot {
    BySnapshot {
        snapshot_id: point.snapshot_id.clone(),
    }
}

fn from_bookmark(bookmark: &str) -> FromBookmark {
    FromBookmark {
        bookmark_id: Some(bookmark.to_owned()),
    }
}

/// A text that the search language cannot quote names nothing.
fn expression(built: Option<String>) -> Result<String, Error> {
    let message = "the name cannot be written in the search language".to_owned();
    built.ok_or(Error {
        class: Class::Rejected,
        conflict: false,
        message,
    })
}

#[async_trait]
impl Dct for Tower {
    async fn inventory(&self) -> Result<Inventory, Error> {
        let mut cached = self.inventory.lock().await;
        if let Some((at, inventory)) = &*cached
            && at.elapsed() < INVENTORY_AGE
        {
            return Ok(inventory.clone());
        }
        let (dsources, sources, environments, engines) = tokio::try_join!(
            self.client.search_dsources(""),
            self.client.search_sources(""),
            self.client.search_environments(""),
            self.client.engines(),
        )?;
        let found = Inventory {
            dsources: dsources.items,
            sources: sources.items,
            environments: environments.items,
            engines: engines.items,
        };
        *cached = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    async fn provision(
        &self,
        request: &ProvisionBySnapshot,
        point: &Point,
    ) -> Result<Accepted, Error> {
        let mut provision = request.clone();
        let answer = if point.timestamp.is_some() {
            let point = moment(point, None);
            let request = ProvisionByTimestamp { provision, point };
            self.client.provision_by_timestamp(&request).await?
        } else if let Some(bookmark) = &point.bookmark {
            // The bookmark says what it is of.
            provision.source_data_id = None;
            let bookmark_id = Some(bookmark.clone());
            let request = ProvisionFromBookmark {
                provision,
                bookmark_id,
            };
            self.client.provision_from_bookmark(&request).await?
        } else {
            provision.snapshot_id.clone_from(&point.snapshot_id);
            self.client.provision_by_snapshot(&provision).await?
        };
        Ok(Accepted {
            vdb_id: answer.vdb_id,
            job: answer.job,
        })
    }

    async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, Error> {
        Ok(self.client.snapshot(id).await?)
    }

    async fn bookmark(&self, name: &str) -> Result<Option<Bookmark>, Error> {
        let (id, named) = (filter::equals("id", name), filter::equals("name", name));
        let wanted = expression(
            id.zip(named)
                .map(|(a, b)| filter::any([a.as_str(), b.as_str()])),
        )?;
        let page = self.client.search_bookmarks(&wanted).await?;
        Ok(page
            .items
            .into_iter()
            .find(|b| b.id == name || b.name.as_deref() == Some(name)))
    }

    async fn keep(&self, wanted: &NewBookmark<'_>) -> Result<Option<Job>, Error> {
        let request = CreateBookmark {
            name: Some(wanted.name.to_owned()),
            vdb_ids: Some(vec![wanted.vdb.to_owned()]),
            retention: Some(wanted.days),
            tags: Some(wanted.tags()),
            ..CreateBookmark::default()
        };
        Ok(self.client.create_bookmark(&request).await?.job)
    }

    async fn forget(&self, bookmark: &str) -> Result<(), Error> {
        Ok(self.client.delete_bookmark(bookmark).await?)
    }

    async fn refresh(&self, id: &str, point: &Point) -> Result<Job, Error> {
        Ok(match (&point.timestamp, &point.bookmark) {
            (Some(_), _) => {
                let parent = self.client.vdb(id).await?.and_then(|v| v.parent_id);
                let request = moment(point, parent.as_deref());
                self.client.refresh_by_timestamp(id, &request).await?
            }
            (None, Some(bookmark)) => {
                self.client
                    .refresh_from_bookmark(id, &from_bookmark(bookmark))
                    .await?
            }
            (None, None) => {
                self.client
                    .refresh_by_snapshot(id, &by_snapshot(point))
                    .await?
            }
        })
    }

    async fn rewind(&self, id: &str, point: &Point) -> Result<Job, Error> {
        Ok(match (&point.timestamp, &point.bookmark) {
            (Some(_), _) => {
                let request = moment(point, Some(id));
                self.client.rollback_by_timestamp(id, &request).await?
            }
            (None, Some(bookmark)) => {
                self.client
                    .rollback_from_bookmark(id, &from_bookmark(bookmark))
                    .await?
            }
            (None, None) => {
                self.client
                    .rollback_by_snapshot(id, &by_snapshot(point))
                    .await?
            }
        })
    }

    async fn undo_refresh(&self, id: &str) -> Result<Job, Error> {
        Ok(self.client.undo_refresh(id).await?)
    }

    async fn vdb(&self, id: &str) -> Result<Option<Vdb>, Error> {
        Ok(self.client.vdb(id).await?)
    }

    async fn vdb_by_name(&self, name: &str) -> Result<Option<Vdb>, Error> {
        let page = self
            .client
            .search_vdbs(&expression(filter::equals("name", name))?, 10)
            .await?;
        Ok(page
            .items
            .into_iter()
            .find(|vdb| vdb.name.as_deref() == Some(name)))
    }

    async fn job_by_target(&self, name: &str) -> Result<Option<Job>, Error> {
        let page = self
            .client
            .search_jobs(&expression(filter::equals("target_name", name))?)
            .await?;
        Ok(page
            .items
            .into_iter()
            .max_by(|a, b| a.start_time.cmp(&b.start_time)))
    }

    async fn enable(&self, id: &str, owner: Option<&str>) -> Result<Job, Error> {
        let request = EnableVdb {
            attempt_start: Some(owner.is_none()),
            container_mode: owner.map(|_| true),
            ownership_spec: owner.map(str::to_owned),
        };
        Ok(self.client.enable(id, &request).await?)
    }

    async fn disable(&self, id: &str, host: Host) -> Result<Option<Job>, Error> {
        match self
            .client
            .disable(
                id,
                &DisableVdb {
                    attempt_cleanup: Some(true),
                    container_mode: (host == Host::Pod).then_some(true),
                },
            )
            .await
        {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, id: &str) -> Result<Option<Job>, Error> {
        Ok(self
            .client
            .delete_vdb(
                id,
                &DeleteVdb {
                    force: Some(false),
                    delete_all_dependent_vdbs: None,
                },
            )
            .await?)
    }

    async fn jobs(&self, ids: &[String]) -> Result<Vec<Job>, Error> {
        let wanted = expression(filter::one_of("id", ids.iter().map(String::as_str)))?;
        Ok(self.client.search_jobs(&wanted).await?.items)
    }
}
