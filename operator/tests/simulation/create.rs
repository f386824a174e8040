//! From an order to a proved database, whatever breaks on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use operator::cluster::{Kind, Object};
use serde_json::json;

use super::world::{State, World, faults};

fn hooked() -> serde_json::Value {
    json!({ "hooks": [
        { "name": "seed", "stage": "post-create", "type": "sql", "script": "select 1", "weight": 9 },
        { "name": "mask", "stage": "post-create", "type": "sql", "script": "select $$x$$", "weight": 1 },
    ] })
}

fn assert_one(state: &State) {
    assert!(state.is_ready());
    assert!(
        !state.ready_without_query,
        "Ready was written before a query had been answered"
    );
    assert_eq!(
        state.provisioned, 1,
        "{:?} ordered {} times: {:?}",
        state.fault, state.provisioned, state.log
    );
    assert_eq!(state.vdbs.len(), 1);
    for kind in [
        Kind::StatefulSet,
        Kind::PersistentVolume,
        Kind::PersistentVolumeClaim,
        Kind::Service,
    ] {
        assert_eq!(
            state.objects.keys().filter(|n| n.kind == kind).count(),
            1,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn an_order_becomes_one_proved_database_within_the_budget_of_writes_and_calls() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    let state = world.state();
    assert_one(&state);
    assert!(
        state.writes <= 13,
        "{} writes: {:?}",
        state.writes,
        state.log
    );
    assert!(
        state.status_writes <= 4,
        "{} status writes: {:?}",
        state.status_writes,
        state.log
    );
    let tower = ["inventory", "provision", "read the VDB", "enable", "find"];
    let asked = state
        .log
        .iter()
        .filter(|c| tower.iter().any(|t| c.starts_with(t)))
        .count();
    assert!(asked <= 6, "{asked} calls of the tower");
    let status = state.cr.as_ref().unwrap().status.clone().unwrap();
    assert_eq!(
        status.connection_string.as_deref(),
        Some("postgresql://app@dev-vdb.postgres-vdbs-dev.svc.cluster.local:5432/orders")
    );
    assert_eq!(status.data_as_of.as_deref(), Some("2026-11-23T09:59:00Z"));
    let stages: Vec<_> = status
        .stages
        .iter()
        .map(|s| (s.name.as_str(), s.finished_at.is_some()))
        .collect();
    assert_eq!(
        stages,
        [
            ("accept", true),
            ("provision", true),
            ("enable", true),
            ("start", true),
            ("publish", true)
        ]
        .to_vec(),
        "{:?}",
        status.stages
    );
}

#[tokio::test]
async fn hooks_run_in_the_order_of_their_weight_before_the_password_is_set() {
    let world = World::new(hooked());
    world.drive(State::is_ready).await;
    let state = world.state();
    let place = |what: &str| {
        state
            .log
            .iter()
            .position(|c| c.starts_with(what))
            .unwrap_or_else(|| panic!("{what}: {:?}", state.log))
    };
    let jobs: Vec<_> = state
        .log
        .iter()
        .filter(|c| c.starts_with("apply Job"))
        .collect();
    assert_eq!(jobs.len(), 2);
    assert!(place("prepare") < place("apply Job") && place(jobs[1]) < place("set the password"));
    assert_eq!(state.condition("HooksSucceeded").unwrap().0, "True");
}

#[tokio::test]
async fn a_fault_at_any_call_ends_in_exactly_one_ready_database() {
    for unique_names in [true, false] {
        let clean = World::new(hooked());
        clean.drive(State::is_ready).await;
        let calls = clean.state().log.clone();
        for (at, call) in (1..).zip(&calls) {
            for fault in faults(call) {
                let world = World::new(hooked());
                world.state().fault = Some((at, *fault));
                world.state().unique_names = unique_names;
                world.drive(State::is_ready).await;
                assert_one(&world.state());
            }
        }
    }
}

#[tokio::test]
async fn a_ready_database_costs_no_write() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    let before = world.state().writes;
    let process = world.process();
    for _ in 0..5 {
        operator::controller::reconcile(&process, &super::world::key())
            .await
            .unwrap();
    }
    assert_eq!(world.state().writes, before);
}

#[tokio::test]
async fn a_restarted_server_is_proved_again_and_a_stopped_one_keeps_its_data() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    world.state().objects.retain(|n, _| n.kind != Kind::Pod);
    world.drive(|s| !s.is_ready()).await;
    world.drive(State::is_ready).await;
    world.state().cr.as_mut().unwrap().spec.enabled = false;
    world.drive(|s| s.reason() == "Suspended").await;
    world
        .drive(|s| !s.objects.keys().any(|n| n.kind == Kind::Pod))
        .await;
    assert_eq!(world.state().vdbs.len(), 1);
    world.state().cr.as_mut().unwrap().spec.enabled = true;
    world.drive(State::is_ready).await;
    assert_one(&world.state());
}

