//! The operator: turns `PostgresVDB` resources into running thin copies, and removes them without a trace.
//!
//! Reading order: `crd` (the resource), `controller` (one pass: observe, plan, act, status), the ports `cluster`,
//! `tower`, `sql`, `clock`, and `run`, which puts real adapters behind them.

pub mod actions;
mod backoff;
pub mod clock;
pub mod cluster;
pub mod consent;
pub mod controller;
pub mod crd;
pub mod dct_check;
pub mod http;
pub mod lease;
pub mod limits;
pub mod metrics;
pub mod network;
pub mod poller;
pub mod rules;
pub mod run;
pub mod scram;
pub mod settings;
pub mod source;
pub mod sql;
pub mod sweep;
pub mod tower;
pub mod uninstall;
pub mod watched;

pub use environment::reason;

/// An error and its causes on one line, each said once.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    one_line(&text)
}

/// Foreign text on one line, without control characters.
pub fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
