//! The tower's interface. This file lists every route; what is not here is answered honestly as not served.

mod auth;
mod catalog;
mod datasets;
mod error;
mod extract;
mod jobs;
mod page;
mod vdbs;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use axum::{Json, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

pub use auth::Keys;

use crate::engine::Engine;

/// Bodies are small; the largest list of tags stays below.
const LARGEST_BODY: usize = 8 << 20;
/// Answers come from memory; only a disk that hangs takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

pub fn router(engine: Arc<Engine>, keys: Arc<Keys>) -> Router {
    let api = Router::new()
        .route("/reporting/product_info", get(catalog::product_info))
        .route("/management/engines", get(catalog::engines))
        .route("/management/engines/search", post(catalog::search_engines))
        .route("/management/engines/{id}", get(catalog::engine))
        .route("/groups", get(catalog::groups))
        .route("/groups/search", post(catalog::search_groups))
        .route("/groups/{id}", get(catalog::group))
        .route("/toolkits", get(catalog::toolkits))
        .route("/toolkits/search", post(catalog::search_toolkits))
        .route("/environments", get(catalog::environments))
        .route("/environments/search", post(catalog::search_environments))
        .route("/environments/{id}", get(catalog::environment))
        .route("/sources", get(catalog::sources))
        .route("/sources/search", post(catalog::search_sources))
        .route("/sources/{id}", get(catalog::source))
        .route("/dsources", get(datasets::dsources))
        .route("/dsources/search", post(datasets::search_dsources))
        .route("/dsources/appdata", post(datasets::link))
        .route("/dsources/{id}", get(datasets::dsource))
        .route(
            "/dsources/{id}/snapshots",
            get(datasets::snapshots_of).post(datasets::take_snapshot),
        )
        .route("/snapshots", get(datasets::snapshots))
        .route("/snapshots/search", post(datasets::search_snapshots))
        .route("/snapshots/{id}", get(datasets::snapshot))
        .route("/vdbs", get(vdbs::list))
        .route("/vdbs/search", post(vdbs::search))
        .route("/vdbs/provision_by_snapshot", post(vdbs::provision))
        .route("/vdbs/{id}", get(vdbs::one).patch(vdbs::update))
        .route("/vdbs/{id}/enable", post(vdbs::enable))
        .route("/vdbs/{id}/disable", post(vdbs::disable))
        .route("/vdbs/{id}/delete", post(vdbs::delete))
        .route("/vdbs/{id}/tags", get(vdbs::tags).post(vdbs::add_tags))
        .route("/vdbs/{id}/tags/delete", post(vdbs::delete_tags))
        .route("/jobs", get(jobs::list))
        .route("/jobs/search", post(jobs::search))
        .route("/jobs/{id}", get(jobs::one))
        .route("/jobs/{id}/abandon", post(jobs::abandon))
        .fallback(error::not_served)
        .method_not_allowed_fallback(error::not_served)
        .layer(middleware::from_fn_with_state(keys, auth::require))
        .layer(DefaultBodyLimit::max(LARGEST_BODY));
    Router::new()
        .nest(dct::BASE_PATH, api)
        .route("/healthz", get(async || StatusCode::OK))
        .route("/readyz", get(ready))
        .fallback(error::nothing)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            DEADLINE,
        ))
        .with_state(engine)
}

/// Ready to answer; whether a source is linked yet is told, but does not matter.
async fn ready(State(engine): State<Arc<Engine>>) -> (StatusCode, Json<serde_json::Value>) {
    let problems = engine.storage.problems(&engine.settings.pool);
    let linked = engine
        .store
        .read(|state| state.live(crate::model::Kind::DSource).count());
    let status = if problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(serde_json::json!({ "problems": problems, "dSources": linked })),
    )
}
