//! A tower that fails as ordered: stands between the operator and the engine, and answers as the scenario says.
//!
//! It listens on a Unix socket, which crosses network namespaces; a relay inside the instance's network joins it with the
//! address that the operator's settings name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::context::Context;
use crate::node::Node;

/// The node's address, as pods reach it.
pub(crate) const ADDRESS: &str = "10.200.0.1:18099";
const LARGEST: usize = 64 << 20;

/// What stands in for the engine's answer.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Nothing: the engine answers.
    None,
    /// The connection ends without a word.
    Dropped,
    /// This answer to every call whose path holds `on`.
    Answer {
        on: &'static str,
        status: u16,
        kind: &'static str,
        body: &'static str,
    },
    /// The next job of a type ends so, whatever becomes of it; jobs after it are left alone.
    Job {
        kind: &'static str,
        status: &'static str,
    },
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// The job that is lied about.
    victim: Option<String>,
    /// Calls since the fault was ordered that it met.
    met: usize,
}

struct Shared {
    state: Mutex<State>,
    engine: String,
    http: reqwest::Client,
}

pub(crate) struct Tower {
    shared: Arc<Shared>,
    // Ends with it.
    _relay: tokio::process::Child,
    socket: PathBuf,
}

impl Tower {
    pub(crate) fn start(context: &Context) -> anyhow::Result<Self> {
        let socket = Path::new(context.get("VDB_STATE_DIR")?).join("sockets/faults");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("cannot listen on {}", socket.display()))?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            engine: context.get("VDB_DCT_URL")?.to_owned(),
            http: context.http.clone(),
        });
        tokio::spawn(serve(listener, Arc::clone(&shared)));
        let relay = Node::of(context)?
            .in_network(&std::env::current_exe()?)
            .args(["relay", "--listen", ADDRESS, "--to"])
            .arg(&socket)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .context("start the relay")?;
        Ok(Self {
            shared,
            _relay: relay,
            socket,
        })
    }

    /// From now on.
    pub(crate) fn fault(&self, fault: Fault) {
        *self.shared.lock() = State {
            fault: Some(fault),
            ..State::default()
        };
    }

    /// So many calls have met the fault.
    pub(crate) fn met(&self) -> usize {
        self.shared.lock().met
    }
}

impl Drop for Tower {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault that this call meets.
    fn meets(&self, path: &str) -> Fault {
        let mut state = self.lock();
        let fault = state.fault.clone().unwrap_or(Fault::None);
        match &fault {
            Fault::Answer { on, .. } if !path.contains(on) => Fault::None,
            Fault::None | Fault::Job { .. } => fault,
            Fault::Dropped | Fault::Answer { .. } => {
                state.met += 1;
                fault
            }
        }
    }

    /// Tells of the next job of the type that it ended so.
    fn rewrite(&self, body: &[u8], kind: &str, status: &str) -> Option<Vec<u8>> {
        let mut answer: Value = serde_json::from_slice(body).ok()?;
        let mut state = self.lock();
        for job in answer["items"].as_array_mut()? {
            let id = job["id"].as_str().unwrap_or_default().to_owned();
            let is_victim = match &state.victim {
                Some(victim) => *victim == id,
                None => job["type"] == kind,
            };
            if is_victim {
                job["status"] = status.into();
                job["error_details"] = "the fault that was ordered".into();
                state.victim = Some(id);
                state.met += 1;
            }
        }
        serde_json::to_vec(&answer).ok()
    }
}

async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            // A connection that was ordered to end is no failure of ours.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// An error ends the connection.
async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response, std::io::Error> {
    let fault = shared.meets(request.uri().path());
    match fault {
        Fault::Dropped => Err(std::io::Error::other("dropped as ordered")),
        Fault::Answer {
            status, kind, body, ..
        } => Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))
            .map_err(std::io::Error::other),
        Fault::None => pass(&shared, request, None).await,
        Fault::Job { kind, status } => pass(&shared, request, Some((kind, status))).await,
    }
}

async fn pass(
    shared: &Shared,
    request: Request<Incoming>,
    rewritten: Option<(&str, &str)>,
) -> Result<Response, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), LARGEST)
        .await
        .map_err(std::io::Error::other)?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut call = shared
        .http
        .request(parts.method, format!("{}{path}", shared.engine));
    for name in [
        "authorization",
        "content-type",
        "x-dct-client-name",
        "user-agent",
    ] {
        if let Some(value) = parts.headers.get(name) {
            call = call.header(name, value);
        }
    }
    let answered = call
        .body(body)
        .send()
        .await
        .map_err(std::io::Error::other)?;
    let (status, kind) = (
        answered.status(),
        answered.headers().get(header::CONTENT_TYPE).cloned(),
    );
    let mut body = answered
        .bytes()
        .await
        .map_err(std::io::Error::other)?
        .to_vec();
    if let Some((kind, status)) = rewritten
        && parts.uri.path().ends_with("/jobs/search")
    {
        body = shared.rewrite(&body, kind, status).unwrap_or(body);
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

/// Joins what connects to an address with a socket: the half inside the instance's network. Ends with its standard input,
/// so also with a scenario that was killed.
pub(crate) async fn relay(listen: &str, to: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let (over, mut told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        over.send(())
    });
    loop {
        let (mut outer, _): (TcpStream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = &mut told => return Ok(()),
        };
        let to = to.to_owned();
        tokio::spawn(async move {
            // The scenario is over: the connection closes, as a refused one would.
            let Ok(mut inner) = UnixStream::connect(&to).await else {
                return;
            };
            let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
        });
    }
}
