//! `/metrics`: what is watched from outside, without a key. Labels hold names of the settings and of the interface alone,
//! never those that callers choose: the number of series stays bounded.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::engine::Engine;
use crate::model::{Intent, Kind};
use crate::store::State as Everything;
use crate::{clock, storage};

const PREFIX: &str = "vdb_engine";

/// Answers by route and status, counted as they go out.
pub(super) struct Requests {
    registry: Registry,
    answers: Family<Answer, Counter>,
}

/// What an answer is counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: String,
    status: u16,
}

impl Default for Requests {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let answers = Family::<Answer, Counter>::default();
        registry.register("requests", "Answers by route and status", answers.clone());
        Self { registry, answers }
    }
}

pub(super) async fn count(
    State(requests): State<Arc<Requests>>,
    request: Request,
    next: Next,
) -> Response {
    // What no route has is one series, whatever callers make up.
    let method = match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    };
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unknown", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let answer = Answer {
        method,
        route,
        status,
    };
    requests.answers.get_or_create(&answer).inc();
    response
}

/// Counters as they are, everything else as it is now.
pub(super) async fn show(engine: Arc<Engine>, requests: Arc<Requests>) -> Response {
    let written = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        encode_registry(&mut text, &requests.registry)?;
        encode_registry(&mut text, &now(&engine))?;
        encode_eof(&mut text)?;
        Ok::<_, std::fmt::Error>(text)
    })
    .await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match written {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

type Level = Gauge<f64, AtomicU64>;

/// A family of gauges of this moment.
struct Levels<const N: usize>(Family<[(&'static str, String); N], Level>);

impl<const N: usize> Levels<N> {
    fn new(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::default();
        registry.register(name, help, family.clone());
        Self(family)
    }

    fn add(&self, labels: [(&'static str, &str); N], value: f64) {
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        self.0.get_or_create(&labels).inc_by(value);
    }
}

fn now(engine: &Engine) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let jobs = Levels::new(
        &mut registry,
        "jobs",
        "Jobs that are remembered, by type and state",
    );
    let objects = Levels::new(&mut registry, "objects", "Objects by kind");
    let vdbs = Levels::new(
        &mut registry,
        "vdbs",
        "Virtual databases by whether they are enabled",
    );
    let pool = Levels::new(
        &mut registry,
        "pool_bytes",
        "Bytes of the pool's file system",
    );
    let age = Levels::new(
        &mut registry,
        "source_data_age_seconds",
        "How old the newest data is that copies of a source can have",
    );
    let size = Levels::new(
        &mut registry,
        "source_bytes",
        "Size of a source at its last base backup",
    );
    let lag = Levels::new(
        &mut registry,
        "source_log_lag_bytes",
        "What a source whose log is received holds back for it",
    );
    let backup = Levels::new(
        &mut registry,
        "base_backup_written_bytes",
        "What a base backup under way has written",
    );
    engine.store.read(|state| {
        for record in state.jobs() {
            let kind = record.job.kind.as_deref().unwrap_or_default();
            let status = serde_json::to_value(record.job.status).unwrap_or_default();
            // As callers see it.
            let status = status
                .as_str()
                .map(|s| if s == "PENDING" { "STARTED" } else { s });
            jobs.add([("type", kind), ("state", status.unwrap_or_default())], 1.0);
        }
        for kind in Kind::ALL {
            objects.add([("kind", kind.key())], of(state.live(kind).count()));
        }
        for enabled in ["true", "false"] {
            vdbs.add([("enabled", enabled)], 0.0);
        }
        for vdb in state.live(Kind::Vdb) {
            let enabled = vdb.doc.get("enabled").and_then(|v| v.as_bool()) == Some(true);
            vdbs.add([("enabled", if enabled { "true" } else { "false" })], 1.0);
        }
        sources(state, &age, &size);
        for dsource in state.live(Kind::DSource) {
            let source = dsource.parent.as_deref();
            let source = source.and_then(|id| state.any(Kind::Source, id));
            if let (Some(source), Some(held)) = (source, engine.lag_of(&dsource.id)) {
                lag.add([("source", &source.name)], bytes(held));
            }
        }
    });
    if let Some((total, free)) = storage::capacity(&engine.settings.pool) {
        pool.add([("state", "total")], bytes(total));
        pool.add([("state", "free")], bytes(free));
    }
    for (source, snapshot) in under_way(engine) {
        // Files that come and go meanwhile make it unknown for this once.
        if let Ok(written) = storage::size(&engine.raw_root(&snapshot)) {
            backup.add([("source", &source)], bytes(written));
        }
    }
    registry
}

fn sources(state: &Everything, age: &Levels<1>, size: &Levels<1>) {
    let now = clock::unix_seconds();
    for dsource in state.live(Kind::DSource) {
        let parent = dsource.parent.as_deref().unwrap_or_default();
        let Some(source) = state.any(Kind::Source, parent) else {
            continue;
        };
        if let Some(bytes) = dsource.doc.get("size").and_then(|v| v.as_f64()) {
            size.add([("source", &source.name)], bytes);
        }
        let times = state
            .live(Kind::Snapshot)
            .filter(|snapshot| snapshot.parent.as_ref() == Some(&dsource.id))
            .filter_map(|snapshot| clock::instant(snapshot.doc.get("timestamp")?.as_str()?));
        if let Some(newest) = times.max() {
            let seconds = now.saturating_sub(newest / 1000).max(0);
            age.add(
                [("source", &source.name)],
                of(usize::try_from(seconds).unwrap_or_default()),
            );
        }
    }
}

/// Base backups that are not over: the source's name and the snapshot that they become.
fn under_way(engine: &Engine) -> Vec<(String, String)> {
    engine.store.read(|state| {
        let intents = state.going().filter_map(|record| record.intent.as_ref());
        let backups = intents.filter_map(|intent| match intent {
            Intent::Snapshot {
                snapshot, source, ..
            } => Some((source.clone(), snapshot.clone())),
            _ => None,
        });
        backups.collect()
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody watches the last byte of a petabyte"
)]
fn bytes(count: u64) -> f64 {
    count as f64
}

fn of(count: usize) -> f64 {
    bytes(count as u64)
}
