//! The tower's interface. This file lists every route; what is not here is answered honestly as not served.

mod account;
mod attributes;
mod auth;
mod catalog;
mod datasets;
mod error;
mod extract;
mod jobs;
mod limit;
mod metrics;
mod page;
mod points;
mod ranges;
mod renewal;
mod reports;
mod tags;
mod vdbs;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use axum::{Extension, Json, Router};
use tower_http::catch_panic::CatchPanicLayer;

pub use auth::Keys;
use error::ApiError;

use crate::edits::Tagged;
use crate::engine::Engine;
use crate::model::Kind;

/// Bodies are small; the largest list of tags stays below.
const LARGEST_BODY: usize = 8 << 20;
/// What anybody may send without a key.
const SMALL_BODY: usize = 64 << 10;
/// Answers come from memory; only a disk that hangs takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

pub fn router(engine: Arc<Engine>, keys: Arc<Keys>) -> Router {
    let api = infrastructure()
        .merge(dsources())
        .merge(points())
        .merge(vdbs())
        .merge(reports())
        .merge(tagged())
        .fallback(error::not_served)
        .method_not_allowed_fallback(error::not_served)
        .layer(middleware::from_fn_with_state(Arc::clone(&engine), usable))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&keys),
            auth::require,
        ))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn(to_the_end));
    let login = Router::new()
        .route("/login", post(account::login))
        .route("/logout", post(account::logout))
        .route("/token-info", post(account::token_info))
        .layer(Extension(keys))
        .layer(DefaultBodyLimit::max(SMALL_BODY));
    let requests = Arc::new(metrics::Requests::default());
    let seen = Arc::clone(&requests);
    let show = async move |State(engine): State<Arc<Engine>>| metrics::show(engine, seen).await;
    Router::new()
        .nest(dct::BASE_PATH, login)
        .nest(dct::BASE_PATH, api)
        .route("/healthz", get(async || StatusCode::OK))
        .route("/readyz", get(ready))
        .route("/metrics", get(show))
        .fallback(error::nothing)
        .layer(middleware::from_fn_with_state(requests, metrics::count))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn_with_state(DEADLINE, in_time))
        .with_state(engine)
}

async fn in_time(State(deadline): State<Duration>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(deadline, next.run(request)).await;
    answer.unwrap_or_else(|_| ApiError::late(deadline).into_response())
}

/// Nothing is begun on a pool that is not there: a directory without its mount would take the copies of it for gone.
async fn usable(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    if !auth::is_read(request.method(), request.uri().path()) {
        let look = move || engine.storage.problems(&engine.settings.pool);
        match tokio::task::spawn_blocking(look).await {
            Ok(problems) if problems.is_empty() => {}
            Ok(problems) => {
                let why = format!("the pool cannot be used: {}", problems.join("; "));
                return ApiError::unavailable(why).into_response();
            }
            Err(_) => return ApiError::unavailable("the engine stops; ask again").into_response(),
        }
    }
    next.run(request).await
}

/// A caller that hangs up takes nothing back: between a job written down and a job begun nothing may stop.
async fn to_the_end(request: Request, next: Next) -> Response {
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => ApiError::unavailable("the engine stops; ask again").into_response(),
        },
    }
}

type Routes = Router<Arc<Engine>>;

fn infrastructure() -> Routes {
    let objects = catalog::objects;
    Router::new()
        .route("/reporting/product_info", get(catalog::product_info))
        .route("/management/engines", get(catalog::engines))
        .route("/management/engines/search", post(catalog::search_engines))
        .route("/management/engines/{id}", get(catalog::engine))
        .route("/toolkits", get(catalog::toolkits))
        .route("/toolkits/search", post(catalog::search_toolkits))
        .route("/toolkits/{id}", get(catalog::one_toolkit))
        .route(
            "/environments/compatible_repositories_by_snapshot",
            post(catalog::compatible),
        )
        .merge(objects(
            "/environments",
            Kind::Environment,
            "environment",
            &attributes::ENVIRONMENT,
        ))
        .merge(objects("/groups", Kind::Group, "group", &attributes::GROUP))
        .merge(objects(
            "/sources",
            Kind::Source,
            "source",
            &attributes::SOURCE,
        ))
        .route("/jobs", get(jobs::list))
        .route("/jobs/search", post(jobs::search))
        .route("/jobs/{id}", get(jobs::one))
        .route("/jobs/{id}/abandon", post(jobs::abandon))
}

