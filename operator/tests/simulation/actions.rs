//! Actions: each is carried out once, one at a time, and tells how it went.

use environment::actions::{ActionPhase, Kind};
use environment::status::RefreshState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use operator::actions::{Action, definition};
use operator::cluster::{Kind as Object, Name};
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{State, World, faults};

pub(crate) fn action(kind: Kind, name: &str, spec: &Value) -> Action {
    let mut spec = spec.clone();
    spec["vdb"] = json!("dev-vdb");
    let object = json!({
        "metadata": { "name": name, "namespace": "postgres-vdbs-dev", "uid": format!("{name}-uid"), "resourceVersion": "1" },
        "spec": spec,
    });
    definition::parse(kind, serde_json::from_value(object).unwrap()).unwrap()
}

pub(crate) fn add(state: &mut State, mut action: Action) {
    action.metadata.creation_timestamp = Some(Time(state.now));
    let name = action.key().name;
    state.actions.insert(name, action);
}

async fn ready() -> State {
    ready_as(json!({})).await
}

async fn ready_as(spec: Value) -> State {
    World::new(spec).ready().await
}

fn over(state: &State) -> bool {
    let mut actions = state.actions.values();
    actions.all(|a| a.status.phase.is_over()) && state.is_ready()
}

#[rstest]
#[case::refresh(Kind::PostgresRefresh, json!({}), Some("refreshed"))]
#[case::pinned(Kind::PostgresRefresh, json!({ "snapshotId": "of-d" }), Some("refreshed"))]
#[case::rewind(Kind::PostgresRewind, json!({ "snapshotId": "of-vdb" }), Some("rewound"))]
#[case::snapshot(Kind::PostgresSnapshot, json!({ "name": "before-tests" }), None)]
#[case::task(Kind::PostgresTask, json!({ "sql": "select 1" }), None)]
#[tokio::test]
async fn a_fault_at_any_call_of_an_action_still_carries_it_out_once(
    #[case] kind: Kind,
    #[case] spec: Value,
    #[case] origin: Option<&str>,
) {
    let mut base = ready().await;
    let before = base.vdbs["vdb-1"].data().origin.clone();
    add(&mut base, action(kind, "it", &spec));
    let check = |state: &State| {
        let about = format!("{:?}: {:?}", state.fault, state.log);
        let status = &state.actions["it"].status;
        assert_eq!(status.phase, ActionPhase::Succeeded, "{status:?} {about}");
        assert!(status.finished_at >= status.started_at && status.started_at.is_some());
        let complete = status.conditions.iter().find(|c| c.kind == "Complete");
        assert_eq!(complete.unwrap().status, "True");
        assert_eq!(
            state.exchanges.len(),
            usize::from(origin.is_some()),
            "{about}"
        );
        assert_eq!(state.vdbs["vdb-1"].data().origin, origin.unwrap_or(&before));
        let kept = usize::from(kind == Kind::PostgresSnapshot);
        assert_eq!(state.bookmarks.len(), kept, "{about}");
        let jobs = state
            .objects
            .keys()
            .filter(|n| n.kind == Object::Job)
            .count();
        assert_eq!(jobs, usize::from(kind == Kind::PostgresTask), "{about}");
        assert!(!state.ready_without_query, "{about}");
    };
    let clean = World::of(base.clone());
    clean.drive(over).await;
    check(&clean.state());
    let calls = clean.state().log.clone();
    for (at, call) in (1..).zip(&calls) {
        // Reads alone have no effect, and a process that dies at one died after the write before it.
        for fault in faults(call).iter().filter(|_| faults(call).len() > 1) {
            let world = World::of(base.clone());
            world.state().fault = Some((at, *fault));
            world.drive(over).await;
            check(&world.state());
        }
    }
}

