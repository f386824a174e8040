//! Every route of the three listeners.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use environment::EnvironmentName;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;

use crate::serve::app::App;
use crate::serve::error::{ApiError, Refused};
use crate::serve::extract::{Body, Path};
use crate::serve::sources::Dataset;
use crate::serve::{actions, environments, openapi, requests, webhook};

/// Where Backstage finds the plugin.
const PREFIX: &str = "/api/vdb";
/// An order with the longest SQL that is allowed, written as JSON.
const LARGEST_INPUT: usize = 256 << 10;
const LARGEST_DELIVERY: usize = 1 << 20;

/// For the portal's backend alone.
pub(crate) fn api(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/.backstage/actions/v1/actions", get(list_actions))
        .route(
            "/.backstage/actions/v1/actions/{id}/invoke",
            post(invoke_v1),
        )
        .route(
            "/.backstage/actions/v2/actions/{id}/invoke",
            post(invoke_v2),
        )
        .route("/.backstage/auth/v1/jwks.json", get(jwks))
        .route("/v1/environments", get(list_environments))
        .route("/v1/environments/{name}", get(environment))
        .route("/v1/requests", post(requests::create))
        .route("/v1/requests/{id}", get(requests::follow))
        .route("/v1/validate", post(requests::validate))
        .route("/v1/render", post(requests::render))
        .route("/v1/sources", get(sources))
        .route("/openapi.json", get(async || Json(openapi::document())))
        .with_state(app);
    Router::new()
        .nest(PREFIX, routes)
        .fallback(async || {
            ApiError::not_found("there is nothing here; the plugin answers below /api/vdb")
        })
        .layer(DefaultBodyLimit::max(LARGEST_INPUT))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(log))
        .route("/healthz", get(async || "ok"))
}

/// May be public.
pub(crate) fn webhooks(app: Arc<App>) -> Router {
    Router::new()
        .route("/webhooks/gitea", post(webhook::gitea))
        .route("/webhooks/github", post(webhook::github))
        .with_state(app)
        .layer(DefaultBodyLimit::max(LARGEST_DELIVERY))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(log))
        .route("/healthz", get(async || "ok"))
}

/// For monitoring. Ready: everything that is needed to answer has been read.
pub(crate) fn metrics(app: Arc<tokio::sync::OnceCell<Arc<App>>>) -> Router {
    let ready = Arc::clone(&app);
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route(
            "/readyz",
            get(move || {
                let ready = ready.initialized();
                async move {
                    if ready {
                        (StatusCode::OK, "ok")
                    } else {
                        (StatusCode::SERVICE_UNAVAILABLE, "waits for the cluster")
                    }
                }
            }),
        )
        .route(
            "/metrics",
            get(move || {
                let app = Arc::clone(&app);
                async move { app.get().map(|app| app.metrics.text()).unwrap_or_default() }
            }),
        )
}

/// One line for each request. Paths hold no secrets; queries and headers are left out.
async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let since = std::time::Instant::now();
    let response = next.run(request).await;
    let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status = response.status().as_u16(), milliseconds, "request");
    response
}

async fn list_actions(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    app.authenticator.plugin(&headers).await?;
    Ok(Json(actions::list(&app.capabilities)))
}

async fn invoke_v1(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let caller = app.authenticator.plugin(&headers).await?;
    let output = actions::invoke(app, &id, json_body(&body)?, caller).await?;
    Ok(Json(json!({"output": output})))
}

#[derive(Deserialize)]
struct InvokeV2 {
    #[serde(default)]
    input: Value,
}

async fn invoke_v2(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let caller = app.authenticator.plugin(&headers).await?;
    let InvokeV2 { input } = serde_json::from_value(json_body(&body)?)
        .map_err(|_| ApiError::input("the body is not {input, secrets}"))?;
    let output = actions::invoke(app, &id, input, caller).await?;
    Ok(Json(json!({"output": output})))
}

/// An action without input may come without a body.
fn json_body(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body)
        .map_err(|error| ApiError::input(format!("the body is not JSON: {error}")))
}

async fn jwks(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.key.jwks().clone())
}

/// All environments that the cluster runs or a pull request asks for.
#[utoipa::path(get, path = "/v1/environments", responses((status = 200, body = environments::EnvironmentList), Refused))]
pub(super) async fn list_environments(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<environments::EnvironmentList>, ApiError> {
    app.authenticator.reader(&headers).await?;
    Ok(Json(environments::list(&app).await?))
}

/// One environment: status, timeline, how to connect.
#[utoipa::path(get, path = "/v1/environments/{name}", params(("name" = String, Path)), responses((status = 200, body = environments::EnvironmentView), Refused))]
pub(super) async fn environment(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<environments::EnvironmentView>, ApiError> {
    app.authenticator.reader(&headers).await?;
    let name = EnvironmentName::parse(&name).map_err(ApiError::problem)?;
    Ok(Json(environments::one(&app, &name).await?))
}

#[derive(serde::Serialize, utoipa::ToSchema)]
pub(super) struct DatasetList {
    items: Vec<Dataset>,
}

/// What can be copied.
#[utoipa::path(get, path = "/v1/sources", responses((status = 200, body = DatasetList), Refused))]
pub(super) async fn sources(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<DatasetList>, ApiError> {
    app.authenticator.reader(&headers).await?;
    Ok(Json(DatasetList {
        items: app.sources.list().await?,
    }))
}
