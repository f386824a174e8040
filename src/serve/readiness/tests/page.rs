//! docs/operations.md holds the states and reasons as the code has them.

use std::fmt::Write as _;

use super::*;

const STATES: [(State, &str); 11] = [
    (
        State::Requested,
        "The branch of the order exists, the pull request not yet.",
    ),
    (State::Proposed, "The pull request is open."),
    (State::Merged, "It is merged; Argo CD has not begun."),
    (
        State::Syncing,
        "Argo CD brings it to the cluster, or takes it away.",
    ),
    (
        State::Provisioning,
        "The operator makes the database. The reasons are the operator's, below.",
    ),
    (
        State::Ready,
        "A query through the Service, as the application's user, was answered. The end of an order.",
    ),
    (
        State::Blocked,
        "Waits for something that somebody has to change; goes on by itself afterwards.",
    ),
    (
        State::Rejected,
        "The pull request was closed without a merge. An end.",
    ),
    (
        State::Superseded,
        "Something else has taken its place since. An end.",
    ),
    (
        State::Failed,
        "It will not come without a change in Git or a new order.",
    ),
    (
        State::Retired,
        "Nothing of the environment is left. The end of a removal.",
    ),
];

fn name(state: State) -> String {
    serde_json::to_value(state)
        .unwrap()
        .as_str()
        .unwrap()
        .into()
}

fn table() -> String {
    let mut text = String::from("| State | What it means |\n|---|---|\n");
    for (state, meaning) in STATES {
        writeln!(text, "| {} | {meaning} |", name(state)).unwrap();
    }
    text += "\n| State | Reason | What it means | What to do |\n|---|---|---|---|\n";
    for (state, _) in STATES {
        for reason in Reason::ALL.iter().filter(|reason| reason.state() == state) {
            let hint = match reason.hint() {
                "" => "nothing",
                hint => hint,
            };
            let (reason, meaning) = (reason.as_str(), reason.meaning());
            writeln!(
                text,
                "| {} | `{reason}` | {meaning} | {hint} |",
                name(state)
            )
            .unwrap();
        }
    }
    text
}

/// Run with `UPDATE=1` to write the tables anew.
#[test]
fn the_page_for_people_has_every_state_and_reason_of_a_request() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- requests -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of requests -->").unwrap();
    let fresh = format!(
        "{before}<!-- requests -->\n{}<!-- end of requests -->{after}",
        table()
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == fresh,
        "docs/operations.md is stale: run UPDATE=1 cargo test -p vdb the_page_for_people"
    );
}
