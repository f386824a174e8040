//! A model check of the real operator: every order of events around one resource, its refresh, its deletion and faults.
//!
//! Real is everything between `reconcile` and the ports: observe, plan, act, status, memory, poller. A model is what stands
//! behind the ports (`world`, `tower`), in a normal form that makes the number of its states finite: times are ages in steps of
//! five minutes (`time`), contents are numbers (`table`), ids are used again. A step is one call of the operator with an
//! effect, with the fault that it may meet, or one event around it (`state`). `explore` visits every state once, and judges
//! what never ends on the finished graph.
//!
//! Simplified is: the reads of a pass before its first effect are one step; configuration, Service and the platform's Secret are
//! written together with what comes before them; five minutes pass only where the operator has nothing to do or is not there;
//! the poller hears of the end of a job at once; a status that only shows progress is always written.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::struct_excessive_bools,
    reason = "a wrong test stops"
)]

mod checks;
mod components;
mod defect;
mod explore;
mod ports;
mod print;
mod run;
mod sown;
mod state;
mod table;
mod time;
mod tower;
mod tower_port;
mod world;
