//! A server on a target host of Delphix: the same order, Service and Secrets, and neither pod nor volume.

use environment::actions::Kind as ActionKind;
use environment::spec::Refresh;
use environment::status::{Delivery, RefreshState};
use k8s_openapi::api::core::v1::Secret;
use operator::cluster::{Kind, Name, Object};
use operator::controller::build::secret::text;
use rstest::rstest;
use serde_json::{Value, json};

use super::actions::{action, add};
use super::world::{Fault, State, World, faults, key};

fn world(spec: Value) -> World {
    let world = World::new(spec);
    world.state().remote = true;
    world
}

fn hooked() -> Value {
    json!({ "hooks": [
        { "name": "seed", "stage": "post-create", "type": "sql", "script": "select 1" },
        { "name": "mask", "stage": "post-refresh", "type": "sql", "script": "select 2" },
        { "name": "dump", "stage": "pre-delete", "type": "command", "script": "true" },
    ] })
}

async fn ready(spec: Value) -> State {
    world(spec).ready().await
}

fn assert_whole(state: &State, generation: u32) {
    let about = format!("{:?}: {:?}", state.fault, state.log);
    assert!(state.is_ready() && !state.ready_without_query, "{about}");
    assert_eq!((state.provisioned, state.vdbs.len()), (1, 1), "{about}");
    let slices: Vec<_> = state
        .objects
        .keys()
        .filter(|n| n.kind == Kind::EndpointSlice)
        .map(|n| n.name.clone())
        .collect();
    assert_eq!(slices, [format!("dev-vdb-g{generation}")], "{about}");
    let in_a_pod = [
        Kind::StatefulSet,
        Kind::Pod,
        Kind::PersistentVolume,
        Kind::PersistentVolumeClaim,
        Kind::ConfigMap,
    ];
    assert!(
        !state.objects.keys().any(|n| in_a_pod.contains(&n.kind)),
        "{about}"
    );
}

fn assert_gone(state: &State) {
    assert!(state.vdbs.is_empty(), "{:?}: {:?}", state.fault, state.log);
    assert!(state.objects.is_empty(), "{:?}", state.objects.keys());
}

async fn removed(world: &World) {
    world.drive(|s| s.cr.is_none()).await;
    world.state().advance(std::time::Duration::from_secs(5));
}

/// A copy of the start for each call of the clean way, and each fault at it.
async fn with_every_fault(
    base: &State,
    done: impl Fn(&State) -> bool + Copy,
    check: impl Fn(&State),
) {
    let clean = World::of(base.clone());
    clean.drive(done).await;
    check(&clean.state());
    let calls = clean.state().log.clone();
    for (at, call) in (1..).zip(&calls) {
        for fault in faults(call) {
            let world = World::of(base.clone());
            world.state().fault = Some((at, *fault));
            world.drive(done).await;
            check(&world.state());
        }
    }
}

