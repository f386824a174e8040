use std::sync::atomic::Ordering;

use super::*;
use crate::forge::CheckState;
use crate::serve::fakes::Stage;

const GOOD: &str = "owner: group:default/team-orders\nvdb:\n  source: {type: dct-source, reference: '10.0.1.54:largedb'}\n";

fn by_hand(stage: &Stage, branch: &str, files: &[(&str, &str)]) -> u64 {
    stage.forge.hand_made(branch, |all| {
        for (path, text) in files {
            all.insert((*path).to_owned(), (*text).to_owned());
        }
    })
}

async fn look(stage: &Stage) {
    stage.app.pulls.forget().await;
    sweep(&stage.app).await;
}

async fn prepared() -> Stage {
    let stage = Stage::set().await;
    stage.forge.push(|files| {
        files.insert("README.md".into(), "Hello".into());
    });
    stage
}

fn said(stage: &Stage, sha: &str) -> (CheckState, String) {
    let check = stage.forge.check(sha).unwrap();
    assert_eq!(check.context, REQUIRED_CHECK);
    (check.state, check.description)
}

#[tokio::test]
async fn each_head_gets_its_check_and_a_comment_that_follows_it() {
    let stage = prepared().await;
    let values = "environments/dev/values.yaml";
    let number = by_hand(&stage, "dev", &[(values, GOOD), ("README.md", "mine")]);
    look(&stage).await;
    let (outcome, description) = said(&stage, "head-of-dev");
    assert_eq!(outcome, CheckState::Failure);
    assert!(description.contains("README.md"), "{description}");
    let comment = stage.forge.comment_of(number, MARKER).unwrap();
    assert!(comment.contains("README.md"), "{comment}");

    let calls = stage.forge.calls();
    look(&stage).await;
    assert_eq!(stage.forge.calls() - calls, 3, "it is judged once");

    let head = stage.forge.amend(number, |files| {
        files.insert("README.md".into(), "Hello".into());
    });
    look(&stage).await;
    assert_eq!(said(&stage, &head).0, CheckState::Success);
    assert_eq!(stage.forge.comment_of(number, MARKER).unwrap(), say::FIXED);
}

#[tokio::test]
async fn a_pull_request_without_environments_passes_and_one_without_problems_gets_no_comment() {
    let stage = prepared().await;
    let readme = by_hand(&stage, "readme", &[("README.md", "new")]);
    let good = by_hand(&stage, "good", &[("environments/dev/values.yaml", GOOD)]);
    look(&stage).await;
    assert_eq!(
        said(&stage, "head-of-readme"),
        (CheckState::Success, "touches no environment".to_owned())
    );
    assert_eq!(said(&stage, "head-of-good").0, CheckState::Success);
    for number in [readme, good] {
        assert_eq!(stage.forge.comment_of(number, MARKER), None);
    }
}

#[tokio::test]
async fn a_verdict_is_renewed_when_the_base_branch_moves() {
    let stage = prepared().await;
    let values = "environments/dev/values.yaml";
    stage.forge.push(|files| {
        files.insert(values.into(), GOOD.into());
    });
    stage.forge.hand_made("gone", |files| {
        files.remove(values);
    });
    look(&stage).await;
    assert_eq!(said(&stage, "head-of-gone").0, CheckState::Success);
    stage.forge.push(|files| {
        files.insert(values.into(), format!("{GOOD}  protected: true\n"));
    });
    look(&stage).await;
    let (outcome, description) = said(&stage, "head-of-gone");
    assert_eq!(outcome, CheckState::Failure);
    assert!(description.contains("protected"), "{description}");
}

#[tokio::test]
async fn a_link_is_found_where_the_forge_lists_it() {
    let stage = prepared().await;
    stage.forge.link("environments/dev/values.yaml");
    by_hand(&stage, "dev", &[("environments/dev/values.yaml", GOOD)]);
    look(&stage).await;
    let (outcome, description) = said(&stage, "head-of-dev");
    assert_eq!(outcome, CheckState::Failure);
    assert!(description.contains("symbolic link"), "{description}");
}

#[tokio::test]
async fn after_a_failure_of_any_call_a_restart_judges_again() {
    let files = [("environments/dev/values.yaml", "a: ["), ("README.md", "x")];
    let whole = prepared().await;
    by_hand(&whole, "dev", &files);
    look(&whole).await;
    let calls = whole.forge.calls();
    for call in 1..=calls {
        for lost in [true, false] {
            let stage = prepared().await;
            let number = by_hand(&stage, "dev", &files);
            let fault = if lost {
                &stage.forge.lose_answer_of
            } else {
                &stage.forge.fail_at
            };
            fault.store(call, Ordering::SeqCst);
            look(&stage).await;
            *stage.app.reviews.lock().await = Memory::default();
            look(&stage).await;
            assert_eq!(said(&stage, "head-of-dev").0, CheckState::Failure, "{call}");
            assert!(stage.forge.comment_of(number, MARKER).is_some(), "{call}");
        }
    }
}

#[tokio::test]
async fn the_commit_of_a_merge_queue_gets_a_check_of_its_own() {
    let stage = prepared().await;
    let number = by_hand(&stage, "dev", &[("environments/dev/values.yaml", GOOD)]);
    // The queue's commit holds the same files under another id.
    by_hand(&stage, "queue", &[("environments/dev/values.yaml", GOOD)]);
    let verdict = head(&stage.app, "head-of-queue", number).await.unwrap();
    assert!(verdict.ok);
    assert_eq!(said(&stage, "head-of-queue").0, CheckState::Success);
    assert!(stage.forge.check("head-of-dev").is_none());
}

#[tokio::test]
async fn a_merge_is_noted_once_with_the_digests_that_were_judged() {
    let stage = prepared().await;
    let number = by_hand(&stage, "dev", &[("environments/dev/values.yaml", GOOD)]);
    look(&stage).await;
    stage.forge.merge(number);
    let before = stage.forge.calls();
    look(&stage).await;
    look(&stage).await;
    assert_eq!(
        stage.forge.calls() - before,
        9,
        "two looks of three calls, and three for the mark; nothing is read again"
    );
    let memory = stage.app.reviews.lock().await;
    assert!(memory.merged.contains(&number));
    let name = environment::EnvironmentName::parse("dev").unwrap();
    assert_eq!(
        memory.judged[&number].changes,
        [audit::Change::new(&name, None.into(), Some(GOOD).into())]
    );
}
