//! Reports, computed when they are asked for. What is not known is left out, never zero.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use dct::types::SearchBody;
use serde_json::{Map, Value, json};

use super::attributes;
use super::catalog::all;
use super::error::ApiError;
use super::extract::Body;
use super::page::{List, Numbered, Shown, Wanted, page};
use super::vdbs::begin;
use crate::doc::Doc;
use crate::engine::Engine;
use crate::model::{ENGINE_ID, Kind};
use crate::storage::{self, Bytes};

/// A report takes no longer to look at the disk; the rest of its page shows what was last seen.
const LOOKING: Duration = Duration::from_secs(10);

type Shared = State<Arc<Engine>>;

pub(super) async fn inventory(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    inventoried(&engine, &SearchBody::default(), &wanted).await
}

pub(super) async fn search_inventory(
    State(engine): Shared,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    inventoried(&engine, &search, &wanted).await
}

/// Rows are found and sorted by the sizes last seen; those of the page are looked at now, as far as the time goes.
async fn inventoried(
    engine: &Arc<Engine>,
    search: &SearchBody,
    wanted: &Wanted,
) -> Result<List, ApiError> {
    let Json(mut rows) = page(&vdbs(engine), &attributes::INVENTORY, search, wanted)?;
    let shown = std::mem::take(&mut rows.items);
    rows.items = begin(engine, move |engine| {
        let until = Instant::now() + LOOKING;
        let look = |Shown(row): Shown| {
            let Some(id) = row.get("vdb_id").and_then(|v| v.as_str()) else {
                return Shown(row);
            };
            if Instant::now() >= until {
                return Shown(row);
            }
            let mut seen = row.value();
            match engine.size_of(id) {
                Some(bytes) => seen["storage_size"] = bytes.own.into(),
                None => {
                    seen.as_object_mut().map(|row| row.remove("storage_size"));
                }
            }
            Shown(seen.into())
        };
        Ok(shown.into_iter().map(look).collect())
    })
    .await?;
    Ok(Json(rows))
}

fn vdbs(engine: &Engine) -> Vec<Numbered> {
    let row = |(number, vdb): Numbered| {
        let mut row = Map::new();
        for field in attributes::INVENTORY.iter().copied() {
            let from = match field {
                "vdb_id" => "id",
                "type" => "database_type",
                "version" => "database_version",
                same => same,
            };
            if let Some(value) = vdb.get(from) {
                row.insert(field.to_owned(), value.value());
            }
        }
        let id = vdb.get("id").and_then(|v| v.as_str()).unwrap_or_default();
        if let Some(bytes) = engine.last_size(id) {
            row.insert("storage_size".to_owned(), bytes.own.into());
        }
        (number, Value::Object(row).into())
    };
    all(engine, Kind::Vdb).into_iter().map(row).collect()
}

pub(super) async fn savings(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    let rows = on_disk(&engine, savings_of).await?;
    page(&rows, &attributes::SAVINGS, &SearchBody::default(), &wanted)
}

pub(super) async fn search_savings(
    State(engine): Shared,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    let rows = on_disk(&engine, savings_of).await?;
    page(&rows, &attributes::SAVINGS, &search, &wanted)
}

/// Looks at the disk, off the threads that answer.
async fn on_disk(
    engine: &Arc<Engine>,
    look: impl FnOnce(&Engine) -> Vec<(u64, Value)> + Send + 'static,
) -> Result<Vec<Numbered>, ApiError> {
    let rows = begin(engine, move |engine| Ok(look(engine))).await?;
    let row = |(number, row): (u64, Value)| (number, row.into());
    Ok(rows.into_iter().map(row).collect())
}

fn savings_of(engine: &Engine) -> Vec<(u64, Value)> {
    let vdbs = all(engine, Kind::Vdb);
    let row = |(number, dsource): Numbered| (number, saved(engine, &dsource, &vdbs));
    all(engine, Kind::DSource).into_iter().map(row).collect()
}

/// A dSource with its copies: what they take, and what they would take without sharing.
fn saved(engine: &Engine, dsource: &Doc, vdbs: &[Numbered]) -> Value {
    let text = |doc: &Doc, name: &str| Some(doc.get(name)?.as_str()?.to_owned());
    let id = text(dsource, "id");
    let own: Vec<&Doc> = vdbs
        .iter()
        .map(|(_, vdb)| vdb)
        .filter(|vdb| text(vdb, "parent_dsource_id") == id)
        .collect();
    let mut row = json!({
        "dsource_id": id,
        "name": text(dsource, "name"),
        "engine_name": text(dsource, "engine_name"),
        "dependant_vdbs": own.len(),
        "is_replica": false,
    });
    let snapshots = id.as_deref().and_then(|id| engine.size_of_snapshots(id));
    let copies: Option<Vec<Bytes>> = own
        .iter()
        .map(|vdb| engine.size_of(vdb.get("id")?.as_str()?))
        .collect();
    if let (Some(snapshots), Some(copies)) = (snapshots, copies) {
        let whole = snapshots.whole + copies.iter().map(|c| c.whole).sum::<u64>();
        let taken = snapshots.held + copies.iter().map(|c| c.own).sum::<u64>();
        row["unvirtualized_space"] = whole.into();
        row["virtualized_space"] = taken.into();
        row["estimated_savings"] = whole.saturating_sub(taken).into();
    }
    row
}

pub(super) async fn summary(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    let rows = on_disk(&engine, |engine| vec![(0, of_engine(engine))]).await?;
    page(&rows, &attributes::SUMMARY, &SearchBody::default(), &wanted)
}

pub(super) async fn search_summary(
    State(engine): Shared,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    let rows = on_disk(&engine, |engine| vec![(0, of_engine(engine))]).await?;
    page(&rows, &attributes::SUMMARY, &search, &wanted)
}

fn of_engine(engine: &Engine) -> Value {
    let (dsources, vdbs) = engine.store.read(|state| {
        let count = |kind| state.live(kind).count();
        (count(Kind::DSource), count(Kind::Vdb))
    });
    let mut row = json!({
        "engine_id": ENGINE_ID,
        "engine_name": engine.settings.engine_name,
        "engine_hostname": engine.settings.listen.ip().to_string(),
        "dsource_count": dsources,
        "vdb_count": vdbs,
        "total_object_count": dsources + vdbs,
    });
    if let Some((total, free)) = storage::capacity(&engine.settings.pool) {
        row["total_capacity"] = total.into();
        row["free_storage"] = free.into();
        row["used_storage"] = total.saturating_sub(free).into();
    }
    row
}
