//! The sidecar of the portal (`vdb serve`) and the command line (`vdb env`, `vdb validate`, `vdb install`, `vdb doctor`).

pub mod argocd;
mod bookmark;
pub mod cli;
pub mod doctor;
pub mod env;
pub mod forge;
pub mod install;
pub mod output;
pub mod push_event;
pub mod serve;
pub mod web;

// Files that the fuzz crate shares name this crate from outside.
#[cfg(test)]
extern crate self as vdb;
