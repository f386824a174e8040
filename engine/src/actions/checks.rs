//! What every action asks before it begins.

use dct::types::Tag;

use super::{Order, Refusal};
use crate::engine::Engine;
use crate::model::{Intent, Kind, Object};
use crate::store::{self, State};

/// A live VDB that no unfinished job works on.
pub(crate) fn free<'a>(state: &'a State, id: &str) -> Result<&'a Object, Refusal> {
    let vdb = state
        .get(Kind::Vdb, id)
        .ok_or_else(|| Refusal::NotFound(format!("there is no virtual database {id:?}")))?;
    at_rest(state, vdb)
}

/// A dSource, by id or name, that no unfinished job works on.
pub(crate) fn free_dsource<'a>(state: &'a State, id: &str) -> Result<&'a Object, Refusal> {
    let dsource = state
        .resolve(Kind::DSource, id)
        .ok_or_else(|| Refusal::NotFound(format!("there is no dSource {id:?}")))?;
    at_rest(state, dsource)
}

pub(crate) fn at_rest<'a>(state: &State, object: &'a Object) -> Result<&'a Object, Refusal> {
    match state.busy(&object.id) {
        Some(job) => Err(Refusal::Conflict(format!(
            "job {} still works on {}",
            job.job.id, object.id
        ))),
        None => Ok(object),
    }
}

/// Somebody protects it from losing its data.
pub(crate) fn unlocked(vdb: &Object) -> Result<&Object, Refusal> {
    if vdb.doc.get("is_locked").and_then(|v| v.as_bool()) == Some(true) {
        return Err(Refusal::Conflict(format!(
            "virtual database {} is locked; unlock it first",
            vdb.name
        )));
    }
    Ok(vdb)
}

pub(crate) fn order_on<'a>(vdb: &'a Object, kind: &'a str, intent: Intent) -> Order<'a> {
    Order {
        kind,
        target: &vdb.id,
        name: &vdb.name,
        intent,
        warning: None,
    }
}

/// The document as its type.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(object: &Object) -> Result<T, store::Error> {
    object
        .doc
        .typed()
        .map_err(|_| store::Error::Damaged(format!("document of {}", object.id)))
}

impl Engine {
    /// A VDB is for containers, or the engine runs its server; an order for the other is refused.
    pub(super) fn of_one_mode(
        &self,
        id: &str,
        container_mode: Option<bool>,
    ) -> Result<(), Refusal> {
        let served = self.served(id);
        match (container_mode == Some(true), served) {
            (true, true) => Err(Refusal::Invalid(format!(
                "the engine runs the server of {id}: leave container_mode out"
            ))),
            (false, false) => Err(Refusal::Invalid(format!(
                "{id} is for a container: send container_mode: true"
            ))),
            _ => Ok(()),
        }
    }
}

pub(crate) fn checked_name(name: Option<&str>) -> Result<String, Refusal> {
    let Some(name) = name else {
        return Ok(format!("vdb-{}", hex::encode(rand::random::<[u8; 4]>())));
    };
    if name.is_empty() || name.chars().count() > 256 || name.chars().any(char::is_control) {
        return Err(Refusal::Invalid(
            "a name has 1 to 256 characters on one line".to_owned(),
        ));
    }
    Ok(name.to_owned())
}

pub(crate) fn checked_tags(tags: &[Tag]) -> Result<(), Refusal> {
    let fits = |text: &str| (1..=4000).contains(&text.chars().count());
    if tags.len() > 1000 || !tags.iter().all(|t| fits(&t.key) && fits(&t.value)) {
        return Err(Refusal::Invalid(
            "tags: at most 1000, key and value with 1 to 4000 characters each".to_owned(),
        ));
    }
    Ok(())
}
