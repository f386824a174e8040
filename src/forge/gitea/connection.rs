//! Calls of one repository's API: the token, and what each refusal means.

use std::path::PathBuf;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::forge::{Error, Settings, UserToken};
use crate::web::{self, Answer};

const FORGE: &str = "the forge";

pub(super) struct Connection {
    http: reqwest::Client,
    /// Answers that are asked for again and again.
    kept: web::Kept,
    /// `{url}/api/v1`
    root: String,
    /// `{root}/repos/{owner}/{repository}`
    api: String,
    token_file: PathBuf,
    pub(super) settings: Settings,
}

impl Connection {
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let url = settings.url.trim_end_matches('/');
        let token_file = settings
            .token_file
            .clone()
            .ok_or_else(|| Error::Settings("tokenFile: it is missing".into()))?;
        let root = format!("{url}/api/v1");
        let api = format!(
            "{root}/repos/{}/{}",
            web::segment(&settings.owner),
            web::segment(&settings.repository)
        );
        Ok(Self {
            http: web::client_with(settings.ca_file.as_deref())?,
            kept: web::Kept::default(),
            root,
            api,
            token_file,
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

    /// Makes something with a person's token, or with the platform's where there is none.
    pub(super) async fn post_as(
        &self,
        user: Option<&UserToken>,
        path: &str,
        body: &Value,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        let Some(user) = user else {
            return self.post(path, body, expected).await;
        };
        let request = self.request(Method::POST, path).json(body);
        let request = authorized(request, user.expose());
        let answer = web::send(&self.http, FORGE, request).await?;
        let checked = self.checked(answer, expected, user.expose());
        checked.map_err(|error| self.lacking(error))
    }

    /// What a person's token lacks, where that is why a call was refused.
    fn lacking(&self, error: Error) -> Error {
        let Settings {
            owner, repository, ..
        } = &self.settings;
        let (call, lacks, message) = match error {
            Error::Unauthorized { call, message, .. } => {
                (call, "it has ended or was revoked".to_owned(), message)
            }
            // Gitea's words name the scope, or the right that the account has not.
            Error::Forbidden { call, message } => (
                call,
                format!("it lacks what writing to {owner}/{repository} needs"),
                message,
            ),
            Error::NotFound { what } => (
                what,
                format!("it does not reach {owner}/{repository}: its account has no access"),
                String::new(),
            ),
            other => return other,
        };
        Error::UserToken {
            call,
            lacks,
            message,
        }
    }

    /// A read that is repeated all the time: conditional where the server sends an ETag.
    pub(super) async fn poll(&self, path: &str, expected: &[u16]) -> Result<Answer, Error> {
        let token = self.token().await?;
        let request = authorized(self.request(Method::GET, path), &token);
        let answer = self.kept.send(&self.http, FORGE, path, request).await?;
        self.checked(answer, expected, &token)
    }

    async fn token(&self) -> Result<String, Error> {
        Ok(web::token(&self.token_file).await?)
    }

    fn checked(&self, mut answer: Answer, expected: &[u16], token: &str) -> Result<Answer, Error> {
        answer.hide(token);
        if answer.is_success() || expected.contains(&answer.status) {
            return Ok(answer);
        }
        let message = answer.said();
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

    /// Reads something outside the repository.
    pub(super) async fn get_any(&self, path: &str) -> Result<Answer, Error> {
        let request = self.http.get(format!("{}{path}", self.root));
        self.send(request, &[]).await
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
