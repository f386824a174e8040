//! A base backup becomes a snapshot: taken, made into a template, written down, or discarded.

use std::sync::{Arc, PoisonError};

use dct::types::{DSource, Snapshot, Source};

use crate::actions::typed;
use crate::engine::Engine;
use crate::jobs;
use crate::model::{ENGINE_ID, Kind, Object, Phase, TOOLKIT_ID};
use crate::settings::SourceSettings;
use crate::storage;
use crate::store::{self, Draft};
use crate::timeflows;
use crate::{clock, document, error_chain};

pub(crate) struct Taken {
    version: String,
    bytes: u64,
    timestamp: String,
    location: String,
}

impl Engine {
    pub(crate) fn take_snapshot(&self, snapshot: &str, source: &str) -> Result<Taken, jobs::Error> {
        let _one_at_a_time = self.backup.lock().unwrap_or_else(PoisonError::into_inner);
        let source = self.declared(source).ok_or_else(|| {
            jobs::Error::Failed(format!("source {source} is not in the settings"))
        })?;
        let scratch = self.scratch(snapshot);
        storage::private_directory(&scratch)?;
        let taken = self.take_with(snapshot, source, &scratch);
        // It held the source's password.
        if let Err(error) = std::fs::remove_dir_all(&scratch) {
            tracing::error!(path = %scratch.display(), "cannot remove: {error}");
        }
        taken
    }

    fn take_with(
        &self,
        snapshot: &str,
        source: &SourceSettings,
        scratch: &std::path::Path,
    ) -> Result<Taken, jobs::Error> {
        let (raw, template) = (self.raw_root(snapshot), self.template_root(snapshot));
        let facts = self.origin.inspect(source, scratch)?;
        storage::private_directory(&self.snapshot_home(snapshot))?;
        tracing::info!(
            source = source.name,
            bytes = facts.bytes,
            version = facts.version,
            "base backup begins"
        );
        self.storage.create(&raw)?;
        self.origin.back_up(source, &facts, &raw, scratch)?;
        self.storage.seal(&raw)?;
        self.storage.copy(&raw, &template)?;
        let point = self.origin.make_template(source, &template, scratch)?;
        self.storage.seal(&template)?;
        self.storage.flush(&self.settings.pool)?;
        let bytes = storage::size(&template)?;
        tracing::info!(
            source = source.name,
            bytes,
            timestamp = point.timestamp,
            "template is ready"
        );
        Ok(Taken {
            version: facts.version,
            bytes,
            timestamp: point.timestamp.unwrap_or(facts.now),
            location: point.location,
        })
    }

    pub(crate) fn discard_snapshot(&self, snapshot: &str) {
        if let Err(error) = self.delete_snapshot_files(snapshot) {
            tracing::error!(
                snapshot,
                "left for the sweep at the next start: {}",
                error_chain(&error)
            );
        }
    }

    pub(crate) fn delete_snapshot_files(&self, snapshot: &str) -> Result<(), storage::Error> {
        let home = self.snapshot_home(snapshot);
        for root in [
            self.template_root(snapshot),
            self.raw_root(snapshot),
            self.taking_root(snapshot),
        ] {
            self.storage.delete(&root)?;
        }
        if storage::exists(&home) {
            storage::files("delete", &home, std::fs::remove_dir_all(&home))?;
        }
        Ok(())
    }

    pub(crate) fn settle_snapshot(
        &self,
        draft: &mut Draft<'_>,
        dsource: &str,
        snapshot: &str,
        taken: Option<&Taken>,
    ) -> Result<(), store::Error> {
        let (Some(dsource), Some(snapshot)) = (
            draft.state.any(Kind::DSource, dsource),
            draft.state.any(Kind::Snapshot, snapshot),
        ) else {
            return Ok(());
        };
        let Some(taken) = taken else {
            draft.remove(snapshot.number);
            if dsource.phase == Phase::Creating {
                draft.remove(dsource.number);
                timeflows::forget(draft, &dsource.id);
            }
            return Ok(());
        };
        let bytes = i64::try_from(taken.bytes).ok();
        let mut doc: DSource = typed(dsource)?;
        doc.database_version = Some(taken.version.clone());
        doc.size = bytes;
        let timeflow = doc.current_timeflow_id.clone();
        timeflows::publish(draft, timeflow.as_deref());
        draft.put(Object {
            phase: Phase::Live,
            doc: Arc::new(document(&doc)),
            ..dsource.clone()
        });
        let doc = self.snapshot_doc(snapshot, dsource, timeflow, taken);
        draft.put(Object {
            phase: Phase::Live,
            doc: Arc::new(document(&doc)),
            ..snapshot.clone()
        });
        if let Some(source) = dsource
            .parent
            .as_deref()
            .and_then(|id| draft.state.get(Kind::Source, id))
        {
            let mut doc: Source = typed(source)?;
            doc.is_dsource = Some(true);
            doc.linking_enabled = None;
            doc.database_version = Some(taken.version.clone());
            doc.size = bytes;
            draft.rewrite(source, document(&doc));
        }
        Ok(())
    }

    fn snapshot_doc(
        &self,
        snapshot: &Object,
        dsource: &Object,
        timeflow_id: Option<String>,
        taken: &Taken,
    ) -> Snapshot {
        Snapshot {
            id: snapshot.id.clone(),
            name: Some(snapshot.name.clone()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            dataset_id: Some(dsource.id.clone()),
            dataset_name: Some(dsource.name.clone()),
            timeflow_id,
            consistency: Some("CONSISTENT".to_owned()),
            creation_time: Some(clock::now()),
            timestamp: Some(taken.timestamp.clone()),
            location: Some(taken.location.clone()),
            timezone: Some("UTC,UTC+0000".to_owned()),
            version: Some(taken.version.clone()),
            temporary: Some(false),
            appdata_toolkit: Some(TOOLKIT_ID.to_owned()),
            ..Snapshot::default()
        }
    }
}
