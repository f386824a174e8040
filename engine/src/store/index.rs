//! Numbers of objects by something that they have.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hash, RandomState};

/// Keeps hashes in place of keys, which the objects have anyway: whoever looks something up compares.
#[derive(Default)]
pub(super) struct Index {
    hasher: RandomState,
    entries: BTreeSet<(u64, u64)>,
}

impl Index {
    pub(super) fn insert<K: Hash + ?Sized>(&mut self, key: &K, number: u64) {
        self.entries.insert((self.hasher.hash_one(key), number));
    }

    pub(super) fn remove<K: Hash + ?Sized>(&mut self, key: &K, number: u64) {
        self.entries.remove(&(self.hasher.hash_one(key), number));
    }

    /// Those that may have the key, in their order.
    pub(super) fn find<'a, K: Hash + ?Sized>(
        &'a self,
        key: &K,
    ) -> impl Iterator<Item = u64> + use<'a, K> {
        let hash = self.hasher.hash_one(key);
        let all = self.entries.range((hash, 0)..=(hash, u64::MAX));
        all.map(|(_, number)| *number)
    }
}
