//! Segments that no kept snapshot needs go.

use std::path::{Path, PathBuf};

use pgdata::wal;

use crate::clock;
use crate::engine::Engine;
use crate::error_chain;
use crate::model::{Intent, Kind};
use crate::origin::Location;
use crate::storage;

impl Engine {
    /// Removes what is before the oldest snapshot that moments are wanted from.
    pub fn tidy_log(&self, dsource: &str) {
        let replays = self.store.read(|state| {
            state.jobs().any(|job| {
                matches!(
                    &job.intent,
                    Some(
                        Intent::Provision { at: Some(_), .. } | Intent::Refresh { at: Some(_), .. }
                    )
                )
            })
        });
        // A replay may need the oldest; the next round comes soon.
        if replays {
            return;
        }
        let keep = self
            .source_of(dsource)
            .and_then(|source| source.wal.as_ref()?.keep());
        let oldest = keep.and_then(|keep| {
            let keep = i64::try_from(keep.as_millis()).ok()?;
            Some(clock::unix_seconds() * 1000 - keep)
        });
        let needed = needed(self.points(dsource), oldest);
        let generations: Vec<PathBuf> = self
            .generations(dsource)
            .into_iter()
            .map(|(_, p)| p)
            .collect();
        for (index, path) in generations.iter().enumerate() {
            let own = needed
                .iter()
                .filter(|place| self.log_of(dsource, **place).as_ref() == Some(path));
            let newest = index + 1 == generations.len();
            let removed = match own.min() {
                Some(place) => remove_before(path, *place),
                // A new base backup is on its way.
                None if newest || needed.is_empty() => Ok(()),
                None => storage::files("delete", path, std::fs::remove_dir_all(path)),
            };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), "{}", error_chain(&error));
            }
        }
    }

    /// Places of a dSource's snapshots and the times of their data, in milliseconds.
    fn points(&self, dsource: &str) -> Vec<(Location, i64)> {
        self.store.read(|state| {
            let own = state.live(Kind::Snapshot);
            let own = own.filter(|s| s.parent.as_deref() == Some(dsource));
            own.filter_map(|s| {
                let place = s.doc.get("location")?.as_str()?.parse().ok()?;
                Some((place, clock::instant(s.doc.get("timestamp")?.as_str()?)?))
            })
            .collect()
        })
    }
}

/// The snapshots that moments may be asked behind: all, or from the last one before the oldest moment that is wanted.
fn needed(mut points: Vec<(Location, i64)>, oldest: Option<i64>) -> Vec<Location> {
    points.sort_unstable_by_key(|(place, time)| (*time, *place));
    let first = oldest.and_then(|oldest| points.iter().rposition(|(_, time)| *time <= oldest));
    let points = points.into_iter().skip(first.unwrap_or_default());
    points.map(|(place, _)| place).collect()
}

fn remove_before(generation: &Path, place: Location) -> Result<(), storage::Error> {
    for path in storage::files("list", generation, wal::before(generation, place))? {
        storage::files("delete", &path, std::fs::remove_file(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_that_are_wanted_keep_the_snapshot_before_them() {
        let points = vec![
            (Location(30), 300),
            (Location(10), 100),
            (Location(20), 200),
        ];
        let at = |oldest| {
            needed(points.clone(), oldest)
                .into_iter()
                .map(|p| p.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(at(None), [10, 20, 30]);
        assert_eq!(at(Some(50)), [10, 20, 30]);
        assert_eq!(at(Some(250)), [20, 30]);
        assert_eq!(at(Some(999)), [30]);
        assert!(needed(Vec::new(), Some(1)).is_empty());
    }
}
