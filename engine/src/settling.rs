//! The end of a job in the metadata: what it did becomes visible together with its last state.

use dct::types::{ContainerizationState, Vdb};

use crate::actions::typed;
use crate::engine::Engine;
use crate::jobs::{Error, Outcome};
use crate::model::{Intent, Kind, Object, Phase};
use crate::store::{self, Draft};
use crate::{deletion, document, servers, timeflows};

impl Engine {
    pub(crate) fn settle(
        &self,
        draft: &mut Draft<'_>,
        intent: &Intent,
        result: &Result<Outcome, Error>,
    ) -> Result<(), store::Error> {
        match (intent, result) {
            (
                Intent::Snapshot {
                    dsource, snapshot, ..
                },
                result,
            ) => {
                let taken = match result {
                    Ok(Outcome::Taken(taken)) => Some(taken),
                    _ => None,
                };
                self.settle_snapshot(draft, dsource, snapshot, taken)
            }
            (intent, Ok(outcome)) => self.settle_done(draft, intent, outcome),
            (intent, Err(_)) => {
                give_up(draft, intent);
                match intent {
                    Intent::Start { vdb }
                    | Intent::Stop { vdb, .. }
                    | Intent::Enable { vdb, .. }
                    | Intent::Disable { vdb, .. }
                    | Intent::Refresh { vdb, .. }
                    | Intent::Switch { vdb, .. }
                    | Intent::Delete { vdb } => self.settle_server(draft, vdb, None),
                    _ => Ok(()),
                }
            }
        }
    }

    fn settle_done(
        &self,
        draft: &mut Draft<'_>,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<(), store::Error> {
        match intent {
            Intent::Provision { vdb, .. } | Intent::Empty { vdb } => {
                publish(draft, Kind::Vdb, vdb);
                let flow = draft.state.any(Kind::Vdb, vdb);
                let flow = flow.and_then(|o| o.doc.get("current_timeflow_id")?.as_str());
                timeflows::publish(draft, flow);
                self.settle_server(draft, vdb, Some(true))?;
            }
            Intent::Start { vdb } | Intent::Stop { vdb, .. } => {
                self.settle_server(draft, vdb, None)?;
            }
            Intent::Enable { vdb, .. }
                if draft
                    .state
                    .any(Kind::Vdb, vdb)
                    .is_some_and(servers::is_served) =>
            {
                self.settle_server(draft, vdb, Some(true))?;
            }
            Intent::Disable { vdb, .. }
                if draft
                    .state
                    .any(Kind::Vdb, vdb)
                    .is_some_and(servers::is_served) =>
            {
                self.settle_server(draft, vdb, Some(false))?;
            }
            Intent::Enable { vdb, .. } => self.settle_enabled(draft, vdb)?,
            Intent::Disable { vdb, .. } => edit(draft, vdb, |doc| {
                doc.enabled = Some(false);
                doc.status = Some("INACTIVE".to_owned());
                doc.containerization_state = Some(ContainerizationState::ReadyForContainer);
                doc.exported_data_directory = None;
            })?,
            Intent::Refresh { vdb, timeflow, .. } | Intent::Switch { vdb, timeflow } => {
                self.settle_refresh(draft, vdb, timeflow)?;
                self.settle_server(draft, vdb, None)?;
            }
            Intent::SnapshotVdb { .. } | Intent::Bookmark { .. } => {
                let Outcome::Copied(copied) = outcome else {
                    return Ok(());
                };
                for copied in copied {
                    Self::settle_copied(draft, copied)?;
                }
                if let Intent::Bookmark { bookmark, .. } = intent {
                    Self::settle_bookmark(draft, bookmark, copied)?;
                }
            }
            Intent::Delete { vdb } => deletion::settle_vdb(draft, vdb)?,
            Intent::DeleteDSource { dsource, .. } => deletion::settle_dsource(draft, dsource)?,
            Intent::DeleteSnapshot { snapshot } => deletion::settle_snapshot(draft, snapshot),
            Intent::DeleteBookmark {
                bookmark,
                snapshots,
            } => {
                for snapshot in snapshots {
                    deletion::settle_snapshot(draft, snapshot);
                }
                remove(draft, Kind::Bookmark, bookmark);
            }
            Intent::Snapshot { .. } | Intent::Nothing => {}
        }
        Ok(())
    }

    fn settle_enabled(&self, draft: &mut Draft<'_>, vdb: &str) -> Result<(), store::Error> {
        let export = self.export_of(&timeflows::current(draft.state, vdb));
        edit(draft, vdb, |doc| {
            doc.enabled = Some(true);
            doc.status = Some("RUNNING".to_owned());
            doc.containerization_state = Some(ContainerizationState::RunningInContainer);
            doc.exported_data_directory = Some(export);
        })
    }
}

/// What the failed job had written down ahead goes; what was there stays as it was.
fn give_up(draft: &mut Draft<'_>, intent: &Intent) {
    match intent {
        Intent::Provision { vdb, .. } | Intent::Empty { vdb } => {
            remove(draft, Kind::Vdb, vdb);
            timeflows::forget(draft, vdb);
        }
        Intent::Refresh { timeflow, .. } => remove(draft, Kind::Timeflow, timeflow),
        Intent::SnapshotVdb { snapshot, .. } => remove(draft, Kind::Snapshot, snapshot),
        Intent::Bookmark { bookmark, taken } => {
            for taken in taken {
                remove(draft, Kind::Snapshot, &taken.snapshot);
            }
            remove(draft, Kind::Bookmark, bookmark);
        }
        _ => {}
    }
}

fn publish(draft: &mut Draft<'_>, kind: Kind, id: &str) {
    if let Some(object) = draft.state.any(kind, id).cloned() {
        draft.put(Object {
            phase: Phase::Live,
            ..object
        });
    }
}

fn remove(draft: &mut Draft<'_>, kind: Kind, id: &str) {
    if let Some(object) = draft.state.any(kind, id) {
        draft.remove(object.number);
    }
}

fn edit(
    draft: &mut Draft<'_>,
    vdb: &str,
    change: impl FnOnce(&mut Vdb),
) -> Result<(), store::Error> {
    if let Some(object) = draft.state.any(Kind::Vdb, vdb) {
        let mut doc: Vdb = typed(object)?;
        change(&mut doc);
        draft.rewrite(object, document(&doc));
    }
    Ok(())
}
