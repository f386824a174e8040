//! What must be there: every copy, snapshot and bookmark, each with what its data holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::hook::Hook;

/// Tokens that were written one by one, and a checksum of rows that the source changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) marks: BTreeSet<String>,
    pub(crate) sum: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Copy {
    pub(crate) id: String,
    pub(crate) data: Data,
    /// What an undo goes back to.
    pub(crate) previous: Option<Data>,
    pub(crate) enabled: bool,
    /// The engine runs its server.
    pub(crate) served: bool,
    pub(crate) running: bool,
    pub(crate) hook: Hook,
}

/// A moment of the source, after its last change and before the next.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Before the change: a snapshot that is not older has it.
    pub(crate) begun: String,
    pub(crate) time: String,
    pub(crate) place: String,
    pub(crate) data: Data,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    /// The copy or dSource that it was taken of.
    pub(crate) dataset: String,
    pub(crate) data: Data,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) dsource: String,
    /// Whether the source's log is received.
    pub(crate) logged: bool,
    /// What the source held, oldest first.
    pub(crate) moments: Vec<Moment>,
    /// By name.
    pub(crate) copies: BTreeMap<String, Copy>,
    /// By id.
    pub(crate) snapshots: BTreeMap<String, Point>,
    /// By name: the snapshot that each names.
    pub(crate) bookmarks: BTreeMap<String, String>,
    pub(crate) next: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Time,
    Place,
}

/// One order to the engine.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Provision {
        name: String,
        snapshot: String,
        served: bool,
    },
    /// By the number of a moment: its time, or its place in the log.
    ProvisionAt {
        name: String,
        moment: usize,
        by: By,
        served: bool,
    },
    RefreshAt {
        name: String,
        moment: usize,
        by: By,
    },
    Start {
        name: String,
    },
    Stop {
        name: String,
        abort: bool,
    },
    Refresh {
        name: String,
        snapshot: String,
    },
    Rollback {
        name: String,
        snapshot: String,
    },
    Undo {
        name: String,
    },
    Enable {
        name: String,
    },
    Disable {
        name: String,
    },
    Snapshot {
        name: String,
    },
    Bookmark {
        name: String,
        bookmark: String,
    },
    Delete {
        name: String,
    },
    DeleteSnapshot {
        snapshot: String,
    },
    DeleteBookmark {
        bookmark: String,
    },
    SourceSnapshot,
}

impl Order {
    /// The copy that it is about.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Provision { name, .. }
            | Self::ProvisionAt { name, .. }
            | Self::RefreshAt { name, .. }
            | Self::Refresh { name, .. }
            | Self::Rollback { name, .. }
            | Self::Start { name }
            | Self::Stop { name, .. }
            | Self::Undo { name }
            | Self::Enable { name }
            | Self::Disable { name }
            | Self::Snapshot { name }
            | Self::Bookmark { name, .. }
            | Self::Delete { name } => Some(name),
            Self::DeleteSnapshot { .. } | Self::DeleteBookmark { .. } | Self::SourceSnapshot => {
                None
            }
        }
    }
}

impl Model {
    /// A word that was never used before.
    pub(crate) fn word(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}-{}", self.next)
    }

    /// What the source held when a snapshot of it was taken.
    pub(crate) fn source_at(&self, timestamp: &str) -> Result<Data, String> {
        let mut all = self.moments.iter().rev();
        all.find(|moment| moment.begun.as_str() <= timestamp)
            .map(|moment| moment.data.clone())
            .ok_or_else(|| format!("a snapshot of {timestamp}, before the first moment"))
    }

    fn name_of(&self, id: &str) -> Option<String> {
        let mut all = self.copies.iter();
        all.find(|(_, copy)| copy.id == id)
            .map(|(name, _)| name.clone())
    }

    /// What completed orders have changed. New snapshots are made known by `learn`.
    pub(crate) fn apply(&mut self, order: &Order, target: &str) {
        let data = match order {
            Order::Provision { snapshot, .. }
            | Order::Refresh { snapshot, .. }
            | Order::Rollback { snapshot, .. } => self.snapshots.get(snapshot).map(|s| &s.data),
            Order::ProvisionAt { moment, .. } | Order::RefreshAt { moment, .. } => {
                self.moments.get(*moment).map(|moment| &moment.data)
            }
            _ => None,
        };
        let mut data = data.cloned().unwrap_or_default();
        match order {
            Order::Provision { name, served, .. } | Order::ProvisionAt { name, served, .. } => {
                let hook = if *served { Hook::of(name) } else { Hook::None };
                data.marks.extend(hook.mark(name));
                let copy = Copy {
                    hook,
                    id: target.to_owned(),
                    data,
                    previous: None,
                    enabled: *served,
                    served: *served,
                    running: *served,
                };
                self.copies.insert(name.clone(), copy);
            }
            Order::Refresh { name, .. }
            | Order::Rollback { name, .. }
            | Order::RefreshAt { name, .. } => {
                let copy = self.copies.entry(name.clone()).or_default();
                if !matches!(order, Order::Rollback { .. }) {
                    data.marks.extend(copy.hook.mark(name));
                }
                copy.previous = Some(std::mem::replace(&mut copy.data, data));
            }
            Order::Undo { name } => {
                let copy = self.copies.entry(name.clone()).or_default();
                let previous = copy.previous.take().unwrap_or_default();
                copy.previous = Some(std::mem::replace(&mut copy.data, previous));
            }
            Order::Enable { name } => {
                let copy = self.copies.entry(name.clone()).or_default();
                (copy.enabled, copy.running) = (true, copy.served);
            }
            Order::Disable { name } => {
                let copy = self.copies.entry(name.clone()).or_default();
                (copy.enabled, copy.running) = (false, false);
            }
            Order::Start { name } => self.copies.entry(name.clone()).or_default().running = true,
            Order::Stop { name, .. } => {
                self.copies.entry(name.clone()).or_default().running = false;
            }
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

    /// A snapshot that an order took, or the engine itself because it has lost the log before it.
    pub(crate) fn learn(
        &mut self,
        id: &str,
        dataset: &str,
        timestamp: &str,
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
        let own = self.logged && dataset == self.dsource;
        if !wanted && !own {
            return Err(format!("snapshot {id} of {dataset} was never ordered"));
        }
        let data = match name {
            Some(name) => self.copies[&name].data.clone(),
            None => self.source_at(timestamp)?,
        };
        let dataset = dataset.to_owned();
        self.snapshots
            .insert(id.to_owned(), Point { dataset, data });
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
