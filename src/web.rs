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
    built(|| builder().timeout(TIMEOUT))
}

/// The same for answers that have no end.
pub fn endless_client() -> Result<reqwest::Client, Error> {
    built(|| builder().read_timeout(LONGEST_SILENCE))
}

fn built(builder: impl Fn() -> reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build())
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
    pub etag: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
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
    let etag = response.headers().get("etag");
    let etag = etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned);
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
        etag,
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
pub fn segment(text: &str) -> String {
    encoded(text, false)
}

/// Text as a path: slashes stay.
pub fn path(text: &str) -> String {
    encoded(text, true)
}

fn encoded(text: &str, keep_slash: bool) -> String {
    use std::fmt::Write as _;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(byte));
                }
                b'/' if keep_slash => out.push('/'),
                _ => write!(out, "%{byte:02X}").expect("writing to a String succeeds"),
            }
            out
        })
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
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_short_line() {
        assert_eq!(one_line(" a\r\n\tb\u{1b}[1m c ", 80), "a b [1m c");
        assert_eq!(one_line("abcdef", 4), "abc…");
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("a/../b?c#d"), "a%2F..%2Fb%3Fc%23d");
        assert_eq!(path("environments/ä b"), "environments/%C3%A4%20b");
    }

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let said = |body: &str| {
            Answer {
                server: String::new(),
                call: String::new(),
                status: 400,
                etag: None,
                body: body.into(),
            }
            .said()
        };
        assert_eq!(
            said(r#"{"message":"branch is\nprotected"}"#),
            "branch is protected"
        );
        assert_eq!(said(r#"{"error":{"message":"no"}}"#), "no");
        assert_eq!(said("<html>502</html>"), "");
        assert_eq!(said("plain"), "plain");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let (first, second) = (
            wiremock::MockServer::start().await,
            wiremock::MockServer::start().await,
        );
        let elsewhere = wiremock::ResponseTemplate::new(302)
            .insert_header("location", format!("{}/secret", second.uri()));
        wiremock::Mock::given(wiremock::matchers::any())
            .respond_with(elsewhere)
            .mount(&first)
            .await;
        for http in [client().unwrap(), endless_client().unwrap()] {
            let request = http.get(first.uri()).bearer_auth("token");
            let answer = send(&http, "the forge", request).await.unwrap();
            assert_eq!(answer.status, 302);
        }
        assert!(second.received_requests().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_metadata_address_is_refused_before_anything_is_sent() {
        let http = client().unwrap();
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/x",
            "http://0xa9fea9fe/",
            "http://2852039166/",
        ] {
            let error = send(&http, "the portal", http.get(url)).await.unwrap_err();
            assert!(matches!(error, Error::Forbidden { .. }), "{url}: {error}");
        }
    }
}
