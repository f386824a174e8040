//! The engine's callers: one request on one connection, which may be dropped before the answer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::KEY;

/// An engine that answers nothing for so long hangs.
const DEADLINE: Duration = Duration::from_secs(35);

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
}

impl Api {
    /// Status and body, or nothing if the connection did not live until the end of the answer.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let mut stream = self.send(method, path, body)?;
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

    /// Sends a request and does not wait for its answer.
    pub(crate) fn hang_up(&self, method: &str, path: &str, body: &Value) {
        drop(self.send(method, path, body));
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

    fn send(&self, method: &str, path: &str, body: &Value) -> Option<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.address, DEADLINE).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let request = format!(
            "{method} /dct/v3{path} HTTP/1.1\r\nHost: engine\r\nAuthorization: apk {KEY}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        Some(stream)
    }
}

pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
