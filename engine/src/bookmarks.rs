//! Bookmarks: names for points of virtual databases that should stay, until a day or for ever.

mod lifetime;

use dct::types::{
    Bookmark, BookmarkAnswer, BookmarkVdb, CreateBookmark, Job, Snapshot, Timeflow, UpdateBookmark,
    Vdb,
};

use crate::actions::{
    Order, Refusal, at_rest, checked_name, checked_tags, free, going, order_on, snapshot, typed,
};
use crate::deletion;
use crate::engine::Engine;
use crate::model::{Intent, Kind, Object, Phase, TakenOf};
use crate::snapshots::Copied;
use crate::store::{Draft, State};
use crate::{clock, document};

pub(crate) use lifetime::checked_date;
use lifetime::keep_until;

impl Engine {
    /// Of virtual databases as they are now, for which snapshots are taken, or of snapshots that exist.
    pub fn bookmark(&self, request: &CreateBookmark) -> Result<BookmarkAnswer, Refusal> {
        let name = checked_name(Some(request.name.as_deref().unwrap_or_default()))?;
        let tags = request.tags.clone().unwrap_or_default();
        checked_tags(&tags)?;
        let mut doc = Bookmark {
            id: Kind::Bookmark.id(0),
            name: Some(name.clone()),
            creation_date: Some(clock::now()),
            bookmark_source: Some("DCT".to_owned()),
            bookmark_status: Some("ACTIVE".to_owned()),
            bookmark_type: Some(checked_type(request.bookmark_type.as_deref())?),
            tags: Some(tags).filter(|t| !t.is_empty()),
            ..Bookmark::default()
        };
        let days = request.retention;
        keep_until(
            &mut doc,
            request.expiration.as_deref(),
            days,
            request.retain_forever,
        )?;
        self.store.change(|draft| {
            if let Some(other) = draft.state.named(Kind::Bookmark, "", &name) {
                return Err(Refusal::Conflict(format!(
                    "a bookmark named {name:?} exists already: {}",
                    other.id
                )));
            }
            let taken = self.entries(draft, request, &mut doc)?;
            let intent = Intent::Bookmark {
                bookmark: doc.id.clone(),
                taken,
            };
            self.room_for(draft.state, &intent)?;
            let number = draft.number();
            let order = Order {
                kind: "BOOKMARK_CREATE",
                target: &doc.id,
                name: &name,
                intent,
                warning: None,
            };
            let job = order.begin(draft);
            draft.put(Object {
                number,
                kind: Kind::Bookmark,
                id: doc.id.clone(),
                name: name.clone(),
                scope: String::new(),
                phase: Phase::Creating,
                parent: None,
                doc: document(&doc),
            });
            let mut seen = doc.clone();
            // Later versions have the word CREATING, which the SDK of document 3.25 refuses.
            seen.bookmark_status = Some("INACTIVE".to_owned());
            Ok(BookmarkAnswer {
                bookmark: Some(seen),
                job: Some(job),
            })
        })
    }