#[tokio::test]
async fn actions_of_one_database_have_their_turn_in_the_order_of_their_creation() {
    let mut base = ready().await;
    add(
        &mut base,
        action(Kind::PostgresRefresh, "b-first", &json!({})),
    );
    base.now += jiff::SignedDuration::from_secs(1);
    add(
        &mut base,
        action(
            Kind::PostgresTask,
            "a-second",
            &json!({ "command": "true" }),
        ),
    );
    let world = World::of(base);
    world
        .drive(|s| s.actions["b-first"].status.phase == ActionPhase::Running)
        .await;
    world.drive(|s| s.exchanges.len() == 1).await;
    {
        let state = world.state();
        let second = &state.actions["a-second"].status;
        assert_eq!(second.phase, ActionPhase::Pending);
        assert!(!state.objects.keys().any(|n| n.kind == Object::Job));
    }
    world.drive(over).await;
    let state = world.state();
    let [first, second] = ["b-first", "a-second"].map(|name| state.actions[name].status.clone());
    assert!(
        first.finished_at <= second.started_at,
        "{first:?} {second:?}"
    );
}

#[rstest]
#[case(Kind::PostgresRefresh, json!({ "snapshotId": "of-other" }), "not one of source d")]
#[case(Kind::PostgresRefresh, json!({ "bookmark": "none" }), "there is no bookmark")]
#[case(Kind::PostgresRefresh, json!({ "timestamp": "2026-99-99T00:00:00Z" }), "no point in time")]
#[case(Kind::PostgresRewind, json!({ "snapshotId": "of-d" }), "not one of this database")]
#[case(Kind::PostgresRewind, json!({ "bookmark": "theirs" }), "not of this database")]
#[case(Kind::PostgresSnapshot, json!({ "name": "theirs" }), "of another database")]
#[tokio::test]
async fn what_cannot_be_done_fails_with_its_reason_and_the_server_is_not_stopped(
    #[case] kind: Kind,
    #[case] spec: Value,
    #[case] says: &str,
) {
    let mut base = ready().await;
    base.bookmarked("theirs", "d");
    add(&mut base, action(kind, "it", &spec));
    let world = World::of(base);
    world.drive(over).await;
    let state = world.state();
    let status = &state.actions["it"].status;
    assert_eq!(status.phase, ActionPhase::Failed, "{status:?}");
    assert!(status.message.contains(says), "{}", status.message);
    assert!(state.exchanges.is_empty());
    assert!(!state.log.iter().any(|c| c.starts_with("apply StatefulSet")));
    assert_eq!(state.condition("Stalled").unwrap().0, "False");
}

/// Its name is taken by the data of another moment, of this very database.
#[tokio::test]
async fn a_second_snapshot_does_not_take_the_bookmark_of_the_first_for_its_own() {
    let mut base = ready().await;
    let spec = json!({ "name": "before-tests" });
    add(&mut base, action(Kind::PostgresSnapshot, "first", &spec));
    let world = World::of(base);
    world.drive(over).await;
    add(
        &mut world.state(),
        action(Kind::PostgresSnapshot, "second", &spec),
    );
    world.drive(over).await;
    let state = world.state();
    let [first, second] = ["first", "second"].map(|name| state.actions[name].status.clone());
    assert_eq!(first.phase, ActionPhase::Succeeded, "{first:?}");
    assert_eq!(second.phase, ActionPhase::Failed, "{second:?}");
    assert_eq!(second.reason.as_deref(), Some("NameTaken"));
    assert!(
        second.message.contains("another made it"),
        "{}",
        second.message
    );
    assert_eq!(second.bookmark, None);
}

#[tokio::test]
async fn a_rewind_that_fails_ends_in_the_data_before() {
    let mut base = ready().await;
    base.broken_claim = Some("dev-vdb-g2");
    let spec = json!({ "snapshotId": "of-vdb" });
    add(&mut base, action(Kind::PostgresRewind, "it", &spec));
    let world = World::of(base);
    world.drive(over).await;
    let state = world.state();
    assert_eq!(state.actions["it"].status.phase, ActionPhase::Failed);
    assert_eq!(state.vdbs["vdb-1"].data().origin, "the latest snapshot");
    assert_eq!(state.refresh().unwrap().state, Some(RefreshState::Failed));
    // To the point, and from the bookmark back: a rewind has no undo.
    assert_eq!(state.exchanges, ["rewind", "rewind"]);
}

