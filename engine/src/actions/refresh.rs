//! New data for a VDB that stays the same: refreshed, rewound, or both undone.

use dct::types::{BySnapshot, FromBookmark, Job, PointInTime, Timeflow, Vdb};

use super::choice::{self, Chosen};
use super::{By, Refusal, free, order_on, typed, unlocked};
use crate::engine::Engine;
use crate::model::{Intent, Kind, Object, Phase};
use crate::store::{Draft, State};
use crate::timeflows::{self, Begin};
use crate::{clock, document};

impl Engine {
    /// The data of a snapshot of the parent, or of whatever else.
    pub fn refresh(&self, id: &str, request: &BySnapshot) -> Result<Job, Refusal> {
        self.renew(id, "DB_REFRESH", timeflows::REFRESH, |state, vdb| {
            choice::for_refresh(state, vdb, request)
        })
    }

    pub fn refresh_at(&self, id: &str, request: &PointInTime) -> Result<Job, Refusal> {
        self.refresh_by(id, request, By::Time)
    }

    pub fn refresh_at_location(&self, id: &str, request: &PointInTime) -> Result<Job, Refusal> {
        self.refresh_by(id, request, By::Location)
    }

    fn refresh_by(&self, id: &str, request: &PointInTime, by: By) -> Result<Job, Refusal> {
        let parent = self.store.read(|state| {
            let vdb = free(state, id)?;
            let parent = vdb.doc.get("parent_id").and_then(|v| v.as_str());
            Ok::<_, Refusal>(parent.map(str::to_owned))
        })?;
        let moment = self.moment(request, by, parent.as_deref())?;
        let wanted = BySnapshot {
            snapshot_id: Some(moment.snapshot.clone()),
        };
        self.renew(id, "DB_REFRESH", timeflows::REFRESH, |state, vdb| {
            Ok(moment.of(choice::for_refresh(state, vdb, &wanted)?))
        })
    }

