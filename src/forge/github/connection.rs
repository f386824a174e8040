//! Calls of GitHub's two APIs: the token, the budget, and what each refusal means.
//!
//! Only reading is repeated here. A call that makes something is sent once: who lost its answer looks before doing it again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::app_token::{AppToken, seconds_since_1970};
use super::budget::Budget;
use super::said;
use crate::forge::{Error, Settings, UserToken};
use crate::web::{self, Answer};

pub(super) const ACCEPT: &str = "application/vnd.github+json";
pub(super) const API_VERSION: &str = "2022-11-28";
/// Longer than this nobody waits within a call: the portal's action ends after 45 seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A gateway that was between two servers has found one by then.
const BEFORE_REPETITION: Duration = Duration::from_millis(300);

pub(super) struct Connection {
    http: reqwest::Client,
    addresses: Addresses,
    /// `{rest}/repos/{owner}/{repository}`
    repository: String,
    credentials: Credentials,
    budget: Mutex<Budget>,
    /// GitHub wants one call at a time of those that make something.
    making: tokio::sync::Mutex<()>,
    pub(super) settings: Settings,
}

pub(super) enum Credentials {
    Token(std::path::PathBuf),
    App(AppToken),
}

/// Where the APIs are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) rest: String,
    pub(super) graphql: String,
}

impl Addresses {
    pub(super) fn of(settings: &Settings) -> Self {
        let url = settings.url.trim_end_matches('/');
        let host = url.split("://").nth(1).unwrap_or_default();
        let (rest, graphql) = if matches!(host, "github.com" | "www.github.com") {
            (
                "https://api.github.com".to_owned(),
                "https://api.github.com/graphql".to_owned(),
            )
        } else if let Some(tenant) = host.strip_suffix(".ghe.com") {
            let api = format!("https://api.{tenant}.ghe.com");
            (api.clone(), format!("{api}/graphql"))
        } else {
            (format!("{url}/api/v3"), format!("{url}/api/graphql"))
        };
        let or = |given: &Option<String>, derived: String| {
            given
                .as_ref()
                .map_or(derived, |url| url.trim_end_matches('/').to_owned())
        };
        Self {
            rest: or(&settings.api_url, rest),
            graphql: or(&settings.graphql_url, graphql),
        }
    }
}

