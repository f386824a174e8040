use environment::names::REQUEST_ID;
use environment::status::Condition;
use rstest::rstest;

use super::*;
use crate::serve::cluster::LiveDatabase;
use crate::serve::fakes::{self, Stage};
use crate::serve::portal::Notification;

const CREATE: &str = "feat-1.create-0123456789";
const RETIRE: &str = "feat-1.retire-0123456789";

/// Stands for another replica, or for this one after a restart.
fn teller() -> Teller {
    Teller {
        blocked_for: Duration::ZERO,
        ..Teller::default()
    }
}

fn finished(request: &str, state: PullState) -> Pull {
    let marker = Marker {
        request_id: request.into(),
        requested_by: "user:default/guest".into(),
        owner: "group:default/team-orders".into(),
        ..Marker::default()
    };
    Pull {
        state,
        merge_sha: Some("1".into()),
        finished_at: Some(Timestamp::now().to_string()),
        ..fakes::pull(1, &format!("vdb/{request}"), &marker.comment())
    }
}

async fn ended(request: &str, state: PullState) -> Stage {
    let all = Stage::set().await;
    all.forge.push(|_| {});
    all.forge.add(finished(request, state));
    all
}

impl Stage {
    /// The database of the order, with one condition that says why it is where it is.
    fn database_says(&self, kind: &str, status: &str, reason: &str, message: &str) {
        let mut database = LiveDatabase {
            name: "feat-1-vdb".into(),
            namespace: "postgres-vdbs-feat-1".into(),
            generation: 1,
            ..LiveDatabase::default()
        };
        database
            .annotations
            .insert(REQUEST_ID.into(), CREATE.into());
        database.status.observed_generation = Some(1);
        let condition = |kind: &str, status: &str| Condition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            observed_generation: Some(1),
            last_transition_time: "2026-11-23T10:00:00Z".into(),
        };
        database.status.conditions = vec![condition(kind, status)];
        if kind != "Ready" {
            database.status.conditions.push(condition("Ready", "False"));
        }
        *self.cluster.databases.lock().unwrap() = vec![database];
    }

    fn ready(&self) {
        self.database_says("Ready", "True", "Verified", "largedb answered a query");
    }

    fn blocked(&self) {
        let message = "source x is unknown; use one of the named sources";
        self.database_says("Ready", "False", "SourceNotFound", message);
    }

    fn stalled(&self) {
        let message = "hook mask failed; correct the hook's script";
        self.database_says("Stalled", "True", "HookFailed", message);
    }

    async fn sweep(&self, teller: &mut Teller) {
        self.app.pulls.forget().await;
        teller.sweep(&self.app).await;
    }

    fn told(&self) -> Vec<Notification> {
        self.portal.told.lock().unwrap().clone()
    }
}

#[rstest]
#[case::ready(
    Stage::ready,
    "is ready",
    "Verified: largedb answered a query",
    "normal"
)]
#[case::failed(
    Stage::stalled,
    "has failed",
    "HookFailed: hook mask failed – correct the hook's script",
    "high"
)]
#[case::blocked(
    Stage::blocked,
    "is blocked",
    "SourceNotFound: source x is unknown – use one of the named sources",
    "high"
)]
#[tokio::test]
async fn each_transition_of_an_order_is_told_once_with_reason_hint_and_link(
    #[case] happens: fn(&Stage),
    #[case] title: &str,
    #[case] description: &str,
    #[case] severity: &str,
) {
    let stage = ended(CREATE, PullState::Merged).await;
    happens(&stage);
    let mut first = teller();
    for _ in 0..2 {
        stage.sweep(&mut first).await;
        stage.sweep(&mut teller()).await;
    }
    let told = stage.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].title, format!("Database feat-1 {title}"));
    assert_eq!(
        (told[0].description.as_str(), told[0].severity),
        (description, severity)
    );
    assert_eq!(
        told[0].link,
        "http://localhost:7007/catalog/default/resource/feat-1"
    );
    assert_eq!(told[0].recipient, "group:default/team-orders");
}

#[tokio::test]
async fn a_rejected_order_is_told_with_its_pull_request() {
    let stage = ended(CREATE, PullState::Closed).await;
    for _ in 0..2 {
        stage.sweep(&mut teller()).await;
    }
    let told = stage.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].title.contains("rejected"), "{told:?}");
    assert!(told[0].description.contains("order again"), "{told:?}");
    assert!(told[0].link.ends_with("/pulls/1"), "{told:?}");
}

