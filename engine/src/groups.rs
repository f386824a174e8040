//! VDB groups: a name for virtual databases that belong together. Metadata alone.

use dct::types::{VdbGroup, VdbGroupAnswer, VdbGroupBody, VdbGroupMember};

use crate::actions::{Order, Refusal, checked_name, checked_tags, typed};
use crate::document;
use crate::engine::Engine;
use crate::model::{Intent, Kind, Object, Phase};
use crate::store::State;

impl Engine {
    pub fn create_vdb_group(&self, request: &VdbGroupBody) -> Result<VdbGroupAnswer, Refusal> {
        let name = checked_name(Some(request.name.as_deref().unwrap_or_default()))?;
        checked_tags(request.tags.as_deref().unwrap_or_default())?;
        self.store.change(|draft| {
            name_free(draft.state, &name, None)?;
            let members = members(draft.state, request)?.unwrap_or_default();
            let doc = VdbGroup {
                id: Kind::VdbGroup.id(0),
                name: name.clone(),
                is_locked: Some(false),
                vdb_group_source: Some("DCT".to_owned()),
                // Some clients wait for this word.
                status: Some("RUNNING".to_owned()),
                tags: request.tags.clone().filter(|t| !t.is_empty()),
                ..with(members)
            };
            let number = draft.number();
            let job = order(&doc, "VDB_GROUP_CREATE").begin(draft);
            draft.put(Object {
                number,
                kind: Kind::VdbGroup,
                id: doc.id.clone(),
                name: name.clone(),
                scope: String::new(),
                phase: Phase::Live,
                parent: None,
                doc: document(&doc),
            });
            Ok(VdbGroupAnswer {
                vdb_group: Some(doc),
                job: Some(job),
            })
        })
    }

    pub fn update_vdb_group(
        &self,
        id: &str,
        request: &VdbGroupBody,
    ) -> Result<VdbGroupAnswer, Refusal> {
        self.store.change(|draft| {
            let object = group(draft.state, id)?.clone();
            let mut doc: VdbGroup = typed(&object)?;
            if let Some(name) = request.name.as_deref() {
                doc.name = checked_name(Some(name))?;
                name_free(draft.state, &doc.name, Some(object.number))?;
            }
            if let Some(members) = members(draft.state, request)? {
                let new = with(members);
                (doc.vdb_ids, doc.vdbs) = (new.vdb_ids, new.vdbs);
            }
            let job = order(&doc, "VDB_GROUP_UPDATE").begin(draft);
            draft.put(Object {
                name: doc.name.clone(),
                doc: document(&doc),
                ..object
            });
            Ok(VdbGroupAnswer {
                vdb_group: Some(doc),
                job: Some(job),
            })
        })
    }

    /// The virtual databases stay.
    pub fn delete_vdb_group(&self, id: &str) -> Result<(), Refusal> {
        self.store.change(|draft| {
            let number = group(draft.state, id)?.number;
            draft.remove(number);
            Ok(())
        })
    }
}

fn order<'a>(doc: &'a VdbGroup, kind: &'a str) -> Order<'a> {
    Order {
        kind,
        target: &doc.id,
        name: &doc.name,
        intent: Intent::Nothing,
        warning: None,
    }
}

fn group<'a>(state: &'a State, id: &str) -> Result<&'a Object, Refusal> {
    state
        .resolve(Kind::VdbGroup, id)
        .ok_or_else(|| Refusal::NotFound(format!("there is no VDB group {id:?}")))
}

fn name_free(state: &State, name: &str, own: Option<u64>) -> Result<(), Refusal> {
    match state.named(Kind::VdbGroup, "", name) {
        Some(other) if Some(other.number) != own => Err(Refusal::Conflict(format!(
            "a VDB group named {name:?} exists already: {}",
            other.id
        ))),
        _ => Ok(()),
    }
}

/// None if the request does not speak of members.
fn members(state: &State, request: &VdbGroupBody) -> Result<Option<Vec<VdbGroupMember>>, Refusal> {
    let plain = |ids: &Vec<String>| {
        let member = |id: &String| (id.clone(), 1);
        ids.iter().map(member).collect::<Vec<_>>()
    };
    let ordered = |vdbs: &Vec<VdbGroupMember>| {
        let member = |m: &VdbGroupMember| {
            let id = m.vdb_id.clone().unwrap_or_default();
            (id, m.order.unwrap_or(1))
        };
        vdbs.iter().map(member).collect::<Vec<_>>()
    };
    let wanted = request
        .vdbs
        .as_ref()
        .map(ordered)
        .or_else(|| request.vdb_ids.as_ref().map(plain));
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    let mut members: Vec<VdbGroupMember> = Vec::new();
    for (id, order) in wanted {
        let vdb = state
            .resolve(Kind::Vdb, &id)
            .ok_or_else(|| crate::edits::no_vdb(&id))?;
        if members.iter().any(|m| m.vdb_id.as_ref() == Some(&vdb.id)) {
            return Err(Refusal::Invalid(format!("{id:?} stands there twice")));
        }
        members.push(VdbGroupMember {
            vdb_id: Some(vdb.id.clone()),
            order: Some(order),
            vdb_name: Some(vdb.name.clone()),
        });
    }
    Ok(Some(members))
}

fn with(members: Vec<VdbGroupMember>) -> VdbGroup {
    VdbGroup {
        vdb_ids: Some(members.iter().filter_map(|m| m.vdb_id.clone()).collect()),
        vdbs: Some(members),
        ..VdbGroup::default()
    }
}
