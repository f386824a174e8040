//! The way round a protected branch: the same change as a pull request.

use anyhow::{Context as _, Result};
use environment::{EnvironmentName, render};

use super::settings::Settings;
use crate::forge::{self, Change, Draft, Pull, PullState};

/// As many pull requests of equal content as one environment may have seen closed.
const MOST: u32 = 100;

pub(super) struct Proposal<'a> {
    pub(super) name: &'a EnvironmentName,
    /// `create`, `update`, `refresh`, `extend` or `retire`.
    pub(super) operation: &'a str,
    pub(super) changes: Vec<Change>,
    pub(super) by: &'a str,
}

/// Opens the pull request, or finds the one that is open already.
pub(super) async fn open(settings: &Settings, proposal: &Proposal<'_>) -> Result<Pull> {
    let to = settings.forge.clone().context(
        "the branch is protected and no forge is known to open a pull request at: \
         set VDB_FORGE_URL, VDB_FORGE_OWNER, VDB_FORGE_REPOSITORY and VDB_FORGE_TOKEN_FILE, \
         and VDB_FORGE_KIND (gitea or github)",
    )?;
    let asked_at = to.url.clone();
    let forge = forge::connect(to)?;
    let attempt = async {
        let base_sha = forge.base().await?;
        for n in 0..MOST {
            let draft = draft(proposal, &base_sha, n);
            match forge.find(&draft.branch).await? {
                Some(pull) if pull.state != PullState::Open => {}
                Some(pull) => return Ok(Some(pull)),
                None => return forge.propose(&draft).await.map(Some),
            }
        }
        Ok(None)
    };
    let opened: Result<_, forge::Error> = attempt.await;
    match opened {
        Ok(pull) => {
            let pull = pull.context("too many pull requests with this content were closed")?;
            Ok(Pull {
                url: pull.url.replacen(&asked_at, &settings.forge_url, 1),
                ..pull
            })
        }
        Err(error) => {
            let hint = error.hint();
            Err(error).with_context(|| format!("no pull request was opened; {hint}"))
        }
    }
}

fn draft(proposal: &Proposal<'_>, base_sha: &str, n: u32) -> Draft {
    let Proposal {
        name,
        operation,
        changes,
        by,
    } = proposal;
    let content = format!("{changes:?}");
    let title = title(operation, name);
    Draft {
        base_sha: base_sha.to_owned(),
        branch: format!(
            "vdb/{name}.{operation}-{}",
            render::digest(operation, &content, n)
        ),
        changes: changes.clone(),
        message: message(&title, by),
        body: format!("Asked for by {by} with `vdb env`."),
        title,
        labels: vec!["vdb".into()],
        reviewers: Vec::new(),
        as_user: None,
    }
}

/// One line that says what a commit or a pull request does.
pub(super) fn title(operation: &str, name: &EnvironmentName) -> String {
    let (first, rest) = operation.split_at(1);
    format!(
        "{}{rest} database environment {name}",
        first.to_ascii_uppercase()
    )
}

/// Who asks, as the values file may hold it.
pub(super) fn signature(by: &str) -> String {
    by.chars()
        .filter(|c| c.is_ascii_alphanumeric() || ":/._@+-".contains(*c))
        .collect()
}

/// A commit's message with its trailer.
pub(super) fn message(title: &str, by: &str) -> String {
    format!("{title}\n\nRequested-by: {by}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_is_named_by_what_it_holds() {
        let name = EnvironmentName::parse("feat-1").unwrap();
        let proposal = Proposal {
            name: &name,
            operation: "retire",
            changes: vec![Change::Delete {
                path: name.values_path(),
            }],
            by: "a@b",
        };
        let first = draft(&proposal, "sha", 0);
        assert!(
            first.branch.starts_with("vdb/feat-1.retire-"),
            "{}",
            first.branch
        );
        assert_eq!(first.branch, draft(&proposal, "other", 0).branch);
        assert_ne!(first.branch, draft(&proposal, "sha", 1).branch);
        assert_eq!(
            first.message,
            "Retire database environment feat-1\n\nRequested-by: a@b\n"
        );
    }
}