    /// Fills in what the bookmark names; returns the snapshots that have to be taken for it.
    fn entries(
        &self,
        draft: &mut Draft<'_>,
        request: &CreateBookmark,
        doc: &mut Bookmark,
    ) -> Result<Vec<TakenOf>, Refusal> {
        let given = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let (mut vdbs, known) = (given(&request.vdb_ids), given(&request.snapshot_ids));
        if let Some(id) = request.vdb_group_id.as_deref() {
            let group = draft
                .state
                .resolve(Kind::VdbGroup, id)
                .ok_or_else(|| Refusal::NotFound(format!("there is no VDB group {id:?}")))?;
            doc.vdb_group_id = Some(group.id.clone());
            doc.vdb_group_name = Some(group.name.clone());
            vdbs.extend(
                typed::<dct::types::VdbGroup>(group)?
                    .vdb_ids
                    .unwrap_or_default(),
            );
        }
        if vdbs.is_empty() == known.is_empty() {
            return Err(Refusal::Invalid(
                "either vdb_ids, vdb_group_id or snapshot_ids is needed; points of timeflows are not served"
                    .to_owned(),
            ));
        }
        let (mut entries, mut taken) = (Vec::new(), Vec::new());
        for wanted in vdbs {
            let (entry, of) = self.new_point(draft, &wanted, &doc.id)?;
            entries.push(entry);
            taken.push(of);
        }
        for wanted in known {
            entries.push(of_snapshot(draft.state, &wanted)?);
        }
        let ids: Vec<String> = entries.iter().filter_map(|e| e.vdb_id.clone()).collect();
        if ids.iter().enumerate().any(|(i, id)| ids[..i].contains(id)) {
            return Err(Refusal::Invalid(
                "a bookmark names each virtual database once".to_owned(),
            ));
        }
        doc.data_timestamp = entries
            .iter()
            .filter_map(|e| e.data_timestamp.clone())
            .max();
        if let [only] = entries.as_slice() {
            doc.timeflow_id.clone_from(&only.timeflow_id);
        }
        doc.vdb_ids = Some(ids);
        doc.vdbs = Some(entries);
        Ok(taken)
    }

    /// A snapshot to be taken of a virtual database as it is now.
    fn new_point(
        &self,
        draft: &mut Draft<'_>,
        wanted: &str,
        bookmark: &str,
    ) -> Result<(BookmarkVdb, TakenOf), Refusal> {
        let id = draft
            .state
            .resolve(Kind::Vdb, wanted)
            .ok_or_else(|| crate::edits::no_vdb(wanted))?
            .id
            .clone();
        let vdb = free(draft.state, &id)?.clone();
        self.can_snapshot(&vdb)?;
        let id = self.new_snapshot(draft, &vdb)?;
        let object = draft
            .object(Kind::Snapshot, &id)
            .ok_or_else(|| crate::store::Error::Damaged(format!("{id} is missing")))?;
        let entry = entry(draft.state, &vdb, &typed(&object)?)?;
        // Its scope is the bookmark it was taken for: it goes with that.
        draft.put(Object {
            scope: bookmark.to_owned(),
            // Two of the same microsecond would have the same name in it.
            name: id.clone(),
            ..object
        });
        let taken = TakenOf {
            vdb: vdb.id,
            snapshot: id,
        };
        Ok((entry, taken))
    }

