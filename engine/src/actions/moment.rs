//! Which snapshot holds a moment, or is the one to be replayed to it.

use dct::types::PointInTime;

use super::choice::{Chosen, dataset, timestamp};
use super::{Refusal, error_chain};
use crate::clock;
use crate::engine::Engine;
use crate::model::{Kind, Object};
use crate::origin::{Archive, Found, Location, Until};
use crate::store::State;

/// By what a moment is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Time,
    Location,
}

/// A snapshot, and how far its log is to be replayed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) snapshot: String,
    /// None if the snapshot holds the moment itself.
    at: Option<String>,
    timestamp: Option<String>,
    location: Option<String>,
}

impl Moment {
    /// The snapshot, as if it had been taken at the moment.
    pub(crate) fn of(self, mut chosen: Chosen) -> Chosen {
        chosen.at = self.at;
        chosen.snapshot.timestamp = self.timestamp.or(chosen.snapshot.timestamp);
        chosen.snapshot.location = self.location.or(chosen.snapshot.location);
        chosen
    }
}

/// What the metadata say.
enum Asked {
    Held(String),
    Behind(Behind),
}

/// A moment after a snapshot of a dSource.
struct Behind {
    dataset: String,
    name: String,
    snapshot: String,
    timestamp: Option<String>,
    text: String,
    until: Until,
    /// The snapshots around it, for a refusal.
    around: String,
}

impl Engine {
    pub(crate) fn moment(
        &self,
        request: &PointInTime,
        by: By,
        fallback: Option<&str>,
    ) -> Result<Moment, Refusal> {
        // The log is read without holding up others.
        match self.store.read(|state| ask(state, request, by, fallback))? {
            Asked::Held(snapshot) => Ok(Moment {
                snapshot,
                at: None,
                timestamp: None,
                location: None,
            }),
            Asked::Behind(behind) => self.behind_snapshot(behind),
        }
    }

    fn behind_snapshot(&self, behind: Behind) -> Result<Moment, Refusal> {
        let Some(found) = self.look_behind(&behind.dataset, &behind.snapshot, behind.until)? else {
            let kept = self
                .source_of(&behind.dataset)
                .is_some_and(|source| source.wal.is_some());
            let why = if kept {
                "the log behind the last before is not there"
            } else {
                "the log between snapshots is not kept: the source has no wal in the settings"
            };
            return Err(Refusal::Invalid(format!(
                "no snapshot of {} holds exactly {}, and {why}; {}",
                behind.name, behind.text, behind.around
            )));
        };
        let last_time = found.last.map(|commit| commit.time);
        let exactly = matches!(behind.until, Until::Time(wanted) if last_time == Some(wanted));
        if !found.passed && !exactly {
            return Err(Refusal::Invalid(beyond(&behind, &found)));
        }
        let commit_time = last_time.and_then(clock::from_micros);
        let place = found.last.map(|commit| commit.location.to_string());
        let (timestamp, location) = match behind.until {
            Until::Time(wanted) => (clock::from_micros(wanted), place.clone()),
            Until::Location(wanted) => {
                let time = commit_time.or(behind.timestamp);
                (time, Some(wanted.to_string()))
            }
        };
        Ok(Moment {
            snapshot: behind.snapshot,
            // Without a commit in between, the snapshot holds what there was at the moment.
            at: place,
            timestamp,
            location,
        })
    }

    /// What the log behind a snapshot of a dSource holds; nothing if there is none.
    pub(crate) fn look_behind(
        &self,
        dsource: &str,
        snapshot: &str,
        until: Until,
    ) -> Result<Option<Found>, Refusal> {
        let place = self.store.read(|state| {
            let object = state.get(Kind::Snapshot, snapshot)?;
            location(object)
        });
        let log = place.and_then(|from| Some((from, self.log_of(dsource, from)?)));
        let Some((from, wal)) = log else {
            return Ok(None);
        };
        let archive = Archive {
            raw: &self.raw_root(snapshot),
            wal: &wal,
        };
        let found = self.origin.find(archive, from, until);
        found.map_err(|error| {
            Refusal::Conflict(format!("the log cannot be read: {}", error_chain(&error)))
        })
    }
}

