mod page;
mod traps;

use environment::names::REQUEST_ID;
use environment::status::Condition;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::serve::fakes::pull;

const OURS: &str = "feat-1.create-0123456789";
const RETIRE: &str = "feat-1.retire-0123456789";

fn condition(kind: &str, status: &str, reason: &str) -> Condition {
    Condition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: format!("{reason} says"),
        observed_generation: Some(2),
        last_transition_time: "2026-11-23T10:00:00Z".into(),
    }
}

fn database(request: &str, conditions: Vec<Condition>) -> LiveDatabase {
    let mut database = LiveDatabase {
        name: "feat-1-vdb".into(),
        namespace: "postgres-vdbs-feat-1".into(),
        generation: 2,
        ..LiveDatabase::default()
    };
    database
        .annotations
        .insert(REQUEST_ID.into(), request.into());
    database.status.observed_generation = Some(2);
    database.status.conditions = conditions;
    database
}

fn application(status: &Value) -> Argo {
    let spec = json!({"syncPolicy": {"automated": {}}});
    let object = json!({"metadata": {"name": "feat-1"}, "spec": spec, "status": status});
    Argo::Present(Arc::new(serde_json::from_value(object).unwrap()))
}

struct Seen {
    request: &'static str,
    state: PullState,
    base: OnBase,
    argo: Argo,
    databases: Vec<LiveDatabase>,
    namespace: Option<NamespaceState>,
    set: Option<ApplicationSet>,
    holds_merge: Option<bool>,
    /// Since the merge.
    minutes: i64,
}

fn merged() -> Seen {
    Seen {
        request: OURS,
        state: PullState::Merged,
        base: OnBase::Request(Some(OURS.into())),
        argo: Argo::Absent,
        databases: vec![],
        namespace: None,
        set: None,
        holds_merge: None,
        minutes: 1,
    }
}

fn removed() -> Seen {
    Seen {
        request: RETIRE,
        base: OnBase::Absent,
        ..merged()
    }
}

fn outcome(seen: Seen) -> Readiness {
    let request = RequestId::parse(seen.request).unwrap();
    let merged_at: Timestamp = "2026-11-23T10:00:20Z".parse().unwrap();
    let pull = Pull {
        state: seen.state,
        merge_sha: Some(traps::MERGE.into()),
        finished_at: Some(merged_at.to_string()),
        ..pull(7, &request.branch(), "")
    };
    let Seen {
        base,
        argo,
        databases,
        namespace,
        set,
        holds_merge,
        minutes,
        ..
    } = seen;
    decide(&Observation {
        request: &request,
        pull: &pull,
        base,
        argo,
        databases: databases.into_iter().map(Arc::new).collect(),
        namespace,
        set,
        holds_merge,
        now: merged_at + jiff::SignedDuration::from_mins(minutes),
    })
}

#[rstest]
#[case::open(Seen { state: PullState::Open, ..merged() }, State::Proposed, "#7")]
#[case::closed(Seen { state: PullState::Closed, ..merged() }, State::Rejected, "without a merge")]
#[case::no_application_yet(merged(), State::Merged, "has not made")]
#[case::argo_cd_down(Seen { argo: Argo::Unknown { message: "argo cd does not answer".into(), hint: "h".into() }, ..merged() }, State::Blocked, "does not answer")]
#[case::not_synced(Seen { argo: application(&json!({"sync": {"status": "OutOfSync"}})), ..merged() }, State::Syncing, "not synced")]
#[case::healthy_of_an_older_sync(
    Seen { argo: application(&json!({"sync": {"status": "Synced"}, "health": {"status": "Healthy"}, "operationState": {"phase": "Succeeded"}})), ..merged() },
    State::Syncing, "does not carry the order")]
#[case::refused_by_the_api_server(
    Seen { argo: application(&json!({"operationState": {"phase": "Failed", "message": "one or more objects failed", "syncResult": {"resources": [
        {"kind": "Namespace", "name": "postgres-vdbs-feat-1", "status": "Synced"},
        {"kind": "PostgresVDB", "name": "feat-1-vdb", "status": "SyncFailed", "message": "spec.image: Invalid value"}]}}})), ..merged() },
    State::Failed, "spec.image: Invalid value")]
#[case::chart_does_not_render(
    Seen { argo: application(&json!({"conditions": [{"type": "ComparisonError", "message": "Failed to load target state: failed to generate manifest for source 1 of 1"}]})), ..merged() },
    State::Failed, "failed to generate")]