#[tokio::test]
async fn a_failed_task_is_not_tried_again_and_a_deleted_action_ends_without_harm() {
    let mut base = ready().await;
    base.hook_fails = true;
    base.prints = " 1\npsql:<stdin>:2: ERROR:  relation \"x\" does not exist\nLINE 1: select x from x\n                      ^\n".into();
    let printed = base.prints.trim().to_owned();
    add(
        &mut base,
        action(Kind::PostgresTask, "it", &json!({ "sql": "select x" })),
    );
    let world = World::of(base);
    world.drive(over).await;
    {
        let mut state = world.state();
        let status = &state.actions["it"].status;
        assert_eq!(status.phase, ActionPhase::Failed);
        assert!(
            status
                .message
                .contains("ERROR: relation \"x\" does not exist"),
            "{status:?}"
        );
        assert!(
            status
                .message
                .ends_with("; read status.output, correct the script and create another action")
        );
        assert_eq!(status.output.as_ref(), Some(&printed), "it is kept");
        assert!(status.job.is_some());
        let jobs = |s: &State| s.log.iter().filter(|c| c.starts_with("apply Job")).count();
        assert_eq!(jobs(&state), 1);
        let refresh = action(Kind::PostgresRefresh, "gone", &json!({}));
        add(&mut state, refresh);
    }
    world.drive(|s| s.exchanges.len() == 1).await;
    world.state().actions.remove("gone");
    let whole =
        |s: &State| s.is_ready() && s.refresh().unwrap().state == Some(RefreshState::Succeeded);
    world.drive(whole).await;
    let claim = Name::new(
        Object::PersistentVolumeClaim,
        "postgres-vdbs-dev",
        "dev-vdb-g2",
    );
    assert!(world.state().objects.contains_key(&claim));
}

#[tokio::test]
async fn no_password_of_the_database_stays_in_the_output_of_a_task() {
    let mut base = ready().await;
    let passwords: Vec<String> = ["dev-vdb-admin", "dev-vdb-credentials"]
        .iter()
        .map(|name| match base.object(Object::Secret, name) {
            Some(operator::cluster::Object::Secret(secret)) => {
                let bytes = secret.data.as_ref().unwrap()["password"].0.clone();
                String::from_utf8(bytes).unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    base.prints = format!("{}\nas app: {}\n", passwords[0], passwords[1]);
    add(
        &mut base,
        action(Kind::PostgresTask, "it", &json!({ "command": "env" })),
    );
    let world = World::of(base);
    world.drive(over).await;
    let state = world.state();
    let output = state.actions["it"].status.output.as_deref();
    assert_eq!(output, Some("…\nas app: …"));
}

/// Nobody knows then what is to be hidden.
#[tokio::test]
async fn what_a_task_printed_is_not_shown_where_its_secrets_cannot_be_read() {
    let mut base = ready().await;
    base.prints = "correct-horse".into();
    add(
        &mut base,
        action(Kind::PostgresTask, "it", &json!({ "command": "env" })),
    );
    let world = World::of(base);
    let phase = |s: &State| s.actions["it"].status.phase;
    world.drive(|s| phase(s) == ActionPhase::Running).await;
    world.state().barred = Some(Object::Secret);
    world.drive(|s| phase(s) == ActionPhase::Succeeded).await;
    let state = world.state();
    let output = state.actions["it"].status.output.clone().unwrap();
    assert!(
        output.starts_with("(its log is not shown: Secret dev-vdb-"),
        "{output}"
    );
}

#[tokio::test]
async fn an_action_of_no_database_fails_at_once() {
    let mut base = ready().await;
    add(
        &mut base,
        action(Kind::PostgresTask, "it", &json!({ "sql": "select 1" })),
    );
    base.cr = None;
    let world = World::of(base);
    world
        .drive(|s| s.actions["it"].status.phase == ActionPhase::Failed)
        .await;
    assert!(
        world.state().actions["it"]
            .status
            .message
            .contains("there is no PostgresVDB")
    );
}

#[tokio::test]
async fn a_rewind_runs_no_hooks() {
    let mut base = ready_as(json!({ "hooks": [
        { "name": "dump", "stage": "pre-refresh", "type": "sql", "script": "select 0" },
        { "name": "mask", "stage": "post-refresh", "type": "sql", "script": "select 1" },
    ] }))
    .await;
    let spec = json!({ "snapshotId": "of-vdb" });
    add(&mut base, action(Kind::PostgresRewind, "it", &spec));
    let world = World::of(base);
    world.drive(over).await;
    let state = world.state();
    assert_eq!(state.actions["it"].status.phase, ActionPhase::Succeeded);
    assert!(!state.log.iter().any(|c| c.starts_with("apply Job")));
}
