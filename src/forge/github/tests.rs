//! The suite of all adapters on a small GitHub in memory, crashes at every call, and recorded answers for what is odd.

mod answers;
mod app;
mod emulate;
mod limits;
mod reading;
mod routes;
mod standin;
mod user;

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::forge::tests::{behaves, draft, put};
use crate::forge::{Change, Draft, Pull};
use standin::{Running, start};

const BRANCH: &str = "vdb/feat-1.create-0123456789";

fn wanted(running: &Running) -> Draft {
    let base = running.standin.world().branches["main"].clone();
    let changes = vec![put("environments/feat-1/values.yaml", "a: 1\n")];
    Draft {
        reviewers: vec!["rita".into(), "acme/dba".into()],
        ..draft(&base, BRANCH, changes)
    }
}

/// One branch with one commit on the base, one pull request, and everything that it carries.
fn is_whole(running: &Running, wanted: &Draft, pull: &Pull) {
    let world = running.standin.world();
    assert_eq!(world.branches.len(), 2, "{:?}", world.branches);
    assert_eq!((world.pulls.len(), pull.number), (1, 1));
    let head = &world.branches[BRANCH];
    assert_eq!(pull.head_sha, *head);
    let commit = &world.commits[head];
    assert_eq!(commit.parent.as_ref(), Some(&wanted.base_sha));
    assert_eq!(commit.files["environments/feat-1/values.yaml"], "a: 1\n");
    assert_eq!(
        commit.message,
        "Create environment feat-1\n\nRequested-by: user:default/guest"
    );
    assert_eq!(world.pulls[0].labels, ["vdb"]);
    assert_eq!(world.pulls[0].reviewers, [json!({"login": "rita"})]);
    assert_eq!(world.reviews_asked, 1, "nobody is asked twice");
}

#[tokio::test]
async fn the_adapter_behaves() {
    let running = start().await;
    behaves(running.forge().as_ref(), "feat-1").await;
}

#[tokio::test]
async fn a_proposal_that_is_cut_off_at_any_call_is_finished_by_the_next_one() {
    let clean = start().await;
    let draft = wanted(&clean);
    let pull = clean.forge().propose(&draft).await.unwrap();
    is_whole(&clean, &draft, &pull);
    let calls = clean.standin.calls();
    assert!(calls > 10, "{calls}");
    for n in 1..=calls {
        for lost_on_the_way_back in [false, true] {
            let running = start().await;
            let standin = &running.standin;
            let knob = if lost_on_the_way_back {
                &standin.lose_answer_of
            } else {
                &standin.fail_at
            };
            knob.store(n, Ordering::SeqCst);
            let draft = wanted(&running);
            let first = running.forge().propose(&draft).await;
            if let Err(error) = &first {
                assert!(error.is_transient(), "call {n}: {error}");
            }
            let pull = running.forge().propose(&draft).await.unwrap();
            is_whole(&running, &draft, &pull);
        }
    }
}

#[tokio::test]
async fn a_branch_without_its_commit_follows_a_base_that_moved() {
    let running = start().await;
    let old = wanted(&running);
    let sha = old.base_sha.clone();
    running.standin.world().branches.insert(BRANCH.into(), sha);
    running.push("environments/dev/values.yaml", "b: 1\n");
    let new = wanted(&running);
    assert_ne!(new.base_sha, old.base_sha);
    let pull = running.forge().propose(&new).await.unwrap();
    is_whole(&running, &new, &pull);
}

#[tokio::test]
async fn a_commit_that_somebody_else_made_on_the_branch_stays() {
    let running = start().await;
    let draft = wanted(&running);
    let head = {
        let mut world = running.standin.world();
        let head = world.add(Some(draft.base_sha.clone()), standin::Files::new(), "mine");
        world.branches.insert(BRANCH.into(), head.clone());
        head
    };
    running.forge().commit(&draft).await.unwrap();
    let pull = running.forge().propose(&draft).await.unwrap();
    assert_eq!(pull.head_sha, head);
}

