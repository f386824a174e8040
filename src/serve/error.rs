//! What a caller sees of an error: a Backstage error body, all problems, and one line as the HTTP/1.1 reason phrase.
//!
//! The portal's scaffolder shows a failed action's status and reason phrase and nothing else, so the phrase says all.

use axum::Json;
use axum::response::{IntoResponse, Response};
use environment::{Problem, Problems};
use http::StatusCode;
use hyper::ext::ReasonPhrase;
use serde::Serialize;

use crate::forge;
use crate::serve::requests::Refusal;
use crate::web;

/// Longer phrases are cut by proxies and log viewers.
const LONGEST_PHRASE: usize = 200;

#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// The name of Backstage's error class.
    name: &'static str,
    pub(crate) message: String,
    pub(crate) problems: Vec<Problem>,
    /// Seconds after which the same call succeeds, where time helps.
    pub(crate) retry_after: Option<i64>,
}

/// The body of an error: Backstage's, and all problems of the input. `requests::Refusal` is its description.
#[derive(Serialize)]
struct Body {
    error: ErrorBody,
    problems: Vec<Problem>,
    response: ResponseBody,
}

#[derive(Serialize)]
struct ErrorBody {
    name: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseBody {
    status_code: u16,
}

/// How every route may refuse.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) enum Refused {
    /// The request is not right.
    #[response(status = 400)]
    Input(Refusal),
    /// There is no token, or it is not valid.
    #[response(status = 401)]
    Unauthenticated(Refusal),
    /// The caller may not.
    #[response(status = 403)]
    NotAllowed(Refusal),
    /// There is no such thing.
    #[response(status = 404)]
    NotFound(Refusal),
    /// Something that is needed does not answer; the message says what.
    #[response(status = 503)]
    Unavailable(Refusal),
}

impl ApiError {
    fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            name,
            message: message.into(),
            problems: Vec::new(),
            retry_after: None,
        }
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InputError", message)
    }

    pub(crate) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PayloadTooLargeError",
            "the body is larger than any order may be; shorten the SQL or the settings",
        )
    }

    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AuthenticationError", message)
    }

    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "NotAllowedError", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ConflictError", message)
    }

    /// Something that the sidecar needs is down or refuses the sidecar; the message names what to change.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableError",
            message,
        )
    }

    /// More than one owner may have or order.
    pub(crate) fn too_many(problem: Problem, retry_after: Option<i64>) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            name: "TooManyRequestsError",
            retry_after,
            ..Self::problem(problem)
        }
    }

    /// What happened, what to change, and only then the causes: the reason phrase may cut them.
    pub(crate) fn down(error: &dyn std::error::Error, remedy: &str) -> Self {
        let causes = error
            .source()
            .map(|cause| format!(" ({})", web::error_chain(cause)))
            .unwrap_or_default();
        Self::unavailable(format!("{error}; {remedy}{causes}"))
    }

    /// One problem of one field, as the only reason.
    pub(crate) fn problem(problem: Problem) -> Self {
        Problems::from(problem).into()
    }
}

impl From<Problems> for ApiError {
    fn from(Problems(problems): Problems) -> Self {
        let first = problems.first().map(sentence).unwrap_or_default();
        let message = match problems.len() {
            0 | 1 => first,
            n => format!(
                "{first} (and {} more: {})",
                n - 1,
                problems[1..]
                    .iter()
                    .map(sentence)
                    .collect::<Vec<_>>()
                    .join(" | ")
            ),
        };
        Self {
            problems,
            ..Self::input(message)
        }
    }
}

/// The field stands before a message that does not name it itself.
fn sentence(problem: &Problem) -> String {
    let field = problem
        .field
        .as_deref()
        .unwrap_or_else(|| problem.pointer.trim_start_matches('/'));
    let hint = problem
        .hint
        .as_ref()
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    if field.is_empty() || problem.message.contains(field) {
        format!("{}{hint}", problem.message)
    } else {
        format!("{field}: {}{hint}", problem.message)
    }
}

impl From<forge::Error> for ApiError {
    fn from(error: forge::Error) -> Self {
        // The caller's own token: nothing of the platform is down.
        if let forge::Error::UserToken { .. } = error {
            let problem = Problem::field("userToken", "/userToken", error.to_string());
            let mut refused = Self::problem(problem.hint(error.hint()));
            (refused.status, refused.name) = (StatusCode::FORBIDDEN, "NotAllowedError");
            return refused;
        }
        Self::down(&error, error.hint())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let phrase = phrase(&self.message);
        let body = Body {
            error: ErrorBody {
                name: self.name.to_owned(),
                message: self.message,
            },
            problems: self.problems,
            response: ResponseBody {
                status_code: self.status.as_u16(),
            },
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(http::header::RETRY_AFTER, seconds.into());
        }
        if let Ok(phrase) = ReasonPhrase::try_from(phrase.into_bytes()) {
            response.extensions_mut().insert(phrase);
        }
        response
    }
}

/// One line of printable ASCII, at most 200 characters.
fn phrase(message: &str) -> String {
    let ascii: String = web::one_line(message, usize::MAX)
        .chars()
        .map(|c| match c {
            '…' => "...".to_owned(),
            '–' | '—' => "-".to_owned(),
            '‘' | '’' | '“' | '”' => "'".to_owned(),
            ' '..='~' => c.to_string(),
            _ => "?".to_owned(),
        })
        .collect();
    if ascii.len() <= LONGEST_PHRASE {
        return ascii;
    }
    format!("{}...", &ascii[..LONGEST_PHRASE - 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_one_short_line_of_ascii() {
        assert_eq!(
            phrase("name \"ü…\"\r\nX-Evil: 1"),
            "name \"?...\" X-Evil: 1"
        );
        let long = phrase(&"x".repeat(400));
        assert_eq!(long.len(), 200);
        assert!(long.ends_with("..."));
    }

    #[test]
    fn all_problems_stand_in_the_message_and_the_first_comes_first() {
        let problems = Problems(vec![
            Problem::field(
                "name",
                "/name",
                "environment name \"X\" has upper-case letters",
            )
            .hint("use lower-case letters"),
            Problem::field("memory", "/memory", "\"1GB\" is not allowed"),
        ]);
        let error = ApiError::from(problems);
        assert_eq!(
            error.message,
            "environment name \"X\" has upper-case letters; use lower-case letters (and 1 more: memory: \"1GB\" is not allowed)"
        );
        assert_eq!(error.status, 400);
    }

    #[tokio::test]
    async fn the_remedy_stands_before_the_causes() {
        let http = crate::web::client().unwrap();
        let long = "http://127.0.0.1:9/api/v1/repos/acme/databases/branches/main";
        let error = web::send(&http, "the forge", http.get(long))
            .await
            .unwrap_err();
        let error = ApiError::from(forge::Error::from(error));
        let phrase = phrase(&error.message);
        assert!(
            phrase.starts_with("the forge does not answer GET /api/v1"),
            "{phrase}"
        );
        assert!(phrase.contains("forge.url is right"), "{phrase}");
        assert!(error.message.contains("refused"), "{}", error.message);
    }

    #[tokio::test]
    async fn the_phrase_goes_over_the_wire() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let router = axum::Router::new().route(
            "/",
            axum::routing::get(async || {
                ApiError::not_allowed("owner: you are not in group:default/x")
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(
            text.starts_with("HTTP/1.1 403 owner: you are not in group:default/x\r\n"),
            "{text}"
        );
        assert!(
            text.contains(r#""error":{"name":"NotAllowedError","message":"owner: you are not"#),
            "{text}"
        );
    }
}
