//! The embedded engine: a small Data Control Tower that makes real thin copies of a real PostgreSQL.
//!
//! `origin` turns a source into a template, `storage` copies templates, `actions` and `jobs` make and remove virtual
//! databases, `http` speaks the tower's interface. Metadata lives in `store`; `recovery` runs at every start.

pub mod actions;
pub mod archive;
mod bookmarks;
mod clock;
mod deletion;
pub mod doc;
pub mod doctor;
pub mod edits;
pub mod engine;
pub mod filter;
mod groups;
mod hooks;
pub mod http;
pub mod jobs;
pub mod linking;
pub mod model;
pub mod origin;
pub mod process;
mod processes;
pub mod recovery;
mod room;
mod schedule;
pub mod serve;
mod servers;
pub mod settings;
mod settling;
mod sizes;
mod snapshots;
pub mod storage;
pub mod store;
mod timeflows;
mod tls;

/// An error with everything that caused it, in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A wire type as the document that is kept.
pub(crate) fn document(object: &impl serde::Serialize) -> doc::Doc {
    let value = serde_json::to_value(object);
    value
        .expect("wire types are plain structs with text keys")
        .into()
}
