//! Who may order how much, and what may be merged, through the routers.

use super::*;

#[tokio::test]
async fn an_owner_orders_no_more_than_is_allowed_and_a_repetition_is_never_refused() {
    let stage = Stage::set_with(|settings, _| settings.orders.max_open_orders_per_owner = 2).await;
    for name in ["feat-1", "feat-2"] {
        let given = order(&json!({"name": name, "requestId": name}));
        assert_eq!(stage.invoke("publish", given).await.status, 200);
    }
    let third = order(&json!({"name": "feat-3", "requestId": "feat-3"}));
    let answer = stage.invoke("publish", third.clone()).await;
    assert_eq!((answer.status, answer.retry_after), (429, None));
    let said = "has 2 open orders of at most 2";
    assert!(answer.phrase.contains(said), "{}", answer.phrase);
    let answer = stage.invoke("validate", third.clone()).await;
    assert!(answer.status == 400 && answer.phrase.contains(said));
    let repeated = order(&json!({"requestId": "feat-1"}));
    for action in ["validate", "publish"] {
        assert_eq!(stage.invoke(action, repeated.clone()).await.status, 200);
    }
    let theirs = json!({"name": "feat-3", "owner": "user:default/guest", "requestId": "x"});
    assert_eq!(stage.invoke("publish", order(&theirs)).await.status, 200);
    stage.forge.merge(1);
    assert_eq!(stage.invoke("publish", repeated).await.status, 200);
    let fourth = order(&json!({"name": "feat-4", "requestId": "feat-4"}));
    assert_eq!(stage.invoke("publish", fourth).await.status, 200);
    assert_eq!(stage.forge.pulls().len(), 4);
}

#[tokio::test]
async fn a_limit_that_time_lifts_says_when() {
    let stage = Stage::set_with(|settings, _| settings.orders.max_orders_per_hour = 1).await;
    let first = order(&json!({}));
    assert_eq!(stage.invoke("publish", first).await.status, 200);
    let second = order(&json!({"name": "feat-2", "requestId": "task-2"}));
    let answer = stage.invoke("publish", second).await;
    assert_eq!(answer.status, 429);
    let seconds = answer.retry_after.unwrap();
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    assert!(answer.phrase.contains("60 minutes"), "{}", answer.phrase);
}

#[tokio::test]
async fn a_delivery_has_a_pull_request_judged_at_once() {
    let stage = Stage::set().await;
    stage.forge.push(|_| {});
    let (app, end) = (stage.app.clone(), std::future::pending());
    let running = tokio::spawn(background::run(app, end));
    // The first look has been taken: the next one on its own comes seconds later.
    until(|| stage.app.metrics.leader.get() == 1 && stage.forge.calls() > 4).await;
    stage.forge.hand_made("by-hand", |files| {
        files.insert("environments/dev/values.yaml".into(), "a: [".into());
        files.insert("README.md".into(), "x".into());
    });
    let body = json!({"action": "opened", "number": 1, "pull_request": {}}).to_string();
    let signature = hex::encode(mac(WEBHOOK_SECRET.as_bytes(), body.as_bytes()));
    let mut request = delivery(&body, &signature, "delivery-of-a-pull-request");
    request
        .headers_mut()
        .insert("x-gitea-event", "pull_request".parse().unwrap());
    let answer = send(router::webhooks(stage.app.clone()), request).await;
    assert_eq!(answer.status, 202);
    until(|| stage.forge.check("head-of-by-hand").is_some()).await;
    let check = stage.forge.check("head-of-by-hand").unwrap();
    assert_eq!(check.state, crate::forge::CheckState::Failure);
    assert!(check.description.ends_with("(and 1 more)"), "{check:?}");
    running.abort();
}

/// Within two seconds.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it did not happen");
}
