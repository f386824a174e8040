//! What must be there: every copy, snapshot and bookmark, each with the marks that its data holds.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Marks = BTreeSet<String>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Copy {
    pub(crate) id: String,
    pub(crate) marks: Marks,
    /// What an undo goes back to.
    pub(crate) previous: Option<Marks>,
    pub(crate) enabled: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    /// The copy or dSource that it was taken of.
    pub(crate) dataset: String,
    pub(crate) marks: Marks,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) dsource: String,
    /// What the source holds.
    pub(crate) source: Marks,
    /// By name.
    pub(crate) copies: BTreeMap<String, Copy>,
    /// By id.
    pub(crate) snapshots: BTreeMap<String, Point>,
    /// By name: the snapshot that each names.
    pub(crate) bookmarks: BTreeMap<String, String>,
    pub(crate) next: usize,
}

/// One order to the engine.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Provision { name: String, snapshot: String },
    Refresh { name: String, snapshot: String },
    Rollback { name: String, snapshot: String },
    Undo { name: String },
    Enable { name: String },
    Disable { name: String },
    Snapshot { name: String },
    Bookmark { name: String, bookmark: String },
    Delete { name: String },
    DeleteSnapshot { snapshot: String },
    DeleteBookmark { bookmark: String },
    SourceSnapshot,
}

impl Model {
    /// A word that was never used before.
    pub(crate) fn word(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}-{}", self.next)
    }

    fn name_of(&self, id: &str) -> Option<String> {
        let mut all = self.copies.iter();
        all.find(|(_, copy)| copy.id == id)
            .map(|(name, _)| name.clone())
    }

    /// What completed orders have changed. New snapshots are made known by `learn`.
    pub(crate) fn apply(&mut self, order: &Order, target: &str) {
        let marks = |snapshot: &str| {
            self.snapshots
                .get(snapshot)
                .map(|s| s.marks.clone())
                .unwrap_or_default()
        };
        match order {
            Order::Provision { name, snapshot } => {
                let copy = Copy {
                    id: target.to_owned(),
                    marks: marks(snapshot),
                    ..Copy::default()
                };
                self.copies.insert(name.clone(), copy);
            }
            Order::Refresh { name, snapshot } | Order::Rollback { name, snapshot } => {
                let marks = marks(snapshot);
                let copy = self.copies.entry(name.clone()).or_default();
                copy.previous = Some(std::mem::replace(&mut copy.marks, marks));
            }
            Order::Undo { name } => {
                let copy = self.copies.entry(name.clone()).or_default();
                let previous = copy.previous.take().unwrap_or_default();
                copy.previous = Some(std::mem::replace(&mut copy.marks, previous));
            }
            Order::Enable { name } => self.copies.entry(name.clone()).or_default().enabled = true,
            Order::Disable { name } => self.copies.entry(name.clone()).or_default().enabled = false,
            Order::Delete { name } => {
                let gone = self.copies.remove(name).unwrap_or_default();
                self.snapshots.retain(|_, point| point.dataset != gone.id);
                self.bookmarks
                    .retain(|_, snapshot| self.snapshots.contains_key(snapshot));
            }
            Order::DeleteSnapshot { snapshot } => {
                self.snapshots.remove(snapshot);
            }
            Order::DeleteBookmark { bookmark } => {
                // Nothing else needs a snapshot that was taken for it: the engine refuses copies of it their source.
                if let Some(snapshot) = self.bookmarks.remove(bookmark) {
                    self.snapshots
                        .entry(snapshot)
                        .or_default()
                        .dataset
                        .push_str(LOOSE);
                }
            }
            Order::Snapshot { .. } | Order::Bookmark { .. } | Order::SourceSnapshot => {}
        }
    }

    /// A snapshot that an order took.
    pub(crate) fn learn(
        &mut self,
        id: &str,
        dataset: &str,
        orders: &[Order],
    ) -> Result<(), String> {
        let name = self.name_of(dataset);
        let wanted = orders.iter().any(|order| match order {
            Order::Snapshot { name: of } | Order::Bookmark { name: of, .. } => {
                Some(of) == name.as_ref()
            }
            Order::SourceSnapshot => dataset == self.dsource,
            _ => false,
        });
        if !wanted {
            return Err(format!("snapshot {id} of {dataset} was never ordered"));
        }
        let marks = match name {
            Some(name) => self.copies[&name].marks.clone(),
            None => self.source.clone(),
        };
        let dataset = dataset.to_owned();
        self.snapshots
            .insert(id.to_owned(), Point { dataset, marks });
        Ok(())
    }

    /// Snapshots that may be there or not: the bookmark that they were taken for has gone.
    pub(crate) fn settle_loose(&mut self, there: &BTreeSet<String>) {
        self.snapshots.retain(|id, point| {
            let Some(dataset) = point.dataset.strip_suffix(LOOSE) else {
                return true;
            };
            point.dataset = dataset.to_owned();
            there.contains(id)
        });
    }
}

const LOOSE: &str = "?";
