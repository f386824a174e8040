//! A probe without a client program: a server that asks for a password is up, one that answers with an error is not
//! yet. No session is opened.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use crate::configuration::RUN;

const PORT: u16 = 5432;
/// Protocol 3.0.
const VERSION: u32 = 0x0003_0000;
const LARGEST_ANSWER: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn probe() -> ExitCode {
    match ask() {
        Ok(b'R') => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn ask() -> std::io::Result<u8> {
    let mut stream = UnixStream::connect(format!("{RUN}/.s.PGSQL.{PORT}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&startup("vdb_admin", "template1"))?;
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    // Whoever hangs up with an unread answer is a line in the server's log.
    let rest = u64::from(u32::from_be_bytes(length).saturating_sub(4)).min(LARGEST_ANSWER);
    std::io::copy(&mut stream.take(rest), &mut std::io::sink())?;
    Ok(kind)
}

fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = VERSION.to_be_bytes().to_vec();
    for text in ["user", user, "database", database] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [length.to_be_bytes().to_vec(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_startup_packet_counts_itself() {
        let packet = startup("u", "d");
        assert_eq!(
            packet[..4],
            u32::try_from(packet.len()).unwrap().to_be_bytes()
        );
        assert!(packet.ends_with(b"database\0d\0\0"));
    }
}
