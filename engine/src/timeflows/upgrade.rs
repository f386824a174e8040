//! Pools of engines that kept no timeflows.

use dct::types::Snapshot;

use super::{Begin, INITIAL, begin};
use crate::actions::{Dataset, typed};
use crate::engine::Engine;
use crate::model::{Kind, Object};
use crate::store::{self, Draft};

impl Engine {
    /// Pools of engines that knew no timeflows name some that were never written down.
    pub(crate) fn register_timeflows(&self) -> Result<(), store::Error> {
        for kind in [Kind::DSource, Kind::Vdb] {
            self.store.change(|draft| {
                let all: Vec<Object> = draft.state.objects(kind).cloned().collect();
                for object in all {
                    let named = object.doc.get("current_timeflow_id");
                    let named = named.and_then(|v| v.as_str());
                    if named.is_none_or(|id| draft.state.any(Kind::Timeflow, id).is_none()) {
                        register(draft, &object)?;
                    }
                }
                Ok::<(), store::Error>(())
            })?;
        }
        Ok(())
    }
}

fn register(draft: &mut Draft<'_>, object: &Object) -> Result<(), store::Error> {
    let snapshot = object
        .parent
        .as_deref()
        .and_then(|id| draft.state.any(Kind::Snapshot, id));
    let point = match snapshot {
        Some(snapshot) => Dataset::of(draft.state, snapshot)?
            .map(|dataset| Ok::<_, store::Error>((typed::<Snapshot>(snapshot)?, dataset)))
            .transpose()?,
        None => None,
    };
    let begun = Begin {
        dataset: &object.id,
        kind: INITIAL,
        point: point
            .as_ref()
            .map(|(snapshot, dataset)| (snapshot, dataset)),
    };
    let id = begin(draft, &begun, object.phase)?;
    let own: Vec<Object> = draft
        .state
        .children(Kind::Snapshot, &object.id)
        .cloned()
        .collect();
    for (holder, field) in own
        .iter()
        .map(|snapshot| (snapshot, "timeflow_id"))
        .chain([(object, "current_timeflow_id")])
    {
        let mut doc = holder.doc.value();
        doc[field] = id.clone().into();
        draft.rewrite(holder, doc);
    }
    Ok(())
}
