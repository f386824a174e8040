//! Tags, below the path of whatever carries them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use dct::types::{DeleteTags, TagsBody};

use super::error::ApiError;
use super::extract::Body;
use super::vdbs::begin;
use crate::edits::Tagged;
use crate::engine::Engine;

type Shared = State<Arc<Engine>>;

/// `GET` and `POST <path>/{id}/tags`, `POST <path>/{id}/tags/delete`.
pub(super) fn routes(path: &str, of: Tagged) -> Router<Arc<Engine>> {
    let list = async move |State(engine): Shared, Path(id): Path<String>| {
        let tags = Some(engine.tags(of, &id)?);
        Ok::<_, ApiError>(Json(TagsBody { tags }))
    };
    let add = async move |State(engine): Shared,
                          Path(id): Path<String>,
                          Body(request): Body<TagsBody>| {
        let tags = begin(&engine, move |engine| {
            engine.add_tags(of, &id, &request.tags.unwrap_or_default())
        });
        let tags = Some(tags.await?);
        Ok::<_, ApiError>((StatusCode::CREATED, Json(TagsBody { tags })))
    };
    let delete = async move |State(engine): Shared,
                             Path(id): Path<String>,
                             Body(request): Body<DeleteTags>| {
        begin(&engine, move |engine| engine.delete_tags(of, &id, &request)).await?;
        Ok::<_, ApiError>(StatusCode::NO_CONTENT)
    };
    Router::new()
        .route(&format!("{path}/{{id}}/tags"), get(list).post(add))
        .route(&format!("{path}/{{id}}/tags/delete"), post(delete))
}
