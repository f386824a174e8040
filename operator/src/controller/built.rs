//! Objects as they were built last, with what they were built from: nearly every pass wants the same ones again, and
//! building them costs more than everything else in a pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use environment::PostgresVdbSpec;

use super::build::{Copy, Frame};
use crate::cluster::Object;
use crate::scram::Password;

/// What may differ between two passes over one resource in one process.
#[derive(PartialEq)]
pub struct Inputs {
    pub spec: PostgresVdbSpec,
    pub labels: Option<BTreeMap<String, String>>,
    pub generation: u32,
    pub copy: Option<Copy>,
    /// The helper of the running server.
    pub helper: Option<String>,
    pub password: Option<Password>,
}

impl Inputs {
    pub fn of(frame: &Frame<'_>) -> Self {
        Self {
            spec: frame.cr.spec.clone(),
            labels: frame.cr.metadata.labels.clone(),
            generation: frame.generation,
            copy: None,
            helper: None,
            password: None,
        }
    }
}

type Slot = Mutex<Option<(Inputs, Vec<Object>)>>;

#[derive(Clone, Default)]
pub struct Built(Arc<[Slot; 2]>);

impl Built {
    pub fn objects(&self, inputs: Inputs, build: impl FnOnce() -> Vec<Object>) -> Vec<Object> {
        remembered(&self.0[0], inputs, build)
    }

    pub fn credentials(&self, inputs: Inputs, build: impl FnOnce() -> Vec<Object>) -> Vec<Object> {
        remembered(&self.0[1], inputs, build)
    }
}

fn remembered(slot: &Slot, inputs: Inputs, build: impl FnOnce() -> Vec<Object>) -> Vec<Object> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    match &*slot {
        Some((before, objects)) if *before == inputs => objects.clone(),
        _ => {
            let objects = build();
            *slot = Some((inputs, objects.clone()));
            objects
        }
    }
}

/// Some of the objects hold a password.
impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Built")
    }
}