fn ask(
    state: &State,
    request: &PointInTime,
    by: By,
    fallback: Option<&str>,
) -> Result<Asked, Refusal> {
    let (text, until) = wanted(request, by)?;
    let flow = match request.timeflow_id.as_deref() {
        None => None,
        Some(id) => Some(
            state
                .get(Kind::Timeflow, id)
                .ok_or_else(|| Refusal::NotFound(format!("there is no timeflow {id:?}")))?,
        ),
    };
    let of = flow
        .and_then(|flow| flow.parent.as_deref())
        .or(request.dataset_id.as_deref())
        .or(fallback)
        .ok_or_else(|| Refusal::Invalid("neither timeflow_id nor a dataset is given".to_owned()))?;
    let dataset = dataset(state, of)?;
    let mut known = match until {
        Until::Time(_) => times(state, &dataset.id),
        Until::Location(_) => locations(state, &dataset.id),
    };
    if let Some(flow) = flow {
        known.retain(|(_, s)| s.doc.get("timeflow_id").and_then(|v| v.as_str()) == Some(&flow.id));
    }
    // Times in milliseconds are what clients can name of a snapshot.
    let place = match until {
        Until::Time(micros) => micros.div_euclid(1000),
        Until::Location(location) => location.0.cast_signed(),
    };
    if let Some((_, snapshot)) = known.iter().rev().find(|(at, _)| *at == place) {
        return Ok(Asked::Held(snapshot.id.clone()));
    }
    let around = around(by, place, &known);
    let before = known.iter().rev().find(|(at, _)| *at < place);
    match before {
        Some((_, snapshot)) if dataset.kind == Kind::DSource => Ok(Asked::Behind(Behind {
            dataset: dataset.id.clone(),
            name: dataset.name.clone(),
            snapshot: snapshot.id.clone(),
            timestamp: timestamp(snapshot).map(str::to_owned),
            text,
            until,
            around,
        })),
        _ => {
            let why = if dataset.kind == Kind::DSource {
                "it is before the first"
            } else {
                "nothing between snapshots of a virtual database can be given"
            };
            Err(Refusal::Invalid(format!(
                "no snapshot of {} holds exactly {text}, and {why}; {around}",
                dataset.name
            )))
        }
    }
}

fn wanted(request: &PointInTime, by: By) -> Result<(String, Until), Refusal> {
    if by == By::Location {
        let text = request
            .location
            .clone()
            .ok_or_else(|| Refusal::Invalid("location is missing".to_owned()))?;
        let location = text
            .parse()
            .map_err(|()| Refusal::Invalid(format!("location {text:?} is not like 0/3000028")))?;
        return Ok((text, Until::Location(location)));
    }
    let text = request
        .timestamp
        .clone()
        // Data is kept in UTC, and so is the zone that snapshots name.
        .or_else(|| {
            Some(format!(
                "{}Z",
                request.timestamp_in_database_timezone.as_deref()?
            ))
        })
        .ok_or_else(|| Refusal::Invalid("timestamp is missing".to_owned()))?;
    let micros = clock::micros(&text).ok_or_else(|| {
        Refusal::Invalid(format!(
            "timestamp {text:?} is not like 2026-11-23T10:00:00Z"
        ))
    })?;
    Ok((text, Until::Time(micros)))
}

/// Snapshots of a dataset by the time of their data, in milliseconds: what clients can name.
pub(crate) fn times<'a>(state: &'a State, dataset: &'a str) -> Vec<(i64, &'a Object)> {
    let time = |s: &Object| clock::instant(timestamp(s)?);
    by(state, dataset, time)
}

/// Snapshots of a dataset by their place in its log.
pub(crate) fn locations<'a>(state: &'a State, dataset: &'a str) -> Vec<(i64, &'a Object)> {
    by(state, dataset, |s| Some(location(s)?.0.cast_signed()))
}

fn by<'a>(
    state: &'a State,
    dataset: &'a str,
    order: impl Fn(&Object) -> Option<i64>,
) -> Vec<(i64, &'a Object)> {
    let mut known: Vec<(i64, &Object)> = state
        .live(Kind::Snapshot)
        .filter(|s| s.parent.as_deref() == Some(dataset))
        .filter_map(|s| Some((order(s)?, s)))
        .collect();
    known.sort_by_key(|(at, snapshot)| (*at, snapshot.number));
    known
}

fn location(snapshot: &Object) -> Option<Location> {
    snapshot.doc.get("location")?.as_str()?.parse().ok()
}

fn around(by: By, place: i64, known: &[(i64, &Object)]) -> String {
    let show = |found: Option<&(i64, &Object)>| {
        found.map_or_else(
            || "none".to_owned(),
            |(_, s)| {
                let field = match by {
                    By::Time => "timestamp",
                    By::Location => "location",
                };
                let value = s.doc.get(field).and_then(|v| v.as_str());
                format!("{} ({})", value.unwrap_or_default(), s.id)
            },
        )
    };
    format!(
        "the last before: {}; the first after: {}",
        show(known.iter().rev().find(|(at, _)| *at < place)),
        show(known.iter().find(|(at, _)| *at > place)),
    )
}

fn beyond(behind: &Behind, found: &Found) -> String {
    let (text, name, around) = (&behind.text, &behind.name, &behind.around);
    let last = match behind.until {
        Until::Time(_) => {
            let time = found.last.and_then(|c| clock::from_micros(c.time));
            time.or_else(|| behind.timestamp.clone())
                .unwrap_or_default()
        }
        Until::Location(_) => found.end.to_string(),
    };
    format!(
        "{text} is after the last commit that was received of {name}; the last possible is {last}; {around}"
    )
}