    /// A bookmark of the VDB itself goes back to it, as one of another takes that one's data.
    pub fn refresh_from_bookmark(&self, id: &str, request: &FromBookmark) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = unlocked(free(draft.state, id)?)?.clone();
            let wanted = choice::of_bookmark(draft.state, request, Some(&vdb))?;
            let from = choice::for_refresh(draft.state, &vdb, &wanted).or_else(|refusal| {
                choice::for_rollback(draft.state, &vdb, &wanted).map_err(|_| refusal)
            })?;
            let kind = if from.dataset.id == vdb.id {
                timeflows::ROLLBACK
            } else {
                timeflows::REFRESH
            };
            self.begin_renewal(draft, &vdb, "DB_REFRESH", kind, &from)
        })
    }

    /// Back to a snapshot of its own.
    pub fn rollback(&self, id: &str, request: &BySnapshot) -> Result<Job, Refusal> {
        self.renew(id, "DB_ROLLBACK", timeflows::ROLLBACK, |state, vdb| {
            choice::for_rollback(state, vdb, request)
        })
    }

    pub fn rollback_at(&self, id: &str, request: &PointInTime) -> Result<Job, Refusal> {
        let moment = self.moment(request, By::Time, Some(id))?;
        let wanted = BySnapshot {
            snapshot_id: Some(moment.snapshot.clone()),
        };
        self.renew(id, "DB_ROLLBACK", timeflows::ROLLBACK, |state, vdb| {
            Ok(moment.of(choice::for_rollback(state, vdb, &wanted)?))
        })
    }

    pub fn rollback_from_bookmark(&self, id: &str, request: &FromBookmark) -> Result<Job, Refusal> {
        self.renew(id, "DB_ROLLBACK", timeflows::ROLLBACK, |state, vdb| {
            let wanted = choice::of_bookmark(state, request, Some(vdb))?;
            choice::for_rollback(state, vdb, &wanted)
        })
    }

    fn renew(
        &self,
        id: &str,
        job: &str,
        kind: &str,
        choose: impl FnOnce(&State, &Object) -> Result<Chosen, Refusal>,
    ) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = unlocked(free(draft.state, id)?)?.clone();
            let from = choose(draft.state, &vdb)?;
            self.begin_renewal(draft, &vdb, job, kind, &from)
        })
    }

    /// The timeflow before the last refresh, with all that was written to it. Undone again, it is the refreshed one.
    pub fn undo_refresh(&self, id: &str) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = unlocked(free(draft.state, id)?)?.clone();
            let doc: Vdb = typed(&vdb)?;
            let flow = |id: &Option<String>| {
                id.as_deref()
                    .and_then(|id| draft.state.get(Kind::Timeflow, id))
                    .cloned()
            };
            let (Some(current), Some(previous)) = (
                flow(&doc.current_timeflow_id),
                flow(&doc.previous_timeflow_id),
            ) else {
                return Err(Refusal::Conflict(format!(
                    "{} was not refreshed; there is nothing to undo",
                    vdb.name
                )));
            };
            let younger = if current.number > previous.number {
                &current
            } else {
                &previous
            };
            if typed::<Timeflow>(younger)?.creation_type.as_deref() != Some(timeflows::REFRESH) {
                return Err(Refusal::Conflict(format!(
                    "the last change of {} was a rewind, no refresh; rewind to another of its snapshots",
                    vdb.name
                )));
            }
            let intent = Intent::Switch {
                vdb: vdb.id.clone(),
                timeflow: previous.id,
            };
            Ok(order_on(&vdb, "DB_UNDO_REFRESH", intent).begin(draft))
        })
    }

    /// Locks and unlocks at once; no job.
    pub fn lock(&self, id: &str, account: Option<(i64, String)>) -> Result<Vdb, Refusal> {
        self.store.change(|draft| {
            let vdb = draft
                .state
                .resolve(Kind::Vdb, id)
                .ok_or_else(|| crate::edits::no_vdb(id))?;
            let mut doc: Vdb = typed(vdb)?;
            doc.is_locked = Some(account.is_some());
            (doc.locked_by, doc.locked_by_name) = account.unzip();
            draft.rewrite(vdb, document(&doc));
            Ok(doc)
        })
    }

    /// The part of a refresh that callers see: all at once.
    pub(crate) fn settle_refresh(
        &self,
        draft: &mut Draft<'_>,
        vdb: &str,
        timeflow: &str,
    ) -> Result<(), crate::store::Error> {
        let (Some(object), Some(flow)) = (
            draft.state.any(Kind::Vdb, vdb).cloned(),
            draft.state.any(Kind::Timeflow, timeflow).cloned(),
        ) else {
            return Ok(());
        };
        let export = self.export_of(&timeflows::directory(vdb, &flow));
        let refreshed = flow.phase == Phase::Creating;
        let retired = object
            .doc
            .get("previous_timeflow_id")
            .and_then(|v| v.as_str())
            .filter(|id| *id != timeflow)
            .map(str::to_owned);
        timeflows::switch(draft, &object, timeflow, |doc| {
            if refreshed {
                doc.last_refreshed_date = Some(clock::now());
            }
            if doc.exported_data_directory.is_some() {
                doc.exported_data_directory = Some(export);
            }
        })?;
        // It stays known as long as snapshots were taken on it.
        if let Some(old) = retired.and_then(|id| draft.state.any(Kind::Timeflow, &id)) {
            let named = draft
                .state
                .children(Kind::Snapshot, vdb)
                .any(|s| s.doc.get("timeflow_id").and_then(|v| v.as_str()) == Some(&old.id));
            if !named {
                draft.remove(old.number);
            }
        }
        Ok(())
    }

    /// The new timeflow is written down with the job, and seen by callers when its data is there.
    fn begin_renewal(
        &self,
        draft: &mut Draft<'_>,
        vdb: &Object,
        job: &str,
        kind: &str,
        from: &Chosen,
    ) -> Result<Job, Refusal> {
        let begun = Begin {
            dataset: &vdb.id,
            kind,
            point: Some((&from.snapshot, &from.dataset)),
        };
        let timeflow = timeflows::begin(draft, &begun, Phase::Creating)?;
        let intent = Intent::Refresh {
            vdb: vdb.id.clone(),
            snapshot: from.snapshot.id.clone(),
            timeflow,
            at: from.at.clone(),
        };
        self.room_for(draft.state, &intent)?;
        Ok(order_on(vdb, job, intent).begin(draft))
    }
}
