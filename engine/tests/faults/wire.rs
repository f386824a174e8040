//! Questions to a server of the test's own by its socket, over a connection that stays: a program for each of them would
//! take more time than all answers together.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);
/// Version 3.0 of the protocol.
const VERSION: i32 = 196_608;

pub(crate) struct Connection(UnixStream);

impl Connection {
    /// As somebody who needs no password.
    pub(crate) fn open(
        directory: &Path,
        port: u16,
        user: &str,
        database: &str,
    ) -> Result<Self, String> {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        let failed = |error| format!("{}: {error}", path.display());
        let stream = UnixStream::connect(&path).map_err(failed)?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(failed)?;
        let words = format!("user\0{user}\0database\0{database}\0\0");
        let message = [&VERSION.to_be_bytes(), words.as_bytes()].concat();
        let mut connection = Self(stream);
        connection.send(&message)?;
        connection.answer().map(|_| connection)
    }

    /// What `psql -At` prints. Statements sent together are one transaction.
    pub(crate) fn query(&mut self, sql: &str) -> Result<String, String> {
        self.0.write_all(b"Q").map_err(|e| e.to_string())?;
        self.send(format!("{sql}\0").as_bytes())?;
        self.answer()
    }

    fn send(&mut self, message: &[u8]) -> Result<(), String> {
        let length = i32::try_from(message.len() + 4).map_err(|e| e.to_string())?;
        let message = [&length.to_be_bytes(), message].concat();
        self.0.write_all(&message).map_err(|e| e.to_string())
    }

    /// Rows until the server is ready for more.
    fn answer(&mut self) -> Result<String, String> {
        let (mut lines, mut error) = (Vec::new(), None);
        loop {
            let mut head = [0; 5];
            let broken = |e: std::io::Error| error.clone().unwrap_or_else(|| e.to_string());
            self.0.read_exact(&mut head).map_err(broken)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; length.saturating_sub(4) as usize];
            self.0.read_exact(&mut body).map_err(|e| e.to_string())?;
            match head[0] {
                b'Z' => return error.map_or_else(|| Ok(lines.join("\n")), Err),
                b'E' => error = Some(said(&body)),
                b'D' => lines.push(row(&body).ok_or("a row that cannot be read")?),
                // 0 says that the server wants no password.
                b'R' if body != [0; 4] => return Err("the server wants a password".to_owned()),
                _ => {}
            }
        }
    }
}

/// Fields of a row; none is empty.
fn row(body: &[u8]) -> Option<String> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut fields = Vec::new();
    for _ in 0..i16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (field, after) =
            after.split_at_checked(i32::from_be_bytes(*length).max(0).cast_unsigned() as usize)?;
        fields.push(String::from_utf8_lossy(field));
        rest = after;
    }
    Some(fields.join("|"))
}

/// Severity, code and message, each with a letter before it.
fn said(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0);
    let wanted = fields.filter(|field| matches!(field.first(), Some(b'S' | b'C' | b'M')));
    let words: Vec<_> = wanted
        .map(|field| String::from_utf8_lossy(&field[1..]))
        .collect();
    words.join(" ")
}
