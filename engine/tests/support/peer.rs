//! A server's end of connections, beside a stand-in that speaks none itself: it lets everybody in and keeps what it was
//! told, or does something worse.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Beside the server's rules at that moment (`met`), what it was told (`given`).
    Takes,
    Refuses,
    /// Its server is killed over it, and leaves a child (`left`).
    Dies,
}

impl Peer {
    /// Until the test ends: each server waits for it before it is ready.
    pub(crate) fn serve(self, programs: &Path, home: PathBuf, port: u16, data: PathBuf) {
        std::fs::write(programs.join("peer"), "").unwrap();
        std::thread::spawn(move || {
            loop {
                while std::fs::remove_file(home.join("wanted")).is_err() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                let listener = UnixListener::bind(home.join(format!(".s.PGSQL.{port}"))).unwrap();
                let (stream, _) = listener.accept().unwrap();
                // A client that goes away is no fault of the test.
                let _ = self.answer(stream, &home, &data);
            }
        });
    }

    fn answer(self, mut stream: UnixStream, home: &Path, data: &Path) -> std::io::Result<()> {
        let mut settings = body(&mut stream)?;
        if self == Self::Refuses {
            return stream.write_all(b"E\0\0\0\x23SFATAL\0C28000\0Mmay not log in\0\0");
        }
        // Authenticated, and ready.
        stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")?;
        stream.read_exact(&mut [0])?;
        let statements = body(&mut stream)?;
        if self == Self::Dies {
            let mut sleep = Command::new("sleep");
            let left = sleep.arg("600").current_dir(data).spawn()?;
            std::fs::write(home.join("left"), left.id().to_string())?;
            let server = std::fs::read_to_string(data.join("postmaster.pid"))?;
            let server = server.lines().next().unwrap_or_default();
            Command::new("kill").args(["-9", server]).status()?;
            return Ok(());
        }
        std::fs::copy(home.join("rules"), home.join("met"))?;
        // The protocol's version is no text.
        settings.drain(..4);
        settings.extend(statements);
        let given = String::from_utf8_lossy(&settings).replace('\0', "\n");
        std::fs::write(home.join("given"), given)?;
        stream.write_all(b"C\0\0\0\x07DO\0Z\0\0\0\x05I")?;
        // It says goodbye.
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

/// What follows a length.
fn body(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(body)
}
