//! Every way to fail has its reason, its message and, where it can, its way back.

use std::time::Duration;

use dct::Class;
use dct::types::JobStatus;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use operator::cluster::{Kind, Name, Object};
use operator::controller::reconcile;
use rstest::rstest;
use serde_json::json;

use super::world::{State, World, key};

#[rstest]
#[case(json!({ "mode": "Standby" }), "ModeUnsupported", "read-only")]
#[case(json!({ "source": { "type": "pvc-clone" } }), "SourceTypeUnsupported", "dct-source")]
#[case(json!({ "source": { "timestamp": "2026-13-01T00:00:00Z" } }), "InvalidSpec", "no point in time")]
#[case(json!({ "source": { "reference": "10.0.1.99:largedb" } }), "SourceNotFound", "10.0.1.54")]
#[case(json!({ "source": { "reference": "other" } }), "SourceNotFound", "largedb")]
#[case(json!({ "image": "evil:16" }), "NotAllowed", "postgres:*")]
#[case(json!({ "database": { "user": "vdb_admin" } }), "InvalidSpec", "reserved")]
#[case(json!({ "database": { "password": "" } }), "InvalidSpec", "database.password")]
#[case(json!({ "errorBackoffPeriod": "0s" }), "InvalidSpec", "errorBackoffPeriod")]
#[case(json!({ "sessionGrace": "11m" }), "InvalidSpec", "sessionGrace")]
#[case(json!({ "hooks": [{ "name": "seed", "stage": "post-create", "type": "sql", "script": "x", "deadline": "5124095576030431h" }] }), "InvalidSpec", "deadline of hook")]
#[case(json!({ "hooks": [{ "name": "seed", "stage": "post-create", "type": "sql", "script": "x", "env": { "WORD": "x".repeat(131_067) } }] }), "InvalidSpec", "hook \"seed\": env \"WORD\" has 131071 bytes")]
#[case(json!({ "database": { "name": "nothere" } }), "DatabaseNotFound", "orders, postgres")]
#[case(json!({ "database": { "passwordSecretRef": "mine" } }), "PasswordSecretMissing", "mine")]
#[tokio::test]
async fn a_wrong_order_is_refused_with_its_reason(
    #[case] spec: serde_json::Value,
    #[case] reason: &str,
    #[case] says: &str,
) {
    let world = World::new(spec);
    world.drive(|s| s.reason() == reason).await;
    let state = world.state();
    let (status, _, message) = state.condition("Ready").unwrap();
    assert_eq!(status, "False");
    assert!(message.contains(says), "{message}");
    assert!(message.contains("; "), "a hint follows: {message}");
}

