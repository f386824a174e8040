//! `vdb-init`: runs inside the database's pod, in the order's image and as the owner of the data.
//!
//! `run` is the container's command: it checks the copy, makes it harmless and becomes the server. `probe` answers
//! the kubelet, `stop` ends the server quickly and cleanly. Static and small: it comes to the pod in a ConfigMap.

use std::process::ExitCode;

mod configuration;
mod probe;
mod report;
mod run;
mod server;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("run") => {
            let stopped = run::run();
            report::leave(&stopped);
            ExitCode::from(3)
        }
        Some("probe") => probe::probe(),
        Some("stop") => stop(),
        _ => {
            report::say("usage: vdb-init run|probe|stop");
            ExitCode::from(2)
        }
    }
}

/// SIGINT is the server's fast shutdown; SIGTERM, which the kubelet sends next, would wait for every session and is
/// ignored once a fast one is under way.
fn stop() -> ExitCode {
    match rustix::process::kill_process(rustix::process::Pid::INIT, rustix::process::Signal::INT) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
