//! HTTP as a client: one request, one whole answer of bounded size, errors that never hold a token or a URL's query.
//!
//! Retrying is the caller's decision: most calls of the forge change something.

mod conditional;
mod guard;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use conditional::Kept;
pub(crate) use guard::is_forbidden_host;
use serde::de::DeserializeOwned;

/// The largest answer that is read: a repository's tree or a list of pull requests stays far below.
const LARGEST_ANSWER: usize = 8 << 20;
/// An action of the portal must answer within 45 seconds, after several calls.
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{server} does not answer {call}")]
    Unreachable {
        server: String,
        call: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{server}'s answer to {call} is larger than 8 MiB")]
    TooLarge { server: String, call: String },
    #[error("{server}'s answer to {call} cannot be read: {why}")]
    Malformed {
        server: String,
        call: String,
        why: String,
    },
    #[error(
        "{server} is at a link-local address or a cloud's metadata service; such addresses are never called"
    )]
    Forbidden { server: String },
    #[error("cannot read the token file {}", path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read certificate authorities from {}", path.display())]
    Authorities {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot set up an HTTP client")]
    Setup {
        #[source]
        source: reqwest::Error,
    },
}

/// How long a stream may be silent: Argo CD gives a sign of life every 15 seconds.
const LONGEST_SILENCE: Duration = Duration::from_secs(45);

/// A client that follows no redirect: it would carry the token to another host.
///
/// An image without certificate authorities gets one that trusts nobody: enough for services in the cluster without TLS.
pub fn client() -> Result<reqwest::Client, Error> {
    built(&[], |builder| builder.timeout(TIMEOUT))
}

/// The same, trusting the certificate authorities of a PEM file beside the system's.
pub fn client_with(authorities: Option<&Path>) -> Result<reqwest::Client, Error> {
    built(&certificates(authorities)?, |builder| {
        builder.timeout(TIMEOUT)
    })
}

fn certificates(authorities: Option<&Path>) -> Result<Vec<reqwest::Certificate>, Error> {
    let Some(path) = authorities else {
        return Ok(Vec::new());
    };
    let wrong = |source: std::io::Error| Error::Authorities {
        path: path.to_owned(),
        source,
    };
    let pem = std::fs::read(path).map_err(wrong)?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|error| wrong(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
    if certificates.is_empty() {
        let why = "it holds no certificate in PEM";
        return Err(wrong(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            why,
        )));
    }
    Ok(certificates)
}

/// As [`client_with`], for answers that have no end.
pub fn endless_client_with(authorities: Option<&Path>) -> Result<reqwest::Client, Error> {
    built(&certificates(authorities)?, |builder| {
        builder.read_timeout(LONGEST_SILENCE)
    })
}

fn built(
    certificates: &[reqwest::Certificate],
    limit: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, Error> {
    let builder = || limit(builder());
    let certificates = || certificates.iter().cloned();
    builder()
        .tls_certs_merge(certificates())
        .build()
        .or_else(|_| builder().tls_certs_only(certificates()).build())
        .map_err(|source| Error::Setup { source })
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(guard::Guarded))
        .pool_max_idle_per_host(2)
        .user_agent(concat!("postgres-vdb-platform/", env!("CARGO_PKG_VERSION")))
}

/// A whole answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub server: String,
    /// Method and path, for messages.
    pub call: String,
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A refusal that repeats a secret of ours: taken out before anything is cut, so that no part of it stays.
    pub fn hide(&mut self, secret: &str) {
        if self.is_success() || secret.is_empty() {
            return;
        }
        self.body = String::from_utf8_lossy(&self.body)
            .replace(secret, "…")
            .into_bytes();
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|e| Error::Malformed {
            server: self.server.clone(),
            call: self.call.clone(),
            why: one_line(&e.to_string(), 200),
        })
    }

    /// What the server said about its refusal, on one line.
    pub fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let said = match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(value) => ["/message", "/error/message", "/error", "/error_description"]
                .iter()
                .find_map(|pointer| value.pointer(pointer)?.as_str().map(str::to_owned))
                .unwrap_or_default(),
            Err(_) if text.trim_start().starts_with('<') => String::new(),
            Err(_) => text.into_owned(),
        };
        one_line(&said, 300)
    }
}

/// Sends a request; `server` names the other side in messages.
pub async fn send(
    http: &reqwest::Client,
    server: &str,
    request: reqwest::RequestBuilder,
) -> Result<Answer, Error> {
    let (call, mut response) = begin(http, server, request).await?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|source| unreachable(server, &call, source))?
    {
        if body.len() + part.len() > LARGEST_ANSWER {
            return Err(Error::TooLarge {
                server: server.to_owned(),
                call,
            });
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer {
        server: server.to_owned(),
        call,
        status,
        headers,
        body,
    })
}

/// Sends a request whose answer is read while it comes.
pub async fn open(
    http: &reqwest::Client,
    server: &str,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, Error> {
    Ok(begin(http, server, request).await?.1)
}

/// The call as messages name it, and the beginning of the answer.
async fn begin(
    http: &reqwest::Client,
    server: &str,
    request: reqwest::RequestBuilder,
) -> Result<(String, reqwest::Response), Error> {
    let request = request.build().map_err(|source| Error::Setup {
        source: source.without_url(),
    })?;
    if request.url().host_str().is_some_and(is_forbidden_host) {
        return Err(Error::Forbidden {
            server: server.to_owned(),
        });
    }
    let call = format!("{} {}", request.method(), request.url().path());
    let response = http
        .execute(request)
        .await
        .map_err(|source| unreachable(server, &call, source))?;
    Ok((call, response))
}

fn unreachable(server: &str, call: &str, source: reqwest::Error) -> Error {
    Error::Unreachable {
        server: server.to_owned(),
        call: call.to_owned(),
        source: source.without_url(),
    }
}

/// A token from its file, read at every use: a rotated token works at once.
pub async fn token(path: &Path) -> Result<String, Error> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|source| Error::Token {
            path: path.to_owned(),
            source,
        })?;
    let token = text.trim();
    if token.is_empty() || token.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let source = std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "the file does not hold exactly one token",
        );
        return Err(Error::Token {
            path: path.to_owned(),
            source,
        });
    }
    Ok(token.to_owned())
}

/// Foreign text on one line without control characters, cut at a number of characters.
pub fn one_line(text: &str, longest: usize) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    line.chars()
        .take(longest.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Text as one segment of a path.
pub use environment::redact::escaped as segment;

/// Text as a path: slashes stay.
pub fn path(text: &str) -> String {
    let segments: Vec<String> = text.split('/').map(segment).collect();
    segments.join("/")
}

/// An error and its causes on one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    one_line(&text, 600)
}

#[cfg(test)]
pub(crate) mod tests;
