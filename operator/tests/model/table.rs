//! Each different content once: a state of the model names what it holds by number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use operator::cluster::{Name, Object};
use operator::crd::PostgresVdb;

type Rows<K, T> = (HashMap<K, u32>, Vec<Arc<T>>);

pub(crate) struct Table<K, T>(Mutex<Rows<K, T>>);

impl<K: Eq + Hash, T> Table<K, T> {
    fn new() -> Self {
        Self(Mutex::new((HashMap::new(), Vec::new())))
    }

    pub(crate) fn add(&self, key: K, value: impl FnOnce() -> T) -> u32 {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (numbers, values) = &mut *rows;
        *numbers.entry(key).or_insert_with(|| {
            values.push(Arc::new(value()));
            u32::try_from(values.len() - 1).unwrap()
        })
    }

    pub(crate) fn at(&self, number: u32) -> Arc<T> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.1[usize::try_from(number).unwrap()].clone()
    }
}

pub(crate) static RESOURCES: LazyLock<Table<String, PostgresVdb>> = LazyLock::new(Table::new);
pub(crate) static OBJECTS: LazyLock<Table<String, Object>> = LazyLock::new(Table::new);
pub(crate) static NAMES: LazyLock<Table<Name, Name>> = LazyLock::new(Table::new);

pub(crate) fn resource(cr: PostgresVdb) -> u32 {
    let key = serde_json::to_string(&cr).unwrap();
    RESOURCES.add(key, || cr)
}

pub(crate) fn object(object: Object) -> u32 {
    let text = serde_json::to_string(&object).unwrap();
    let key = format!("{} {text}", object.kind().as_str());
    OBJECTS.add(key, || object)
}

pub(crate) fn name(name: &Name) -> u32 {
    NAMES.add(name.clone(), || name.clone())
}
