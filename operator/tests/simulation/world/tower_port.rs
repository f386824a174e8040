//! The tower: jobs take time, an object is visible once its job is done, one job at a time works on it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use dct::types::{
    Bookmark, BookmarkVdb, ContainerizationState, DSource, Job, JobStatus, ProvisionBySnapshot,
    Snapshot, Tag, Vdb,
};
use environment::spec::Point;
use operator::tower::{self, Accepted, Dct, Host, Inventory, NewBookmark};
use serde_json::json;

use super::{Data, SimJob, SimVdb, State, World};

fn refused(class: dct::Class, conflict: bool, message: &str) -> tower::Error {
    tower::Error {
        class,
        conflict,
        message: message.into(),
    }
}

impl World {
    fn ask<T>(
        &self,
        what: std::fmt::Arguments<'_>,
        effect: impl FnOnce(&mut State) -> Result<T, tower::Error>,
    ) -> Result<T, tower::Error> {
        self.call(what, |s| match s.tower_answers {
            Ok(()) => effect(s),
            Err((class, message)) => Err(refused(class, false, message)),
        })
    }

    fn order(&self, id: &str, operation: &'static str) -> Result<Option<Job>, tower::Error> {
        self.order_with(id, operation, |_| Ok(None))
    }

    fn order_with(
        &self,
        id: &str,
        operation: &'static str,
        data: impl FnOnce(&State) -> Result<Option<Data>, tower::Error>,
    ) -> Result<Option<Job>, tower::Error> {
        let exchanges = ["refresh", "rewind", "undo", "disable"].contains(&operation);
        self.ask(format_args!("{operation} {id}"), |s| {
            let free = !exchanges || s.is_free();
            s.must(free, || {
                format!("{operation} while the pod still uses the data")
            });
            if !s.vdbs.get(id).is_some_and(|v| v.visible) {
                return Ok(None);
            }
            if s.refusing.contains(&operation) {
                return Err(refused(dct::Class::Rejected, false, "it is not to be"));
            }
            if s.busy(id) {
                return Err(refused(
                    dct::Class::Rejected,
                    true,
                    "another job is running",
                ));
            }
            let data = data(s)?;
            if exchanges && operation != "disable" {
                s.exchanges.push(operation);
            }
            let name = s.vdbs.get(id).and_then(|v| v.vdb.name.clone());
            Ok(Some(s.start(id, name, operation, data)))
        })
    }

    fn exchange(
        &self,
        id: &str,
        operation: &'static str,
        data: impl FnOnce(&State) -> Result<Option<Data>, tower::Error>,
    ) -> Result<Job, tower::Error> {
        self.order_with(id, operation, data)?.ok_or(refused(
            dct::Class::NotFound,
            false,
            "no such VDB",
        ))
    }
}

impl State {
    /// A bookmark that somebody made before, of a copy without a namespace.
    pub(crate) fn bookmarked(&mut self, name: &str, source: &str) {
        self.bookmarked_by(name, source, &[]);
    }

    pub(crate) fn bookmarked_by(&mut self, name: &str, source: &str, tags: &[(&str, &str)]) {
        let copy = Vdb {
            id: "vdb-0".into(),
            tags: Some(tags.iter().map(|(k, v)| Tag::new(*k, *v)).collect()),
            ..Default::default()
        };
        self.foreign.insert("vdb-0".into(), copy);
        let entry = BookmarkVdb {
            vdb_id: Some("vdb-0".into()),
            root_parent_id: Some(source.into()),
            ..Default::default()
        };
        let bookmark = Bookmark {
            id: name.into(),
            name: Some(name.into()),
            vdbs: Some(vec![entry]),
            ..Default::default()
        };
        self.bookmarks
            .insert(name.into(), (bookmark, Data::default()));
    }

    pub(crate) fn forget_jobs(&mut self) {
        self.jobs.clear();
    }

    fn busy(&self, id: &str) -> bool {
        let mut jobs = self.jobs.values();
        jobs.any(|j| j.job.target_id.as_deref() == Some(id) && !j.job.status.is_over())
    }

    fn start(
        &mut self,
        id: &str,
        name: Option<String>,
        operation: &'static str,
        data: Option<Data>,
    ) -> Job {
        let job = Job {
            id: format!("{}job-{}", self.prefix, self.jobs.len() + 1),
            status: JobStatus::Started,
            target_id: Some(id.into()),
            target_name: name,
            start_time: Some(self.now.to_string()),
            ..Default::default()
        };
        let ends = self.now + self.job_takes;
        self.jobs.insert(
            job.id.clone(),
            SimJob {
                job: job.clone(),
                ends,
                operation,
                data,
            },
        );
        job
    }
}

