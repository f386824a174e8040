//! What reviewing and the doctor ask: the files of a pull request, and the rule that protects the base branch.

use super::connection::Connection;
use super::wire;
use crate::forge::{Changed, Error, Protection};
use crate::web;

/// Changed files per page; a server may give fewer.
const PAGE: usize = 50;
/// Nobody reads a pull request of more files than this holds.
const MOST_PAGES: usize = 100;

/// Pages until an empty one: a server that gives fewer than asked for would end the list early otherwise.
pub(super) async fn changes(gitea: &Connection, number: u64) -> Result<Vec<Changed>, Error> {
    let mut changes = Vec::new();
    for page in 1..=MOST_PAGES {
        let path = format!("/pulls/{number}/files?limit={PAGE}&page={page}");
        let answer = gitea.get(&path, &[]).await?;
        let files: Option<Vec<wire::ChangedFile>> = answer.json()?;
        let files = files.unwrap_or_default();
        if files.is_empty() {
            return Ok(changes);
        }
        for file in files {
            changes.extend(changed(file, &answer)?);
        }
    }
    Err(Error::Refused {
        call: format!("GET /pulls/{number}/files"),
        status: 413,
        message: format!("it changes more than {} files", changes.len()),
    })
}

/// A file that was moved is one that is deleted and one that is made.
fn changed(file: wire::ChangedFile, answer: &web::Answer) -> Result<Vec<Changed>, Error> {
    let new = Changed {
        deleted: file.status == "deleted",
        path: file.filename,
    };
    if file.status != "renamed" {
        return Ok(vec![new]);
    }
    if file.previous_filename.is_empty() {
        return Err(Error::Http(web::Error::Malformed {
            server: answer.server.clone(),
            call: answer.call.clone(),
            why: "a renamed file has no previous name".into(),
        }));
    }
    let old = Changed {
        path: file.previous_filename,
        deleted: true,
    };
    Ok(vec![old, new])
}

/// The branch itself says to everybody whether it is protected; who may push past the rule says only the rule, and only
/// to administrators. A refusal there is no "not protected": then `pushes_allowed` is what the token's own user may do.
pub(super) async fn protection(gitea: &Connection) -> Result<Protection, Error> {
    let path = format!("/branches/{}", web::path(&gitea.settings.branch));
    let branch: wire::Branch = gitea.get(&path, &[]).await?.json()?;
    if !branch.protected {
        return Ok(Protection {
            pushes_allowed: true,
            ..Protection::default()
        });
    }
    let mut protection = Protection {
        protected: true,
        required_approvals: branch.required_approvals,
        required_checks: branch.status_check_contexts.unwrap_or_default(),
        pushes_allowed: branch.user_can_push,
    };
    if !branch.enable_status_check {
        protection.required_checks.clear();
    }
    let rule = &branch.effective_branch_protection_name;
    if !rule.is_empty() {
        let path = format!("/branch_protections/{}", web::segment(rule));
        let answer = gitea.get(&path, &[403, 404]).await?;
        if answer.is_success() {
            protection.pushes_allowed = answer.json::<wire::Rule>()?.lets_push();
        }
    }
    Ok(protection)
}
