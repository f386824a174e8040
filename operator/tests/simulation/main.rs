//! The controller against a cluster, a tower and a server in memory, with a fault at every call that it makes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::struct_excessive_bools,
    reason = "a wrong test stops"
)]

mod actions;
mod adopt;
mod collations;
mod create;
mod dct_check;
mod delete;
mod expiry;
mod failures;
mod farewell;
mod hooks;
mod manifests;
mod mutants;
mod random;
mod refresh;
mod remote;
mod schedule;
mod stale;
mod world;
