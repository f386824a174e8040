//! What was read or written of a resource's objects on its first way to Ready, so that it is not read again and again.
//!
//! On this way nobody else writes them, and an object that is missing all the same is found missing a minute later, or as
//! soon as something fails. Server and pod change by themselves: they are remembered within one visit alone. Once a
//! database was proved, and for whatever is taken away, everything is read anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::{expiry, refresh};
use crate::clock::between;
use crate::cluster::{Kind, Name, Object};
use crate::crd::{Key, PostgresVdb};

const BELIEVED: Duration = Duration::from_mins(1);

struct Noted {
    at: Timestamp,
    /// `None`: it was not there.
    object: Option<Object>,
}

#[derive(Default)]
pub struct Sight {
    noted: Mutex<HashMap<Key, BTreeMap<Name, Noted>>>,
    /// Objects that all resources of a namespace share, and when one of them began to write it.
    shared: Mutex<HashMap<Name, Timestamp>>,
}

/// On the first way to Ready.
pub fn comes(cr: &PostgresVdb, now: Timestamp) -> bool {
    let proved = cr.status.as_ref().is_some_and(|s| s.verified.is_some());
    !proved && only_adds(cr, now)
}

/// Nothing is taken away from it or exchanged.
pub fn only_adds(cr: &PostgresVdb, now: Timestamp) -> bool {
    !cr.is_deleting() && refresh::under_way(cr).is_none() && expiry::rests(cr, now).is_none()
}

impl Sight {
    /// A visit begins: what was noted too long ago is forgotten.
    pub fn visit(&self, key: &Key, comes: bool, now: Timestamp) {
        let mut all = self.lock();
        if !comes {
            all.remove(key);
        } else if let Some(noted) = all.get_mut(key) {
            noted.retain(|_, noted| between(noted.at, now) < BELIEVED);
        }
    }

    /// A visit ends: what may change until the next one is forgotten.
    pub fn leave(&self, key: &Key) {
        if let Some(noted) = self.lock().get_mut(key) {
            noted.retain(|name, noted| {
                let moves = matches!(name.kind, Kind::StatefulSet | Kind::Pod);
                noted.object.is_some() && !moves
            });
        }
    }

    pub fn recall(&self, key: &Key, name: &Name) -> Option<Option<Object>> {
        let all = self.lock();
        Some(all.get(key)?.get(name)?.object.clone())
    }

    pub fn note(&self, key: &Key, name: Name, object: Option<Object>, now: Timestamp) {
        let object = object.map(|mut object| {
            object.meta_mut().managed_fields = None;
            object
        });
        let noted = Noted { at: now, object };
        self.lock()
            .entry(key.clone())
            .or_default()
            .insert(name, noted);
    }

    /// Whether it falls to the caller to write a shared object; what another one has just begun to write is left to it.
    pub fn claims(&self, name: &Name, now: Timestamp) -> bool {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, at| between(*at, now) < BELIEVED);
        let free = !shared.contains_key(name);
        if free {
            shared.insert(name.clone(), now);
        }
        free
    }

    /// It is to be read again.
    pub fn doubt(&self, key: &Key, name: &Name) {
        if let Some(noted) = self.lock().get_mut(key) {
            noted.remove(name);
        }
    }

    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, BTreeMap<Name, Noted>>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