fn dsources() -> Routes {
    Router::new()
        .route("/dsources", get(datasets::dsources))
        .route("/dsources/search", post(datasets::search_dsources))
        .route("/dsources/appdata", post(datasets::link))
        .route("/dsources/appdata/{id}", patch(datasets::update))
        .route("/dsources/delete", post(points::delete_dsource))
        .route("/dsources/{id}", get(datasets::dsource))
        .route(
            "/dsources/{id}/snapshots",
            get(datasets::snapshots_of).post(datasets::take_snapshot),
        )
}

/// Snapshots, timeflows, bookmarks, groups.
fn points() -> Routes {
    let objects = catalog::objects;
    Router::new()
        .merge(objects(
            "/snapshots",
            Kind::Snapshot,
            "snapshot",
            &attributes::SNAPSHOT,
        ))
        .route(
            "/snapshots/{id}",
            patch(points::update_snapshot).delete(points::delete_snapshot),
        )
        .route("/snapshots/{id}/delete", post(points::delete_snapshot))
        .route("/snapshots/{id}/timeflow_range", get(ranges::of_snapshot))
        .route("/snapshots/{id}/runtime", get(points::runtime))
        .route(
            "/snapshots/{id}/deletion-dependencies",
            get(points::snapshot_dependencies),
        )
        .route(
            "/snapshots/find_by_timestamp",
            get(points::find_by_timestamp),
        )
        .route("/snapshots/find_by_location", get(points::find_by_location))
        // These are no ids.
        .route("/snapshots/capacity", get(error::not_served))
        .route("/snapshots/shared-space", get(error::not_served))
        .merge(objects(
            "/timeflows",
            Kind::Timeflow,
            "timeflow",
            &attributes::TIMEFLOW,
        ))
        .route(
            "/timeflows/{id}/timeflow_snapshot_ranges",
            post(ranges::of_timeflow),
        )
        .merge(objects(
            "/bookmarks",
            Kind::Bookmark,
            "bookmark",
            &attributes::BOOKMARK,
        ))
        .route("/bookmarks", post(points::create_bookmark))
        .route(
            "/bookmarks/{id}",
            patch(points::update_bookmark).delete(points::delete_bookmark),
        )
        .merge(objects(
            "/vdb-groups",
            Kind::VdbGroup,
            "VDB group",
            &attributes::VDB_GROUP,
        ))
        .route("/vdb-groups", post(points::create_vdb_group))
        .route(
            "/vdb-groups/{id}",
            patch(points::update_vdb_group).delete(points::delete_vdb_group),
        )
}

