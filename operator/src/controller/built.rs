//! Objects as they were built last in a visit, with what they were built from: nearly every pass wants the same ones
//! again, and building them costs more than everything else in a pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use environment::PostgresVdbSpec;

use super::build::{Copy, Frame};
use crate::cluster::Object;
use crate::scram::Password;

/// What is built together.
#[derive(Clone, Copy)]
pub enum What {
    Early,
    Later,
    Stopped,
    Credentials,
}

/// What may differ between two passes over one resource in one process.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    pub spec: &'a PostgresVdbSpec,
    pub labels: Option<&'a BTreeMap<String, String>>,
    pub generation: u32,
    pub remote: bool,
    pub copy: Option<&'a Copy>,
    /// The helper of the running server, if it is not the present one.
    pub helper: Option<&'a str>,
    pub password: Option<&'a Password>,
}

/// The same, kept.
struct Kept {
    spec: PostgresVdbSpec,
    labels: Option<BTreeMap<String, String>>,
    generation: u32,
    remote: bool,
    copy: Option<Copy>,
    helper: Option<String>,
    password: Option<Password>,
}

impl<'a> Inputs<'a> {
    pub fn of(frame: &Frame<'a>) -> Self {
        Self {
            spec: &frame.cr.spec,
            labels: frame.cr.metadata.labels.as_ref(),
            generation: frame.generation,
            remote: frame.is_remote(),
            copy: None,
            helper: None,
            password: None,
        }
    }

    fn kept(self) -> Kept {
        Kept {
            spec: self.spec.clone(),
            labels: self.labels.cloned(),
            generation: self.generation,
            remote: self.remote,
            copy: self.copy.cloned(),
            helper: self.helper.map(str::to_owned),
            password: self.password.cloned(),
        }
    }

    fn are(self, kept: &Kept) -> bool {
        self.generation == kept.generation
            && self.remote == kept.remote
            && self.copy == kept.copy.as_ref()
            && self.helper == kept.helper.as_deref()
            && self.password == kept.password.as_ref()
            && self.labels == kept.labels.as_ref()
            && *self.spec == kept.spec
    }
}

type Slot = Mutex<Option<(Kept, Vec<Object>)>>;

#[derive(Clone, Default)]
pub struct Built(Arc<[Slot; 4]>);

impl Built {
    pub fn of(
        &self,
        what: What,
        inputs: Inputs<'_>,
        build: impl FnOnce() -> Vec<Object>,
    ) -> Vec<Object> {
        let slot = &self.0[what as usize];
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some((before, objects)) if inputs.are(before) => objects.clone(),
            _ => {
                let objects = build();
                *slot = Some((inputs.kept(), objects.clone()));
                objects
            }
        }
    }
}

/// Some of the objects hold a password.
impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Built")
    }
}
