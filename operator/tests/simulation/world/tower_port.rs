//! The tower: jobs take time, an object is visible once its job is done, one job at a time works on it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use dct::types::{ContainerizationState, DSource, Job, JobStatus, ProvisionBySnapshot, Tag, Vdb};
use operator::cluster::Kind;
use operator::tower::{self, Accepted, Dct, Inventory};

use super::{SimJob, SimVdb, State, World};

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
        what: String,
        effect: impl FnOnce(&mut State) -> Result<T, tower::Error>,
    ) -> Result<T, tower::Error> {
        self.call(what, |s| match s.tower_answers {
            Ok(()) => effect(s),
            Err((class, message)) => Err(refused(class, false, message)),
        })
    }

    fn order(&self, id: &str, operation: &'static str) -> Result<Option<Job>, tower::Error> {
        self.ask(format!("{operation} {id}"), |s| {
            if !s.vdbs.get(id).is_some_and(|v| v.visible) {
                return Ok(None);
            }
            if s.jobs
                .values()
                .any(|j| j.job.target_id.as_deref() == Some(id) && !j.job.status.is_over())
            {
                return Err(refused(
                    dct::Class::Rejected,
                    true,
                    "another job is running",
                ));
            }
            Ok(Some(s.start(id, operation)))
        })
    }
}

impl State {
    fn start(&mut self, id: &str, operation: &'static str) -> Job {
        let job = Job {
            id: format!("job-{}", self.jobs.len() + 1),
            status: JobStatus::Started,
            target_id: Some(id.into()),
            target_name: self.vdbs.get(id).and_then(|v| v.vdb.name.clone()),
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
            },
        );
        job
    }
}

#[async_trait]
impl Dct for World {
    async fn inventory(&self) -> Result<Inventory, tower::Error> {
        self.ask("inventory".into(), |_| {
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

    async fn provision(&self, request: &ProvisionBySnapshot) -> Result<Accepted, tower::Error> {
        self.ask("provision".into(), |s| {
            if s.unique_names && s.vdbs.values().any(|v| v.vdb.name == request.name) {
                return Err(refused(dct::Class::Rejected, true, "the name is taken"));
            }
            s.provisioned += 1;
            let id = format!("vdb-{}", s.provisioned);
            let vdb = Vdb {
                id: id.clone(),
                name: request.name.clone(),
                tags: request
                    .tags
                    .clone()
                    .map(|t| t.into_iter().map(|t| Tag::new(t.key, t.value)).collect()),
                containerization_state: Some(ContainerizationState::ReadyForContainer),
                current_timeflow_id: Some("tf".into()),
                parent_timeflow_timestamp: Some("2026-11-23T09:59:00Z".into()),
                ..Default::default()
            };
            s.vdbs.insert(
                id.clone(),
                SimVdb {
                    vdb,
                    visible: false,
                    prepared: None,
                    passwords: BTreeMap::new(),
                },
            );
            let job = s.start(&id, "provision");
            Ok(Accepted {
                vdb_id: Some(id),
                job: Some(job),
            })
        })
    }

    async fn vdb(&self, id: &str) -> Result<Option<Vdb>, tower::Error> {
        self.ask("read the VDB".into(), |s| {
            Ok(s.vdbs.get(id).filter(|v| v.visible).map(|v| v.vdb.clone()))
        })
    }

    async fn vdb_by_name(&self, name: &str) -> Result<Option<Vdb>, tower::Error> {
        self.ask("find the VDB".into(), |s| {
            Ok(s.vdbs
                .values()
                .find(|v| v.visible && v.vdb.name.as_deref() == Some(name))
                .map(|v| v.vdb.clone()))
        })
    }

    async fn job_by_target(&self, name: &str) -> Result<Option<Job>, tower::Error> {
        self.ask("find the job".into(), |s| {
            Ok(s.jobs
                .values()
                .map(|j| &j.job)
                .filter(|j| j.target_name.as_deref() == Some(name))
                .max_by(|a, b| a.start_time.cmp(&b.start_time))
                .cloned())
        })
    }

    async fn enable(&self, id: &str, owner: &str) -> Result<Job, tower::Error> {
        assert_eq!(owner, "999:999");
        self.order(id, "enable")?
            .ok_or(refused(dct::Class::NotFound, false, "no such VDB"))
    }

    async fn disable(&self, id: &str) -> Result<Option<Job>, tower::Error> {
        self.order(id, "disable")
    }

    async fn delete(&self, id: &str) -> Result<Option<Job>, tower::Error> {
        assert!(
            !self.state().objects.keys().any(|n| n.kind == Kind::Pod),
            "the pod still uses the data"
        );
        self.order(id, "delete")
    }

    async fn jobs(&self, ids: &[String]) -> Result<Vec<Job>, tower::Error> {
        self.ask("poll".into(), |s| {
            Ok(ids
                .iter()
                .filter_map(|id| s.jobs.get(id))
                .map(|j| j.job.clone())
                .collect())
        })
    }
}
