//! What the API server was asked, by its own audit log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) verb: String,
    pub(crate) user: User,
    #[serde(default)]
    pub(crate) object_ref: Option<ObjectRef>,
    pub(crate) request_received_timestamp: Timestamp,
    #[serde(default)]
    response_status: Option<Answer>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    username: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ObjectRef {
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    code: u16,
}

impl Entry {
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    pub(crate) fn what(&self) -> String {
        let found = self.object_ref.as_ref();
        let resource = found.map_or("other", |o| o.resource.as_str());
        let sub = found.map(|o| o.subresource.as_str()).unwrap_or_default();
        let slash = if sub.is_empty() { "" } else { "/" };
        let failed = self.response_status.as_ref().map_or(0, |s| s.code);
        let failed = if failed >= 400 && !self.is_read() {
            format!(" {failed}")
        } else {
            String::new()
        };
        format!("{} {resource}{slash}{sub}{failed}", self.verb)
    }

    fn is_lease(&self) -> bool {
        self.object_ref
            .as_ref()
            .is_some_and(|o| o.resource == "leases")
    }
}

pub(crate) struct Log {
    path: PathBuf,
    at: u64,
}

impl Log {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, at: 0 }
    }

    /// What one user asked since the last call, the leader's lease apart.
    pub(crate) fn since(&mut self, user: &str) -> anyhow::Result<Vec<Entry>> {
        let mut file = BufReader::new(File::open(&self.path)?);
        file.seek(SeekFrom::Start(self.at))?;
        let mut found = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            let read = file.read_line(&mut line)?;
            // The end, or half a line that is being written.
            if !line.ends_with('\n') {
                return Ok(found);
            }
            self.at += read as u64;
            let entry: Entry = serde_json::from_str(&line)?;
            if entry.user.username.ends_with(&format!(":{user}")) && !entry.is_lease() {
                found.push(entry);
            }
        }
    }
}

/// How often each thing was asked.
pub(crate) fn counts(entries: &[Entry]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.what()).or_default() += 1;
    }
    counts
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) writes: usize,
    pub(crate) status: usize,
    pub(crate) events: usize,
    pub(crate) reads: usize,
}

/// Writes apart from events, status writes among them, events, and single reads and lists.
pub(crate) fn totals(entries: &[Entry]) -> Totals {
    let mut totals = Totals::default();
    for entry in entries {
        let object = entry.object_ref.as_ref();
        if entry.is_read() {
            totals.reads += 1;
        } else if object.is_some_and(|o| o.resource == "events") {
            totals.events += 1;
        } else {
            totals.writes += 1;
            totals.status += usize::from(object.is_some_and(|o| o.subresource == "status"));
        }
    }
    totals
}
