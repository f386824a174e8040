//! What the fuzz targets and `cargo test` run alike.

pub mod engine_body;
pub mod filter;
pub mod values;
pub mod webhook;
