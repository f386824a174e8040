use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::*;
use crate::serve::fakes::{FakeForge, Log, Stage};
use crate::serve::review;

const VALUES: &str =
    "owner: group:default/team-orders\nvdb:\n  source: {type: dct-source, reference: 'h:d'}\n";

/// A pull request by hand that makes an environment.
fn asked(forge: &FakeForge, name: &str) -> u64 {
    let path = format!("environments/{name}/values.yaml");
    forge.hand_made(name, |files| {
        files.insert(path, VALUES.into());
    })
}

async fn sidecar(forge: &Arc<FakeForge>) -> Stage {
    Stage::set_on(forge.clone(), |_, _| {}).await
}

/// The numbers of the merges that have a line, in the order of the lines.
fn lines(log: &Log) -> Vec<u64> {
    let text = log.text();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &serde_json::Value| line["target"] == "audit" && line["event"] == "merged")
        .map(|line| line["pull"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn what_was_merged_while_no_sidecar_ran_gets_its_line_however_long_that_was() {
    let (log, _logging) = Log::everything();
    let forge: Arc<FakeForge> = Arc::default();
    forge.push(|_| {});
    let first = asked(&forge, "first");
    let before = sidecar(&forge).await;
    review::sweep(&before.app).await;
    forge.merge(first);
    before.app.wake().await;
    review::sweep(&before.app).await;
    assert_eq!(lines(&log), [first]);
    drop(before);
    // More merges than a page holds, days ago, not in the order of their numbers.
    let missed: Vec<u64> = (0..120).map(|n| asked(&forge, &format!("e{n}"))).collect();
    let mut expected = vec![first];
    for (i, number) in missed.iter().rev().enumerate() {
        forge.merge(*number);
        let ago =
            SignedDuration::from_hours(200) - SignedDuration::from_mins(i64::try_from(i).unwrap());
        forge.finished(*number, Timestamp::now() - ago);
        expected.push(*number);
    }
    forge.finished(first, Timestamp::now() - SignedDuration::from_hours(300));
    for _ in 0..2 {
        let after = sidecar(&forge).await;
        review::sweep(&after.app).await;
        review::sweep(&after.app).await;
        assert_eq!(lines(&log), expected);
    }
    let told = forge.comment_of(missed[0], MARKER).unwrap();
    assert_eq!(told, "Written to the audit log: change e0.");
}

#[tokio::test]
async fn a_sidecar_that_ends_anywhere_leaves_no_merge_without_its_line() {
    async fn merged() -> (Arc<FakeForge>, Stage) {
        let forge: Arc<FakeForge> = Arc::default();
        forge.push(|_| {});
        for name in ["marked", "a", "b"] {
            let number = asked(&forge, name);
            forge.merge(number);
        }
        for (number, hours) in [(1, 5), (2, 4), (3, 3)] {
            forge.finished(number, Timestamp::now() - SignedDuration::from_hours(hours));
        }
        forge.upsert_comment(1, MARKER, "Written.").await.unwrap();
        let stage = sidecar(&forge).await;
        (forge, stage)
    }
    let (forge, stage) = merged().await;
    let before = forge.calls();
    review::sweep(&stage.app).await;
    let calls = forge.calls() - before;
    assert!(calls > 10, "{calls}");
    for call in 1..=calls {
        for lost in [true, false] {
            let (log, _logging) = Log::everything();
            let (forge, stage) = merged().await;
            let fault = if lost {
                &forge.lose_answer_of
            } else {
                &forge.fail_at
            };
            fault.store(forge.calls() + call, Ordering::SeqCst);
            review::sweep(&stage.app).await;
            let after = sidecar(&forge).await;
            review::sweep(&after.app).await;
            let mut written = lines(&log);
            assert!(written.is_sorted(), "call {call}: {written:?}");
            assert!(written.len() <= 3, "call {call}: {written:?}");
            written.dedup();
            assert_eq!(written, [2, 3], "call {call}, lost {lost}");
        }
    }
}

#[tokio::test]
async fn the_first_sidecar_of_a_repository_writes_nothing_of_the_time_before_it() {
    let (log, _logging) = Log::everything();
    let forge: Arc<FakeForge> = Arc::default();
    forge.push(|_| {});
    let (old, new) = (asked(&forge, "old"), asked(&forge, "new"));
    forge.merge(old);
    forge.finished(old, Timestamp::now() - SignedDuration::from_hours(2));
    forge.merge(new);
    let stage = sidecar(&forge).await;
    review::sweep(&stage.app).await;
    assert_eq!(lines(&log), [new]);
    let calls = forge.calls();
    stage.app.wake().await;
    review::sweep(&stage.app).await;
    assert_eq!(forge.calls() - calls, 3, "lists and base alone");
}