#[case::forge_down_for_argo_cd(
    Seen { argo: application(&json!({"conditions": [{"type": "ComparisonError", "message": "failed to list refs: connection refused"}]})), ..merged() },
    State::Blocked, "connection refused")]
#[case::a_warning_stops_nothing(
    Seen { argo: application(&json!({"conditions": [{"type": "SharedResourceWarning", "message": "x"}]})), ..merged() }, State::Syncing, "not synced")]
#[case::removed_from_git(Seen { base: OnBase::Absent, ..merged() }, State::Superseded, "removed from Git")]
#[case::another_request(Seen { base: OnBase::Request(Some("feat-1.create-9999999999".into())), ..merged() }, State::Superseded, "9999999999")]
#[case::by_hand(Seen { base: OnBase::Request(None), ..merged() }, State::Superseded, "by hand")]
fn before_the_resource_carries_the_order(
    #[case] seen: Seen,
    #[case] state: State,
    #[case] message: &str,
) {
    let got = outcome(seen);
    assert_eq!(got.state, state, "{got:?}");
    assert!(got.message.contains(message), "{got:?}");
    assert!(!got.ready);
}

#[rstest]
#[case::just_made(vec![], State::Provisioning, false)]
#[case::working(vec![condition("Ready", "False", "Provisioning"), condition("Reconciling", "True", "Provisioning")], State::Provisioning, false)]
#[case::in_trouble(vec![Condition { message: "source x; is unknown; use a named source".into(), ..condition("Ready", "False", "SourceNotFound") }], State::Blocked, false)]
#[case::ready(vec![condition("Ready", "True", "Answered")], State::Ready, true)]
#[case::stalled(vec![condition("Ready", "False", "HookFailed"), condition("Stalled", "True", "HookFailed")], State::Failed, false)]
#[case::suspended(vec![condition("Ready", "False", "Suspended"), condition("Suspended", "True", "Suspended")], State::Blocked, false)]
fn the_resource_decides_once_it_carries_the_order(
    #[case] conditions: Vec<Condition>,
    #[case] state: State,
    #[case] ready: bool,
) {
    // Whatever Argo CD says.
    let argo = application(
        &json!({"health": {"status": "Degraded"}, "conditions": [{"type": "SyncError", "message": "x"}]}),
    );
    let got = outcome(Seen {
        argo,
        databases: vec![database(OURS, conditions)],
        ..merged()
    });
    assert_eq!((got.state, got.ready), (state, ready), "{got:?}");
}

/// The order did not ask for that refresh, and its database serves.
#[rstest]
#[case::of_a_schedule(None, State::Ready, true)]
#[case::of_a_token(Some("t-1"), State::Failed, false)]
fn a_refresh_that_failed_is_the_business_of_whoever_asked_for_it(
    #[case] token: Option<&str>,
    #[case] state: State,
    #[case] ready: bool,
) {
    let stalled = Condition {
        message: "the scheduled refresh failed: out of space; make room".into(),
        ..condition("Stalled", "True", "RefreshFailed")
    };
    let mut database = database(OURS, vec![condition("Ready", "True", "Verified"), stalled]);
    database.status.refresh = Some(environment::status::Refresh {
        token: token.map(str::to_owned),
        ..Default::default()
    });
    let got = outcome(Seen {
        databases: vec![database],
        ..merged()
    });
    assert_eq!((got.state, got.ready), (state, ready), "{got:?}");
    // It is shown in any case.
    assert_eq!(got.reason, "RefreshFailed");
    assert_eq!(got.hint, "make room");
}

#[test]
fn ready_of_an_older_generation_is_not_ready() {
    let mut stale = database(OURS, vec![condition("Ready", "True", "Answered")]);
    stale.generation = 3;
    let got = outcome(Seen {
        databases: vec![stale],
        ..merged()
    });
    assert_eq!((got.state, got.ready), (State::Provisioning, false));
}

#[test]
fn the_resource_of_an_older_request_says_nothing_about_ours() {
    let older = database(
        "feat-1.create-1111111111",
        vec![condition("Ready", "True", "Answered")],
    );
    let got = outcome(Seen {
        databases: vec![older],
        ..merged()
    });
    assert_eq!((got.state, got.ready), (State::Merged, false));
}

