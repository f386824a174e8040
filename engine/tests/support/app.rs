//! The interface without a socket, on an engine of a test.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use engine::engine::Engine;
use engine::http::{Keys, router};
use engine::settings::Settings;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{KEY, Pool, schema};

pub(crate) struct App {
    pub(crate) pool: Pool,
    pub(crate) engine: Arc<Engine>,
    router: axum::Router,
}

impl App {
    pub(crate) fn new() -> Self {
        Self::with(Pool::new())
    }

    pub(crate) fn with(pool: Pool) -> Self {
        drop(pool.linked());
        Self::on(pool)
    }

    /// On a pool that was used before.
    pub(crate) fn on(pool: Pool) -> Self {
        let engine = pool.open();
        let keys = Arc::new(Keys::new(&engine.settings));
        let router = router(Arc::clone(&engine), keys);
        Self {
            pool,
            engine,
            router,
        }
    }

    pub(crate) fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// The same engine behind other keys and limits.
    pub(crate) fn rekeyed(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.engine.settings.clone();
        change(&mut settings);
        self.router = router(Arc::clone(&self.engine), Arc::new(Keys::new(&settings)));
    }

    /// Status and one header of an answer.
    pub(crate) async fn header(&self, path: &str, key: &str, name: &str) -> (u16, Option<String>) {
        self.header_of("GET", path, key, name).await
    }

    pub(crate) async fn posted_header(&self, path: &str, name: &str) -> (u16, Option<String>) {
        self.header_of("POST", path, KEY, name).await
    }

    async fn header_of(
        &self,
        method: &str,
        path: &str,
        key: &str,
        name: &str,
    ) -> (u16, Option<String>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("apk {key}"))
            .body(Body::empty());
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let value = response.headers().get(name).map(|v| v.to_str().unwrap());
        (response.status().as_u16(), value.map(str::to_owned))
    }

    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> (StatusCode, String) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body.to_owned())).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        schema::check(method, path, status.as_u16(), &text);
        (status, text)
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, text) = self
            .raw(
                method,
                &format!("/dct/v3{path}"),
                Some(&format!("apk {KEY}")),
                &body,
            )
            .await;
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, body) = self.call("POST", path, body).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn refused(
        &self,
        method: &str,
        path: &str,
        body: Value,
        status: u16,
        part: &str,
    ) {
        let (got, answer) = self.call(method, path, body).await;
        let said = answer["error_description"].as_str().unwrap_or_default();
        assert_eq!(got.as_u16(), status, "{path}: {answer}");
        assert!(said.contains(part), "{path}: {said:?} lacks {part:?}");
    }

    /// What nobody has heard of is a 404 that says so.
    pub(crate) async fn missing(&self, method: &str, path: &str, body: Value) {
        self.refused(method, path, body, 404, "there is no").await;
    }

    /// Polls as a caller does; a job on a small directory is over in no time.
    pub(crate) async fn over(&self, answer: &Value) -> Value {
        let id = answer["job"]["id"].as_str().unwrap();
        assert_eq!(answer["job"]["status"], "PENDING");
        for _ in 0..500 {
            let job = self.get(&format!("/jobs/{id}")).await;
            if job["status"] != "STARTED" {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("job {id} does not end");
    }

    pub(crate) async fn provisioned(&self, name: &str) -> String {
        let body = json!({"name": name, "source_data_id": "largedb", "container_mode": true, "target_group_id": "postgres-vdbs",
            "tags": [{"key": "cr-uid", "value": name}]});
        let answer = self.post("/vdbs/provision_by_snapshot", body).await;
        assert_eq!(self.over(&answer).await["status"], "COMPLETED");
        answer["vdb_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not in time: {what}");
    }

    /// Begins an action and waits until its job is completed.
    pub(crate) async fn done(&self, path: &str, body: Value) {
        let answer = self.post(path, body).await;
        let job = self.over(&answer).await;
        assert_eq!(job["status"], "COMPLETED", "{path}: {job}");
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}