#[async_trait]
impl Dct for World {
    async fn inventory(&self) -> Result<Inventory, tower::Error> {
        self.ask(format_args!("inventory"), |_| {
            let source = dct::types::Source {
                id: "s".into(),
                ip_address: Some("10.0.1.54".into()),
                ..Default::default()
            };
            let dsource = DSource {
                id: "d".into(),
                name: Some("largedb".into()),
                source_id: Some("s".into()),
                ..Default::default()
            };
            Ok(Inventory {
                dsources: vec![dsource],
                sources: vec![source],
                ..Default::default()
            })
        })
    }

    async fn provision(
        &self,
        request: &ProvisionBySnapshot,
        point: &Point,
    ) -> Result<Accepted, tower::Error> {
        self.ask(format_args!("provision"), |s| {
            if s.refusing.contains(&"provision") {
                return Err(refused(dct::Class::Rejected, false, "it is not to be"));
            }
            if s.unique_names && s.vdbs.values().any(|v| v.vdb.name == request.name) {
                return Err(refused(dct::Class::Rejected, true, "the name is taken"));
            }
            let name = request.name.clone().unwrap_or_default();
            let there = s.vdbs.values().any(|v| v.vdb.name == request.name);
            s.duplicates += usize::from(there || s.made.contains(&name));
            s.provisioned += 1;
            let id = format!("{}vdb-{}", s.prefix, s.provisioned);
            let vdb = Vdb {
                id: id.clone(),
                name: request.name.clone(),
                tags: request
                    .tags
                    .clone()
                    .map(|t| t.into_iter().map(|t| Tag::new(t.key, t.value)).collect()),
                containerization_state: request
                    .container_mode
                    .map(|_| ContainerizationState::ReadyForContainer),
                ip_address: request
                    .container_mode
                    .is_none()
                    .then(|| super::TARGET_HOST.into()),
                appdata_source_params: Some(json!({ "postgresPort": 5433 + s.provisioned })),
                enabled: Some(true),
                hooks: Some(request.hooks.clone()),
                current_timeflow_id: Some("tf-1".into()),
                root_parent_id: Some("d".into()),
                parent_timeflow_timestamp: Some("2026-11-23T09:59:00Z".into()),
                ..Default::default()
            };
            let data = Data {
                origin: point.to_string(),
                as_of: "2026-11-23T09:59:00Z".into(),
                ..Data::default()
            };
            s.vdbs.insert(
                id.clone(),
                SimVdb {
                    vdb,
                    visible: false,
                    flows: BTreeMap::from([("tf-1".to_owned(), data)]),
                },
            );
            let job = s.start(&id, request.name.clone(), "provision", None);
            Ok(Accepted {
                vdb_id: Some(id),
                job: Some(job),
            })
        })
    }

    async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, tower::Error> {
        let dataset = match id {
            "of-d" => "d",
            "of-other" => "other",
            "of-vdb" => "vdb-1",
            _ => return self.ask(format_args!("read the snapshot"), |_| Ok(None)),
        };
        self.ask(format_args!("read the snapshot"), |_| {
            Ok(Some(Snapshot {
                id: id.into(),
                dataset_id: Some(dataset.into()),
                ..Default::default()
            }))
        })
    }

    async fn bookmark(&self, name: &str) -> Result<Option<Bookmark>, tower::Error> {
        self.ask(format_args!("find the bookmark"), |s| {
            Ok(s.bookmarks.get(name).map(|(found, _)| found.clone()))
        })
    }

    async fn keep(&self, wanted: &NewBookmark<'_>) -> Result<Option<Job>, tower::Error> {
        let NewBookmark { vdb, name, .. } = *wanted;
        self.ask(format_args!("bookmark"), |s| {
            if s.busy(vdb) || s.bookmarks.contains_key(name) {
                return Err(refused(dct::Class::Rejected, true, "it exists"));
            }
            if s.refusing.contains(&"bookmark") {
                return Err(refused(dct::Class::Rejected, false, "it is not to be"));
            }
            let data = s.vdbs[vdb].data().clone();
            let entry = BookmarkVdb {
                vdb_id: Some(vdb.into()),
                root_parent_id: Some("d".into()),
                ..Default::default()
            };
            let bookmark = Bookmark {
                id: name.into(),
                name: Some(name.into()),
                vdbs: Some(vec![entry]),
                tags: Some(wanted.tags()),
                bookmark_status: Some("CREATING".into()),
                ..Default::default()
            };
            s.bookmarks.insert(name.into(), (bookmark, data));
            Ok(Some(s.start(name, Some(name.into()), "bookmark", None)))
        })
    }

