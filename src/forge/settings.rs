//! Where the forge is and as whom the platform comes. Tokens and keys stand in files of their own, never here.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Error, one_sentence};
use crate::web;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    pub kind: Kind,
    /// Address of the forge, as people's browsers reach it too: `https://github.com`, or of the company's own server.
    pub url: String,
    pub owner: String,
    pub repository: String,
    /// The base branch: what it holds is the truth.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// A token of the account that writes; with GitHub either this or `app`.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    #[serde(default)]
    pub app: Option<App>,
    /// GitHub's REST API, where it does not follow from `url`.
    #[serde(default)]
    pub api_url: Option<String>,
    /// GitHub's GraphQL API, where it does not follow from `url`.
    #[serde(default)]
    pub graphql_url: Option<String>,
    /// Certificate authorities beside the system's, PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Who is asked to review each pull request: users, and teams as `organisation/team`.
    #[serde(default)]
    pub reviewers: Vec<String>,
    #[serde(default)]
    pub webhook_secret_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Gitea,
    GitHub,
}

/// A GitHub App that is installed on the repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    pub app_id: u64,
    /// The App's private key, PEM.
    pub private_key_file: PathBuf,
    /// Found by the repository where it is absent.
    #[serde(default)]
    pub installation_id: Option<u64>,
}

fn main_branch() -> String {
    "main".into()
}

impl Settings {
    /// Where people see a file of the base branch; `view` is what the forge's pages of files begin with.
    pub(super) fn file_page(&self, view: &str, path: &str) -> String {
        format!(
            "{}/{}/{}/{view}/{}/{}",
            self.url.trim_end_matches('/'),
            web::segment(&self.owner),
            web::segment(&self.repository),
            web::path(&self.branch),
            web::path(path)
        )
    }

    /// All that is wrong at once, so that nobody corrects one by one.
    pub fn check(&self) -> Result<(), Error> {
        let mut problems = self.addresses();
        problems.extend(self.credentials());
        problems.extend(
            self.reviewers
                .iter()
                .filter(|name| !is_reviewer(name))
                .map(|name| {
                    format!("reviewers: {name:?} is neither a user nor organisation/team; correct or remove it")
                }),
        );
        for (field, name) in [("owner", &self.owner), ("repository", &self.repository)] {
            if !is_name(name) {
                problems.push(format!(
                    "{field}: {name:?} is no name; use the one in the repository's address"
                ));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Settings(one_sentence(&problems)))
    }

    fn addresses(&self) -> Vec<String> {
        let given = [
            ("url", Some(&self.url)),
            ("apiUrl", self.api_url.as_ref()),
            ("graphqlUrl", self.graphql_url.as_ref()),
        ];
        let mut problems = Vec::new();
        for (field, url) in given {
            let Some(url) = url else { continue };
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                problems.push(format!(
                    "{field}: {url:?} is not an address; begin it with http:// or https://"
                ));
            }
            if field != "url" && self.kind == Kind::Gitea {
                problems.push(format!("{field}: {url:?} is for kind github; remove it"));
            }
        }
        problems
    }

    fn credentials(&self) -> Option<String> {
        match (self.kind, &self.token_file, &self.app) {
            (Kind::Gitea, _, Some(app)) => Some(format!(
                "app: appId {} is for kind github; remove it and name a tokenFile",
                app.app_id
            )),
            (Kind::Gitea, None, None) => Some(
                "tokenFile: it is missing; name the file with the token of the platform's account"
                    .into(),
            ),
            (Kind::GitHub, Some(file), Some(app)) => Some(format!(
                "tokenFile, app: {} and appId {} are both given; remove one of the two",
                file.display(),
                app.app_id
            )),
            (Kind::GitHub, None, None) => Some(
                "tokenFile, app: both are missing; give app {appId, privateKeyFile}, or a tokenFile"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// A user or `organisation/team`.
fn is_reviewer(name: &str) -> bool {
    let mut parts = name.split('/');
    let complete = parts.by_ref().take(2).all(is_name);
    complete && parts.next().is_none()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(settings: &serde_json::Value) -> String {
        let mut all = serde_json::json!({"url": "https://github.com", "owner": "acme", "repository": "databases"});
        for (key, value) in settings.as_object().unwrap() {
            all[key] = value.clone();
        }
        let settings: Settings = serde_json::from_value(all).unwrap();
        settings
            .check()
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn github_takes_a_token_or_an_app_and_never_both() {
        let app = serde_json::json!({"appId": 7, "privateKeyFile": "/k"});
        let said = |token: bool, with: bool| {
            let mut settings = serde_json::json!({"kind": "github"});
            if token {
                settings["tokenFile"] = "/t".into();
            }
            if with {
                settings["app"] = app.clone();
            }
            said(&settings)
        };
        assert_eq!(said(true, false), "");
        assert_eq!(said(false, true), "");
        assert!(said(true, true).contains("remove one of the two"));
        assert!(said(false, false).contains("both are missing"));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = said(&serde_json::json!({
            "kind": "gitea", "url": "github.com", "owner": "a/b", "apiUrl": "ftp://x", "reviewers": ["ann", "acme/", "a/b/c"],
            "app": {"appId": 7, "privateKeyFile": "/k"}
        }));
        for part in [
            "url: \"github.com\" is not an address",
            "apiUrl: \"ftp://x\" is not an address",
            "apiUrl: \"ftp://x\" is for kind github",
            "owner: \"a/b\"",
            "reviewers: \"acme/\"",
            "reviewers: \"a/b/c\"",
            "appId 7 is for kind github",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("\"ann\""), "{text}");
    }

    #[test]
    fn gitea_needs_its_token() {
        assert!(said(&serde_json::json!({"kind": "gitea"})).contains("tokenFile"));
    }
}