#[tokio::test]
async fn a_fault_at_any_call_ends_in_one_ready_database_on_the_host() {
    for unique_names in [true, false] {
        let mut base = world(hooked()).state().clone();
        base.unique_names = unique_names;
        with_every_fault(&base, State::is_ready, |state| {
            assert_whole(state, 1);
            let status = state.cr.as_ref().unwrap().status.clone().unwrap();
            let vdb = status.vdb.unwrap();
            assert_eq!(vdb.export.as_deref(), Some("10.0.2.7:5434"));
            assert_eq!(vdb.delivery, Some(Delivery::TargetHost));
            assert_eq!(
                status.connection_string.as_deref(),
                Some("postgresql://app@dev-vdb.postgres-vdbs-dev.svc.cluster.local:5432/orders")
            );
        })
        .await;
    }
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_refresh_ends_in_the_new_data() {
    let mut base = ready(hooked()).await;
    base.change(|cr| {
        let token = Some("t1".to_owned());
        cr.spec.refresh = Some(Refresh {
            token,
            schedule: None,
        });
    });
    let over = |s: &State| {
        let state = s.refresh().and_then(|r| r.state);
        state.is_some_and(RefreshState::is_over) && s.is_ready()
    };
    with_every_fault(&base, over, |state| {
        assert_whole(state, 2);
        assert_eq!(state.exchanges, ["refresh"], "{:?}", state.log);
        assert_eq!(state.vdbs["vdb-1"].data().origin, "refreshed");
        assert!(state.bookmarks.is_empty());
        assert!(!state.log.iter().any(|c| c.starts_with("disable")));
    })
    .await;
}

#[tokio::test]
async fn a_refresh_whose_hook_fails_ends_in_the_data_before() {
    let mut base = ready(hooked()).await;
    base.hook_fails = true;
    base.change(|cr| {
        let token = Some("t1".to_owned());
        cr.spec.refresh = Some(Refresh {
            token,
            schedule: None,
        });
    });
    let world = World::of(base);
    world
        .drive(|s| s.is_ready() && s.refresh().and_then(|r| r.state) == Some(RefreshState::Failed))
        .await;
    let state = world.state();
    assert_whole(&state, 1);
    assert_eq!(state.exchanges, ["refresh", "undo"]);
    assert_eq!(state.vdbs["vdb-1"].data().origin, "the latest snapshot");
}

#[tokio::test]
async fn a_rewind_goes_back_on_the_host() {
    let mut base = ready(json!({})).await;
    let spec = json!({ "snapshotId": "of-vdb" });
    add(&mut base, action(ActionKind::PostgresRewind, "it", &spec));
    let world = World::of(base);
    world
        .drive(|s| s.actions["it"].status.phase.is_over() && s.is_ready())
        .await;
    let state = world.state();
    assert_eq!(state.vdbs["vdb-1"].data().origin, "rewound");
    assert_whole(&state, 2);
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_deletion_leaves_nothing_of_it() {
    let world = World::of(ready(hooked()).await);
    world.delete();
    let base = world.state().clone();
    let clean = World::of(base.clone());
    removed(&clean).await;
    assert_gone(&clean.state());
    let calls = clean.state().log.clone();
    assert!(calls.iter().any(|c| c.starts_with("apply Job")));
    for (at, call) in (1..).zip(&calls) {
        for fault in faults(call) {
            let world = World::of(base.clone());
            world.state().fault = Some((at, *fault));
            removed(&world).await;
            assert_gone(&world.state());
        }
    }
}

#[tokio::test]
async fn a_deletion_with_the_engine_down_ends_and_is_remembered() {
    let world = World::of(ready(json!({})).await);
    world.state().tower_answers = Err((dct::Class::Unreachable, "connection refused"));
    world.delete();
    world.drive(|s| s.reason() == "EngineUnreachable").await;
    world.state().advance(std::time::Duration::from_mins(10));
    removed(&world).await;
    let state = world.state();
    assert_eq!(state.orphans.len(), 1);
    assert!(state.objects.is_empty(), "{:?}", state.objects.keys());
}

/// The engine stops the server, nothing leads to it any more, and it comes back with its data.
#[tokio::test]
async fn a_fault_at_any_call_of_a_stop_still_stops_the_server_on_the_host() {
    let mut base = ready(json!({})).await;
    base.change(|cr| cr.spec.enabled = false);
    let no_address = |s: &State| !s.objects.keys().any(|n| n.kind == Kind::EndpointSlice);
    let stopped = move |s: &State| s.reason() == "Suspended" && no_address(s);
    let clean = World::of(base.clone());
    clean.drive(stopped).await;
    let calls = clean.state().log.clone();
    for (at, fault) in (1..)
        .zip(&calls)
        .flat_map(|(at, call)| faults(call).iter().map(move |f| (at, *f)))
        .chain([(usize::MAX, Fault::Crash)])
    {
        let world = World::of(base.clone());
        world.state().fault = Some((at, fault));
        world.drive(stopped).await;
        assert_eq!(world.state().vdbs["vdb-1"].vdb.enabled, Some(false));
        world.state().change(|cr| cr.spec.enabled = true);
        world.drive(State::is_ready).await;
        assert_whole(&world.state(), 1);
    }
}

fn secret(name: &str, password: &str) -> Object {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": key().namespace },
        "data": { "password": k8s_openapi::ByteString(password.into()) },
    }))
    .unwrap();
    secret.into()
}

