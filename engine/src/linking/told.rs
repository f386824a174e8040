//! What a base backup says of itself meanwhile: in its job, for everybody who polls that.

use std::time::{Duration, Instant};

use dct::types::{Job, JobEvent, JobTask};

use crate::engine::Engine;
use crate::model::{Intent, JobRecord};
use crate::origin::Progress;
use crate::{clock, error_chain};

/// Each word of it is a transaction.
const NOT_MORE_OFTEN: Duration = Duration::from_secs(2);
/// Warnings beyond this number are forgotten, oldest first.
const EVENTS: usize = 20;

pub(super) struct Told<'a> {
    engine: &'a Engine,
    job: Option<String>,
    begun: Instant,
    last: Option<Instant>,
}

impl<'a> Told<'a> {
    pub(super) fn of(engine: &'a Engine, snapshot: &str) -> Self {
        let takes = |job: &&JobRecord| matches!(&job.intent, Some(Intent::Snapshot { snapshot: s, .. }) if s == snapshot);
        let job = engine
            .store
            .read(|state| state.jobs().rev().find(takes).map(|j| j.job.id.clone()));
        Self {
            engine,
            job,
            begun: Instant::now(),
            last: None,
        }
    }

    /// An attempt: what was received before does not count.
    pub(super) fn begin(&mut self) {
        (self.begun, self.last) = (Instant::now(), None);
    }

    pub(super) fn progress(&mut self, progress: Progress) {
        if self
            .last
            .is_some_and(|last| last.elapsed() < NOT_MORE_OFTEN)
        {
            return;
        }
        self.last = Some(Instant::now());
        let percent = progress.percent();
        let text = progress.describe(self.begun.elapsed());
        self.write(|job| {
            job.percent_complete = Some(percent);
            let task = task(job);
            task.percent_complete = Some(percent);
            let events = task.events.get_or_insert_default();
            // The newest figures alone.
            events.retain(|event| event.message_action.is_some());
            events.push(event(text, None));
        });
    }

    pub(super) fn warn(&mut self, text: &str) {
        tracing::warn!(job = self.job, "{text}");
        self.write(|job| {
            job.warning_message = Some(text.to_owned());
            let events = task(job).events.get_or_insert_default();
            events.push(event(text.to_owned(), Some("WARNING".to_owned())));
            let surplus = events.len().saturating_sub(EVENTS);
            events.drain(..surplus);
        });
    }

    /// Progress that cannot be written down is no reason to give up.
    fn write(&self, change: impl FnOnce(&mut Job)) {
        let written = self.engine.store.change(|draft| {
            let record = self.job.as_deref().and_then(|job| draft.state.job(job));
            if let Some(record) = record.filter(|record| record.intent.is_some()) {
                let mut record = record.clone();
                record.job.update_time = Some(clock::now());
                change(&mut record.job);
                draft.job(record);
            }
            Ok::<(), crate::store::Error>(())
        });
        if let Err(error) = written {
            tracing::warn!("cannot write progress: {}", error_chain(&error));
        }
    }
}

fn task(job: &mut Job) -> &mut JobTask {
    let tasks = job.tasks.get_or_insert_default();
    if tasks.is_empty() {
        tasks.push(JobTask {
            id: Some(format!("{}-1", job.id)),
            parent_job_id: Some(job.id.clone()),
            title: Some("base backup".to_owned()),
            status: Some("STARTED".to_owned()),
            start_time: Some(clock::now()),
            ..JobTask::default()
        });
    }
    &mut tasks[0]
}

fn event(text: String, action: Option<String>) -> JobEvent {
    JobEvent {
        message_details: Some(text),
        message_action: action,
        timestamp: Some(clock::now()),
        ..JobEvent::default()
    }
}
