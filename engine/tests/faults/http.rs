//! The engine's callers: one request on one connection, which may be dropped before the answer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::KEY;

/// An engine that answers nothing for so long hangs.
const DEADLINE: Duration = Duration::from_secs(35);

/// Where a caller hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HangUp {
    InRequest,
    BeforeAnswer,
    InAnswer,
}

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
}

impl Api {
    /// Status and body, or nothing if the connection did not live until the end of the answer.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let mut stream = self.send(request(method, path, body).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        if body.is_empty() {
            return Some((status, Value::Null));
        }
        Some((status, serde_json::from_str(body).ok()?))
    }

    /// Sends a request, or a part of it, and does not wait for the whole answer.
    pub(crate) fn hang_up(&self, method: &str, path: &str, body: &Value, dropped: HangUp) {
        let request = request(method, path, body);
        let bytes = request.as_bytes();
        let sent = match dropped {
            HangUp::InRequest => &bytes[..bytes.len() - 1 - body_of(&request).len() / 2],
            HangUp::BeforeAnswer | HangUp::InAnswer => bytes,
        };
        let Some(mut stream) = self.send(sent) else {
            return;
        };
        if dropped == HangUp::InAnswer {
            // "HTTP/1.1 200": what became of it is said, and its number is not.
            let _ = stream.read_exact(&mut [0; 12]);
        }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        match self.call("GET", path, &Value::Null) {
            Some((200, body)) => Ok(body),
            other => Err(format!("GET {path}: {other:?}")),
        }
    }

    /// All objects of a list.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>, String> {
        let mut page = self.get(&format!("{path}?limit=1000"))?;
        match page["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Err(format!("GET {path} answers no list")),
        }
    }

    fn send(&self, bytes: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.address, DEADLINE).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        stream.write_all(bytes).ok()?;
        Some(stream)
    }
}

fn request(method: &str, path: &str, body: &Value) -> String {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    format!(
        "{method} /dct/v3{path} HTTP/1.1\r\nHost: engine\r\nAuthorization: apk {KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn body_of(request: &str) -> &str {
    request.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