#[tokio::test]
async fn the_rule_of_its_namespace_names_all_that_is_wrong_and_nothing_is_ordered() {
    let world = World::new(json!({
        "resources": { "limits": { "cpu": "4", "memory": "1Gi" } },
        "hooks": [{ "name": "sh", "stage": "pre-create", "type": "command", "script": "x" }],
    }));
    let mut process = world.process();
    let rules = json!([{ "namespaces": ["postgres-vdbs-d*"], "hooks": ["sql"], "maxCpu": 2 }]);
    process.settings.allow = serde_json::from_value(json!({ "rules": rules })).unwrap();
    for _ in 0..5 {
        reconcile(&process, &key()).await.unwrap();
        world.state().advance(Duration::from_secs(60));
    }
    let state = world.state();
    let (_, reason, message) = state.condition("Stalled").unwrap();
    assert_eq!(reason, "NotAllowed");
    for part in ["hook \"sh\"", "resources.limits.cpu \"4\"", "at most 2"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(state.provisioned, 0);
    assert!(state.objects.is_empty());
}

#[tokio::test]
async fn what_is_refused_before_the_order_creates_nothing() {
    for spec in [
        json!({ "image": "evil:16" }),
        json!({ "source": { "reference": "other" } }),
    ] {
        let world = World::new(spec);
        world.drive(|s| !s.reason().is_empty()).await;
        assert_eq!(world.state().provisioned, 0);
        assert!(world.state().objects.is_empty());
    }
}

#[rstest]
#[case(Class::Unreachable, "EngineUnreachable")]
#[case(Class::Unauthorized, "EngineUnauthorized")]
#[case(Class::Forbidden, "EngineForbidden")]
#[case(Class::Rejected, "EngineRefused")]
#[case(Class::Unavailable, "EngineUnavailable")]
#[case(Class::Malformed, "EngineAnswerUnreadable")]
#[tokio::test]
async fn an_engine_in_trouble_is_named_and_waited_for(#[case] class: Class, #[case] reason: &str) {
    let world = World::new(json!({}));
    world.state().tower_answers = Err((class, "as it said"));
    world.drive(|s| s.reason() == reason).await;
    assert!(
        world
            .state()
            .condition("Ready")
            .unwrap()
            .2
            .contains("as it said")
    );
    world.state().tower_answers = Ok(());
    world.drive(State::is_ready).await;
    assert_eq!(world.state().provisioned, 1);
}

/// The order is sent again and again, and between two tries what the first may have left is looked for.
#[tokio::test]
async fn a_refused_order_is_called_refused_all_the_while() {
    let world = World::new(json!({}));
    world.state().refusing = vec!["provision"];
    world.drive(|s| s.reason() == "EngineRefused").await;
    let since = world.state().now;
    world
        .drive(|s| {
            let (_, _, message) = s.condition("Ready").unwrap();
            assert_eq!(s.reason(), "EngineRefused");
            assert!(message.contains("it is not to be; read what"), "{message}");
            s.now.duration_since(since).as_secs() > 60
        })
        .await;
    world.state().refusing.clear();
    world.drive(State::is_ready).await;
    assert_eq!(world.state().provisioned, 1);
}

#[tokio::test]
async fn a_tower_that_goes_away_while_its_job_runs_is_named() {
    let world = World::new(json!({}));
    world.drive(|s| s.reason() == "Provisioning").await;
    world.state().tower_answers = Err((Class::Unavailable, "in maintenance"));
    world.drive(|s| s.reason() == "EngineUnavailable").await;
    world.state().tower_answers = Ok(());
    world.drive(State::is_ready).await;
    assert_eq!(world.state().provisioned, 1);
}

#[tokio::test]
async fn a_failed_job_is_told_and_tried_again_after_the_backoff() {
    let world = World::new(json!({}));
    world.state().job_fails = Some("out of space");
    world.drive(|s| s.reason() == "ProvisionFailed").await;
    let failed = world.state().now;
    assert!(
        world
            .state()
            .condition("Stalled")
            .unwrap()
            .2
            .contains("out of space")
    );
    world.state().job_fails = None;
    world.drive(State::is_ready).await;
    assert!(
        world.state().now.duration_since(failed).as_secs() >= 59,
        "errorBackoffPeriod was waited for"
    );
    assert_eq!(world.state().vdbs.len(), 1);
}

/// The job that nobody heard of again may still do it: a second order could make a second database.
#[tokio::test]
async fn an_order_whose_job_timed_out_with_nothing_made_says_so_and_is_not_sent_again() {
    let world = World::new(json!({}));
    world.state().in_vain = true;
    world.state().job_ends = vec![JobStatus::Timedout];
    world.drive(|s| s.reason() == "VdbLost").await;
    let message = world.state().condition("Ready").unwrap().2;
    assert!(
        message.contains("has not come about: its job job-") && message.contains("Timedout"),
        "{message}"
    );
    world.state().advance(std::time::Duration::from_hours(1));
    world.drive(|s| s.reason() == "VdbLost").await;
    assert_eq!(world.state().provisioned, 1);
    world.delete();
    let began = world.state().now;
    world.drive(|s| s.cr.is_none()).await;
    let state = world.state();
    assert!(state.orphans.is_empty() && state.vdbs.is_empty());
    assert!(state.now.duration_since(began) < jiff::SignedDuration::from_mins(1));
}

#[tokio::test]
async fn a_database_whose_enabling_came_to_nothing_is_enabled_again_after_the_backoff() {
    let world = World::new(json!({}));
    world.state().in_vain = true;
    // The order is carried out, and then nobody knows what became of its enabling.
    world.state().job_ends = vec![JobStatus::Timedout, JobStatus::Completed];
    world.drive(|s| s.reason() == "EnableFailed").await;
    let failed = world.state().now;
    world.drive(State::is_ready).await;
    let state = world.state();
    assert!(
        state.now.duration_since(failed).as_secs() >= 59,
        "errorBackoffPeriod was waited for"
    );
    assert_eq!((state.provisioned, state.vdbs.len()), (1, 1));
}

#[tokio::test]
async fn a_right_that_is_missing_is_said_and_keeps_no_deletion_from_its_end() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    world.state().advance(std::time::Duration::from_mins(1));
    world.state().barred = Some(Kind::Service);
    world.drive(|s| s.reason() == "RightMissing").await;
    world.state().barred = None;
    world.drive(State::is_ready).await;

    world.state().barred = Some(Kind::Service);
    world.delete();
    world.drive(|s| s.reason() == "RightMissing").await;
    world.state().advance(std::time::Duration::from_mins(10));
    world.drive(|s| s.cr.is_none()).await;
    assert_eq!(world.state().orphans.len(), 1, "nobody looked at the rest");
}

