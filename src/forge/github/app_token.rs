//! A GitHub App's access: a signed statement of who it is buys a token for one repository and the permissions it needs.
//!
//! The token is kept until shortly before it ends. What the installation does not grant is told at once, by name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::RequestBuilder;
use serde_json::json;
use tokio::sync::Mutex;

use super::{said, wire};
use crate::forge::{App, Error, Settings};
use crate::web::{self, Answer};

/// A call and its repetition end well within this time.
const MARGIN: Duration = Duration::from_secs(300);
/// GitHub allows ten minutes; one is for clocks that differ.
const STATEMENT_SECONDS: u64 = 480;
const CLOCK_DIFFERENCE: u64 = 60;
/// Without these no order works.
const NEEDED: [(&str, &str); 4] = [
    ("contents", "write"),
    ("pull_requests", "write"),
    ("checks", "write"),
    ("metadata", "read"),
];

pub(super) struct AppToken {
    app: App,
    /// The REST API's base.
    root: String,
    owner: String,
    repository: String,
    asks_teams: bool,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    token: String,
    until: Instant,
}

impl AppToken {
    pub(super) fn new(app: App, root: &str, settings: &Settings) -> Self {
        Self {
            app,
            root: root.to_owned(),
            owner: settings.owner.clone(),
            repository: settings.repository.clone(),
            asks_teams: settings.reviewers.iter().any(|name| name.contains('/')),
            kept: Mutex::default(),
        }
    }

    pub(super) fn app_id(&self) -> u64 {
        self.app.app_id
    }

    /// A token that works. `refused` is one that GitHub took no more: it is not given out again.
    pub(super) async fn bearer(
        &self,
        http: &reqwest::Client,
        refused: Option<&str>,
    ) -> Result<String, Error> {
        let mut kept = self.kept.lock().await;
        if let Some(Kept { token, until }) = kept.as_ref()
            && *until > Instant::now()
            && refused != Some(token)
        {
            return Ok(token.clone());
        }
        let made = self.buy(http).await?;
        let token = made.token.clone();
        *kept = Some(made);
        Ok(token)
    }

    async fn buy(&self, http: &reqwest::Client) -> Result<Kept, Error> {
        let statement = self.statement().await?;
        let path = match self.app.installation_id {
            Some(id) => format!("/app/installations/{id}"),
            None => format!(
                "/repos/{}/{}/installation",
                web::segment(&self.owner),
                web::segment(&self.repository)
            ),
        };
        let request = http.get(format!("{}{path}", self.root));
        let installation: wire::Installation =
            self.send(http, request, &statement).await?.json()?;
        let permissions = self.permissions(&installation.permissions)?;
        let path = format!("/app/installations/{}/access_tokens", installation.id);
        let body = json!({"repositories": [self.repository], "permissions": permissions});
        let request = http.post(format!("{}{path}", self.root)).json(&body);
        let access: wire::Access = self.send(http, request, &statement).await?.json()?;
        let lasts = access
            .expires_at
            .parse::<jiff::Timestamp>()
            .map_or(Duration::ZERO, |end| remaining(end.as_second()));
        Ok(Kept {
            token: access.token,
            until: Instant::now() + lasts.saturating_sub(MARGIN),
        })
    }

    /// What is asked for: all that is needed, and of the rest what the installation grants.
    fn permissions(
        &self,
        granted: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<&'static str, &'static str>, Error> {
        let mut needed = NEEDED.to_vec();
        if self.asks_teams {
            needed.push(("members", "read"));
        }
        let missing: Vec<String> = needed
            .iter()
            .filter(|(name, level)| !grants(granted.get(*name), level))
            .map(|(name, level)| format!("{name}: {level}"))
            .collect();
        if missing.is_empty() {
            return Ok(needed.into_iter().collect());
        }
        Err(Error::Forbidden {
            call: format!("App {} what it needs", self.app.app_id),
            message: format!(
                "its installation lacks {}; grant it in the App's settings and accept the change at the installation",
                missing.join(", ")
            ),
        })
    }

    /// Says who we are, signed with the App's key.
    async fn statement(&self) -> Result<String, Error> {
        let file = &self.app.private_key_file;
        let pem = tokio::fs::read(file)
            .await
            .map_err(|source| web::Error::Token {
                path: file.clone(),
                source,
            })?;
        let wrong = || {
            Error::Settings(format!(
                "app.privateKeyFile: {} holds no RSA private key in PEM; put the key there that GitHub made for App {}",
                file.display(),
                self.app.app_id
            ))
        };
        let key = EncodingKey::from_rsa_pem(&pem).map_err(|_| wrong())?;
        let now = seconds_since_1970();
        let claims = json!({"iat": now - CLOCK_DIFFERENCE, "exp": now + STATEMENT_SECONDS, "iss": self.app.app_id.to_string()});
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).map_err(|_| wrong())
    }

    async fn send(
        &self,
        http: &reqwest::Client,
        request: RequestBuilder,
        statement: &str,
    ) -> Result<Answer, Error> {
        let request = request
            .header("authorization", format!("Bearer {statement}"))
            .header("accept", super::connection::ACCEPT)
            .header("x-github-api-version", super::connection::API_VERSION);
        let mut answer = web::send(http, "GitHub", request).await?;
        answer.hide(statement);
        if answer.is_success() {
            return Ok(answer);
        }
        let message = said::refusal(&answer);
        let (call, status) = (answer.call, answer.status);
        Err(match status {
            401 => Error::Unauthorized {
                call,
                status,
                message,
            },
            403 => Error::Forbidden { call, message },
            404 => Error::NotFound {
                what: format!(
                    "an installation of App {} on {}/{}; install it there",
                    self.app.app_id, self.owner, self.repository
                ),
            },
            _ => Error::Refused {
                call,
                status,
                message,
            },
        })
    }
}

fn grants(granted: Option<&String>, level: &str) -> bool {
    granted.is_some_and(|granted| granted == level || granted == "write" || granted == "admin")
}

fn remaining(end: i64) -> Duration {
    let end = u64::try_from(end).unwrap_or_default();
    Duration::from_secs(end.saturating_sub(seconds_since_1970()))
}

pub(super) fn seconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}
