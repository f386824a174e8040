//! What the tower is made of. An embedded engine is one engine with one plugin.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use dct::types::{Engine as EngineDoc, Environment, ProductInfo, Repository, SearchBody, Toolkit};
use serde_json::Value;

use super::attributes;
use super::error::ApiError;
use super::extract::Body;
use super::page::{Cut, List, Numbered, Shown, Wanted, page, page_of};
use crate::actions::{Dataset, Refusal, snapshot, typed};
use crate::doc::{Doc, Row};
use crate::document;
use crate::engine::Engine;
use crate::filter::Filter;
use crate::linking::major;
use crate::model::{ENGINE_ID, Kind, Object, TOOLKIT_ID};

/// The document whose shapes are served; container mode came with 3.25.
const API_VERSION: &str = "3.28.0";

type Shared = State<Arc<Engine>>;

pub(super) async fn product_info(State(engine): Shared) -> Json<ProductInfo> {
    Json(ProductInfo {
        api_version: Some(API_VERSION.to_owned()),
        product_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        product_name: Some("postgres-vdb-platform embedded engine".to_owned()),
        system_uuid: Some(engine.store.read(|state| state.system_uuid.clone())),
        supported_api_versions: Some(vec!["v3".to_owned()]),
        deployment_mode: None,
    })
}

