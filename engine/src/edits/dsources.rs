//! What a dSource is called.

use dct::types::{DSource, Job, UpdateDSource};

use crate::actions::{Refusal, checked_name, free_dsource, order_on, typed};
use crate::doc::Doc;
use crate::document;
use crate::engine::Engine;
use crate::model::{Intent, Kind, Object};
use crate::store::Draft;

impl Engine {
    /// Name and description; what it is linked to stands in the settings.
    pub fn update_dsource(&self, id: &str, request: &UpdateDSource) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let object = free_dsource(draft.state, id)?.clone();
            let name = match request.name.as_deref() {
                Some(name) => checked_name(Some(name))?,
                None => object.name.clone(),
            };
            let taken = draft.state.named(Kind::DSource, "", &name);
            if taken.is_some_and(|other| other.number != object.number) {
                return Err(Refusal::Conflict(format!(
                    "a dSource named {name:?} exists already"
                )));
            }
            let mut doc: DSource = typed(&object)?;
            doc.name = Some(name.clone());
            doc.description = request.description.clone().or(doc.description);
            if name != object.name {
                tell_others(draft, &object.id, &name);
            }
            let renamed = Object {
                name,
                doc: document(&doc),
                ..object
            };
            let job = order_on(&renamed, "DSOURCE_UPDATE", Intent::Nothing).begin(draft);
            draft.put(renamed);
            Ok(job)
        })
    }
}

/// Snapshots and copies show the name of what they are of.
fn tell_others(draft: &mut Draft<'_>, dsource: &str, name: &str) {
    let shown = [
        (Kind::Snapshot, "dataset_id", "dataset_name"),
        (Kind::Vdb, "parent_id", "parent_name"),
        (Kind::Vdb, "parent_dsource_id", "parent_dsource_name"),
    ];
    for (kind, id, shows) in shown {
        let of = |doc: &Doc| doc.get(id).and_then(|v| v.as_str()) == Some(dsource);
        let all: Vec<String> = draft
            .state
            .objects(kind)
            .filter(|object| of(&object.doc) && object.doc.get(shows).is_some())
            .map(|object| object.id.clone())
            .collect();
        let named = Doc::from(serde_json::json!({ shows: name }));
        for id in all {
            if let Some(object) = draft.object(kind, &id) {
                draft.rewrite(&object, object.doc.with(&named));
            }
        }
    }
}
