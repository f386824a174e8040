//! The GitOps side as files: generated ones are fresh, charts render what the environment model says, the Makefile
//! passes variables on as data.

#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

mod charts;
mod docs;
mod generated;
mod health;
mod helm;
mod install;
mod makefile;
mod manifests;
mod rbac;
mod resources;
mod versions;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
