//! The tower: one virtual database with its timeflows, its jobs, and the bookmark of the data before.

use dct::types::{Bookmark, BookmarkVdb, ContainerizationState, Job, JobStatus, Tag, Vdb};

use super::world::{End, NAME, NAMESPACE, UID};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Provision,
    Enable,
    Disable,
    Delete,
    Bookmark,
    Refresh,
    Rewind,
    Undo,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    /// The data is that of an exchange.
    pub(crate) refreshed: bool,
    pub(crate) prepared: bool,
    pub(crate) password: bool,
    /// No server starts on it.
    pub(crate) broken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SimVdb {
    pub(crate) visible: bool,
    pub(crate) enabled: bool,
    pub(crate) current: u8,
    pub(crate) previous: Option<u8>,
    pub(crate) flows: Vec<Flow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SimJob {
    pub(crate) number: u8,
    pub(crate) operation: Operation,
    /// `None`: it runs.
    pub(crate) end: Option<End>,
    /// It began before the present intent was written.
    pub(crate) earlier: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    pub(crate) active: bool,
    pub(crate) data: Flow,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tower {
    pub(crate) vdb: Option<SimVdb>,
    /// In the order in which they began.
    pub(crate) jobs: Vec<SimJob>,
    pub(crate) mark: Option<Mark>,
    /// There has been a virtual database.
    pub(crate) made: bool,
}

pub(crate) fn vdb_name() -> String {
    let uid: String = UID.chars().filter(|c| *c != '-').take(8).collect();
    format!("{NAMESPACE}-{NAME}-{uid}")
}

impl Tower {
    pub(crate) fn visible(&self) -> Option<&SimVdb> {
        self.vdb.as_ref().filter(|vdb| vdb.visible)
    }

    /// The directory that a server may run on now.
    pub(crate) fn offered(&self) -> Option<String> {
        let vdb = self.visible().filter(|vdb| vdb.enabled)?;
        Some(format!("/pool/vdbs/vdb-1-tf-{}", vdb.current))
    }

    pub(crate) fn flow(&mut self) -> Option<&mut Flow> {
        let vdb = self.vdb.as_mut()?;
        vdb.flows.get_mut(usize::from(vdb.current))
    }

    pub(crate) fn busy(&self) -> bool {
        let mut running = self.jobs.iter().filter(|job| job.end.is_none());
        running.any(|job| job.operation != Operation::Bookmark)
    }

    pub(crate) fn start(&mut self, operation: Operation, recorded: Option<&str>) -> Job {
        let known = |n: u8| self.jobs.iter().any(|j| j.number == n) || recorded == Some(&job_id(n));
        let number = (1..u8::MAX).find(|n| !known(*n)).unwrap();
        let job = SimJob {
            number,
            operation,
            end: None,
            earlier: false,
        };
        self.jobs.push(job.clone());
        shown_job(&job)
    }

    /// The job comes to its end.
    pub(crate) fn end(&mut self, place: usize, end: End) {
        self.jobs[place].end = Some(end);
        let operation = self.jobs[place].operation;
        if !end.has_effect() {
            if operation == Operation::Provision {
                self.vdb = None;
            }
            return;
        }
        let mark = self.mark.map(|mark| mark.data);
        match (operation, &mut self.vdb) {
            (Operation::Bookmark, _) => {
                if let Some(mark) = &mut self.mark {
                    mark.active = true;
                }
            }
            (Operation::Delete, _) => {
                self.vdb = None;
                self.mark = None;
            }
            (Operation::Provision, Some(vdb)) => {
                vdb.visible = true;
                self.made = true;
            }
            (Operation::Enable, Some(vdb)) => vdb.enabled = true,
            (Operation::Disable, Some(vdb)) => vdb.enabled = false,
            (Operation::Refresh, Some(vdb)) => {
                vdb.begin(Flow {
                    refreshed: true,
                    ..Flow::default()
                });
            }
            (Operation::Rewind, Some(vdb)) => vdb.begin(mark.unwrap_or_default()),
            (Operation::Undo, Some(vdb)) => {
                if let Some(before) = vdb.previous.replace(vdb.current) {
                    vdb.current = before;
                }
            }
            (_, None) => {}
        }
    }

    /// What runs stays, and what the resource names; of an order without ids the newest job.
    pub(crate) fn prune(&mut self, recorded: Option<&str>, known: bool) {
        let newest = self.jobs.last().map(|job| job.number).filter(|_| !known);
        let kept =
            |job: &SimJob| newest == Some(job.number) || recorded == Some(&job_id(job.number));
        self.jobs.retain(|job| job.end.is_none() || kept(job));
        for job in &mut self.jobs {
            job.earlier |= known;
        }
    }
}

impl SimVdb {
    pub(crate) fn new() -> Self {
        Self {
            visible: false,
            enabled: false,
            current: 0,
            previous: None,
            flows: vec![Flow::default()],
        }
    }

    fn begin(&mut self, flow: Flow) {
        self.previous = Some(self.current);
        self.flows.push(flow);
        self.current = u8::try_from(self.flows.len() - 1).unwrap();
    }

    pub(crate) fn shown(&self, directory: Option<String>) -> Vdb {
        let flow = |number: u8| format!("tf-{number}");
        let state = if self.enabled {
            ContainerizationState::RunningInContainer
        } else {
            ContainerizationState::ReadyForContainer
        };
        Vdb {
            id: "vdb-1".into(),
            name: Some(vdb_name()),
            tags: Some(vec![
                Tag::new("cr-uid", UID),
                Tag::new("cluster-id", "cluster"),
            ]),
            containerization_state: Some(state),
            exported_data_directory: directory,
            current_timeflow_id: Some(flow(self.current)),
            previous_timeflow_id: self.previous.map(flow),
            root_parent_id: Some("d".into()),
            parent_timeflow_timestamp: Some("2026-11-23T09:59:00Z".into()),
            ..Vdb::default()
        }
    }
}

impl Mark {
    pub(crate) fn shown(self, name: &str) -> Bookmark {
        let entry = BookmarkVdb {
            vdb_id: Some("vdb-1".into()),
            root_parent_id: Some("d".into()),
            ..BookmarkVdb::default()
        };
        Bookmark {
            id: name.into(),
            name: Some(name.into()),
            vdbs: Some(vec![entry]),
            bookmark_status: Some(if self.active { "ACTIVE" } else { "CREATING" }.into()),
            ..Bookmark::default()
        }
    }
}

pub(crate) fn job_id(number: u8) -> String {
    format!("job-{number}")
}

pub(crate) fn shown_job(job: &SimJob) -> Job {
    // Later than any intent, or earlier than any.
    let at = if job.earlier {
        "2026-11-22T00:00:00Z"
    } else {
        "2026-11-23T10:00:00Z"
    };
    Job {
        id: job_id(job.number),
        status: job.end.map_or(JobStatus::Started, End::status),
        target_id: Some("vdb-1".into()),
        target_name: Some(vdb_name()),
        start_time: Some(at.into()),
        error_details: (job.end == Some(End::Failed)).then(|| "out of space".into()),
        ..Job::default()
    }
}
