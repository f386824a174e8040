//! `vdb-operator dct-check`: runs a throw-away virtual database through its life on a tower, and says which of the
//! assumptions about it hold. Whatever happens, what it made is deleted again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dct::types::Vdb;
use environment::spec::Point;
use rand::Rng as _;
use serde::Serialize;

use crate::clock::Clock;
use crate::settings::Settings;
use crate::tower::{Dct, Error, Tower};

pub mod assumptions;
mod life;

pub use assumptions::{ALL, Assumption};

/// What a life leaves is deleted within this time, or named.
const CLEANUP: Duration = Duration::from_mins(5);
pub const RUN_TAG: &str = "dct-check";

/// The one search that the controller does not need.
#[async_trait]
pub trait Tagged: Send + Sync {
    async fn tagged(&self, key: &str, value: &str) -> Result<Vec<Vdb>, Error>;
}

#[async_trait]
impl Tagged for dct::Client {
    async fn tagged(&self, key: &str, value: &str) -> Result<Vec<Vdb>, Error> {
        let filter = dct::filter::tag(key, value).unwrap_or_default();
        Ok(self.search_vdbs(&filter, 10).await?.items)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict", content = "detail")]
pub enum Verdict {
    Holds(String),
    Fails(String),
    /// The life ended before it could be seen.
    NotSeen(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub id: &'static str,
    pub assumption: &'static str,
    pub relied_on_by: &'static str,
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub assumptions: Vec<Line>,
    /// Why the life ended early.
    pub ended: Option<String>,
    /// What could not be deleted: by hand, then.
    pub left: Vec<String>,
}

impl Outcome {
    pub fn is_well(&self) -> bool {
        let holds = |line: &Line| matches!(line.verdict, Verdict::Holds(_));
        self.ended.is_none() && self.left.is_empty() && self.assumptions.iter().all(holds)
    }

    pub fn text(&self) -> String {
        let mut lines: Vec<String> = self
            .assumptions
            .iter()
            .map(|line| {
                let (word, detail) = match &line.verdict {
                    Verdict::Holds(detail) => ("holds", detail),
                    Verdict::Fails(detail) => ("fails", detail),
                    Verdict::NotSeen(detail) => ("not seen", detail),
                };
                format!(
                    "{word:<8} {:<16} {} ({detail}); relied on by {}",
                    line.id, line.assumption, line.relied_on_by
                )
            })
            .collect();
        lines.extend(self.ended.iter().map(|why| format!("ended early: {why}")));
        lines.extend(self.left.iter().map(|what| format!("left behind: {what}")));
        lines.join("\n")
    }
}

/// Seen so far, and made so far: it outlives a life that is cut off.
#[derive(Default)]
struct Record {
    verdicts: Vec<(&'static str, Verdict)>,
    made: Vec<String>,
    bookmark: Option<String>,
}

pub struct Check<'a> {
    pub dct: &'a dyn Dct,
    pub tags: &'a dyn Tagged,
    pub clock: &'a dyn Clock,
    pub settings: &'a Settings,
    /// What the operator's orders call it.
    pub source: &'a str,
    /// Name and tag of the throw-away virtual database.
    pub name: String,
}

impl Check<'_> {
    /// `stop` ends the life early: a deadline, or Ctrl-C.
    pub async fn run(&self, stop: impl Future<Output = String>) -> Outcome {
        let record = Mutex::new(Record::default());
        let ended = tokio::select! {
            lived = life::live(self, &record) => lived.err(),
            why = stop => Some(why),
        };
        let left = life::clean_up(self, &record).await;
        let record = record.into_inner().unwrap_or_else(PoisonError::into_inner);
        let line = |assumption: &Assumption| {
            let seen = record
                .verdicts
                .iter()
                .find(|(id, _)| *id == assumption.id)
                .map(|(_, verdict)| verdict.clone());
            let not = || Verdict::NotSeen("the life ended before".to_owned());
            Line {
                id: assumption.id,
                assumption: assumption.what,
                relied_on_by: assumption.relied_on_by,
                verdict: seen.unwrap_or_else(not),
            }
        };
        Outcome {
            assumptions: ALL.iter().map(line).collect(),
            ended,
            left,
        }
    }
}

/// With the operator's own settings, against the tower that they name.
///
/// # Errors
/// The settings name no tower that can be called.
pub async fn run(settings: &Settings, source: &str, deadline: Duration) -> anyhow::Result<Outcome> {
    let client = dct::Client::new(settings.dct.client())?;
    let dct = Arc::new(Tower::new(client.clone()));
    let check = Check {
        dct: dct.as_ref(),
        tags: &client,
        clock: &crate::clock::SystemClock,
        settings,
        source,
        name: format!("vdb-dct-check-{:08x}", rand::rng().random::<u32>()),
    };
    let stop = async {
        tokio::select! {
            () = tokio::time::sleep(deadline) => format!("no end within {} seconds", deadline.as_secs()),
            () = crate::run::shutdown() => "interrupted".to_owned(),
        }
    };
    Ok(check.run(stop).await)
}

fn latest() -> Point {
    Point::default()
}
