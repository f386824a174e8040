//! Snapshots of virtual databases: the directory as it is, made harmless once more, and sealed.
//!
//! Where nobody runs a server it is cleanly shut down. Under a running server it is what a power failure would leave,
//! which only a storage that copies at one instant can take; copies of it recover when they start.

use std::path::PathBuf;

use dct::types::{Job, Snapshot, UpdateSnapshot, Vdb};

use crate::actions::{Refusal, at_rest, free, order_on, snapshot, typed};
use crate::bookmarks::checked_date;
use crate::engine::Engine;
use crate::model::{ENGINE_ID, Intent, Kind, Object, Phase, TOOLKIT_ID};
use crate::origin::DataPoint;
use crate::store::{self, Draft};
use crate::{clock, document, jobs, servers, storage};

/// What was found in a snapshot's directory.
pub(crate) struct Copied {
    pub(crate) snapshot: String,
    pub(crate) clean: bool,
    /// When it was copied, unless that was before a crash.
    pub(crate) at: Option<String>,
    pub(crate) location: String,
}

impl Engine {
    pub fn snapshot_vdb(&self, id: &str) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let vdb = free(draft.state, id)?.clone();
            self.can_snapshot(&vdb)?;
            let snapshot = self.new_snapshot(draft, &vdb)?;
            let intent = Intent::SnapshotVdb {
                vdb: vdb.id.clone(),
                snapshot,
            };
            self.room_for(draft.state, &intent)?;
            Ok(order_on(&vdb, "DB_SNAPSHOT", intent).begin(draft))
        })
    }

    /// How long it is kept: until a day, or for ever.
    pub fn update_snapshot(&self, id: &str, request: &UpdateSnapshot) -> Result<Job, Refusal> {
        if request.expiration.is_some() && request.retain_forever == Some(true) {
            return Err(Refusal::Invalid(
                "only one of expiration and retain_forever can be given".to_owned(),
            ));
        }
        let day = request
            .expiration
            .as_deref()
            .map(checked_date)
            .transpose()?;
        self.store.change(|draft| {
            let object = at_rest(draft.state, snapshot(draft.state, id)?)?.clone();
            let mut doc: Snapshot = typed(&object)?;
            if let Some(day) = day {
                doc.expiration = Some(day.to_string());
                doc.retain_forever = Some(false);
            }
            if let Some(for_ever) = request.retain_forever {
                doc.retain_forever = Some(for_ever);
                doc.expiration = doc.expiration.filter(|_| !for_ever);
            }
            draft.rewrite(&object, document(&doc));
            Ok(order_on(&object, "SNAPSHOT_UPDATE", Intent::Nothing).begin(draft))
        })
    }

    /// Copying file by file under a running server gives files of different moments.
    pub(crate) fn can_snapshot(&self, vdb: &Object) -> Result<(), Refusal> {
        if servers::is_served(vdb) {
            if self.storage.at_one_instant() || !self.server_runs(&vdb.id) {
                return Ok(());
            }
            return Err(Refusal::Conflict(format!(
                "virtual database {} is running and storage {:?} copies file by file: stop it first, or use btrfs",
                vdb.name,
                self.storage.name()
            )));
        }
        let enabled = vdb.doc.get("enabled").and_then(|v| v.as_bool()) == Some(true);
        if enabled && !self.storage.at_one_instant() {
            return Err(Refusal::Conflict(format!(
                "virtual database {} is enabled and storage {:?} copies file by file: disable it first, or use btrfs",
                vdb.name,
                self.storage.name()
            )));
        }
        Ok(())
    }

    /// The snapshot as it will be seen, except for what only its files tell.
    pub(crate) fn new_snapshot(
        &self,
        draft: &mut Draft<'_>,
        vdb: &Object,
    ) -> Result<String, store::Error> {
        let doc: Vdb = typed(vdb)?;
        let number = draft.number();
        let id = Kind::Snapshot.id(number);
        let now = clock::now();
        let name = format!("@{}", now.trim_end_matches('Z'));
        let snapshot = Snapshot {
            id: id.clone(),
            name: Some(name.clone()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            dataset_id: Some(vdb.id.clone()),
            dataset_name: Some(vdb.name.clone()),
            timeflow_id: doc.current_timeflow_id,
            creation_time: Some(now.clone()),
            timestamp: Some(now),
            timezone: Some("UTC,UTC+0000".to_owned()),
            version: doc.database_version,
            temporary: Some(false),
            appdata_toolkit: Some(TOOLKIT_ID.to_owned()),
            ..Snapshot::default()
        };
        draft.put(Object {
            number,
            kind: Kind::Snapshot,
            id: id.clone(),
            name,
            scope: id.clone(),
            phase: Phase::Creating,
            parent: Some(vdb.id.clone()),
            doc: document(&snapshot),
        });
        Ok(id)
    }

    /// Where a snapshot lies until it is whole.
    pub(crate) fn taking_root(&self, snapshot: &str) -> PathBuf {
        self.snapshot_home(snapshot).join("taking")
    }

    /// Each step is whole or has not happened, and is not done again after a crash.
    pub(crate) fn copy_vdb(&self, vdb: &str, snapshot: &str) -> Result<Copied, jobs::Error> {
        let (taking, raw) = (self.taking_root(snapshot), self.raw_root(snapshot));
        let mut at = None;
        if !storage::exists(&raw) {
            at = (!storage::exists(&taking)).then(clock::now);
            storage::private_directory(&self.snapshot_home(snapshot))?;
            self.storage.copy(&self.vdb_root(vdb), &taking)?;
            self.origin.tidy(&taking)?;
            storage::files("rename", &taking, std::fs::rename(&taking, &raw))?;
        }
        self.storage.seal(&raw)?;
        self.storage.flush(&raw)?;
        let (clean, DataPoint { location, .. }) = self.origin.look(&raw)?;
        Ok(Copied {
            snapshot: snapshot.to_owned(),
            clean,
            at,
            location,
        })
    }

    /// Callers see it from now on.
    pub(crate) fn settle_copied(
        draft: &mut Draft<'_>,
        copied: &Copied,
    ) -> Result<(), store::Error> {
        let Some(object) = draft.state.any(Kind::Snapshot, &copied.snapshot).cloned() else {
            return Ok(());
        };
        let mut doc: Snapshot = typed(&object)?;
        let consistency = if copied.clean {
            "CONSISTENT"
        } else {
            "CRASH_CONSISTENT"
        };
        doc.consistency = Some(consistency.to_owned());
        doc.location = Some(copied.location.clone());
        doc.timestamp = copied.at.clone().or(doc.timestamp);
        draft.put(Object {
            phase: Phase::Live,
            doc: document(&doc),
            ..object
        });
        Ok(())
    }
}
