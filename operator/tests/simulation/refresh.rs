//! Other data in the same database: once, or not at all, whatever breaks on the way.

use environment::spec::Refresh;
use environment::status::RefreshState;
use operator::cluster::Kind;
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{Fault, State, World, faults};

fn hooks() -> Value {
    json!({ "hooks": [
        { "name": "dump", "stage": "pre-refresh", "type": "sql", "script": "select 0" },
        { "name": "mask", "stage": "post-refresh", "type": "sql", "script": "select 1" },
    ] })
}

async fn ready(spec: Value) -> State {
    World::new(spec).ready().await
}

fn ask(state: &mut State, token: &str) {
    let token = Some(token.to_owned());
    state.change(|cr| {
        let schedule = cr.spec.refresh.take().and_then(|r| r.schedule);
        cr.spec.refresh = Some(Refresh { token, schedule });
    });
}

fn over(state: &State) -> bool {
    let refresh = state.refresh().and_then(|r| r.state);
    refresh.is_some_and(RefreshState::is_over) && state.is_ready()
}

/// The database that is there is whole, and nothing else is.
fn assert_whole(state: &State, origin: &str, claim: &str) {
    let about = format!("{:?}: {:?}", state.fault, state.log);
    assert!(state.is_ready(), "{about}");
    assert!(!state.ready_without_query, "Ready without a query, {about}");
    assert_eq!(state.vdbs["vdb-1"].data().origin, origin, "{about}");
    assert!(state.bookmarks.is_empty(), "a bookmark is left, {about}");
    for (kind, name) in [
        (Kind::PersistentVolumeClaim, claim.to_owned()),
        (Kind::PersistentVolume, format!("postgres-vdbs-dev-{claim}")),
    ] {
        let found: Vec<_> = state.objects.keys().filter(|n| n.kind == kind).collect();
        assert_eq!(found.len(), 1, "{found:?}, {about}");
        assert_eq!(found[0].name, name, "{about}");
    }
    let pod = state.object(Kind::Pod, "dev-vdb-0").unwrap();
    assert_eq!(pod.annotation("claim"), Some(claim), "{about}");
}

fn versions(state: &State) -> Vec<Option<String>> {
    let of = |kind, name: &str| {
        let found = state.object(kind, name);
        found.and_then(|o| o.meta().resource_version.clone())
    };
    vec![
        of(Kind::Service, "dev-vdb"),
        of(Kind::Secret, "dev-vdb-credentials"),
        of(Kind::Secret, "dev-vdb-admin"),
    ]
}

