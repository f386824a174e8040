//! Calls of one repository's API: the token, and what each refusal means.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::forge::{Error, Settings};
use crate::web::{self, Answer};

const FORGE: &str = "the forge";

pub(super) struct Connection {
    http: reqwest::Client,
    /// Answers that are asked for again and again.
    kept: web::Kept,
    /// `{url}/api/v1/repos/{owner}/{repository}`
    api: String,
    pub(super) settings: Settings,
}

impl Connection {
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let url = settings.url.trim_end_matches('/');
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Error::Settings(format!(
                "url {url:?} is not http:// or https://"
            )));
        }
        let api = format!(
            "{url}/api/v1/repos/{}/{}",
            web::segment(&settings.owner),
            web::segment(&settings.repository)
        );
        Ok(Self {
            http: web::client()?,
            kept: web::Kept::default(),
            api,
            settings,
        })
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.api))
    }

    /// Sends with the token; what is neither success nor listed in `expected` is an error.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        let token = self.token().await?;
        let answer = web::send(&self.http, FORGE, authorized(request, &token)).await?;
        self.checked(answer, expected, &token)
    }

    /// A read that is repeated all the time: conditional where the server sends an ETag.
    pub(super) async fn poll(&self, path: &str, expected: &[u16]) -> Result<Answer, Error> {
        let token = self.token().await?;
        let request = authorized(self.request(Method::GET, path), &token);
        let answer = self.kept.send(&self.http, FORGE, path, request).await?;
        self.checked(answer, expected, &token)
    }

    async fn token(&self) -> Result<String, Error> {
        Ok(web::token(&self.settings.token_file).await?)
    }

    fn checked(&self, answer: Answer, expected: &[u16], token: &str) -> Result<Answer, Error> {
        if answer.is_success() || expected.contains(&answer.status) {
            return Ok(answer);
        }
        let message = answer.said().replace(token, "…");
        let (call, status) = (answer.call, answer.status);
        Err(match status {
            401 => Error::Unauthorized {
                call,
                status,
                message,
            },
            // Gitea answers 403 to a token without scope, to a protected branch and to a missing right alike.
            403 | 423 => Error::Forbidden { call, message },
            404 => Error::NotFound {
                what: format!(
                    "{call} ({}/{})",
                    self.settings.owner, self.settings.repository
                ),
            },
            _ => Error::Refused {
                call,
                status,
                message,
            },
        })
    }

    pub(super) async fn get(&self, path: &str, expected: &[u16]) -> Result<Answer, Error> {
        self.send(self.request(Method::GET, path), expected).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        self.send(self.request(Method::POST, path).json(body), expected)
            .await
    }
}

fn authorized(request: RequestBuilder, token: &str) -> RequestBuilder {
    request.header("authorization", format!("token {token}"))
}