    async fn forget(&self, bookmark: &str) -> Result<(), tower::Error> {
        self.ask(format_args!("forget"), |s| {
            s.bookmarks.remove(bookmark);
            Ok(())
        })
    }

    async fn refresh(&self, id: &str, _: &Point) -> Result<Job, tower::Error> {
        self.exchange(id, "refresh", |_| Ok(None))
    }

    async fn rewind(&self, id: &str, point: &Point) -> Result<Job, tower::Error> {
        let point = point.clone();
        self.exchange(id, "rewind", move |s| {
            let Some(name) = point.bookmark else {
                let origin = "rewound".to_owned();
                return Ok(Some(Data {
                    origin,
                    as_of: "2026-11-23T09:00:00Z".into(),
                    ..Data::default()
                }));
            };
            let found = s.bookmarks.get(&name).map(|(_, data)| data.clone());
            found
                .map(Some)
                .ok_or(refused(dct::Class::NotFound, false, "no such bookmark"))
        })
    }

    async fn undo_refresh(&self, id: &str) -> Result<Job, tower::Error> {
        self.exchange(id, "undo", |s| {
            if s.vdbs[id].vdb.previous_timeflow_id.is_none() {
                return Err(refused(dct::Class::Rejected, true, "nothing to undo"));
            }
            Ok(None)
        })
    }

    async fn vdb(&self, id: &str) -> Result<Option<Vdb>, tower::Error> {
        self.ask(format_args!("read the VDB"), |s| {
            let made = s.vdbs.get(id).filter(|v| v.visible);
            Ok(made
                .map(|v| v.vdb.clone())
                .or_else(|| s.foreign.get(id).cloned()))
        })
    }

    async fn vdb_by_name(&self, name: &str) -> Result<Option<Vdb>, tower::Error> {
        self.ask(format_args!("find the VDB"), |s| {
            Ok(s.vdbs
                .values()
                .find(|v| v.visible && v.vdb.name.as_deref() == Some(name))
                .map(|v| v.vdb.clone()))
        })
    }

    async fn job_by_target(&self, name: &str) -> Result<Option<Job>, tower::Error> {
        self.ask(format_args!("find the job"), |s| {
            Ok(s.jobs
                .values()
                .map(|j| &j.job)
                .filter(|j| j.target_name.as_deref() == Some(name))
                .max_by(|a, b| a.start_time.cmp(&b.start_time))
                .cloned())
        })
    }

    async fn enable(&self, id: &str, owner: Option<&str>) -> Result<Job, tower::Error> {
        let ordered = {
            let state = self.state();
            let ordered = state.cr.as_ref().map(|cr| cr.spec.ownership().to_owned());
            assert!(owner.is_some() != state.remote, "{owner:?}");
            ordered.filter(|_| !state.remote)
        };
        assert!(ordered.is_none_or(|ordered| Some(ordered.as_str()) == owner));
        self.order(id, "enable")?
            .ok_or(refused(dct::Class::NotFound, false, "no such VDB"))
    }

    async fn disable(&self, id: &str, host: Host) -> Result<Option<Job>, tower::Error> {
        assert_eq!(host == Host::Target, self.state().remote);
        self.order(id, "disable")
    }

    async fn delete(&self, id: &str) -> Result<Option<Job>, tower::Error> {
        {
            let mut s = self.state();
            let free = s.is_free();
            s.must(free, || "the pod still uses the data".to_owned());
            let living = s.cr.as_ref().is_some_and(|cr| {
                let name = operator::controller::build::vdb_name(cr);
                let own = s.vdbs.get(id).is_some_and(|v| v.vdb.name == Some(name));
                own && !cr.is_deleting()
            });
            s.must(!living, || {
                "the data of a living resource is deleted".to_owned()
            });
        }
        self.order(id, "delete")
    }

    async fn jobs(&self, ids: &[String]) -> Result<Vec<Job>, tower::Error> {
        self.ask(format_args!("poll"), |s| {
            Ok(ids
                .iter()
                .filter_map(|id| s.jobs.get(id))
                .map(|j| j.job.clone())
                .collect())
        })
    }
}