#[tokio::test]
async fn a_new_token_exchanges_the_data_and_nothing_else() {
    let mut base = ready(hooks()).await;
    let before = versions(&base);
    ask(&mut base, "t-1");
    let world = World::of(base);
    world.drive(over).await;
    let state = world.state();
    assert_whole(&state, "refreshed", "dev-vdb-g2");
    assert_eq!(versions(&state), before, "Service and Secrets stay");
    assert_eq!(state.exchanges, ["refresh"]);
    let status = state.cr.as_ref().unwrap().status.clone().unwrap();
    assert_eq!(status.data_as_of.as_deref(), Some("2026-11-23T10:30:00Z"));
    let refresh = status.refresh.unwrap();
    assert_eq!(refresh.state, Some(RefreshState::Succeeded));
    assert_eq!(refresh.token.as_deref(), Some("t-1"));
    assert!(refresh.finished_at > refresh.started_at);
    assert_eq!(status.phase, Some(environment::status::Phase::Running));
    let reconciling = status.conditions.iter().find(|c| c.kind == "Reconciling");
    assert_eq!(reconciling.unwrap().status, "False");
    let place = |what: &str| {
        let found = state.log.iter().position(|c| c.starts_with(what));
        found.unwrap_or_else(|| panic!("{what}: {:?}", state.log))
    };
    let jobs: Vec<_> = (0..state.log.len())
        .filter(|i| state.log[*i].starts_with("apply Job"))
        .collect();
    assert!(place("bookmark") < jobs[0] && jobs[0] < place("apply StatefulSet"));
    assert!(place("prepare") < jobs[1] && jobs[1] < place("set the password"));
    assert!(place("disable") < place("refresh"));
    assert!(
        place("status Refreshing") < place("apply StatefulSet"),
        "it is said before the server goes"
    );
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_refresh_still_exchanges_the_data_once() {
    let mut base = ready(hooks()).await;
    ask(&mut base, "t-1");
    every_fault(&base, &ANY, |state| {
        assert_whole(state, "refreshed", "dev-vdb-g2");
        assert_eq!(
            state.exchanges,
            ["refresh"],
            "{:?}: {:?}",
            state.fault,
            state.log
        );
    })
    .await;
}

const ANY: [Fault; 3] = [Fault::Crash, Fault::LostReply, Fault::NotSent];
/// Those after which somebody has to find out what was done.
const HARD: [Fault; 2] = [Fault::Crash, Fault::LostReply];

/// The faults of these kinds at a call. A process that dies at a read of the cluster is one that died after the call
/// before it.
fn chosen(call: &str, kinds: &[Fault]) -> Vec<Fault> {
    let tower = ["read the", "find", "poll"]
        .iter()
        .any(|w| call.starts_with(w));
    let possible = faults(call);
    let wanted = possible.len() > 1 || (tower && kinds.len() == ANY.len());
    let chosen = possible.iter().filter(|f| wanted && kinds.contains(f));
    chosen.copied().collect()
}

/// Runs to the end once for each call and each fault at it.
async fn every_fault(base: &State, kinds: &[Fault], check: impl Fn(&State)) {
    let clean = World::of(base.clone());
    clean.drive(over).await;
    check(&clean.state());
    let calls = clean.state().log.clone();
    for (at, call) in (1..).zip(&calls) {
        for fault in chosen(call, kinds) {
            let world = World::of(base.clone());
            world.state().fault = Some((at, fault));
            world.drive(over).await;
            check(&world.state());
        }
    }
}

#[tokio::test]
async fn a_token_that_was_seen_is_not_carried_out_again() {
    let mut base = ready(json!({ "refresh": { "token": "t-0" } })).await;
    assert!(base.exchanges.is_empty(), "an order's own token is no wish");
    for (token, exchanges) in [("t-1", 1), ("t-0", 1), ("t-2", 2), ("t-1", 2)] {
        ask(&mut base, token);
        let world = World::of(base);
        let settled = |s: &State| over(s) && s.exchanges.len() == exchanges;
        world.drive(settled).await;
        base = world.state().clone();
        assert!(base.condition("Stalled").unwrap().0 == "False");
    }
}

/// What goes wrong, what is seen of it, what data and which generation are there in the end.
#[rstest]
#[case::refused(&["refresh"], &[], None, "it is not to be", "dev-vdb-g1")]
#[case::failed(&[], &["refresh"], None, "out of space", "dev-vdb-g1")]
#[case::not_offered(&[], &["disable"], None, "out of space", "dev-vdb-g1")]
#[case::unusable(&[], &[], Some("dev-vdb-g2"), "PostgreSQL 17", "dev-vdb-g1")]
#[case::no_undo(&["undo"], &[], Some("dev-vdb-g2"), "PostgreSQL 17", "dev-vdb-g3")]
#[case::failed_undo(&[], &["undo"], Some("dev-vdb-g2"), "PostgreSQL 17", "dev-vdb-g3")]
#[case::no_bookmark(&["bookmark"], &[], None, "it is not to be", "dev-vdb-g1")]
#[tokio::test]
async fn a_refresh_that_fails_ends_in_the_data_before_whatever_breaks_besides(
    #[case] refusing: &[&'static str],
    #[case] failing: &[&'static str],
    #[case] broken: Option<&'static str>,
    #[case] says: &str,
    #[case] claim: &str,
) {
    let mut base = ready(hooks()).await;
    let before = base.vdbs["vdb-1"].data().origin.clone();
    ask(&mut base, "t-1");
    base.refusing = refusing.to_vec();
    base.failing = failing.to_vec();
    base.broken_claim = broken;
    every_fault(&base, &HARD, |state| {
        assert_whole(state, &before, claim);
        assert_eq!(state.refresh().unwrap().state, Some(RefreshState::Failed));
        let (stalled, reason, message) = state.condition("Stalled").unwrap();
        assert_eq!(
            (stalled.as_str(), reason.as_str()),
            ("True", "RefreshFailed")
        );
        assert!(message.contains(says), "{message}");
        assert!(message.contains("t-1"), "{message}");
    })
    .await;
}

#[tokio::test]
async fn a_failed_refresh_is_told_once_and_stalls_since_one_moment_whatever_is_written_after() {
    let mut base = ready(json!({})).await;
    ask(&mut base, "t-1");
    base.refusing = vec!["refresh"];
    let world = World::of(base);
    world.drive(over).await;
    let since = |s: &State| {
        let status = s.cr.as_ref().unwrap().status.as_ref().unwrap();
        let stalled = status.condition("Stalled").unwrap();
        (stalled.status == "True").then(|| stalled.last_transition_time.clone())
    };
    let first = since(&world.state());
    assert!(first.as_deref() > Some("2026-11-23T10:00:00Z"), "{first:?}");
    world.state().advance(std::time::Duration::from_mins(1));
    world
        .state()
        .change(|cr| cr.spec.deletion_policy = environment::spec::DeletionPolicy::Retain);
    world.drive(over).await;
    let state = world.state();
    assert_eq!(since(&state), first);
    assert_eq!(state.told("RefreshFailed").len(), 1);
    assert_eq!(state.counted("RefreshFailed"), 1);
}

#[tokio::test]
async fn a_failed_undo_keeps_both_generations_and_another_token_tries_it_again() {
    let mut base = ready(json!({})).await;
    ask(&mut base, "t-1");
    base.broken_claim = Some("dev-vdb-g2");
    base.refusing = vec!["undo", "rewind"];
    let world = World::of(base);
    world.drive(|s| s.reason() == "RefreshUndoFailed").await;
    {
        let mut state = world.state();
        let volumes = |s: &State| {
            s.objects
                .keys()
                .filter(|n| n.kind == Kind::PersistentVolume)
                .count()
        };
        assert_eq!(volumes(&state), 2);
        assert!(!state.bookmarks.is_empty());
        let (_, _, message) = state.condition("Ready").unwrap();
        assert!(
            message.contains("PostgreSQL 17") && message.contains("it is not to be"),
            "{message}"
        );
        assert_eq!(state.condition("Stalled").unwrap().0, "True");
        state.refusing.clear();
        ask(&mut state, "t-2");
    }
    world.drive(over).await;
    let state = world.state();
    assert_eq!(state.refresh().unwrap().state, Some(RefreshState::Failed));
    assert_whole(&state, "the latest snapshot", "dev-vdb-g3");
}

#[tokio::test]
async fn a_server_that_keeps_failing_on_the_data_before_is_told_and_another_token_tries_it_again() {
    let mut base = ready(json!({})).await;
    ask(&mut base, "t-1");
    base.broken_claim = Some("dev-vdb-g2");
    let world = World::of(base);
    let state_of = |s: &State| s.refresh().and_then(|r| r.state);
    world
        .drive(|s| state_of(s) == Some(RefreshState::Undoing))
        .await;
    world.state().broken_claim = Some("dev-vdb-g1");
    world.drive(|s| s.reason() == "VersionMismatch").await;
    assert_eq!(state_of(&world.state()), Some(RefreshState::Restoring));
    world.state().advance(std::time::Duration::from_mins(30));
    world.drive(|s| s.reason() == "RefreshUndoFailed").await;
    {
        let mut state = world.state();
        let (_, _, message) = state.condition("Ready").unwrap();
        assert!(
            message.contains("did not come back: its server fails"),
            "{message}"
        );
        assert!(!state.bookmarks.is_empty());
        // What kept the server from starting is out of the way.
        state.broken_claim = None;
        state.objects.retain(|name, _| name.kind != Kind::Pod);
        ask(&mut state, "t-2");
    }
    world.drive(over).await;
    let state = world.state();
    assert_eq!(state_of(&state), Some(RefreshState::Failed));
    assert_whole(&state, "the latest snapshot", "dev-vdb-g1");
}

#[tokio::test]
async fn a_failed_hook_before_a_refresh_leaves_the_server_running() {
    let mut base = ready(json!({ "hooks": [
        { "name": "dump", "stage": "pre-refresh", "type": "sql", "script": "select x" },
    ] }))
    .await;
    ask(&mut base, "t-1");
    base.hook_fails = true;
    let world = World::of(base);
    world.drive(over).await;
    let state = world.state();
    assert_whole(&state, "the latest snapshot", "dev-vdb-g1");
    assert!(state.exchanges.is_empty());
    assert!(!state.log.iter().any(|c| c.starts_with("apply StatefulSet")));
    assert!(
        state
            .condition("Stalled")
            .unwrap()
            .2
            .contains("relation \"x\" does not exist")
    );
}

#[rstest]
#[case("pre-refresh")]
#[case("post-refresh")]
#[tokio::test]
async fn a_failed_hook_of_a_refresh_stands_in_its_condition_until_a_refresh_succeeds(
    #[case] stage: &str,
) {
    let mut base = ready(json!({ "hooks": [
        { "name": "mask", "stage": stage, "type": "sql", "script": "select x" },
    ] }))
    .await;
    assert_eq!(base.condition("HooksSucceeded").unwrap().0, "True");
    ask(&mut base, "t-1");
    base.hook_fails = true;
    let world = World::of(base);
    world.drive(over).await;
    let stands = |s: &State| {
        let (holds, reason, message) = s.condition("HooksSucceeded").unwrap();
        assert_eq!((&*holds, &*reason), ("False", "HookFailed"));
        assert!(
            message.contains("mask") && message.contains("relation \"x\" does not exist"),
            "{message}"
        );
    };
    stands(&world.state());
    {
        let mut state = world.state();
        // The next proof of the data before is none of its hooks.
        state.advance(std::time::Duration::from_mins(20));
        state.change(|cr| cr.spec.deletion_policy = environment::spec::DeletionPolicy::Retain);
    }
    world.drive(State::is_ready).await;
    stands(&world.state());
    {
        let mut state = world.state();
        state.hook_fails = false;
        ask(&mut state, "t-2");
    }
    let asks = |s: &State| s.refresh().unwrap().state == Some(RefreshState::Keeping);
    world.drive(asks).await;
    stands(&world.state());
    world.drive(over).await;
    let state = world.state();
    assert_eq!(
        state.refresh().unwrap().state,
        Some(RefreshState::Succeeded)
    );
    let (holds, reason, message) = state.condition("HooksSucceeded").unwrap();
    assert_eq!((&*holds, &*reason, &*message), ("True", "Succeeded", ""));
}

#[tokio::test]
async fn a_failed_hook_of_a_refresh_makes_no_hook_of_the_creation_run_again() {
    let hooks = |seed: &str| {
        json!([
            { "name": "seed", "stage": "post-create", "type": "sql", "script": seed },
            { "name": "mask", "stage": "post-refresh", "type": "sql", "script": "select x" },
        ])
    };
    let mut base = ready(json!({ "hooks": hooks("select 1") })).await;
    ask(&mut base, "t-1");
    base.hook_fails = true;
    // Back from the bookmark, so the data before is another generation than the one that was made.
    base.refusing = vec!["undo"];
    let world = World::of(base);
    world.drive(over).await;
    {
        let mut state = world.state();
        state.hook_fails = false;
        let edited = serde_json::from_value(hooks("select 2")).unwrap();
        state.change(|cr| cr.spec.hooks = edited);
        state.advance(std::time::Duration::from_mins(20));
    }
    world.drive(over).await;
    let state = world.state();
    assert_whole(&state, "the latest snapshot", "dev-vdb-g3");
    let jobs = state.log.iter().filter(|c| c.starts_with("apply Job"));
    assert_eq!(jobs.count(), 1, "mask alone: {:?}", state.log);
}

#[tokio::test]
async fn a_deletion_at_any_moment_of_a_refresh_leaves_nothing() {
    for broken in [None, Some("dev-vdb-g2")] {
        let mut base = ready(hooks()).await;
        ask(&mut base, "t-1");
        base.broken_claim = broken;
        let clean = World::of(base.clone());
        clean.drive(over).await;
        let calls = clean.state().log.clone();
        for (at, call) in (1..).zip(&calls) {
            for fault in chosen(call, &HARD) {
                let world = World::of(base.clone());
                world.state().fault = Some((at, fault));
                world.drive(|s| s.calls >= at).await;
                world.delete();
                world.drive(|s| s.cr.is_none()).await;
                world.state().advance(std::time::Duration::from_secs(5));
                let state = world.state();
                assert!(state.vdbs.is_empty(), "{fault:?} at {call}");
                let left = |name: &str| !name.starts_with("vdb-init-");
                assert!(
                    !state.objects.keys().any(|n| left(&n.name)),
                    "{fault:?} at {call}: {:?}",
                    state.objects.keys()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_stopped_database_is_refreshed_when_it_is_started_and_one_under_way_ends_first() {
    let mut base = ready(json!({})).await;
    base.change(|cr| cr.spec.enabled = false);
    ask(&mut base, "t-1");
    let world = World::of(base);
    world.drive(|s| s.reason() == "Suspended").await;
    assert!(world.state().refresh().is_none());
    world.state().change(|cr| cr.spec.enabled = true);
    world.drive(|s| s.exchanges.len() == 1).await;
    world.state().change(|cr| cr.spec.enabled = false);
    world.drive(|s| s.reason() == "Suspended").await;
    let state = world.state();
    assert_eq!(
        state.refresh().unwrap().state,
        Some(RefreshState::Succeeded)
    );
    assert_eq!(state.vdbs["vdb-1"].data().origin, "refreshed");
}

#[tokio::test]
async fn an_engine_that_is_down_in_the_middle_is_waited_for() {
    let mut base = ready(json!({})).await;
    ask(&mut base, "t-1");
    let world = World::of(base);
    world
        .drive(|s| s.log.iter().any(|c| c.starts_with("disable")))
        .await;
    world.state().tower_answers = Err((dct::Class::Unreachable, "connection refused"));
    for _ in 0..5 {
        world.state().advance(std::time::Duration::from_mins(5));
        let process = world.process();
        let key = super::world::key();
        operator::controller::reconcile(&process, &key)
            .await
            .unwrap();
        assert!(!world.state().is_ready());
    }
    world.state().tower_answers = Ok(());
    world.drive(over).await;
    let state = world.state();
    assert!(!state.ready_without_query);
    assert!(state.bookmarks.is_empty());
}

#[rstest]
#[case(json!({ "snapshotId": "of-d" }), "snapshot of-d")]
#[case(json!({ "timestamp": "2026-11-23T09:59:00Z" }), "2026-11-23T09:59:00Z")]
#[case(json!({ "bookmark": "theirs" }), "bookmark theirs")]
#[tokio::test]
async fn a_copy_is_made_of_the_ordered_point(#[case] point: Value, #[case] origin: &str) {
    let world = World::new(json!({ "source": point }));
    world.state().bookmarked("theirs", "d");
    world.drive(State::is_ready).await;
    assert_eq!(world.state().vdbs["vdb-1"].data().origin, origin);
}

#[rstest]
#[case(json!({ "snapshotId": "none" }), "there is no snapshot")]
#[case(json!({ "snapshotId": "of-other" }), "not one of source d")]
#[case(json!({ "bookmark": "none" }), "there is no bookmark")]
#[case(json!({ "bookmark": "foreign" }), "not of a copy of source d")]
#[tokio::test]
async fn a_point_of_another_source_is_not_delivered(#[case] point: Value, #[case] says: &str) {
    let world = World::new(json!({ "source": point }));
    world.state().bookmarked("foreign", "other");
    world.drive(|s| s.reason() == "PointNotFound").await;
    let state = world.state();
    let (_, _, message) = state.condition("Ready").unwrap();
    assert!(message.contains(says), "{message}");
    assert_eq!(state.provisioned, 0);
}

/// Who may order from a source may not thereby have what another environment made of its copy.
#[rstest]
#[case(&[], None, Ok(()))]
#[case(&[("cluster-id", "cluster"), ("namespace", "postgres-vdbs-dev")], None, Ok(()))]
#[case(&[("cluster-id", "cluster"), ("namespace", "postgres-vdbs-hr")], Some("qa,dev"), Ok(()))]
#[case(&[("cluster-id", "cluster"), ("namespace", "postgres-vdbs-hr")], Some("qa"), Err("does not share with dev"))]
#[case(&[("cluster-id", "cluster"), ("namespace", "postgres-vdbs-hr")], None, Err("does not share with dev"))]
#[case(&[("cluster-id", "another"), ("namespace", "postgres-vdbs-dev")], Some("*"), Err("another cluster"))]
#[tokio::test]
async fn a_bookmark_of_anothers_copy_needs_consent(
    #[case] tags: &[(&str, &str)],
    #[case] shared: Option<&str>,
    #[case] wanted: Result<(), &str>,
) {
    let world = World::new(json!({ "source": { "bookmark": "theirs" } }));
    world.state().bookmarked_by("theirs", "d", tags);
    if let Some(shared) = shared {
        let shares = &mut world.state().shares;
        shares.insert("postgres-vdbs-hr".into(), shared.into());
    }
    world
        .drive(|s| s.is_ready() || s.reason() == "NotAllowed")
        .await;
    let (_, reason, message) = world.state().condition("Ready").unwrap();
    match wanted {
        Ok(()) => assert_eq!(reason, "Verified", "{message}"),
        Err(says) => assert!(message.contains(says), "{message}"),
    }
    assert_eq!(world.state().provisioned, usize::from(wanted.is_ok()));
}

#[tokio::test]
async fn a_refresh_from_a_bookmark_needs_the_same_consent() {
    let base = ready(json!({})).await;
    let world = World::of(base);
    let home = [("cluster-id", "cluster"), ("namespace", "postgres-vdbs-hr")];
    world.state().bookmarked_by("theirs", "d", &home);
    let wish = |cr: &mut operator::crd::PostgresVdb| {
        cr.spec.source.bookmark = Some("theirs".into());
        cr.spec.refresh = serde_json::from_value(json!({ "token": "t" })).unwrap();
    };
    world.state().change(wish);
    world
        .drive(|s| s.refresh().and_then(|r| r.state) == Some(RefreshState::Failed))
        .await;
    let state = world.state();
    assert_eq!(
        state.refresh().unwrap().reason.as_deref(),
        Some("NotAllowed")
    );
    assert!(state.exchanges.is_empty() && state.is_ready());
}

#[tokio::test]
async fn a_schedule_refreshes_once_for_each_time_and_makes_up_for_missed_ones_by_one() {
    let base = ready(json!({ "refresh": { "schedule": "0 3 * * *" } })).await;
    let world = World::of(base);
    let next = |s: &State| s.refresh().and_then(|r| r.next.clone()).unwrap_or_default();
    world
        .drive(|s| s.is_ready() && next(s) == "2026-11-24T03:00:00Z")
        .await;
    let hours = |count: u64| std::time::Duration::from_hours(count);
    for (later, exchanges) in [(16, 0), (2, 1), (20, 1), (4, 2), (100, 3)] {
        world.state().advance(hours(later));
        let began = world.state().calls;
        let looked = |s: &State| s.calls > began + 30 && (over(s) || exchanges == 0);
        world.drive(looked).await;
        assert_eq!(
            world.state().exchanges.len(),
            exchanges,
            "{later} hours later"
        );
    }
    assert_whole(&world.state(), "refreshed", "dev-vdb-g4");
    let without = |cr: &mut operator::crd::PostgresVdb| cr.spec.refresh = None;
    world.state().change(without);
    world.drive(|s| s.is_ready() && next(s).is_empty()).await;
}

/// What was just written must not keep what comes next from being written: the visit would prove the same again and again.
#[tokio::test]
async fn a_schedule_that_comes_right_after_an_exchange_is_noted_in_one_visit() {
    let mut base = ready(json!({})).await;
    ask(&mut base, "t-1");
    let world = World::of(base);
    world.drive(over).await;
    world.state().change(|cr| {
        let wish = cr.spec.refresh.get_or_insert_default();
        wish.schedule = Some("0 3 * * *".to_owned());
    });
    let noted = |s: &State| s.refresh().unwrap().next.is_some() && s.is_ready();
    world.drive(noted).await;
}

/// The moment of a schedule comes, and its exchange ends as wanted.
async fn next_day(world: &World, ends: RefreshState) {
    let day = std::time::Duration::from_hours(24);
    let before = world.state().refresh().unwrap().started_at.clone();
    world.state().advance(day);
    let ended = |s: &State| {
        let refresh = s.refresh().unwrap();
        refresh.started_at != before && refresh.state == Some(ends) && s.is_ready()
    };
    world.drive(ended).await;
}

/// At each moment of an exchange somebody else has to hear of its failure.
#[rstest]
#[case::keeping(&["bookmark"], false, None, "it is not to be")]
#[case::preparing(&[], true, None, "relation \"x\" does not exist")]
#[case::replacing(&["refresh"], false, None, "it is not to be")]
#[case::starting(&[], false, Some("dev-vdb-g2"), "PostgreSQL 17")]
#[tokio::test]
async fn a_scheduled_refresh_that_fails_is_told_once_and_stalls_until_one_succeeds(
    #[case] refusing: &[&'static str],
    #[case] hook_fails: bool,
    #[case] broken: Option<&'static str>,
    #[case] says: &str,
) {
    let mut spec = hooks();
    spec["refresh"] = json!({ "schedule": "0 3 * * *" });
    let world = World::of(ready(spec).await);
    world.drive(|s| s.refresh().is_some()).await;
    {
        let mut state = world.state();
        state.refusing = refusing.to_vec();
        state.hook_fails = hook_fails;
        state.broken_claim = broken;
    }
    next_day(&world, RefreshState::Failed).await;
    let check = |failures: usize| {
        let state = world.state();
        let (stalled, reason, message) = state.condition("Stalled").unwrap();
        assert_eq!((&*stalled, &*reason), ("True", "RefreshFailed"));
        assert!(
            message.contains(says) && message.contains("scheduled"),
            "{message}"
        );
        let told = state.told("RefreshFailed");
        assert_eq!(told.len(), failures, "{:?}", state.notices);
        let last = told.last().unwrap();
        assert!(last.warning && last.note.contains(says), "{last:?}");
        assert_eq!(state.counted("RefreshFailed") as usize, failures);
    };
    check(1);
    // Also while the next one is on its way.
    world.state().refusing = vec!["refresh"];
    world.state().advance(std::time::Duration::from_hours(24));
    let asks = |s: &State| s.refresh().unwrap().state == Some(RefreshState::Keeping);
    world.drive(asks).await;
    check(1);
    world.drive(over).await;
    assert_eq!(world.state().counted("RefreshFailed"), 2);
    assert_eq!(world.state().told("RefreshFailed").len(), 2);
    {
        let mut state = world.state();
        state.refusing.clear();
        state.hook_fails = false;
        state.broken_claim = None;
    }
    next_day(&world, RefreshState::Succeeded).await;
    let state = world.state();
    assert_eq!(state.condition("Stalled").unwrap().0, "False");
    assert_eq!(state.counted("RefreshFailed"), 2);
}

#[tokio::test]
async fn what_a_schedule_did_not_get_is_not_missed_once_the_schedule_is_gone() {
    let base = ready(json!({ "refresh": { "schedule": "0 3 * * *" } })).await;
    let world = World::of(base);
    world.drive(|s| s.refresh().is_some()).await;
    world.state().refusing = vec!["refresh"];
    next_day(&world, RefreshState::Failed).await;
    world.state().change(|cr| cr.spec.refresh = None);
    let rests = |s: &State| s.is_ready() && s.condition("Stalled").unwrap().0 == "False";
    world.drive(rests).await;
}

/// Its job still runs when the way back begins: until then the copy looks whole, and goes.
#[tokio::test]
async fn a_copy_that_a_lost_order_is_taking_away_is_not_started_again() {
    let mut base = ready(json!({})).await;
    let before = base.vdbs["vdb-1"].data().origin.clone();
    ask(&mut base, "t-1");
    base.job_takes = jiff::SignedDuration::from_secs(20);
    let clean = World::of(base.clone());
    clean.drive(over).await;
    let order = |call: &String| call.starts_with("disable");
    let at = clean.state().log.iter().position(order).unwrap() + 1;
    let world = World::of(base);
    world.state().fault = Some((at, Fault::Crash));
    world.drive(|s| s.calls >= at).await;
    world.state().refusing = vec!["disable"];
    world.drive(over).await;
    let state = world.state();
    assert_whole(&state, &before, "dev-vdb-g1");
    assert!(state.exchanges.is_empty());
    assert!(state.vdbs["vdb-1"].vdb.exported_data_directory.is_some());
}