#[rstest]
#[case("EmptyVolume", "holds no database cluster")]
#[case("VersionMismatch", "the data is of PostgreSQL 16")]
#[case("InvalidSetting", "work_men")]
#[case("LocaleMissing", "de_CH")]
#[tokio::test]
async fn what_the_helper_found_in_the_pod_becomes_the_reason(
    #[case] reason: &str,
    #[case] message: &str,
) {
    let world = World::new(json!({}));
    let ended = json!({ "terminated": { "exitCode": 3, "message": json!({ "reason": reason, "message": message }).to_string() } });
    let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let container = json!({ "name": "postgres", "image": "i", "imageID": "", "ready": false, "restartCount": 1, "state": waiting, "lastState": ended });
    world.state().pod_status = Some(json!({ "containerStatuses": [container] }));
    world.drive(|s| s.reason() == reason).await;
    let stalled = world.state().condition("Stalled").unwrap();
    assert_eq!(stalled.0, "True");
    assert!(stalled.2.contains(message));
}

#[tokio::test]
async fn a_failed_hook_shows_its_log_and_an_edited_one_runs_again() {
    let hook = |script: &str| json!([{ "name": "seed", "stage": "post-create", "type": "sql", "script": script }]);
    let world = World::new(json!({ "hooks": hook("select x") }));
    world.state().hook_fails = true;
    world.drive(|s| s.reason() == "HookFailed").await;
    let (_, _, message) = world.state().condition("HooksSucceeded").unwrap();
    assert!(
        message.contains("relation \"x\" does not exist"),
        "{message}"
    );
    assert!(!world.state().is_ready());
    let jobs: Vec<_> = world
        .state()
        .objects
        .keys()
        .filter(|n| n.kind == operator::cluster::Kind::Job)
        .cloned()
        .collect();
    assert_eq!(jobs.len(), 1);
    world.state().hook_fails = false;
    world.state().cr.as_mut().unwrap().spec.hooks =
        serde_json::from_value(hook("select 1")).unwrap();
    world.drive(State::is_ready).await;
}

#[tokio::test]
async fn no_password_reaches_the_status_or_an_event() {
    let world = World::new(json!({ "database": { "password": "correct-horse" } }));
    world.drive(State::is_ready).await;
    let state = world.state();
    let shown = serde_json::to_string(&state.cr.as_ref().unwrap().status).unwrap();
    assert!(!shown.contains("correct-horse"));
    assert!(
        state
            .notices
            .iter()
            .all(|n| !n.note.contains("correct-horse"))
    );
    assert!(state.condition("Ready").unwrap().2.contains("warning"));
}

#[tokio::test]
async fn a_refusal_is_looked_at_again_at_most_once_a_second_whatever_is_ordered() {
    let world = World::new(json!({ "errorBackoffPeriod": "0s" }));
    let process = world.process();
    let key = super::world::key();
    let wait = operator::controller::reconcile(&process, &key);
    let second = std::time::Duration::from_secs(1);
    let wanted = operator::controller::Requeue::After(second);
    assert_eq!(wait.await.unwrap(), wanted);
}

#[tokio::test]
async fn a_secret_with_an_empty_password_is_refused_and_named() {
    let world = World::new(json!({ "database": { "passwordSecretRef": "mine" } }));
    let secret = |password: &str| -> Secret {
        let data = json!({ "password": ByteString(password.as_bytes().to_vec()) });
        let metadata = json!({ "name": "mine", "namespace": "postgres-vdbs-dev" });
        serde_json::from_value(json!({ "metadata": metadata, "data": data })).unwrap()
    };
    let put = |password: &str| {
        let object = Object::from(secret(password));
        let name = Name::of(&object);
        world.state().objects.insert(name, object);
    };
    put("\n");
    world.drive(|s| s.reason() == "PasswordSecretMissing").await;
    assert!(world.state().condition("Ready").unwrap().2.contains("mine"));
    put("correct-horse");
    world.drive(State::is_ready).await;
}