#[test]
fn a_superseded_request_says_whether_what_took_its_place_is_ready() {
    let newer = "feat-1.create-2222222222";
    let databases = vec![database(
        newer,
        vec![condition("Ready", "True", "Answered")],
    )];
    let got = outcome(Seen {
        databases,
        base: OnBase::Request(Some(newer.into())),
        ..merged()
    });
    assert_eq!((got.state, got.ready), (State::Superseded, true));
}

/// A merged change of an environment whose resource still carries what was before.
fn changing(request: &'static str, conditions: Vec<Condition>) -> Seen {
    Seen {
        request,
        base: OnBase::Request(Some(request.into())),
        argo: application(
            &json!({"sync": {"status": "OutOfSync"}, "operationState": {"phase": "Succeeded"}}),
        ),
        databases: vec![database(OURS, conditions)],
        ..merged()
    }
}

#[rstest]
#[case("feat-1.update-0123456789")]
#[case("feat-1.refresh-0123456789")]
#[case("feat-1.extend-0123456789")]
fn a_change_is_ready_when_the_resource_carries_it_and_was_assessed_since(
    #[case] request: &'static str,
) {
    let answered = || vec![condition("Ready", "True", "Answered")];
    let open = Seen {
        state: PullState::Open,
        ..changing(request, answered())
    };
    assert_eq!(outcome(open).state, State::Proposed);
    // Ready as it was before the change says nothing.
    let before = outcome(changing(request, answered()));
    assert_eq!((before.state, before.ready), (State::Syncing, false));
    // Applied, and the operator has not looked yet.
    let mut applied = database(request, answered());
    applied.generation = 3;
    let seen = |applied: &LiveDatabase| {
        outcome(Seen {
            databases: vec![applied.clone()],
            ..changing(request, vec![])
        })
    };
    assert_eq!(seen(&applied).state, State::Provisioning);
    // The operator works on it, as the new generation.
    applied.status.observed_generation = Some(3);
    applied.status.conditions = vec![Condition {
        observed_generation: Some(3),
        ..condition("Ready", "False", "Starting")
    }];
    assert_eq!(seen(&applied).state, State::Provisioning);
    applied.status.conditions = vec![Condition {
        observed_generation: Some(3),
        ..condition("Ready", "True", "Answered")
    }];
    let ready = seen(&applied);
    assert_eq!((ready.state, ready.ready), (State::Ready, true));
}

#[test]
fn an_order_that_was_updated_since_says_by_what() {
    let update = "feat-1.update-2222222222";
    let got = outcome(Seen {
        databases: vec![database(
            update,
            vec![condition("Ready", "True", "Answered")],
        )],
        base: OnBase::Request(Some(update.into())),
        ..merged()
    });
    assert_eq!((got.state, got.ready), (State::Superseded, true));
    assert!(got.message.contains(update), "{got:?}");
}

#[rstest]
#[case::application_is_there(Seen { argo: application(&json!({})), namespace: Some(NamespaceState::Active), ..removed() }, State::Merged, "has not removed")]
#[case::resource_is_there(Seen { databases: vec![database(OURS, vec![])], namespace: Some(NamespaceState::Terminating), ..removed() }, State::Syncing, "PostgresVDB feat-1-vdb")]
#[case::namespace_is_there(Seen { namespace: Some(NamespaceState::Terminating), ..removed() }, State::Syncing, "namespace postgres-vdbs-feat-1")]
#[case::stuck(Seen { databases: vec![database(OURS, vec![condition("Stalled", "True", "EngineUnreachable")])], ..removed() }, State::Blocked, "EngineUnreachable says")]
#[case::argo_cd_down(Seen { argo: Argo::Unknown { message: "down".into(), hint: "h".into() }, ..removed() }, State::Blocked, "down")]
#[case::all_gone(
    removed(),
    State::Retired,
    "Application feat-1, its PostgresVDBs with their databases and volumes, namespace postgres-vdbs-feat-1"
)]
#[case::ordered_again(Seen { base: OnBase::Request(Some("x".into())), ..removed() }, State::Retired, "ordered again")]
fn a_retired_environment_is_retired_when_all_of_it_is_gone(
    #[case] seen: Seen,
    #[case] state: State,
    #[case] message: &str,
) {
    let got = outcome(seen);
    assert_eq!(got.state, state, "{got:?}");
    assert!(got.message.contains(message), "{got:?}");
}
