use std::sync::Arc;

use environment::Order;
use rstest::rstest;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::serve::fakes::{FakeForge, Stage, TURNS, pull};
use crate::serve::{proposal, review};

const GUEST: &str = "user:default/guest";
/// More calls than any order makes.
const ALL: usize = 1000;

fn order(memory: &str) -> Order {
    let input = json!({
        "name": "feat-1", "owner": "group:default/team-orders", "source": "10.0.1.54:largedb", "database": "largedb", "user": "app",
        "memory": memory, "requestId": format!("task-{memory}"),
    });
    Order::parse(&input).unwrap()
}

/// A replica that carries out one order, call by call.
struct Replica {
    stage: Arc<Stage>,
    turns: Arc<Semaphore>,
    task: JoinHandle<Result<Proposal, ApiError>>,
}

impl Replica {
    async fn start(forge: &Arc<FakeForge>, memory: &'static str) -> Self {
        let stage = Arc::new(Stage::set_on(forge.clone(), |_, _| {}).await);
        let turns = Arc::new(Semaphore::new(0));
        let app = stage.app.clone();
        let work = async move { proposal::create(&app, &order(memory), GUEST.into()).await };
        let task = tokio::spawn(TURNS.scope(turns.clone(), work));
        Self { stage, turns, task }
    }