fn vdbs() -> Routes {
    let action = |name: &str| format!("/vdbs/{{id}}/{name}");
    Router::new()
        .route("/vdbs", get(vdbs::list))
        .route("/vdbs/search", post(vdbs::search))
        .route("/vdbs/provision_by_snapshot", post(vdbs::provision))
        .route(
            "/vdbs/provision_by_timestamp",
            post(renewal::provision_by_timestamp),
        )
        .route(
            "/vdbs/provision_by_location",
            post(renewal::provision_by_location),
        )
        .route(
            "/vdbs/provision_from_bookmark",
            post(renewal::provision_from_bookmark),
        )
        .route("/vdbs/empty_vdb", post(renewal::provision_empty))
        .route("/vdbs/{id}", get(vdbs::one).patch(vdbs::update))
        .route(&action("enable"), post(vdbs::enable))
        .route(&action("disable"), post(vdbs::disable))
        .route(&action("start"), post(renewal::start))
        .route(&action("stop"), post(renewal::stop))
        .route(&action("delete"), post(vdbs::delete))
        .route(
            &action("refresh_by_snapshot"),
            post(renewal::refresh_by_snapshot),
        )
        .route(
            &action("refresh_by_timestamp"),
            post(renewal::refresh_by_timestamp),
        )
        .route(
            &action("refresh_by_location"),
            post(renewal::refresh_by_location),
        )
        .route(
            &action("refresh_from_bookmark"),
            post(renewal::refresh_from_bookmark),
        )
        .route(&action("undo_refresh"), post(renewal::undo_refresh))
        .route(
            &action("rollback_by_snapshot"),
            post(renewal::rollback_by_snapshot),
        )
        .route(
            &action("rollback_by_timestamp"),
            post(renewal::rollback_by_timestamp),
        )
        .route(
            &action("rollback_from_bookmark"),
            post(renewal::rollback_from_bookmark),
        )
        .route(&action("lock"), post(renewal::lock))
        .route(&action("unlock"), post(renewal::unlock))
        .route(
            &action("snapshots"),
            get(renewal::snapshots).post(renewal::take_snapshot),
        )
        .route(&action("bookmarks"), get(renewal::bookmarks))
        .route(&action("bookmarks/search"), post(renewal::search_bookmarks))
        .route(&action("deletion-dependencies"), get(renewal::dependencies))
}

fn tagged() -> Routes {
    let object = |path, kind, what| tags::routes(path, Tagged::Object(kind, what));
    tags::routes("/jobs", Tagged::Job)
        .merge(object("/vdbs", Kind::Vdb, "virtual database"))
        .merge(object("/vdb-groups", Kind::VdbGroup, "VDB group"))
        .merge(object("/dsources", Kind::DSource, "dSource"))
        .merge(object("/sources", Kind::Source, "source"))
        .merge(object("/environments", Kind::Environment, "environment"))
        .merge(object("/snapshots", Kind::Snapshot, "snapshot"))
        .merge(object("/timeflows", Kind::Timeflow, "timeflow"))
        .merge(object("/bookmarks", Kind::Bookmark, "bookmark"))
}

fn reports() -> Routes {
    Router::new()
        .route("/reporting/vdb-inventory-report", get(reports::inventory))
        .route(
            "/reporting/vdb-inventory-report/search",
            post(reports::search_inventory),
        )
        .route("/reporting/storage-savings-report", get(reports::savings))
        .route(
            "/reporting/storage-savings-report/search",
            post(reports::search_savings),
        )
        .route(
            "/reporting/virtualization-storage-summary-report",
            get(reports::summary),
        )
        .route(
            "/reporting/virtualization-storage-summary-report/search",
            post(reports::search_summary),
        )
}

/// Ready to answer; whether a source is linked yet is told, but does not matter.
async fn ready(State(engine): State<Arc<Engine>>) -> (StatusCode, Json<serde_json::Value>) {
    let problems = engine.storage.problems(&engine.settings.pool);
    let linked = engine.store.read(|state| state.live(Kind::DSource).count());
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn an_answer_that_does_not_come_is_told_as_every_refusal() {
        let never = || std::future::pending::<StatusCode>();
        let deadline = Duration::from_millis(1);
        let router: Router = Router::new()
            .route("/", get(never))
            .layer(middleware::from_fn_with_state(deadline, in_time));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        let body = to_bytes(response.into_body(), 1 << 10).await.unwrap();
        let told: dct::types::ErrorResponse = serde_json::from_slice(&body).unwrap();
        assert_eq!(told.error.as_deref(), Some("gateway timeout"));
        assert!(told.error_description.unwrap().contains("0.001 s"));
    }
}
