//! Bookmarks: resources that the sidecar makes, once, and says the state of.

use environment::actions::{ActionPhase, ActionStatus};

use super::*;

fn made() -> ActionStatus {
    ActionStatus {
        phase: ActionPhase::Succeeded,
        message: "bookmark before".into(),
        bookmark: Some("before".into()),
        data_as_of: Some("2026-11-25T10:00:00Z".into()),
        ..ActionStatus::default()
    }
}

async fn kept_at_once(status: ActionStatus) -> Stage {
    let stage = Stage::set().await;
    running(&stage).await;
    *stage.cluster.bookmark_status.lock().unwrap() = status;
    stage
}

#[tokio::test]
async fn a_bookmark_is_made_once_and_says_what_it_holds() {
    let stage = kept_at_once(made()).await;
    let input = json!({"name": "feat-1", "bookmark": "before", "retentionDays": 7, "database": "", "requestId": "task-2"});
    let first = stage.invoke("bookmark", input.clone()).await.body["output"].clone();
    assert_eq!(
        (
            &first["state"],
            &first["ready"],
            &first["bookmark"],
            &first["dataAsOf"]
        ),
        (
            &json!("READY"),
            &json!(true),
            &json!("before"),
            &json!("2026-11-25T10:00:00Z")
        )
    );
    assert_eq!(stage.invoke("bookmark", input).await.body["output"], first);
    let bookmarks = stage.cluster.bookmarks.lock().unwrap().clone();
    let [((environment, name), bookmark)] = &bookmarks.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one and the same for both calls");
    };
    assert_eq!(first["requestId"], json!(format!("{environment}.{name}")));
    assert_eq!(
        json!(bookmark.spec),
        json!({"vdb": "feat-1-vdb", "name": "before", "retentionDays": 7})
    );
    // Nothing of it is in Git.
    assert_eq!(stage.forge.pulls().len(), 1);
}

#[tokio::test]
async fn another_key_makes_another_and_the_same_key_nothing_else() {
    let stage = kept_at_once(made()).await;
    for (key, name, status) in [("a", "x", 200), ("b", "y", 200), ("a", "z", 409)] {
        let input = json!({"name": "feat-1", "bookmark": name, "requestId": key});
        assert_eq!(
            stage.invoke("bookmark", input).await.status,
            status,
            "{key} {name}"
        );
    }
    assert_eq!(stage.cluster.bookmarks.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_wait_follows_a_bookmark_and_not_yet_is_an_answer() {
    let stage = kept_at_once(made()).await;
    let input = json!({"name": "feat-1", "requestId": "task-2"});
    let id = stage.invoke("bookmark", input).await.body["output"]["requestId"].clone();
    let wait = json!({"requestId": id, "timeoutSeconds": 0});
    let becomes = |phase, reason: Option<&str>, message: &str| {
        let mut bookmarks = stage.cluster.bookmarks.lock().unwrap();
        bookmarks.values_mut().next().unwrap().status = ActionStatus {
            phase,
            reason: reason.map(str::to_owned),
            message: message.to_owned(),
            ..ActionStatus::default()
        };
    };
    becomes(
        ActionPhase::Pending,
        Some("Waiting"),
        "the database is not ready",
    );
    let seen = stage.invoke("wait", wait.clone()).await.body["output"].clone();
    assert_eq!(
        (&seen["state"], &seen["ready"], &seen["message"]),
        (
            &json!("REQUESTED"),
            &json!(false),
            &json!("the database is not ready")
        )
    );
    becomes(
        ActionPhase::Failed,
        Some("NameTaken"),
        "a bookmark named \"x\" exists and is of another database",
    );
    let failed = stage.invoke("wait", wait).await;
    assert!(
        failed.status == 409 && failed.phrase.starts_with("NameTaken: a bookmark named"),
        "{}",
        failed.phrase
    );
    let none = json!({"requestId": "feat-1.bookmark-0000000000", "timeoutSeconds": 0});
    assert_eq!(stage.invoke("wait", none).await.status, 404);
}

#[rstest]
#[case(json!({"name": "feat-1"}), "neither requestId nor bookmark")]
#[case(json!({"name": "feat-1", "requestId": "k", "database": "other-vdb"}), "has no database \"other-vdb\"; name one of feat-1-vdb")]
#[case(json!({"name": "feat-9", "requestId": "k"}), "there is no environment feat-9")]
#[tokio::test]
async fn what_cannot_be_kept_is_refused_with_what_to_do(#[case] input: Value, #[case] why: &str) {
    let stage = kept_at_once(made()).await;
    let answer = stage.invoke("bookmark", input).await;
    assert!(
        answer.status >= 400 && answer.phrase.contains(why),
        "{} {}",
        answer.status,
        answer.phrase
    );
    assert!(stage.cluster.bookmarks.lock().unwrap().is_empty());
}

#[tokio::test]
async fn of_several_databases_one_is_named() {
    let stage = kept_at_once(made()).await;
    let mut second = stage.cluster.databases.lock().unwrap()[0].clone();
    second.name = "feat-1-b-vdb".into();
    stage.cluster.databases.lock().unwrap().push(second);
    let mut input = json!({"name": "feat-1", "requestId": "k"});
    let answer = stage.invoke("bookmark", input.clone()).await;
    assert!(
        answer.status == 400 && answer.phrase.contains("feat-1-b-vdb"),
        "{}",
        answer.phrase
    );
    input["database"] = json!("feat-1-b-vdb");
    let kept = stage.invoke("bookmark", input).await.body["output"].clone();
    assert_eq!(kept["database"], "feat-1-b-vdb");
}