fn this(engine: &Engine) -> EngineDoc {
    EngineDoc {
        id: ENGINE_ID.to_owned(),
        uuid: Some(engine.store.read(|state| state.system_uuid.clone())),
        name: Some(engine.settings.engine_name.clone()),
        hostname: Some(engine.settings.listen.ip().to_string()),
        kind: Some("VIRTUALIZATION".to_owned()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        status: Some("CREATED".to_owned()),
        connection_status: Some("ONLINE".to_owned()),
        engine_connection_status: Some("ONLINE".to_owned()),
        ..EngineDoc::default()
    }
}

pub(super) async fn engines(State(engine): Shared, wanted: Wanted) -> Result<List, ApiError> {
    page(
        &[(0, document(&this(&engine)))],
        &attributes::ENGINE,
        &SearchBody::default(),
        &wanted,
    )
}

pub(super) async fn search_engines(
    State(engine): Shared,
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    page(
        &[(0, document(&this(&engine)))],
        &attributes::ENGINE,
        &search,
        &wanted,
    )
}

pub(super) async fn engine(
    State(engine): Shared,
    Path(id): Path<String>,
) -> Result<Json<EngineDoc>, ApiError> {
    let this = this(&engine);
    if id == this.id || Some(&id) == this.name.as_ref() {
        Ok(Json(this))
    } else {
        Err(ApiError::not_found("engine", &id))
    }
}

fn toolkit() -> Doc {
    let toolkit = Toolkit {
        id: TOOLKIT_ID.to_owned(),
        name: Some(TOOLKIT_ID.to_owned()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        engine_id: Some(ENGINE_ID.to_owned()),
    };
    document(&toolkit)
}

pub(super) async fn toolkits(wanted: Wanted) -> Result<List, ApiError> {
    page(
        &[(0, toolkit())],
        &attributes::TOOLKIT,
        &SearchBody::default(),
        &wanted,
    )
}

pub(super) async fn search_toolkits(
    wanted: Wanted,
    Body(search): Body<SearchBody>,
) -> Result<List, ApiError> {
    page(&[(0, toolkit())], &attributes::TOOLKIT, &search, &wanted)
}

pub(super) async fn one_toolkit(Path(id): Path<String>) -> Result<Json<Shown>, ApiError> {
    if id == TOOLKIT_ID {
        Ok(Json(Shown(toolkit())))
    } else {
        Err(ApiError::not_found("toolkit", &id))
    }
}

/// All live objects of a kind as callers see them.
pub(super) fn all(engine: &Engine, kind: Kind) -> Vec<Numbered> {
    engine
        .store
        .read(|state| state.live(kind).map(numbered).collect())
}

fn row(object: &Object) -> Row<'_> {
    Row {
        number: object.number,
        ..Row::from(&object.doc)
    }
}

pub(super) fn numbered(object: &Object) -> Numbered {
    (object.number, object.doc.clone())
}

/// The same without those that an id, a name or a tag of the search leaves out, in the order of creation.
pub(super) fn found(engine: &Engine, kind: Kind, filter: Option<&Filter>, cut: &mut Cut<'_>) {
    let ids = filter.and_then(|f| f.only("id"));
    // Other kinds show another name than the one they are kept under.
    let names = filter
        .filter(|_| kind == Kind::Vdb)
        .and_then(|f| f.only("name"));
    let tag = filter.and_then(Filter::tag);
    engine.store.read(|state| {
        let seen = (kind == Kind::Vdb).then(|| engine.sizes_seen());
        let beside = |doc: &Doc| seen.as_ref()?.of(doc.get("id")?.as_str()?);
        let some: BTreeMap<u64, &Object> = if let Some(ids) = ids {
            let objects = ids.into_iter().filter_map(|id| state.get(kind, id));
            objects.map(|o| (o.number, o)).collect()
        } else if let Some(names) = names {
            let objects = names.into_iter().flat_map(|n| state.live_named(kind, n));
            objects.map(|o| (o.number, o)).collect()
        } else if let Some((key, value)) = tag {
            let objects = state.live_tagged(kind, key, value);
            objects.map(|o| (o.number, o)).collect()
        } else {
            return cut(&mut state.live(kind).map(row), &beside);
        };
        cut(&mut some.values().copied().map(row), &beside);
    });
}

/// One of them, by id or by a name that only one has.
pub(super) fn one(
    engine: &Engine,
    kind: Kind,
    what: &str,
    id: &str,
) -> Result<Json<Shown>, ApiError> {
    let doc = engine
        .store
        .read(|state| state.resolve(kind, id).map(|o| o.doc.clone()));
    doc.map(|doc| Json(Shown(doc)))
        .ok_or_else(|| ApiError::not_found(what, id))
}

/// Hosts with programs of the snapshot's major version, and of each host only these.
pub(super) async fn compatible(
    State(engine): Shared,
    Body(request): Body<dct::types::BySnapshot>,
) -> Result<Json<Value>, ApiError> {
    let wanted = match request.snapshot_id.as_deref() {
        None => None,
        Some(id) => engine.store.read(|state| {
            let snapshot = snapshot(state, id)?;
            let dataset = Dataset::of(state, snapshot)?;
            Ok::<_, Refusal>(dataset.and_then(|d| major(d.version.as_deref())))
        })?,
    };
    let environments: Vec<Environment> = engine
        .store
        .read(|state| {
            state
                .live(Kind::Environment)
                .map(typed)
                .collect::<Result<_, _>>()
        })
        .map_err(Refusal::from)?;
    let fits = |repository: &Repository| {
        wanted.is_none() || major(repository.version.as_deref()) == wanted
    };
    let compatible = |mut environment: Environment| {
        let repositories = environment.repositories.get_or_insert_default();
        repositories.retain(fits);
        (!repositories.is_empty()).then_some(environment)
    };
    let items: Vec<Environment> = environments.into_iter().filter_map(compatible).collect();
    Ok(Json(serde_json::json!({ "items": items })))
}

/// Lists, searches and single objects of a kind that is shown as it is kept.
pub(super) fn objects(
    path: &str,
    kind: Kind,
    what: &'static str,
    fields: &'static [&'static str],
) -> Router<Arc<Engine>> {
    let list = move |State(engine): Shared, wanted: Wanted| async move {
        page_of(
            |filter, cut| found(&engine, kind, filter, cut),
            fields,
            &SearchBody::default(),
            &wanted,
        )
    };
    let search = move |State(engine): Shared, wanted: Wanted, Body(search): Body<SearchBody>| async move {
        page_of(
            |filter, cut| found(&engine, kind, filter, cut),
            fields,
            &search,
            &wanted,
        )
    };
    let single = move |State(engine): Shared, Path(id): Path<String>| async move {
        one(&engine, kind, what, &id)
    };
    Router::new()
        .route(path, get(list))
        .route(&format!("{path}/search"), post(search))
        .route(&format!("{path}/{{id}}"), get(single))
}