#[tokio::test]
async fn replicas_that_propose_the_same_at_once_make_one_pull_request() {
    let running = start().await;
    let draft = wanted(&running);
    let replicas: Vec<_> = (0..8).map(|_| running.forge()).collect();
    let proposals = replicas.iter().map(|forge| forge.propose(&draft));
    for proposed in futures::future::join_all(proposals).await {
        assert_eq!(proposed.unwrap().number, 1);
    }
    let world = running.standin.world();
    assert_eq!(world.pulls.len(), 1);
    assert_eq!(world.ahead(&draft.base_sha, &world.branches[BRANCH]), 1);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_deleted() {
    let running = start().await;
    let base = running.standin.world().branches["main"].clone();
    let delete = |path: &str| Change::Delete { path: path.into() };
    let changes = vec![delete("README.md"), delete("nothing.md")];
    let forge = running.forge();
    let pull = forge.propose(&draft(&base, BRANCH, changes)).await.unwrap();
    let read = forge.read(&pull.head_sha, "README.md").await.unwrap();
    assert_eq!(read, None);
    assert!(forge.changes(1).await.unwrap()[0].deleted);
    assert!(forge.contains(&pull.head_sha, &base).await.unwrap());
    assert!(!forge.contains(&base, &pull.head_sha).await.unwrap());
}

#[tokio::test]
async fn reviewers_who_cannot_review_are_named_before_anything_is_written() {
    let running = start().await;
    let mut draft = wanted(&running);
    draft.reviewers = [
        "rita",
        "nobody",
        "stranger",
        "bot",
        "acme/none",
        "other/dba",
    ]
    .map(str::to_owned)
    .to_vec();
    let error = running.forge().propose(&draft).await.unwrap_err();
    let text = error.to_string();
    for part in [
        "\"nobody\" does not exist",
        "\"stranger\" has no access",
        "\"bot\" is the account that opens",
        "\"acme/none\" does not exist, or has no access",
        "\"other/dba\" is a team of another organisation",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("rita"), "{text}");
    assert!(!error.is_transient());
    assert_eq!(running.standin.world().branches.len(), 1);
}

#[tokio::test]
async fn an_order_does_not_fail_for_want_of_a_label() {
    let running = start().await;
    running.standin.world().labels_are_closed = true;
    let draft = wanted(&running);
    running.forge().propose(&draft).await.unwrap();
    assert!(running.standin.world().pulls[0].labels.is_empty());
    running.standin.world().labels_are_closed = false;
    let pull = running.forge().propose(&draft).await.unwrap();
    is_whole(&running, &draft, &pull);
}

#[tokio::test]
async fn a_branch_that_another_moved_to_a_newer_base_is_left_to_it() {
    let running = start().await;
    let old = wanted(&running);
    running.push("environments/dev/values.yaml", "b: 1\n");
    let newer = wanted(&running);
    let head = newer.base_sha.clone();
    running.standin.world().branches.insert(BRANCH.into(), head);
    let error = running.forge().propose(&old).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.hint().contains("run this again"), "{}", error.hint());
    assert!(running.standin.world().pulls.is_empty());
    let pull = running.forge().propose(&newer).await.unwrap();
    is_whole(&running, &newer, &pull);
}

#[tokio::test]
async fn a_comment_with_our_marker_by_somebody_else_is_not_ours() {
    let running = start().await;
    let forge = running.forge();
    forge.propose(&wanted(&running)).await.unwrap();
    let foreign = (1, "mallory".to_owned(), "told <!-- m -->".to_owned());
    running.standin.world().comments.push(foreign.clone());
    assert_eq!(forge.comment(1, "<!-- m -->").await.unwrap(), None);
    // More than one page of others' comments lie before ours.
    let many = std::iter::repeat_n((1, "rita".to_owned(), "hm".to_owned()), 150);
    running.standin.world().comments.extend(many);
    forge.upsert_comment(1, "<!-- m -->", "one").await.unwrap();
    let calls = running.standin.calls();
    forge.upsert_comment(1, "<!-- m -->", "one").await.unwrap();
    assert_eq!(
        running.standin.calls() - calls,
        2,
        "what stands there is not written again"
    );
    forge.upsert_comment(1, "<!-- m -->", "two").await.unwrap();
    let world = running.standin.world();
    assert_eq!(world.comments.len(), 152);
    assert_eq!(world.comments[0], foreign);
    assert_eq!(world.comments[151].2, "two\n\n<!-- m -->");
}