    /// Lets it make so many calls, or end before. The runtime has one thread: it stands still at the next call.
    async fn go(&self, calls: usize) {
        self.turns.add_permits(calls);
        while self.turns.available_permits() > 0 && !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    async fn finish(self) -> Result<Proposal, ApiError> {
        self.go(ALL).await;
        self.task.await.unwrap()
    }

    /// Ends it where it stands. Returns its place to repeat the order.
    async fn kill(self) -> Arc<Stage> {
        self.task.abort();
        let _ended = self.task.await;
        self.stage
    }
}

async fn calls_of_an_order() -> usize {
    let stage = Stage::set().await;
    proposal::create(&stage.app, &order("1Gi"), GUEST.into())
        .await
        .unwrap();
    stage.forge.calls()
}

fn open(forge: &FakeForge) -> Vec<u64> {
    let pulls = forge.pulls().into_iter();
    let open = pulls.filter(|pull| pull.state == PullState::Open);
    open.map(|pull| pull.number).collect()
}

/// One open pull request, no branch of a closed one, and this is what the callers were told.
fn one_is_open(forge: &FakeForge, answers: &[&Result<Proposal, ApiError>], at: &str) {
    let left = open(forge);
    assert_eq!(left.len(), 1, "{at}: {left:?}");
    for pull in forge.pulls() {
        let there = forge.branches().contains(&pull.branch);
        assert_eq!(
            there,
            pull.state == PullState::Open,
            "{at}: #{}",
            pull.number
        );
    }
    for answer in answers {
        match answer {
            Ok(proposal) => assert_eq!(proposal.pull.as_ref().unwrap().number, left[0], "{at}"),
            Err(refused) => {
                let says = format!("has an open pull request: #{} ", left[0]);
                assert!(
                    refused.status == 409 && refused.message.contains(&says),
                    "{at}: {refused:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn whichever_call_of_one_replica_lies_between_those_of_another_one_pull_request_is_open() {
    let calls = calls_of_an_order().await;
    assert!(calls >= 8, "{calls}");
    let mut raced = 0;
    for of_one in 0..=calls {
        for of_other in 0..=calls {
            let forge: Arc<FakeForge> = Arc::default();
            let one = Replica::start(&forge, "1Gi").await;
            let other = Replica::start(&forge, "2Gi").await;
            one.go(of_one).await;
            other.go(of_other).await;
            let answers = [one.finish().await, other.finish().await];
            let at = format!("{of_one} and {of_other} calls");
            one_is_open(&forge, &[&answers[0], &answers[1]], &at);
            assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1, "{at}");
            raced += usize::from(forge.pulls().len() == 2);
        }
    }
    assert!(raced > 0, "no interleaving made two pull requests");
}

/// The other one is killed after any of its calls, those of the withdrawal included, while the first stands anywhere.
#[rstest]
#[case::the_same_order_again(true)]
#[case::the_replica_that_leads(false)]
#[tokio::test]
async fn what_a_killed_replica_leaves_is_finished(#[case] repeated: bool) {
    let calls = calls_of_an_order().await;
    let (mut left_open, mut left_branch) = (0, 0);
    // The first one has not begun, has looked and not opened, or has opened.
    for of_one in [0, calls - 2, calls] {
        for of_other in 0..=calls + 3 {
            let forge: Arc<FakeForge> = Arc::default();
            let one = Replica::start(&forge, "1Gi").await;
            let other = Replica::start(&forge, "2Gi").await;
            one.go(of_one).await;
            // Up to its last look at the forge before it opens; then the first one goes on.
            other.go(of_other.min(calls - 2)).await;
            let first = one.finish().await;
            other.go(of_other.saturating_sub(calls - 2)).await;
            let stage = other.kill().await;
            let at = format!("{of_one} and {of_other} calls");
            let closed = forge
                .pulls()
                .into_iter()
                .filter(|p| p.state == PullState::Closed);
            left_open += usize::from(open(&forge).len() == 2);
            left_branch += closed
                .filter(|p| forge.branches().contains(&p.branch))
                .count();
            if repeated {
                let again = proposal::create(&stage.app, &order("2Gi"), GUEST.into()).await;
                review::sweep(&stage.app).await;
                one_is_open(&forge, &[&first, &again], &at);
            } else {
                review::sweep(&stage.app).await;
                one_is_open(&forge, &[&first], &at);
            }
        }
    }
    assert!(
        left_open > 0 && left_branch > 0,
        "{left_open}, {left_branch}"
    );
}

#[tokio::test]
async fn what_was_withdrawn_may_be_ordered_again_by_the_same_call_once_the_name_is_free() {
    let forge: Arc<FakeForge> = Arc::default();
    let calls = calls_of_an_order().await;
    let one = Replica::start(&forge, "1Gi").await;
    let other = Replica::start(&forge, "2Gi").await;
    one.go(calls - 2).await;
    other.go(calls - 2).await;
    let stage = other.stage.clone();
    one.finish().await.unwrap();
    let refused = other.finish().await.unwrap_err();
    assert!(refused.message.contains("#1"), "{refused:?}");
    forge.close(1);
    let again = proposal::create(&stage.app, &order("2Gi"), GUEST.into()).await;
    assert_eq!(again.unwrap().pull.unwrap().number, 3);
    assert_eq!(open(&forge), [3]);
}

fn opened(number: u64, digest: &str, at: &str) -> Pull {
    let branch = format!("vdb/feat-1.create-{digest}");
    let marker = Marker {
        request_id: branch.trim_start_matches("vdb/").into(),
        ..Marker::default()
    };
    Pull {
        created_at: at.into(),
        ..pull(number, &branch, &marker.comment())
    }
}

#[tokio::test]
async fn a_pull_request_that_somebody_opened_again_ends_no_later_one() {
    let stage = Stage::set().await;
    stage.forge.push(|_| {});
    stage
        .forge
        .add(opened(1, "0123456789", "2026-11-20T10:00:00Z"));
    stage
        .forge
        .add(opened(2, "123456789a", "2026-11-23T10:00:00Z"));
    assert!(!sweep(&stage.app, &stage.forge.pulls()).await.unwrap());
    assert_eq!(open(&stage.forge), [1, 2]);
}

#[tokio::test]
async fn only_what_is_open_now_ends_another_and_what_people_opened_is_left_to_them() {
    let stage = Stage::set().await;
    let at = "2026-11-23T10:00:00Z";
    stage.forge.add(opened(1, "0123456789", at));
    stage.forge.add(opened(2, "123456789a", at));
    stage
        .forge
        .add(pull(3, "vdb/feat-1.create-23456789ab", "by hand"));
    let seen = stage.forge.pulls();
    stage.forge.close(1);
    assert!(!sweep(&stage.app, &seen).await.unwrap());
    assert_eq!(open(&stage.forge), [2, 3]);
}

#[tokio::test]
async fn what_was_merged_before_it_could_be_withdrawn_stays_merged() {
    let stage = Stage::set().await;
    let at = "2026-11-23T10:00:00Z";
    stage.forge.push(|_| {});
    stage.forge.add(opened(1, "0123456789", at));
    stage.forge.add(opened(2, "123456789a", at));
    let seen = stage.forge.pulls();
    stage.forge.make_branch(&seen[1].branch);
    stage.forge.merge(2);
    let closed = withdraw(stage.forge.as_ref(), &seen[1], &seen[0]).await;
    assert_eq!(closed.unwrap().state, PullState::Merged);
    assert_eq!(stage.forge.branches(), [seen[1].branch.clone()]);
    assert!(!stage.forge.pulls()[1].body.contains("Withdrawn"));
}
