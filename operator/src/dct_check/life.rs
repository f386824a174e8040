//! The life: ordered, looked for, enabled, disabled, refreshed, taken back, bookmarked, deleted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dct::types::{ContainerizationState, Job, JobStatus, ProvisionBySnapshot, Tag, Vdb};

use super::{CLEANUP, Check, RUN_TAG, Record, Verdict, latest};
use crate::clock::between;
use crate::controller::build::volume::checked_export;
use crate::source;
use crate::tower::{Error, Host, NewBookmark};

const OWNER: &str = "999:999";
/// Between two tries of what somebody else's work stands in the way of, and how long it may.
const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(2);

fn locked(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Life<'a> {
    check: &'a Check<'a>,
    record: &'a Mutex<Record>,
}

/// # Errors
/// Why it could not go on.
pub(super) async fn live(check: &Check<'_>, record: &Mutex<Record>) -> Result<(), String> {
    let life = Life { check, record };
    let (id, timeflow) = life.birth().await?;
    life.enabled(&id, true).await?;
    life.renewed(&id, timeflow.as_deref()).await?;
    life.bookmarked(&id).await?;
    life.death(&id).await
}

fn told(call: &str) -> impl Fn(Error) -> String {
    move |error| format!("{call}: {}", error.message)
}

impl Life<'_> {
    fn say(&self, id: &'static str, holds: bool, detail: impl Into<String>) {
        let detail = crate::one_line(&detail.into());
        let verdict = if holds {
            Verdict::Holds(detail)
        } else {
            Verdict::Fails(detail)
        };
        locked(self.record).verdicts.push((id, verdict));
    }

    async fn birth(&self) -> Result<(String, Option<String>), String> {
        let dct = self.check.dct;
        let inventory = dct.inventory().await.map_err(told("inventory"))?;
        let source = source::resolve(self.check.source, &inventory)
            .map(|dsource| dsource.id.clone())
            .map_err(|(_, why)| why)?;
        let order = ProvisionBySnapshot {
            name: Some(self.check.name.clone()),
            description: Some("vdb-operator dct-check; may be deleted".to_owned()),
            target_group_id: Some(self.check.settings.dct.group.clone()),
            source_data_id: Some(source),
            container_mode: Some(true),
            tags: Some(vec![Tag::new(RUN_TAG, self.check.name.as_str())]),
            ..ProvisionBySnapshot::default()
        };
        let accepted = dct.provision(&order, &latest()).await;
        let accepted = accepted.map_err(told("provision"))?;
        let job = accepted.job.ok_or("the order was answered without a job")?;
        let id = accepted.vdb_id.or_else(|| job.target_id.clone());
        let id = id.ok_or("the order was answered without an id")?;
        locked(self.record).made.push(id.clone());

        let found = dct.job_by_target(&self.check.name).await;
        let found = found.map_err(told("search for the job"))?;
        let named = found.as_ref().is_some_and(|found| found.id == job.id);
        self.say("job-target", named, format!("job {}", job.id));
        match dct.provision(&order, &latest()).await {
            Err(error) => self.say("unique-name", error.conflict, error.message),
            Ok(second) => {
                locked(self.record).made.extend(second.vdb_id.clone());
                let second = second.vdb_id.unwrap_or_default();
                self.say(
                    "unique-name",
                    false,
                    format!("a second one was made: {second}"),
                );
            }
        }
        self.done("provision", job).await?;
        let vdb = self.visible(&id).await?;
        self.looked_at(&id, &vdb).await?;
        Ok((id, vdb.current_timeflow_id))
    }

    /// A new object may be visible a little later than its job is done; the settings say how much.
    async fn visible(&self, id: &str) -> Result<Vdb, String> {
        let grace = self.check.settings.dct.visibility_grace;
        let began = self.check.clock.now();
        loop {
            let found = self.check.dct.vdb(id).await.map_err(told("read it"))?;
            let waited = between(began, self.check.clock.now());
            if let Some(vdb) = found {
                self.say("visible", true, format!("after {} s", waited.as_secs()));
                return Ok(vdb);
            }
            if waited >= grace {
                self.say(
                    "visible",
                    false,
                    format!("not within {} s", grace.as_secs()),
                );
                return Err(format!("{id} is not visible"));
            }
            self.check.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    async fn looked_at(&self, id: &str, vdb: &Vdb) -> Result<(), String> {
        let named = self.check.dct.vdb_by_name(&self.check.name).await;
        let named = named.map_err(told("search by name"))?;
        let same = named.is_some_and(|found| found.id == id);
        self.say("name-search", same, self.check.name.clone());
        match self.check.tags.tagged(RUN_TAG, &self.check.name).await {
            Ok(found) => {
                let only = found.len() == 1 && found[0].id == id;
                self.say("tag-search", only, format!("{} found", found.len()));
            }
            Err(error) => self.say("tag-search", false, error.message),
        }
        let time = |text: &Option<String>| {
            let text = text.clone().unwrap_or_default();
            (crate::clock::parse(&text).is_some(), text)
        };
        let (age, data) = (
            time(&vdb.creation_date),
            time(&vdb.parent_timeflow_timestamp),
        );
        self.say("age", age.0, format!("creation_date {:?}", age.1));
        self.say(
            "data-time",
            data.0,
            format!("parent_timeflow_timestamp {:?}", data.1),
        );
        Ok(())
    }

    async fn enabled(&self, id: &str, first: bool) -> Result<Vdb, String> {
        let job = self
            .patient("enable", async || {
                self.check.dct.enable(id, Some(OWNER)).await
            })
            .await?;
        self.done("enable", job).await?;
        let vdb = self.read(id).await?;
        let state = vdb.containerization_state;
        let runs = state == Some(ContainerizationState::RunningInContainer);
        let directory = vdb.exported_data_directory.as_deref().unwrap_or_default();
        let export = checked_export(&self.check.settings.export, directory);
        if first {
            self.say("container-mode", runs, format!("{state:?}"));
            let detail = export.clone().unwrap_or_else(|why| why);
            self.say("export-path", export.is_ok(), detail);
        }
        match export {
            Ok(_) if runs => Ok(vdb),
            _ => Err("it offers no directory".to_owned()),
        }
    }

    async fn disabled(&self, id: &str) -> Result<Vdb, String> {
        let job = self
            .patient("disable", async || {
                self.check.dct.disable(id, Host::Pod).await
            })
            .await?;
        let job = job.ok_or("it was gone when it was to be disabled")?;
        self.done("disable", job).await?;
        self.read(id).await
    }

    async fn renewed(&self, id: &str, before: Option<&str>) -> Result<(), String> {
        let vdb = self.disabled(id).await?;
        self.say(
            "disable",
            vdb.enabled == Some(false),
            format!("enabled {:?}", vdb.enabled),
        );
        let refreshed = self.refreshed(id).await;
        let detail = refreshed.as_ref().err().cloned();
        self.say(
            "refresh-order",
            detail.is_none(),
            detail.unwrap_or_else(|| "done".to_owned()),
        );
        let now = refreshed?.current_timeflow_id;
        let differs = now.is_some() && now.as_deref() != before;
        self.say("new-timeflow", differs, format!("{before:?}, then {now:?}"));

        self.disabled(id).await?;
        let job = self
            .patient("undo", async || self.check.dct.undo_refresh(id).await)
            .await?;
        self.done("undo", job).await?;
        let undone = self.read(id).await?.current_timeflow_id;
        self.say(
            "undo",
            undone.as_deref() == before,
            format!("now {undone:?}"),
        );
        Ok(())
    }

    async fn refreshed(&self, id: &str) -> Result<Vdb, String> {
        let job = self
            .patient("refresh", async || {
                self.check.dct.refresh(id, &latest()).await
            })
            .await?;
        self.done("refresh", job).await?;
        self.enabled(id, false).await
    }

    async fn bookmarked(&self, id: &str) -> Result<(), String> {
        let name = &self.check.name;
        let kept = NewBookmark {
            vdb: id,
            name,
            days: 1,
            owner: name,
        };
        let job = self
            .patient("bookmark", async || self.check.dct.keep(&kept).await)
            .await?;
        if let Some(job) = job {
            self.done("bookmark", job).await?;
        }
        let found = self
            .check
            .dct
            .bookmark(name)
            .await
            .map_err(told("search for the bookmark"))?;
        self.say("bookmark", found.is_some(), name.clone());
        locked(self.record).bookmark = found.map(|bookmark| bookmark.id);
        forget(self.check, self.record)
            .await
            .map_err(told("delete the bookmark"))
    }

    async fn death(&self, id: &str) -> Result<(), String> {
        let job = self
            .patient("delete", async || self.check.dct.delete(id).await)
            .await?;
        if let Some(job) = job {
            self.done("delete", job).await?;
        }
        let gone = self
            .check
            .dct
            .vdb(id)
            .await
            .map_err(told("read it"))?
            .is_none();
        self.say("deletion", gone, id.to_owned());
        match self.check.dct.delete(id).await {
            Ok(None) => self.say("gone-is-gone", true, "not found"),
            Ok(Some(job)) => self.say("gone-is-gone", false, format!("job {} was begun", job.id)),
            Err(error) => self.say("gone-is-gone", false, error.message),
        }
        Ok(())
    }

    /// Work of the tower's own may still be under way on it: then it says that there is a conflict, and later not.
    async fn patient<T>(
        &self,
        what: &str,
        call: impl AsyncFn() -> Result<T, Error>,
    ) -> Result<T, String> {
        let began = self.check.clock.now();
        loop {
            match call().await {
                Err(error)
                    if error.conflict && between(began, self.check.clock.now()) < PATIENCE =>
                {
                    self.check.clock.sleep(PAUSE).await;
                }
                answer => return answer.map_err(told(what)),
            }
        }
    }

    async fn read(&self, id: &str) -> Result<Vdb, String> {
        let found = self.check.dct.vdb(id).await.map_err(told("read it"))?;
        found.ok_or_else(|| format!("{id} does not exist any more"))
    }

    /// Without a deadline of its own: the whole life has one.
    async fn done(&self, what: &str, job: Job) -> Result<(), String> {
        let ended = ended(self.check, job).await.map_err(told(what))?;
        if ended.status == JobStatus::Completed {
            return Ok(());
        }
        let why = ended
            .error_details
            .as_deref()
            .unwrap_or("no error is named");
        Err(format!(
            "{what}: job {} ended {:?}: {why}",
            ended.id, ended.status
        ))
    }
}

async fn ended(check: &Check<'_>, mut job: Job) -> Result<Job, Error> {
    let (mut interval, longest) = (check.settings.dct.poll_min, check.settings.dct.poll_max);
    while !job.status.is_over() {
        check.clock.sleep(interval).await;
        interval = longest.min(interval.mul_f64(1.5));
        let found = check.dct.jobs(std::slice::from_ref(&job.id)).await?;
        if let Some(found) = found.into_iter().next() {
            job = found;
        }
    }
    Ok(job)
}

async fn forget(check: &Check<'_>, record: &Mutex<Record>) -> Result<(), Error> {
    let bookmark = locked(record).bookmark.clone();
    if let Some(bookmark) = bookmark {
        check.dct.forget(&bookmark).await?;
        locked(record).bookmark = None;
    }
    Ok(())
}

/// Deletes what was made, also what was ordered by a call whose answer was lost. Gives what it could not delete.
pub(super) async fn clean_up(check: &Check<'_>, record: &Mutex<Record>) -> Vec<String> {
    let began = check.clock.now();
    let mut left;
    loop {
        left = Vec::new();
        if let Err(error) = forget(check, record).await {
            left.push(format!(
                "a bookmark named {} ({})",
                check.name, error.message
            ));
        }
        left.extend(remaining(check, record).await);
        if left.is_empty() || between(began, check.clock.now()) >= CLEANUP {
            return left;
        }
        check.clock.sleep(check.settings.dct.poll_max).await;
    }
}

/// Orders the end of everything that is still there.
async fn remaining(check: &Check<'_>, record: &Mutex<Record>) -> Vec<String> {
    let mut ids = locked(record).made.clone();
    let mut left = Vec::new();
    match check.dct.vdb_by_name(&check.name).await {
        Ok(found) => ids.extend(found.map(|vdb| vdb.id)),
        Err(error) => left.push(format!(
            "perhaps one named {} ({})",
            check.name, error.message
        )),
    }
    // An order that is under way may become visible later.
    match check.dct.job_by_target(&check.name).await {
        Ok(Some(job)) if !job.status.is_over() => {
            left.push(format!("job {} of {} is under way", job.id, check.name));
        }
        Ok(_) => {}
        Err(error) => left.push(format!(
            "perhaps a job of {} ({})",
            check.name, error.message
        )),
    }
    ids.sort();
    ids.dedup();
    for id in ids {
        match check.dct.vdb(&id).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                let why = check.dct.delete(&id).await.err().map(|error| error.message);
                left.push(format!(
                    "{id} ({})",
                    why.unwrap_or_else(|| "its deletion is under way".to_owned())
                ));
            }
            Err(error) => left.push(format!("{id} ({})", error.message)),
        }
    }
    left
}
