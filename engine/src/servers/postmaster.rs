//! The server's process.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::ready;
use crate::jobs::Error;
use crate::origin::files;
use crate::process;
use crate::processes::{self, Process};

/// A copy of a running VDB recovers first.
const START_DEADLINE: Duration = Duration::from_mins(15);
const STOP_DEADLINE: Duration = Duration::from_mins(2);
/// A server takes some tens of milliseconds to start.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// Most are ready before, and say so.
const ASK_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// What is under way is rolled back; the data is left cleanly shut down.
    Fast,
    /// As a power failure.
    Immediate,
}

/// Where a server runs.
pub(super) struct Place<'a> {
    pub(super) programs: &'a Path,
    pub(super) home: &'a Path,
    pub(super) data: &'a Path,
}

/// The server that runs on a data directory.
pub(super) fn find(data: &Path) -> Option<Process> {
    let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let process = Process::open(text.lines().next()?.trim().parse().ok()?)?;
    // The number in the file may be anybody's by now.
    let arguments = process.arguments();
    let here = arguments
        .windows(2)
        .any(|pair| pair[0] == "-D" && Path::new(&pair[1]) == data);
    (here && process.runs()).then_some(process)
}

pub(super) fn stop(data: &Path, how: Stop) -> Result<(), Error> {
    let Some(process) = find(data) else {
        return Ok(());
    };
    process.signal(match how {
        Stop::Fast => Signal::INT,
        Stop::Immediate => Signal::QUIT,
    });
    if process.ends_within(STOP_DEADLINE) {
        return Ok(());
    }
    tracing::warn!(data = %data.display(), "the server does not stop; it is killed");
    process.signal(Signal::KILL);
    if process.ends_within(STOP_DEADLINE) {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "the server on {} cannot be stopped",
        data.display()
    )))
}

impl Place<'_> {
    /// Starts the server and waits until it takes connections.
    pub(super) fn start(&self) -> Result<(), Error> {
        let path = self.home.join("log");
        let log = files("write", &path, std::fs::File::create(&path))?;
        let again = files("write", &path, log.try_clone())?;
        let program = self.programs.join("postgres");
        let mut command = process::command(&program);
        command
            .arg("-D")
            .arg(self.data)
            .arg("-c")
            .arg(self.config());
        command.stdout(Stdio::from(again)).stderr(Stdio::from(log));
        // A signal to the engine's group is none to its servers.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = command
            .spawn()
            .map_err(|source| process::Error::Start { program, source });
        let mut child = started.map_err(|error| Error::Failed(crate::error_chain(&error)))?;
        let begun = Instant::now();
        let mut asked = begun;
        while !processes::is_ready(self.data, child.id()) {
            if asked.elapsed() > ASK_EVERY {
                if ready::answers(self.home) {
                    break;
                }
                asked = Instant::now();
            }
            let over = begun.elapsed() > START_DEADLINE;
            if over || child.try_wait().is_ok_and(|ended| ended.is_some()) {
                stop(self.data, Stop::Immediate)?;
                let said = std::fs::read_to_string(&path).unwrap_or_default();
                return Err(Error::Failed(format!(
                    "the server did not start: {}",
                    process::tail(&said)
                )));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        // Its end is somebody's to ask for, or it would stay in the system's table.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// Tells the server that its rules are others. It reads them before it looks at whoever connects after this.
    pub(super) fn reload(&self) -> Result<(), Error> {
        let server = find(self.data).ok_or_else(|| {
            Error::Failed("the server did not start: it ended before it let anybody in".to_owned())
        })?;
        server.signal(Signal::HUP);
        Ok(())
    }

    /// What a server that was killed has left. A running one was looked for before; its children may still write, though,
    /// and a number in its files may by now be another's.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let number = self.data.join("postmaster.pid");
        // Whoever stopped cleanly took it along, and has left nobody; to look at every process takes a while.
        if crate::storage::exists(&number) {
            let data = files("find", self.data, self.data.canonicalize())?;
            processes::end_those_in(&data);
        }
        let sockets = crate::engine::children(self.home).into_iter();
        let sockets = sockets
            .filter(|name| name.starts_with(".s.PGSQL."))
            .map(|name| self.home.join(name));
        for path in sockets.chain([number]) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    files("remove", &path, Err(error))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn config(&self) -> String {
        format!(
            "config_file={}",
            self.home.join("postgresql.conf").display()
        )
    }
}