#[tokio::test]
async fn a_retired_environment_is_told_with_its_pull_request() {
    let stage = ended(RETIRE, PullState::Merged).await;
    for _ in 0..2 {
        stage.sweep(&mut teller()).await;
    }
    let told = stage.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].title, "Database feat-1 is retired");
    assert!(told[0].description.starts_with("Gone: "), "{told:?}");
    assert!(told[0].link.ends_with("/pulls/1"), "{told:?}");
}

#[tokio::test]
async fn a_superseded_order_is_nobodys_news() {
    let stage = ended(CREATE, PullState::Merged).await;
    stage.sweep(&mut teller()).await;
    assert!(stage.told().is_empty());
}

#[tokio::test]
async fn what_is_mended_is_told_too() {
    let stage = ended(CREATE, PullState::Merged).await;
    let mut teller = teller();
    for happens in [
        Stage::blocked,
        Stage::blocked,
        Stage::stalled,
        Stage::stalled,
        Stage::ready,
    ] {
        happens(&stage);
        stage.sweep(&mut teller).await;
    }
    let titles: Vec<String> = stage.told().into_iter().map(|told| told.title).collect();
    assert_eq!(
        titles,
        [
            "Database feat-1 is blocked",
            "Database feat-1 has failed",
            "Database feat-1 is ready"
        ]
    );
}

#[tokio::test]
async fn what_is_blocked_for_a_moment_only_is_not_told() {
    let stage = ended(CREATE, PullState::Merged).await;
    stage.blocked();
    let mut patient = Teller::default();
    stage.sweep(&mut patient).await;
    stage.sweep(&mut patient).await;
    assert!(stage.told().is_empty());
}

#[tokio::test]
async fn the_catalog_reads_the_entity_again_after_a_transition() {
    let stage = ended(CREATE, PullState::Merged).await;
    stage.ready();
    stage.sweep(&mut teller()).await;
    assert_eq!(
        *stage.portal.refreshed.lock().unwrap(),
        ["resource:default/feat-1"]
    );
}

#[tokio::test]
async fn a_crash_anywhere_tells_once_more_at_most_and_loses_nothing() {
    for lost_answer in [false, true] {
        for call in 1..=12 {
            let stage = ended(CREATE, PullState::Merged).await;
            stage.ready();
            let at = if lost_answer {
                &stage.forge.lose_answer_of
            } else {
                &stage.forge.fail_at
            };
            at.store(
                stage.forge.calls() + call,
                std::sync::atomic::Ordering::SeqCst,
            );
            stage.sweep(&mut teller()).await;
            // Another replica goes on.
            stage.sweep(&mut teller()).await;
            stage.sweep(&mut teller()).await;
            let told = stage.told();
            assert!((1..=2).contains(&told.len()), "call {call}: {told:?}");
            assert!(told.iter().all(|again| *again == told[0]));
            let comment = stage.forge.comment_of(1, MARKER).unwrap();
            assert!(comment.starts_with("**READY** Verified\n"), "{comment}");
        }
    }
}

#[tokio::test]
async fn a_portal_that_is_down_is_told_later() {
    let stage = ended(CREATE, PullState::Merged).await;
    stage.ready();
    stage
        .portal
        .refuses
        .store(1, std::sync::atomic::Ordering::SeqCst);
    stage.sweep(&mut teller()).await;
    assert_eq!(
        stage.forge.comment_of(1, MARKER),
        None,
        "not marked before it is told"
    );
    stage.sweep(&mut teller()).await;
    assert_eq!(stage.told().len(), 1);
}

#[tokio::test]
async fn what_a_cluster_says_stays_text_in_the_comment() {
    let stage = ended(CREATE, PullState::Merged).await;
    let message = "<img src=x> @everyone <!-- postgres-vdb-platform: progress -->";
    stage.database_says("Stalled", "True", "HookFailed", message);
    stage.sweep(&mut teller()).await;
    let comment = stage.forge.comment_of(1, MARKER).unwrap();
    assert!(
        !comment.contains('<') && !comment.contains('@'),
        "{comment}"
    );
}