/// An order of which only the intent is known, written at this time.
async fn intended(at: &str) -> (World, environment::status::Intent) {
    let world = World::new(json!({}));
    world.drive(|s| s.condition("Ready").is_some()).await;
    let intent = environment::status::Intent {
        name: "postgres-vdbs-dev-dev-vdb-0a1b2c3d".into(),
        at: at.into(),
    };
    {
        let mut state = world.state();
        let state = &mut *state;
        let status = state.cr.as_mut().unwrap().status.as_mut().unwrap();
        status.vdb = Some(environment::status::Vdb {
            intent: Some(intent.clone()),
            ..Default::default()
        });
        (state.provisioned, state.vdbs) = (0, BTreeMap::new());
        state.forget_jobs();
    }
    (world, intent)
}

#[tokio::test]
async fn an_intent_that_another_operator_wrote_over_is_not_sent() {
    let (world, theirs) = intended("2026-11-23T10:00:00.000Z").await;
    let own = environment::status::Intent {
        at: "2026-11-23T09:59:00.000Z".into(),
        ..theirs
    };
    let process = world.process();
    let (key, now) = (super::world::key(), world.state().now);
    process.memory.meet(&key, "0a1b2c3d-4e5f", now);
    let fresh = Some((own, "d".to_owned()));
    process.memory.with(&key, |m| m.fresh_intent = fresh);
    operator::controller::reconcile(&process, &key)
        .await
        .unwrap();
    assert_eq!(world.state().provisioned, 0, "only the last intent is sent");
}

/// Both looked for the order at the same moment and found nothing: only the one that writes the intent anew sends it.
#[tokio::test]
async fn of_two_operators_that_look_for_one_order_one_sends_it_again() {
    let (world, _) = intended("2026-11-23T09:00:00.000Z").await;
    let processes = [world.process(), world.process()];
    let cr = world.state().cr.clone().unwrap();
    for process in &processes {
        process.memory.meet(&cr.key(), cr.uid(), world.state().now);
        let observed = operator::controller::observe::observe(process, cr.clone(), false);
        let observed = observed.await.unwrap();
        let frame = process.frame(&observed.cr);
        let plan = operator::controller::plan::plan(&observed, &frame);
        let step = operator::controller::plan::Step::RecordIntent { source: "d".into() };
        assert_eq!(
            format!("{plan:?}"),
            format!("{:?}", operator::controller::plan::Plan::Act(step))
        );
    }
    let status = cr.status.clone().unwrap();
    let [first, second] = processes;
    first.cluster.write_status(&cr, &status).await.unwrap();
    assert!(second.cluster.write_status(&cr, &status).await.is_err());
}

#[tokio::test]
async fn another_user_of_the_same_server_is_made_before_its_password_is_set() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    let process = world.process();
    let key = super::world::key();
    // This process has prepared the server for the user of before.
    world
        .state()
        .cr
        .as_mut()
        .unwrap()
        .status
        .as_mut()
        .unwrap()
        .verified = None;
    for user in ["app", "other"] {
        let user = user.to_owned();
        world.state().change(|cr| cr.spec.database.user = user);
        world.state().log.clear();
        operator::controller::reconcile(&process, &key)
            .await
            .unwrap();
        assert!(world.state().is_ready());
        assert!(world.state().log.iter().any(|call| call == "prepare"));
    }
}

#[tokio::test]
async fn a_restarted_operator_asks_a_server_that_the_kubelet_does_not_call_ready() {
    let world = World::new(json!({}));
    world.drive(State::is_ready).await;
    {
        let mut state = world.state();
        let pod = state.objects.values_mut();
        for object in pod.filter(|o| o.kind() == Kind::Pod) {
            let Object::Pod(pod) = object else { continue };
            let status = Arc::make_mut(pod).status.as_mut().unwrap();
            status.container_statuses.as_mut().unwrap()[0].ready = false;
        }
        state.log.clear();
    }
    let process = world.process();
    let key = super::world::key();
    operator::controller::reconcile(&process, &key)
        .await
        .unwrap();
    assert!(world.state().log.iter().any(|call| call == "check"));
}

#[tokio::test]
async fn after_a_slow_write_what_else_to_write_is_decided_anew() {
    let world = World::new(json!({}));
    world.state().write_takes = jiff::SignedDuration::from_secs(20);
    world.drive(State::is_ready).await;
    let state = world.state();
    assert_one(&state);
    let apply = |call: &String| call.starts_with("apply");
    let mut pairs = state.log.windows(2);
    assert!(!pairs.any(|pair| pair.iter().all(apply)), "{:?}", state.log);
}
