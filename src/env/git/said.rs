//! What git printed, read and made fit to be shown.

use std::process::Output;

use super::Error;
use crate::web::one_line;

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

pub(super) fn failed(command: &str, output: &Output) -> Error {
    let said = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    Error::Failed {
        command: command.to_owned(),
        message: one_line(&without_credentials(&text(said)), 400),
    }
}

/// git names the remote's address in its messages, and an address may hold a token.
pub(super) fn without_credentials(message: &str) -> String {
    let hide = |word: &str| match (word.find("://"), word.find('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}…{}", &word[..scheme + 3], &word[at..])
        }
        _ => word.to_owned(),
    };
    message.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Overtaken,
    Protected(String),
    Other,
}

/// Why a push was refused, from what git printed.
pub(super) fn refusal(stderr: &str) -> Refusal {
    let lower = stderr.to_ascii_lowercase();
    if lower.contains("(fetch first)")
        || lower.contains("(non-fast-forward)")
        || lower.contains("cannot lock ref")
    {
        return Refusal::Overtaken;
    }
    let protected = [
        "protected branch",
        "hook declined",
        "gh006",
        "gh013",
        "not allowed to push",
    ];
    if !protected.iter().any(|words| lower.contains(words)) {
        return Refusal::Other;
    }
    let said = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("remote:"))
        .map(|line| line.trim().trim_start_matches("error:").trim())
        .find(|line| !line.is_empty());
    Refusal::Protected(one_line(said.unwrap_or("the branch is protected"), 200))
}
