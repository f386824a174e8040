//! The control socket: one JSON line asks, one JSON line answers. A path socket, so it crosses network namespaces.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use super::table::{Process, State, Table};
use crate::instance::Instance;
use crate::wait;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    Start(Box<Process>),
    Stop(String),
    List,
    Shutdown,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub error: Option<String>,
    /// A program was started or restarted.
    pub started: bool,
    pub states: Vec<State>,
}

/// Answers in the background; the returned signal fires when a shutdown was asked for.
pub(crate) fn serve(instance: &Instance, table: &Arc<Table>) -> Result<Arc<Notify>> {
    let path = instance.socket("control");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    let shutdown = Arc::new(Notify::new());
    let (table, notify) = (Arc::clone(table), Arc::clone(&shutdown));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (table, notify) = (Arc::clone(&table), Arc::clone(&notify));
            // A caller that went away is its own problem.
            tokio::spawn(async move { answer(stream, &table, &notify).await.ok() });
        }
    });
    Ok(shutdown)
}

async fn answer(stream: UnixStream, table: &Arc<Table>, shutdown: &Notify) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let request: Request = serde_json::from_str(&line)?;
    if matches!(request, Request::Shutdown) {
        shutdown.notify_one();
    }
    let table = Arc::clone(table);
    let answer = tokio::task::spawn_blocking(move || obey(&table, request)).await?;
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    Ok(())
}

fn obey(table: &Table, request: Request) -> Answer {
    let done = match request {
        Request::Start(process) => table.start(*process),
        Request::Stop(name) => {
            table.stop(&name);
            Ok(false)
        }
        Request::List | Request::Shutdown => Ok(false),
    };
    let states = table.states();
    match done {
        Ok(started) => Answer {
            error: None,
            started,
            states,
        },
        Err(error) => Answer {
            error: Some(format!("{error:#}")),
            started: false,
            states,
        },
    }
}

/// Asks the instance's supervisor.
pub(crate) async fn ask(instance: &Instance, request: &Request) -> Result<Answer> {
    let stream = UnixStream::connect(instance.socket("control"))
        .await
        .context("the supervisor does not answer")?;
    let mut stream = BufReader::new(stream);
    let mut text = serde_json::to_string(request)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        bail!("the supervisor hung up");
    }
    let answer: Answer = serde_json::from_str(&line)?;
    match answer.error {
        Some(error) => Err(anyhow!(error)),
        None => Ok(answer),
    }
}

pub(crate) async fn wait_ready(instance: &Instance) -> Result<()> {
    let log = instance.log("supervisor");
    wait::until("the supervisor", 20, Some(&log), || async {
        ask(instance, &Request::List).await.map(drop)
    })
    .await
}