    pub fn update_bookmark(&self, id: &str, request: &UpdateBookmark) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let object = idle(draft.state, id)?.clone();
            let mut doc: Bookmark = typed(&object)?;
            let name = match request.name.as_deref() {
                Some(name) => checked_name(Some(name))?,
                None => object.name.clone(),
            };
            let taken = draft.state.named(Kind::Bookmark, "", &name);
            if taken.is_some_and(|other| other.number != object.number) {
                return Err(Refusal::Conflict(format!(
                    "a bookmark named {name:?} exists already"
                )));
            }
            doc.name = Some(name.clone());
            if let Some(kind) = request.bookmark_type.as_deref() {
                doc.bookmark_type = Some(checked_type(Some(kind))?);
            }
            if request.expiration.is_some() || request.retain_forever.is_some() {
                keep_until(
                    &mut doc,
                    request.expiration.as_deref(),
                    None,
                    request.retain_forever,
                )?;
            }
            let job = order_on(&object, "BOOKMARK_UPDATE", Intent::Nothing).begin(draft);
            draft.put(Object {
                name,
                doc: document(&doc),
                ..object
            });
            Ok(job)
        })
    }

    /// Snapshots that were taken for it go too, unless something else needs them.
    pub fn delete_bookmark(&self, id: &str) -> Result<Job, Refusal> {
        self.store.change(|draft| {
            let object = idle(draft.state, id)?.clone();
            let own = draft
                .state
                .live(Kind::Snapshot)
                .filter(|s| s.scope == object.id);
            let needless = own.filter(|s| {
                let dataset = s.parent.as_deref().unwrap_or_default();
                draft.state.busy(&s.id).is_none()
                    && going(draft.state, dataset).is_none()
                    && deletion::on_snapshot(draft.state, &s.id)
                        .iter()
                        .all(|d| d.id == object.id)
            });
            let intent = Intent::DeleteBookmark {
                bookmark: object.id.clone(),
                snapshots: needless.map(|s| s.id.clone()).collect(),
            };
            Ok(order_on(&object, "BOOKMARK_DELETE", intent).begin(draft))
        })
    }

    /// Its snapshots were taken at these moments, a little after it was ordered.
    pub(crate) fn settle_bookmark(
        draft: &mut Draft<'_>,
        id: &str,
        copied: &[Copied],
    ) -> Result<(), crate::store::Error> {
        let Some(object) = draft.state.any(Kind::Bookmark, id).cloned() else {
            return Ok(());
        };
        let mut doc: Bookmark = typed(&object)?;
        for entry in doc.vdbs.iter_mut().flatten() {
            let of = |c: &&Copied| Some(&c.snapshot) == entry.snapshot_id.as_ref();
            if let Some(at) = copied.iter().find(of).and_then(|c| c.at.clone()) {
                entry.data_timestamp = Some(at.clone());
                doc.data_timestamp = doc.data_timestamp.max(Some(at));
            }
        }
        draft.put(Object {
            phase: Phase::Live,
            doc: document(&doc),
            ..object
        });
        Ok(())
    }
}

fn idle<'a>(state: &'a State, id: &str) -> Result<&'a Object, Refusal> {
    let object = state
        .resolve(Kind::Bookmark, id)
        .ok_or_else(|| Refusal::NotFound(format!("there is no bookmark {id:?}")))?;
    at_rest(state, object)
}

fn of_snapshot(state: &State, wanted: &str) -> Result<BookmarkVdb, Refusal> {
    let object = snapshot(state, wanted)?;
    let vdb = object
        .parent
        .as_deref()
        .and_then(|id| state.get(Kind::Vdb, id))
        .ok_or_else(|| {
            Refusal::Invalid(format!(
                "snapshot {wanted:?} is not of a virtual database; only those are bookmarked"
            ))
        })?;
    for id in [&object.id, &vdb.id] {
        if let Some(job) = state.busy(id) {
            return Err(Refusal::Conflict(format!(
                "job {} still works on {id}",
                job.job.id
            )));
        }
    }
    Ok(entry(state, vdb, &typed(object)?)?)
}

fn entry(
    state: &State,
    vdb: &Object,
    snapshot: &Snapshot,
) -> Result<BookmarkVdb, crate::store::Error> {
    let flow = snapshot
        .timeflow_id
        .as_deref()
        .and_then(|id| state.any(Kind::Timeflow, id));
    let source = match flow {
        Some(flow) => typed::<Timeflow>(flow)?.source_data_timestamp,
        None => None,
    };
    Ok(BookmarkVdb {
        vdb_id: Some(vdb.id.clone()),
        vdb_name: Some(vdb.name.clone()),
        snapshot_id: Some(snapshot.id.clone()),
        source_data_timestamp: source,
        root_parent_id: typed::<Vdb>(vdb)?.root_parent_id,
        timeflow_id: snapshot.timeflow_id.clone(),
        data_timestamp: snapshot.timestamp.clone(),
    })
}

fn checked_type(kind: Option<&str>) -> Result<String, Refusal> {
    match kind.unwrap_or("PRIVATE") {
        kind @ ("PRIVATE" | "PUBLIC") => Ok(kind.to_owned()),
        other => Err(Refusal::Invalid(format!(
            "bookmark_type {other:?} is neither PUBLIC nor PRIVATE"
        ))),
    }
}