/// Nobody gives the copy a role: it is the source's, and so is its password.
#[tokio::test]
async fn a_role_of_the_source_is_used_as_it_is() {
    let spec = json!({ "database": { "passwordSecretRef": "theirs" }, "hooks": [
        { "name": "seed", "stage": "post-create", "type": "sql", "script": "select 1" },
    ] });
    let world = world(spec);
    world.drive(|s| s.reason() == "PasswordSecretMissing").await;
    assert_eq!(world.state().provisioned, 0);
    let theirs = secret("theirs", "of-the-source");
    world.state().objects.insert(Name::of(&theirs), theirs);
    world.drive(State::is_ready).await;
    let state = world.state();
    assert_whole(&state, 1);
    assert!(
        state.vdbs["vdb-1"]
            .vdb
            .hooks
            .as_ref()
            .unwrap()
            .configure_clone
            .is_none()
    );
    for never in ["prepare", "set the password"] {
        assert!(!state.log.iter().any(|c| c == never), "{never}");
    }
    assert!(state.object(Kind::Secret, "dev-vdb-admin").is_none());
    let Some(Object::Secret(published)) = state.object(Kind::Secret, "dev-vdb-credentials") else {
        panic!("no credentials");
    };
    assert_eq!(
        text(published, "password").as_deref(),
        Some("of-the-source")
    );
    let jobs: Vec<Value> = state
        .objects
        .values()
        .filter(|o| o.kind() == Kind::Job)
        .map(|o| serde_json::to_value(o).unwrap())
        .collect();
    let env = jobs[0]["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains(r#"{"name":"PGUSER","value":"app"}"#), "{env}");
    assert!(
        env.contains(r#"{"key":"password","name":"theirs"}"#),
        "{env}"
    );
}

#[tokio::test]
async fn a_role_of_the_source_with_another_password_is_said() {
    let world = world(json!({ "database": { "passwordSecretRef": "theirs" } }));
    let theirs = secret("theirs", "another");
    world.state().objects.insert(Name::of(&theirs), theirs);
    world.drive(|s| s.reason() == "QueryFailed").await;
    let (_, _, message) = world.state().condition("Ready").unwrap();
    assert!(
        message.contains("password authentication failed"),
        "{message}"
    );
}

#[rstest]
#[case(json!({ "hooks": [{ "name": "h", "stage": "post-create", "type": "sql", "script": "x", "as": "admin" }] }), "hook \"h\" runs as admin")]
#[case(json!({ "database": { "createIfMissing": true } }), "createIfMissing")]
#[tokio::test]
async fn what_needs_the_platforms_role_is_refused_with_a_role_of_the_source(
    #[case] more: Value,
    #[case] says: &str,
) {
    let world = world(more);
    world
        .state()
        .change(|cr| cr.spec.database.password_secret_ref = Some("theirs".into()));
    world.drive(|s| s.reason() == "InvalidSpec").await;
    let (_, _, message) = world.state().condition("Ready").unwrap();
    assert!(
        message.contains(says) && message.contains("leave passwordSecretRef out"),
        "{message}"
    );
    assert_eq!(world.state().provisioned, 0);
}

#[tokio::test]
async fn a_server_outside_the_named_networks_is_not_led_to() {
    let world = world(json!({}));
    world.drive(|s| s.provisioned == 1).await;
    let elsewhere = Some("192.0.2.9".to_owned());
    world.state().vdbs.get_mut("vdb-1").unwrap().vdb.ip_address = elsewhere;
    world.drive(|s| s.reason() == "AddressRefused").await;
    let (_, _, message) = world.state().condition("Ready").unwrap();
    assert!(
        message.contains("192.0.2.9 is in none of 10.0.2.0/24"),
        "{message}"
    );
    world.delete();
    removed(&world).await;
    assert_gone(&world.state());
}

/// Settings that change later move no database.
#[tokio::test]
async fn what_was_ordered_for_a_host_stays_there() {
    let mut base = ready(json!({})).await;
    base.change(|cr| cr.spec.source.reference = "elsewhere:largedb".into());
    let world = World::of(base);
    world.drive(State::is_ready).await;
    assert_whole(&world.state(), 1);
}
