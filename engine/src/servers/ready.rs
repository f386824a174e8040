//! Whether a server takes connections, where it could not write that down: on a full disk its own file stays behind for
//! ever. By a connection that it turns away, before or at its rules.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);
/// Version 3.0 of the protocol, and a role that nobody has.
const HELLO: &[u8] = b"\x00\x00\x00\x1a\x00\x03\x00\x00user\0vdb-engine?\0\0";
/// What it says as long as it starts or recovers: `cannot_connect_now`.
const NOT_NOW: &[u8] = b"C57P03";
/// Longer than any refusal.
const ENOUGH: u64 = 4096;

/// Whether a server answers by a socket in its home.
pub(super) fn answers(home: &Path) -> bool {
    let sockets = crate::engine::children(home).into_iter();
    let mut sockets = sockets.filter(|name| name.starts_with(".s.PGSQL."));
    sockets.any(|name| answer(&home.join(name)).is_ok_and(|said| is_ready(&said)))
}

/// All that it says until it hangs up or waits for a password.
fn answer(socket: &Path) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(HELLO)?;
    let mut said = vec![0];
    stream.read_exact(&mut said)?;
    if said == b"E" {
        stream.take(ENOUGH).read_to_end(&mut said)?;
    }
    Ok(said)
}

/// Any other refusal, and a question for a password, comes from one that is ready.
fn is_ready(said: &[u8]) -> bool {
    !said.split(|byte| *byte == 0).any(|field| field == NOT_NOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::postmaster::Place;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    const STARTING: &[u8] =
        b"E\x00\x00\x00\x3fSFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
    const UNKNOWN: &[u8] = b"E\x00\x00\x00\x3fSFATAL\0VFATAL\0C28000\0Mrole does not exist\0\0";
    const PASSWORD: &[u8] = b"R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\0\0";

    #[test]
    fn the_message_is_as_long_as_it_says() {
        assert_eq!(
            HELLO[..4],
            u32::try_from(HELLO.len()).unwrap().to_be_bytes()
        );
    }

    #[test]
    fn whoever_turns_away_for_another_reason_is_ready() {
        assert!(!is_ready(STARTING));
        assert!(is_ready(UNKNOWN) && is_ready(&PASSWORD[..1]));
    }

    #[test]
    fn a_server_that_cannot_write_that_it_is_ready_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let (home, data) = (dir.path().join("home"), dir.path().join("data"));
        for made in [&home, &data] {
            std::fs::create_dir(made).unwrap();
        }
        assert!(!answers(&home));
        let listener = UnixListener::bind(home.join(".s.PGSQL.5432")).unwrap();
        let server = std::thread::spawn(move || {
            for said in [STARTING, UNKNOWN] {
                let (mut stream, _) = listener.accept().unwrap();
                stream.read_exact(&mut vec![0; HELLO.len()]).unwrap();
                stream.write_all(said).unwrap();
            }
        });
        let program = dir.path().join("postgres");
        let script = "#!/bin/sh\necho $$ > \"$2/postmaster.pid\"\nexec sleep 60\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = Place {
            programs: dir.path(),
            home: &home,
            data: &data,
        };
        place.start().unwrap();
        server.join().unwrap();
        let pid = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}
