//! Argo CD deploys to another cluster than the sidecar's own: databases are read through it.

use serde_json::{Value, json};

use super::*;
use crate::serve::cluster::ThroughArgoCd;

/// One merged order, whose Application has been synced.
async fn remote(pace: Pace) -> Stage {
    let mut stage = stage(1, pace).await;
    let watch = Watch::new(
        pace,
        stage.forge.clone(),
        stage.argocd.clone(),
        Arc::new(ThroughArgoCd::new(
            stage.argocd.clone(),
            stage.cluster.clone(),
        )),
    );
    Arc::get_mut(&mut stage.app)
        .expect("nobody else has it yet")
        .watch = watch;
    let object = json!({
        "metadata": {"name": "feat-1"},
        "spec": {"syncPolicy": {"automated": {}}},
        "status": {
            "sync": {"status": "Synced", "revision": "1"},
            "operationState": {"phase": "Succeeded", "syncResult": {"revision": "1"}},
            "resources": [
                {"version": "v1", "kind": "Namespace", "name": "postgres-vdbs-feat-1", "status": "Synced"},
                {"group": "core.delphix.com", "version": "v1alpha1", "kind": "PostgresVDB", "namespace": "postgres-vdbs-feat-1", "name": "feat-1-vdb", "status": "Synced"},
            ],
        },
    });
    *stage.argocd.applications.lock().unwrap() = vec![serde_json::from_value(object).unwrap()];
    stage
}

/// The resource of the answers that are kept.
fn resource(version: &str) -> Value {
    let answer = match version {
        "3.2" => include_str!("../../../argocd/fixtures/resource-3.2.json"),
        _ => include_str!("../../../argocd/fixtures/resource-3.5.json"),
    };
    let answer: Value = serde_json::from_str(answer).unwrap();
    serde_json::from_str(answer["manifest"].as_str().unwrap()).unwrap()
}

async fn look(stage: &Stage) -> (State, String) {
    let request = RequestId::parse(&id(1)).unwrap();
    let seen = progress::observe(&stage.app, &request, None).await.unwrap();
    (seen.readiness.state, seen.readiness.reason)
}

fn put(stage: &Stage, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let mut resources = stage.argocd.resources.lock().unwrap();
    resources.insert(name, object.clone());
}

#[rstest]
#[tokio::test]
async fn the_resource_decides(#[values("3.2", "3.5")] version: &str) {
    let stage = remote(Pace::FRESH).await;
    assert_eq!(
        look(&stage).await,
        (State::Syncing, "NotInResource".into()),
        "Argo CD's own health never says ready"
    );
    let mut object = resource(version);
    object["status"]["conditions"][0]["status"] = json!("False");
    put(&stage, &object);
    assert_eq!(look(&stage).await.0, State::Provisioning);
    put(&stage, &resource(version));
    assert_eq!(look(&stage).await, (State::Ready, "Verified".into()));
    object["metadata"]["namespace"] = json!("postgres-vdbs-feat-2");
    put(&stage, &object);
    assert_eq!(
        look(&stage).await.0,
        State::Syncing,
        "another environment's"
    );
}

#[tokio::test]
async fn a_missing_right_is_an_answer_and_no_failure() {
    let stage = remote(Pace::FRESH).await;
    put(&stage, &resource("3.5"));
    stage.argocd.refuses.store(true, Ordering::SeqCst);
    assert_eq!(look(&stage).await, (State::Blocked, "ArgoCdUnknown".into()));
}

#[tokio::test]
async fn the_status_list_and_the_namespace_come_through_argo_cd_too() {
    let stage = remote(Pace::FRESH).await;
    put(&stage, &resource("3.5"));
    let all = stage.app.watch.cluster.all().await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(all[0].is_ready());
    let environment = EnvironmentName::parse("feat-1").unwrap();
    let namespace = async || {
        let found = stage.app.watch.cluster.namespace(&environment).await;
        found.unwrap()
    };
    assert_eq!(namespace().await, None);
    let mut object = json!({"metadata": {"name": "postgres-vdbs-feat-1"}});
    put(&stage, &object);
    assert_eq!(
        namespace().await,
        Some(crate::serve::cluster::NamespaceState::Active)
    );
    object["metadata"]["deletionTimestamp"] = json!("2026-11-23T10:00:00Z");
    put(&stage, &object);
    assert_eq!(
        namespace().await,
        Some(crate::serve::cluster::NamespaceState::Terminating)
    );
}

#[tokio::test]
async fn many_looks_at_one_environment_are_one_look_until_something_changes() {
    let slow = Pace {
        beside_stream: Duration::from_secs(60),
        ..FAST
    };
    let stage = remote(slow).await;
    let environment = EnvironmentName::parse("feat-1").unwrap();
    let looks = async |count: usize| {
        let before = calls(&stage)[1];
        for _ in 0..count {
            let databases = stage.app.watch.cluster.databases(&environment).await;
            databases.unwrap();
        }
        calls(&stage)[1] - before
    };
    assert_eq!(looks(100).await, 2, "the Application and its database");
    stage.app.watch.cluster.expire(&environment);
    assert_eq!(looks(100).await, 2);
}
