//! What the fuzz targets and `cargo test` run alike.

pub mod values;
pub mod webhook;
