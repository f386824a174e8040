//! All Applications of the project at once: as a list, and as a stream of what changes.
//!
//! Both are read object by object. The stream is asked for as server-sent events, because only these carry a sign of life
//! (every 15 seconds) while nothing changes; lines of JSON are understood too.

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

use super::objects::Objects;
use super::types::Application;
use super::{Client, Error};
use crate::web;

/// What the stream says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Made, changed, or there already when the stream began.
    Is(Box<Application>),
    Gone(String),
    /// The server is there; nothing has changed.
    Alive,
}

pub type Events = BoxStream<'static, Result<Event, Error>>;

#[derive(Deserialize)]
struct Line {
    result: Option<Change>,
    error: Option<StreamError>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    application: Application,
}

#[derive(Deserialize)]
struct StreamError {
    #[serde(default)]
    message: String,
}

impl Client {
    /// Every Application of the project that the token may see.
    pub async fn applications(&self) -> Result<Vec<Application>, Error> {
        let query = [
            ("projects", self.settings.project.as_str()),
            ("appNamespace", &self.settings.namespace),
        ];
        let mut response = self
            .open(&self.http, "applications", &query, "application/json")
            .await?;
        let (mut objects, mut all) = (Objects::inside("{["), Vec::new());
        let broken = |why: String| malformed("GET /api/v1/applications", why);
        while let Some(part) = response.chunk().await.map_err(lost)? {
            objects
                .take(&part, |object| {
                    // One odd object must not hide the others.
                    all.extend(serde_json::from_slice::<Application>(object).map(slim));
                })
                .map_err(|error| broken(error.to_string()))?;
        }
        Ok(all)
    }

    /// Begins with every Application that is there, then says what changes until the connection ends.
    pub async fn stream(&self) -> Result<Events, Error> {
        let query = [
            ("projects", self.settings.project.as_str()),
            ("appNamespace", &self.settings.namespace),
        ];
        let response = self
            .open(
                &self.endless,
                "stream/applications",
                &query,
                "text/event-stream",
            )
            .await?;
        let mut objects = Objects::inside("");
        let events = response.bytes_stream().map(move |part| {
            let mut events = Vec::new();
            let taken = objects.take(&part.map_err(lost)?, |object| events.extend(event(object)));
            taken
                .map_err(|error| malformed("GET /api/v1/stream/applications", error.to_string()))?;
            if events.is_empty() {
                events.push(Ok(Event::Alive));
            }
            Ok::<_, Error>(futures::stream::iter(events))
        });
        Ok(events.try_flatten().boxed())
    }

    async fn open(
        &self,
        http: &reqwest::Client,
        path: &str,
        query: &[(&str, &str)],
        accept: &str,
    ) -> Result<reqwest::Response, Error> {
        let token = web::token(&self.settings.token_file).await?;
        let request = http.get(self.url(path)).query(query);
        let request = request.header("accept", accept).bearer_auth(&token);
        let response = web::open(http, "argo cd", request).await?;
        match response.status().as_u16() {
            200 => Ok(response),
            status @ (401 | 403) => Err(Error::Denied {
                status,
                message: "the Applications of the project cannot be listed".into(),
            }),
            status => Err(Error::Refused {
                status,
                call: format!("GET /api/v1/{path}"),
                message: String::new(),
            }),
        }
    }
}

/// None for an object that says nothing that we know.
fn event(object: &[u8]) -> Option<Result<Event, Error>> {
    let line: Line = serde_json::from_slice(object).ok()?;
    if let Some(error) = line.error {
        let why = web::one_line(&error.message, 300);
        return Some(Err(malformed("GET /api/v1/stream/applications", why)));
    }
    let change = line.result?;
    Some(Ok(match change.kind.as_str() {
        "DELETED" => Event::Gone(change.application.metadata.name),
        "ADDED" | "MODIFIED" => Event::Is(Box::new(slim(change.application))),
        _ => Event::Alive,
    }))
}

/// Of a sync's results only those are kept that tell something: a thousand environments stay small in memory.
fn slim(mut application: Application) -> Application {
    if let Some(operation) = &mut application.status.operation_state
        && let Some(result) = &mut operation.sync_result
    {
        result
            .resources
            .retain(|r| r.status != "Synced" && r.status != "Pruned");
        result.resources.shrink_to_fit();
    }
    application
}

fn malformed(call: &str, why: String) -> Error {
    Error::Http(web::Error::Malformed {
        server: "argo cd".into(),
        call: call.into(),
        why,
    })
}

fn lost(source: reqwest::Error) -> Error {
    Error::Http(web::Error::Unreachable {
        server: "argo cd".into(),
        call: "the rest of its answer".into(),
        source: source.without_url(),
    })
}