impl Connection {
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let addresses = Addresses::of(&settings);
        let credentials = match (&settings.token_file, &settings.app) {
            (Some(file), None) => Credentials::Token(file.clone()),
            (None, Some(app)) => {
                Credentials::App(AppToken::new(app.clone(), &addresses.rest, &settings))
            }
            _ => settings
                .check()
                .and(Err(Error::Settings("tokenFile, app: exactly one".into())))?,
        };
        Ok(Self {
            http: web::client_with(settings.ca_file.as_deref())?,
            repository: format!(
                "{}/repos/{}/{}",
                addresses.rest,
                web::segment(&settings.owner),
                web::segment(&settings.repository)
            ),
            addresses,
            credentials,
            budget: Mutex::default(),
            making: tokio::sync::Mutex::default(),
            settings,
        })
    }

    pub(super) fn app_id(&self) -> Option<u64> {
        match &self.credentials {
            Credentials::Token(_) => None,
            Credentials::App(app) => Some(app.app_id()),
        }
    }

    /// Reads something of the repository.
    pub(super) async fn get(&self, path: &str, expected: &[u16]) -> Result<Answer, Error> {
        let request = self.http.get(format!("{}{path}", self.repository));
        self.read(request, expected).await
    }

    /// Reads it where it differs from what `etag` names; 304 otherwise, which GitHub does not count.
    pub(super) async fn get_unless(
        &self,
        path: &str,
        etag: &str,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        let request = self.http.get(format!("{}{path}", self.repository));
        let request = if etag.is_empty() {
            request
        } else {
            request.header("if-none-match", etag)
        };
        self.read(request, expected).await
    }

    /// Reads something outside the repository.
    pub(super) async fn get_any(&self, path: &str, expected: &[u16]) -> Result<Answer, Error> {
        let request = self.http.get(format!("{}{path}", self.addresses.rest));
        self.read(request, expected).await
    }

    /// Makes or changes something in the repository.
    pub(super) async fn make(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        self.make_as(None, method, path, body, expected).await
    }

    /// As `make`, with a person's token where there is one.
    pub(super) async fn make_as(
        &self,
        user: Option<&UserToken>,
        method: Method,
        path: &str,
        body: &Value,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        let request = self
            .http
            .request(method, format!("{}{path}", self.repository))
            .json(body);
        self.changing(user, &request, expected).await
    }

    /// Removes something of the repository.
    pub(super) async fn remove(&self, path: &str, expected: &[u16]) -> Result<(), Error> {
        let request = self.http.delete(format!("{}{path}", self.repository));
        self.changing(None, &request, expected).await?;
        Ok(())
    }

    /// Asks GraphQL; what it says about limits is an error here, everything else is the caller's.
    pub(super) async fn ask(&self, query: &str, variables: &Value) -> Result<said::Graph, Error> {
        let request = self.graphql(query, variables);
        self.read(request, &[]).await?.json().map_err(Error::from)
    }

    pub(super) async fn mutate_as(
        &self,
        user: Option<&UserToken>,
        query: &str,
        variables: &Value,
    ) -> Result<said::Graph, Error> {
        let request = self.graphql(query, variables);
        Ok(self.changing(user, &request, &[]).await?.json()?)
    }

    /// One at a time, and once.
    async fn changing(
        &self,
        user: Option<&UserToken>,
        request: &RequestBuilder,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        let _alone = self.making.lock().await;
        if let Some(user) = user {
            return self.as_user(user, request, expected).await;
        }
        let answer = self.once(request, true).await?;
        self.judge(answer, expected)
    }

    fn graphql(&self, query: &str, variables: &Value) -> RequestBuilder {
        self.http
            .post(&self.addresses.graphql)
            .json(&json!({"query": query, "variables": variables}))
    }

    async fn read(&self, request: RequestBuilder, expected: &[u16]) -> Result<Answer, Error> {
        let first = self.once(&request, false).await;
        let again = match &first {
            Ok(answer) => matches!(answer.status, 502..=504),
            // A timeout has used up the time that a second call would need.
            Err(Error::Http(web::Error::Unreachable { source, .. })) => !source.is_timeout(),
            Err(_) => false,
        };
        let answer = if again {
            tokio::time::sleep(BEFORE_REPETITION).await;
            self.once(&request, false).await?
        } else {
            first?
        };
        self.judge(answer, expected)
    }

    /// Sends with a token, and once more with a new one where an App's was refused: such a call was not carried out.
    async fn once(&self, request: &RequestBuilder, makes: bool) -> Result<Answer, Error> {
        self.admit(makes).await?;
        let token = self.token(None).await?;
        let answer = self.send(request, &token).await?;
        if answer.status == 401 && self.app_id().is_some() {
            let token = self.token(Some(&token)).await?;
            return self.send(request, &token).await;
        }
        Ok(answer)
    }

    pub(super) async fn send(
        &self,
        request: &RequestBuilder,
        token: &str,
    ) -> Result<Answer, Error> {
        let request = request
            .try_clone()
            .expect("every body is in memory")
            .header("authorization", format!("Bearer {token}"))
            .header("accept", ACCEPT)
            .header("x-github-api-version", API_VERSION);
        let mut answer = web::send(&self.http, "GitHub", request).await?;
        answer.hide(token);
        Ok(answer)
    }

    async fn token(&self, refused: Option<&str>) -> Result<String, Error> {
        match &self.credentials {
            Credentials::Token(file) => Ok(web::token(file).await?),
            Credentials::App(app) => app.bearer(&self.http, refused).await,
        }
    }

    async fn admit(&self, makes: bool) -> Result<(), Error> {
        loop {
            let admitted = self.budget().admit(Instant::now(), makes);
            let Err(wait) = admitted else { return Ok(()) };
            if wait > LONGEST_WAIT {
                return Err(Error::Limited {
                    call: if makes { "changes" } else { "calls" }.into(),
                    wait,
                });
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn judge(&self, answer: Answer, expected: &[u16]) -> Result<Answer, Error> {
        let message = said::refusal(&answer);
        let signs = said::signs(&answer, &message);
        let limited = self
            .budget()
            .note(Instant::now(), seconds_since_1970(), &signs);
        if let Some(wait) = limited {
            return Err(Error::Limited {
                call: answer.call,
                wait,
            });
        }
        if answer.is_success() || expected.contains(&answer.status) {
            return Ok(answer);
        }
        Err(self.refusal(answer.call, answer.status, message))
    }

    pub(super) fn refusal(&self, call: String, status: u16, message: String) -> Error {
        let Settings {
            owner, repository, ..
        } = &self.settings;
        match status {
            301 | 302 | 307 | 308 => Error::Settings(format!(
                "owner, repository: {owner}/{repository} has moved; name it by its new name"
            )),
            401 => Error::Unauthorized {
                call,
                status,
                message,
            },
            403 => Error::Forbidden { call, message },
            404 => Error::NotFound {
                what: format!("{call} ({owner}/{repository})"),
            },
            _ => Error::Refused {
                call,
                status,
                message,
            },
        }
    }
}
