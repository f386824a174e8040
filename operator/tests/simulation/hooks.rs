//! The stages of hooks beside those of a refresh: what runs when, what runs again, and what is passed over.

use k8s_openapi::api::core::v1::Secret;
use operator::cluster::{Kind, Name, Object};
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{State, World};

fn hook(name: &str, stage: &str, script: &str, weight: i32) -> Value {
    json!({ "name": name, "stage": stage, "type": "command", "script": script, "weight": weight })
}

fn jobs(state: &State) -> usize {
    state.objects.keys().filter(|n| n.kind == Kind::Job).count()
}

/// How often a Job was made.
fn started(state: &State) -> usize {
    let mut names: Vec<_> = state
        .log
        .iter()
        .filter(|c| c.starts_with("apply Job"))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn edit(world: &World, hooks: Value) {
    let mut state = world.state();
    let cr = state.cr.as_mut().unwrap();
    cr.spec.hooks = serde_json::from_value(hooks).unwrap();
    *cr.metadata.generation.get_or_insert_default() += 1;
}

#[tokio::test]
async fn nothing_is_ordered_before_the_hooks_of_pre_create_have_succeeded() {
    let world = World::new(json!({ "hooks": [hook("ask", "pre-create", "false", 1)] }));
    world.state().hook_fails = true;
    world.drive(|s| s.reason() == "HookFailed").await;
    {
        let mut state = world.state();
        assert_eq!((state.provisioned, jobs(&state)), (0, 1));
        state.hook_fails = false;
    }
    edit(&world, json!([hook("ask", "pre-create", "true", 1)]));
    world.drive(State::is_ready).await;
    let state = world.state();
    assert_eq!((state.provisioned, jobs(&state)), (1, 2));
    let at = |what: &str| state.log.iter().rposition(|c| c.starts_with(what)).unwrap();
    assert!(at("apply Job") < at("provision"), "{:?}", state.log);
}

#[tokio::test]
async fn at_pre_create_there_is_no_database_for_sql() {
    let mut sql = hook("ask", "pre-create", "select 1", 1);
    sql["type"] = json!("sql");
    let world = World::new(json!({ "hooks": [sql] }));
    world.drive(|s| s.reason() == "InvalidSpec").await;
    let message = world.state().condition("Ready").unwrap().2;
    assert!(message.contains("use type command"), "{message}");
}

#[tokio::test]
async fn of_a_stage_only_the_edited_hook_runs_again() {
    let hooks = |second: &str| {
        json!([
            hook("second", "post-create", second, 2),
            hook("first", "post-create", "true", 1)
        ])
    };
    let world = World::new(json!({ "hooks": hooks("false") }));
    world.drive(|s| jobs(s) == 1).await;
    world.state().hook_fails = true;
    world.drive(|s| s.reason() == "HookFailed").await;
    let (_, _, message) = world.state().condition("HooksSucceeded").unwrap();
    assert!(message.contains("second"), "{message}");
    world.state().hook_fails = false;
    edit(&world, hooks("true"));
    world.drive(State::is_ready).await;
    assert_eq!(started(&world.state()), 3, "first, second, second edited");
}

#[tokio::test]
async fn hooks_that_a_foreground_deletion_passes_over_are_named() {
    let hooks = json!([
        hook("dump", "pre-delete", "true", 1),
        hook("note", "post-delete", "true", 1)
    ]);
    let world = World::new(json!({ "hooks": hooks }));
    world.drive(State::is_ready).await;
    {
        let mut state = world.state();
        let meta = &mut state.cr.as_mut().unwrap().metadata;
        let finalizers = meta.finalizers.get_or_insert_default();
        finalizers.push("foregroundDeletion".to_owned());
        state.stuck_pod = true;
    }
    world.delete();
    world
        .drive(|s| s.reason() == "Deleting" && s.condition("Ready").unwrap().2.contains("skipped"))
        .await;
    let state = world.state();
    let message = state.condition("Ready").unwrap().2;
    assert!(
        message.contains("foreground") && message.contains("dump, note"),
        "{message}"
    );
    assert_eq!(started(&state), 0);
}

#[tokio::test]
async fn hooks_of_post_delete_run_after_the_virtual_database_is_gone() {
    let world = World::new(json!({ "hooks": [hook("note", "post-delete", "true", 1)] }));
    world.drive(State::is_ready).await;
    world.delete();
    world.drive(|s| started(s) == 1).await;
    assert!(world.state().vdbs.is_empty());
    world.drive(|s| s.cr.is_none()).await;
}

#[rstest]
#[case("pre-delete")]
#[case("post-delete")]
#[tokio::test]
async fn failed_hooks_of_a_deletion_are_told_before_it_goes_on(#[case] stage: &str) {
    let hooks = json!([
        hook("dump", stage, "false", 1),
        hook("note", stage, "false", 2)
    ]);
    let world = World::new(json!({ "hooks": hooks }));
    world.drive(State::is_ready).await;
    {
        let mut state = world.state();
        state.hook_fails = true;
        state.shown = Some(Vec::new());
    }
    world.delete();
    world.drive(|s| s.cr.is_none()).await;
    let state = world.state();
    let tail = "relation \"x\" does not exist";
    let told = state.told("HookFailed");
    assert_eq!(told.len(), 2, "{:?}", state.notices);
    for (notice, name) in told.iter().zip(["dump", "note"]) {
        assert!(
            notice.warning
                && !notice.counted
                && notice.note.contains(name)
                && notice.note.contains(tail),
            "{notice:?}"
        );
    }
    assert_eq!(state.counted("HookFailed"), 2);
    let shown = state.shown.as_ref().unwrap().last().unwrap();
    let status = shown.1.status.as_ref().unwrap();
    let ready = status.condition("Ready").unwrap();
    assert_eq!(ready.reason, "Deleting");
    for part in ["\"dump\"", "\"note\"", tail] {
        assert!(ready.message.contains(part), "{}", ready.message);
    }
    let hooked = status.condition("HooksSucceeded").unwrap();
    assert_eq!((&*hooked.status, &*hooked.reason), ("False", "HookFailed"));
    let logs = state.log.iter().filter(|c| *c == "log").count();
    assert_eq!(logs, 2, "each log is read once");
}

#[tokio::test]
async fn no_secret_of_a_hook_reaches_the_status_or_an_event() {
    let mut mask = hook("mask", "post-refresh", "env", 1);
    mask["envFrom"] = json!([
        { "secretRef": { "name": "dev-vdb-credentials" } },
        { "secretRef": { "name": "mail" } },
    ]);
    let world = World::new(json!({ "hooks": [mask] }));
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "mail", "namespace": "postgres-vdbs-dev" },
        "data": { "token": "dG9rZW4tb2YtbWFpbA==", "key": "a2V5LW9mLW1haWwKc2Vjb25kLWxpbmUK", "on": "MQ==" },
    }))
    .unwrap();
    let object = Object::from(secret);
    world.state().objects.insert(Name::of(&object), object);
    world.drive(State::is_ready).await;
    let secrets = {
        let mut state = world.state();
        let published = Name::new(Kind::Secret, "postgres-vdbs-dev", "dev-vdb-credentials");
        let Some(Object::Secret(published)) = state.objects.get(&published) else {
            panic!("no credentials")
        };
        let password = published.data.as_ref().unwrap()["password"].0.clone();
        let password = String::from_utf8(password).unwrap();
        state.prints = format!(
            "token=token-of-mail\nsecond-line\nuri=postgresql://app:{password}@dev-vdb:5432/orders\nat 11:11 step 1 failed\n"
        );
        state.hook_fails = true;
        state.change(|cr| {
            cr.spec.refresh = serde_json::from_value(json!({ "token": "t-1" })).unwrap();
        });
        [
            password,
            "token-of-mail".to_owned(),
            "second-line".to_owned(),
        ]
    };
    let failed = |s: &State| s.told("RefreshFailed").len() == 1;
    world.drive(failed).await;
    let state = world.state();
    let shown = serde_json::to_string(&state.cr.as_ref().unwrap().status).unwrap();
    assert!(
        shown.contains("at 11:11 step 1 failed"),
        "what is no secret stays: {shown}"
    );
    for secret in &secrets {
        assert!(!shown.contains(secret), "{shown}");
        let mut notes = state.notices.iter().map(|n| &n.note);
        assert!(notes.all(|note| !note.contains(secret)));
    }
}
