//! What gives a VDB other data and leaves it the same: refreshes, rewinds, snapshots; and locks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use dct::types::{
    BySnapshot, FromBookmark, Job, JobAnswer, LockVdb, PointInTime, ProvisionAnswer,
    ProvisionBySnapshot, ProvisionByTimestamp, ProvisionFromBookmark, SearchBody, StopVdb, Vdb,
};
use serde_json::{Value, json};

use super::attributes;
use super::error::ApiError;
use super::extract::Body;
use super::page::{List, Wanted, page};
use super::vdbs::{begin, id_of, started};
use crate::actions::Refusal;
use crate::deletion;
use crate::engine::Engine;
use crate::model::{ENGINE_ID, Kind};

type Shared = State<Arc<Engine>>;
type Begun = Result<Json<JobAnswer>, ApiError>;

/// The engine's account: keys have no other.
pub(super) const ACCOUNT: i64 = 1;

async fn on_vdb(
    engine: Arc<Engine>,
    id: String,
    action: impl FnOnce(&Engine, &str) -> Result<Job, Refusal> + Send + 'static,
) -> Begun {
    let job = begin(&engine, move |engine| action(engine, &id_of(engine, &id)?)).await?;
    Ok(started(&engine, job))
}

/// An action of one body on one VDB.
macro_rules! action {
    ($name:ident, $body:ty, $method:ident) => {
        pub(super) async fn $name(
            State(engine): Shared,
            Path(id): Path<String>,
            Body(request): Body<$body>,
        ) -> Begun {
            on_vdb(engine, id, move |engine, id| engine.$method(id, &request)).await
        }
    };
}

action!(refresh_by_snapshot, BySnapshot, refresh);
action!(refresh_by_timestamp, PointInTime, refresh_at);
action!(refresh_by_location, PointInTime, refresh_at_location);
action!(refresh_from_bookmark, FromBookmark, refresh_from_bookmark);
action!(rollback_by_snapshot, BySnapshot, rollback);
action!(rollback_by_timestamp, PointInTime, rollback_at);
action!(rollback_from_bookmark, FromBookmark, rollback_from_bookmark);

pub(super) async fn undo_refresh(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(_): Body<Value>,
) -> Begun {
    on_vdb(engine, id, Engine::undo_refresh).await
}

pub(super) async fn take_snapshot(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(_): Body<Value>,
) -> Begun {
    on_vdb(engine, id, Engine::snapshot_vdb).await
}

action!(stop, StopVdb, stop_vdb);

pub(super) async fn start(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(_): Body<Value>,
) -> Begun {
    on_vdb(engine, id, Engine::start_vdb).await
}

pub(super) async fn provision_empty(
    State(engine): Shared,
    Body(request): Body<ProvisionBySnapshot>,
) -> Result<Json<ProvisionAnswer>, ApiError> {
    let answer = begin(&engine, move |engine| engine.provision_empty(&request)).await?;
    if let Some(job) = &answer.job {
        engine.start(&job.id);
    }
    Ok(Json(answer))
}

pub(super) async fn provision_by_timestamp(
    State(engine): Shared,
    Body(request): Body<ProvisionByTimestamp>,
) -> Result<Json<ProvisionAnswer>, ApiError> {
    let answer = begin(&engine, move |engine| engine.provision_at(&request)).await?;
    Ok(provisioned(&engine, answer))
}

pub(super) async fn provision_by_location(
    State(engine): Shared,
    Body(request): Body<ProvisionByTimestamp>,
) -> Result<Json<ProvisionAnswer>, ApiError> {
    let answer = begin(&engine, move |engine| {
        engine.provision_at_location(&request)
    })
    .await?;
    Ok(provisioned(&engine, answer))
}

pub(super) async fn provision_from_bookmark(
    State(engine): Shared,
    Body(request): Body<ProvisionFromBookmark>,
) -> Result<Json<ProvisionAnswer>, ApiError> {
    let answer = begin(&engine, move |engine| {
        engine.provision_from_bookmark(&request)
    })
    .await?;
    Ok(provisioned(&engine, answer))
}

fn provisioned(engine: &Arc<Engine>, answer: ProvisionAnswer) -> Json<ProvisionAnswer> {
    if let Some(job) = &answer.job {
        engine.start(&job.id);
    }
    Json(answer)
}

pub(super) async fn lock(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(request): Body<LockVdb>,
) -> Result<Json<Vdb>, ApiError> {
    let account = request.account_id.unwrap_or(ACCOUNT);
    if account != ACCOUNT {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!("there is no account {account}; this engine has the account {ACCOUNT} alone"),
        ));
    }
    let name = engine.settings.engine_name.clone();
    let locked = begin(&engine, move |engine| {
        engine.lock(&id, Some((account, name)))
    });
    Ok(Json(locked.await?))
}

pub(super) async fn unlock(
    State(engine): Shared,
    Path(id): Path<String>,
    Body(_): Body<Value>,
) -> Result<Json<Vdb>, ApiError> {
    let unlocked = begin(&engine, move |engine| engine.lock(&id, None));
    Ok(Json(unlocked.await?))
}

pub(super) async fn snapshots(
    State(engine): Shared,
    Path(id): Path<String>,
    wanted: Wanted,
) -> Result<List, ApiError> {
    let id = id_of(&engine, &id)?;
    let found = engine.store.read(|state| {
        let own = state.live(Kind::Snapshot);
        let own = own.filter(|s| s.parent.as_deref() == Some(id.as_str()));
        own.map(super::catalog::numbered).collect::<Vec<_>>()
    });
    page(
        &found,
        &attributes::SNAPSHOT,
        &SearchBody::default(),
        &wanted,
    )
}

pub(super) async fn bookmarks(
    State(engine): Shared,
    Path(id): Path<String>,
    wanted: Wanted,
) -> Result<List, ApiError> {
    bookmarks_of(&engine, &id, &SearchBody::default(), &wanted)
}

pub(super) async fn search_bookmarks(
    State(engine): Shared,
    Path(id): Path<String>,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    bookmarks_of(&engine, &id, &search, &wanted)
}

fn bookmarks_of(
    engine: &Engine,
    id: &str,
    search: &SearchBody,
    wanted: &Wanted,
) -> Result<List, ApiError> {
    let id = id_of(engine, id)?;
    let mut found = super::catalog::all(engine, Kind::Bookmark);
    found.retain(|(_, doc)| {
        let ids = doc.get("vdb_ids").map(|v| v.value());
        let ids = ids.as_ref().and_then(|v| v.as_array());
        ids.into_iter().flatten().any(|vdb| vdb == id.as_str())
    });
    page(&found, &attributes::BOOKMARK, search, wanted)
}

/// What has to go before the VDB can.
pub(super) async fn dependencies(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = id_of(&engine, &id)?;
    let items = engine.store.read(|state| {
        let found = deletion::on_vdb(state, &id);
        let item = |d: &deletion::Dependant| {
            let vdb = state.get(Kind::Vdb, &d.id);
            let parent = vdb
                .and_then(|vdb| vdb.doc.get("parent_id"))
                .map(|v| v.value());
            let mut item =
                json!({ "engine_id": ENGINE_ID, "dataset_id": d.id, "dataset_name": d.name });
            if let Some(parent) = parent {
                item["parent_id"] = parent;
            }
            item
        };
        found.iter().map(item).collect::<Vec<Value>>()
    });
    Ok(Json(json!({ "items": items })))
}
