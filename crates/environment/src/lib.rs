//! The environment model: what a values file, an order and a `PostgresVDB` may say.
//!
//! Types here are the one source of the JSON Schema for values files and forms and of the CRD's structural schema.
//! Everything is pure: no file, network, clock or randomness, so that the same code runs in the sidecar, the
//! operator, the command line and a browser.

pub mod actions;
pub mod capabilities;
pub mod change;
pub mod databases;
pub mod diff;
pub mod edit;
pub mod names;
pub mod order;
pub mod problem;
pub mod quantity;
pub mod reason;
pub mod redact;
pub mod render;
pub mod resource;
pub mod schedule;
pub mod schema;
pub mod spec;
pub mod status;
pub mod validate;
pub mod values;
pub mod yaml;

pub use change::Change;
pub use names::{EnvironmentName, VdbKey};
pub use order::Order;

pub use problem::{Problem, Problems};
pub use spec::PostgresVdbSpec;
pub use status::PostgresVdbStatus;
pub use values::Values;
