//! Writing with a person's own token: what it lacks is the person's matter, and its limits are not the platform's.

use reqwest::RequestBuilder;

use super::app_token::seconds_since_1970;
use super::budget::pause;
use super::connection::Connection;
use super::said;
use crate::forge::{Error, UserToken};
use crate::web::{self, Answer};

impl Connection {
    /// Another account has limits of its own: they say nothing about the platform's.
    pub(super) async fn as_user(
        &self,
        user: &UserToken,
        request: &RequestBuilder,
        expected: &[u16],
    ) -> Result<Answer, Error> {
        let answer = self.send(request, user.expose()).await?;
        let message = said::refusal(&answer);
        if let Some(wait) = pause(&said::signs(&answer, &message), seconds_since_1970()) {
            return Err(Error::Limited {
                call: answer.call,
                wait,
            });
        }
        if answer.is_success() || expected.contains(&answer.status) {
            return Ok(answer);
        }
        if !matches!(answer.status, 401 | 403 | 404) {
            return Err(self.refusal(answer.call, answer.status, message));
        }
        Err(Error::UserToken {
            lacks: lacking(&answer, &self.name()),
            call: answer.call,
            message,
        })
    }

    /// `owner/repository`
    fn name(&self) -> String {
        format!("{}/{}", self.settings.owner, self.settings.repository)
    }

    /// GraphQL's refusal of a call that a person's token made.
    pub(super) fn lacking(&self, error: Error) -> Error {
        let (call, message) = match error {
            Error::Forbidden { call, message } => (call, message),
            Error::NotFound { what } => ("POST /graphql".to_owned(), what),
            other => return other,
        };
        Error::UserToken {
            call,
            lacks: format!("it may not write to {}", self.name()),
            message,
        }
    }
}

/// What the token lacks, as the headers of a refusal tell it: GitHub names scopes for some kinds of tokens and
/// permissions for the others.
fn lacking(answer: &Answer, repository: &str) -> String {
    let permissions = answer.header("x-accepted-github-permissions");
    if answer.status == 401 {
        return "it has ended or was revoked".to_owned();
    }
    if answer.headers.contains_key("x-oauth-scopes") {
        let scopes = answer.header("x-oauth-scopes");
        let mut each = scopes.split(',').map(str::trim);
        if !each.any(|scope| matches!(scope, "repo" | "public_repo")) {
            let has = if scopes.is_empty() { "none" } else { scopes };
            return format!(
                "it lacks the scope repo; it has {}",
                web::one_line(has, 100)
            );
        }
    } else if !permissions.is_empty() {
        let permissions = web::one_line(permissions, 100);
        return format!("it lacks {permissions} on {repository}");
    }
    format!(
        "it may not write to {repository}: its account has no such right there, or the organisation has not approved the application"
    )
}
