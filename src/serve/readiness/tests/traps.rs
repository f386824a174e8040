//! One test for each trap between a merge and a database, with Argo CD's answer in `fixtures/`.

use super::*;

pub(super) const MERGE: &str = "5f0c2a6d3b1e4f7a8c9d0e1f2a3b4c5d6e7f8091";
const BEFORE: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";

fn fixture(name: &str) -> Value {
    let path = format!(
        "{}/src/serve/readiness/fixtures/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn argo(name: &str) -> Argo {
    Argo::Present(Arc::new(serde_json::from_value(fixture(name)).unwrap()))
}

fn set(name: &str) -> ApplicationSet {
    serde_json::from_value(fixture(name)).unwrap()
}

/// A merged order whose resource does not carry it, and what Argo CD answers.
fn answered(name: &str) -> Seen {
    let argo = argo(name);
    let holds_merge = match &argo {
        Argo::Present(application) => {
            application
                .status
                .operation_state
                .as_ref()
                .and_then(|operation| {
                    let revisions = operation.revisions();
                    let holds = revisions.iter().any(|revision| *revision != BEFORE);
                    (!revisions.is_empty()).then_some(holds)
                })
        }
        _ => None,
    };
    Seen {
        argo,
        holds_merge,
        ..merged()
    }
}

#[track_caller]
fn says(seen: Seen, reason: Reason, message: &str) -> Readiness {
    let got = outcome(seen);
    assert_eq!(
        (got.reason.as_str(), got.state),
        (reason.as_str(), reason.state()),
        "{got:?}"
    );
    assert!(got.message.contains(message), "{got:?}");
    assert!(!got.ready);
    got
}

#[rstest]
fn healthy_and_synced_right_after_a_sync_is_not_ready(#[values("3.2", "3.5")] version: &str) {
    let name = format!("healthy-right-after-the-sync-{version}");
    says(
        answered(&name),
        Reason::NotInResource,
        "does not carry the order",
    );
}

#[rstest]
fn a_database_is_ready_although_argo_cd_still_says_progressing(
    #[values("3.2", "3.5")] version: &str,
) {
    let ready = vec![database(OURS, vec![condition("Ready", "True", "Verified")])];
    let got = outcome(Seen {
        databases: ready,
        ..answered(&format!(
            "progressing-although-the-database-is-ready-{version}"
        ))
    });
    assert_eq!((got.state, got.ready), (State::Ready, true));
}

#[rstest]
fn a_sync_that_runs_is_a_sync_that_runs(#[values("3.2", "3.5")] version: &str) {
    says(
        answered(&format!("syncing-{version}")),
        Reason::Syncing,
        "waiting for healthy state",
    );
}

#[rstest]
fn a_refusal_of_the_schema_is_read_from_the_result_of_that_resource(
    #[values("3.2", "3.5")] version: &str,
) {
    let got = says(
        answered(&format!("refused-by-the-schema-{version}")),
        Reason::RefusedBySchema,
        "PostgresVDB feat-1-vdb: PostgresVDB.core.delphix.com \"feat-1-vdb\" is invalid: spec.storageSize",
    );
    assert!(got.hint.contains("values.yaml"));
}

#[test]
fn an_operation_of_an_older_revision_says_nothing_about_ours() {
    says(
        answered("synced-by-an-older-operation"),
        Reason::SyncedOlder,
        "before the merge",
    );
    says(
        answered("out-of-sync-with-an-older-operation"),
        Reason::OutOfSync,
        "not synced it yet",
    );
}

#[test]
fn a_failure_of_a_previous_sync_is_not_the_failure_of_this_order() {
    says(
        answered("failed-by-an-older-operation"),
        Reason::SyncedOlder,
        "Failed",
    );
}

#[test]
fn where_revisions_cannot_be_compared_the_time_decides() {
    let seen = Seen {
        holds_merge: None,
        ..answered("failed-by-an-older-operation")
    };
    says(seen, Reason::SyncedOlder, "Failed");
    let seen = Seen {
        holds_merge: None,
        ..answered("refused-by-quota")
    };
    says(seen, Reason::RefusedByQuota, "exceeded quota");
}

#[test]
fn a_later_revision_of_the_repository_contains_our_merge() {
    let name = "synced-at-a-later-revision-of-the-monorepo";
    says(answered(name), Reason::NotInResource, "does not carry");
}

#[test]
fn one_of_several_sources_has_our_merge() {
    let seen = answered("several-sources");
    assert_eq!(seen.holds_merge, Some(true));
    says(seen, Reason::NotInResource, "does not carry");
}

#[rstest]
#[case("health-missing", Reason::NotSynced)]
#[case("health-unknown", Reason::NotSynced)]
#[case("health-suspended", Reason::NotInResource)]
#[case("no-health-check-for-our-kind", Reason::NotInResource)]
#[case("just-made-without-a-status", Reason::NotSynced)]
fn health_decides_nothing_whatever_it_says(#[case] name: &str, #[case] reason: Reason) {
    says(answered(name), reason, "");
    let ready = vec![database(OURS, vec![condition("Ready", "True", "Verified")])];
    let got = outcome(Seen {
        databases: ready,
        ..answered(name)
    });
    assert!(got.ready, "{got:?}");
}

#[test]
fn ready_without_an_observed_generation_is_not_ready() {
    let mut fresh = database(OURS, vec![condition("Ready", "True", "Verified")]);
    fresh.status.observed_generation = None;
    fresh.status.conditions[0].observed_generation = Some(1);
    let got = outcome(Seen {
        databases: vec![fresh],
        ..merged()
    });
    assert_eq!((got.state, got.ready), (State::Provisioning, false));
}

#[test]
fn a_chart_that_does_not_render_is_a_failure_of_the_files() {
    says(
        answered("chart-does-not-render"),
        Reason::ManifestError,
        "values don't meet",
    );
}

#[test]
fn a_comparison_error_from_before_the_merge_is_about_other_files() {
    says(
        answered("chart-did-not-render-before-the-merge"),
        Reason::NotSynced,
        "not synced",
    );
}

#[test]
fn an_unreachable_repository_blocks_and_does_not_fail() {
    says(
        answered("repository-unreachable"),
        Reason::ComparisonError,
        "connection refused",
    );
    says(
        answered("cluster-unreachable"),
        Reason::ApplicationError,
        "connection reset",
    );
}

#[test]
fn an_application_that_its_project_does_not_allow_fails() {
    says(
        answered("application-not-valid"),
        Reason::InvalidSpecError,
        "allowed destinations",
    );
}

#[test]
fn a_warning_stops_nothing() {
    says(answered("a-warning"), Reason::NotSynced, "not synced");
}

#[rstest]
#[case("refused-by-quota", Reason::RefusedByQuota, "exceeded quota")]
#[case(
    "refused-by-admission-webhook",
    Reason::RefusedByAdmission,
    "no fixed tag"
)]
#[case(
    "refused-by-admission-policy",
    Reason::RefusedByAdmission,
    "above 100Gi"
)]
#[case("kind-not-installed", Reason::KindMissing, "CRD is installed")]
#[case("sync-broke-off", Reason::SyncFailed, "deadline exceeded")]
fn each_refusal_of_the_cluster_has_its_reason_and_remedy(
    #[case] name: &str,
    #[case] reason: Reason,
    #[case] message: &str,
) {
    assert!(!says(answered(name), reason, message).hint.is_empty());
}

#[test]
fn a_namespace_that_is_refused_is_said_because_ours_was_not_tried() {
    says(
        answered("refused-namespace"),
        Reason::NotPermitted,
        "Namespace postgres-vdbs-feat-1: resource :Namespace is not permitted",
    );
}

#[test]
fn a_refusal_that_argo_cd_retries_is_shown_before_it_gives_up() {
    let got = says(
        answered("sync-retrying"),
        Reason::SyncRetrying,
        "denied the request",
    );
    assert!(got.message.contains("2 times"), "{got:?}");
}

#[test]
fn a_closed_sync_window_blocks() {
    says(
        answered("sync-window-closed"),
        Reason::SyncWindowClosed,
        "sync window",
    );
}

#[rstest]
#[case("automatic-sync-off")]
#[case("automatic-sync-switched-off")]
fn automatic_sync_that_is_off_blocks(#[case] name: &str) {
    says(answered(name), Reason::AutoSyncOff, "automatic sync is off");
}

#[test]
fn an_application_that_waits_for_its_step_is_blocked_by_the_step() {
    let seen = Seen {
        set: Some(set("set-in-steps")),
        ..answered("automatic-sync-off")
    };
    says(
        seen,
        Reason::RollingSync,
        "Waiting: Application is out of date",
    );
}

#[test]
fn an_application_that_is_being_deleted_has_to_go_first() {
    says(
        answered("being-deleted"),
        Reason::ApplicationDeleting,
        "still being removed",
    );
}

#[test]
fn a_hydrator_that_fails_blocks() {
    let seen = Seen {
        holds_merge: None,
        ..answered("hydration-failed")
    };
    says(seen, Reason::HydrationFailed, "helm template failed");
}

#[test]
fn a_hydrated_revision_is_not_compared_with_our_merge() {
    let seen = Seen {
        holds_merge: None,
        ..answered("hydrated-revision-is-of-another-branch")
    };
    says(seen, Reason::NotInResource, "does not carry");
}

#[test]
fn a_generator_error_is_why_there_is_no_application() {
    let with = |name| Seen {
        set: Some(set(name)),
        ..merged()
    };
    says(
        with("set-generator-failed"),
        Reason::ApplicationSetError,
        "authentication required",
    );
    says(with("set-is-well"), Reason::NoApplication, "has not made");
}

#[test]
fn a_token_that_is_refused_is_said_with_its_remedy() {
    let denied = Argo::Unknown {
        message: "argo cd refuses the token (403): permission denied".into(),
        hint: "renew the token".into(),
    };
    let seen = Seen {
        argo: denied,
        ..merged()
    };
    assert_eq!(
        says(seen, Reason::ArgoCdUnknown, "refuses").hint,
        "renew the token"
    );
}

#[test]
fn what_takes_minutes_instead_of_seconds_is_overdue() {
    for name in ["out-of-sync-with-an-older-operation", "syncing-3.5"] {
        let seen = Seen {
            minutes: 12,
            ..answered(name)
        };
        says(seen, Reason::Overdue, "for 12 minutes");
    }
    let never_made = Seen {
        minutes: 12,
        ..merged()
    };
    says(never_made, Reason::Overdue, "has not made");
}

#[test]
fn what_keeps_argo_cd_from_deleting_is_said() {
    let with = |name| Seen {
        argo: argo(name),
        ..removed()
    };
    says(
        with("deletion-stuck"),
        Reason::DeletionError,
        "is forbidden",
    );
    says(
        with("prune-skipped"),
        Reason::PruneSkipped,
        "manual confirmation",
    );
}

#[test]
fn a_later_commit_supersedes_ours_though_the_revision_contains_our_merge() {
    let newer = "feat-1.create-2222222222";
    let seen = |databases| Seen {
        base: OnBase::Request(Some(newer.into())),
        databases,
        ..answered("synced-at-a-later-revision-of-the-monorepo")
    };
    says(seen(vec![]), Reason::ChangedSince, "2222222222");
    let ready = outcome(seen(vec![database(
        newer,
        vec![condition("Ready", "True", "Verified")],
    )]));
    assert_eq!((ready.state, ready.ready), (State::Superseded, true));
}

#[test]
fn every_fixture_is_used() {
    let tests = include_str!("traps.rs");
    let folder = format!(
        "{}/src/serve/readiness/fixtures",
        env!("CARGO_MANIFEST_DIR")
    );
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.trim_end_matches(".json").trim_end_matches("-3.2");
        let stem = stem.trim_end_matches("-3.5");
        assert!(name == "README.md" || tests.contains(stem), "{name}");
    }
}

#[test]
fn every_reason_that_needs_somebody_says_what_to_do() {
    for reason in Reason::ALL {
        let needs = matches!(
            reason.state(),
            State::Blocked | State::Failed | State::Rejected | State::Proposed
        );
        assert!(!needs || !reason.hint().is_empty(), "{reason:?}");
        assert!(reason.meaning().ends_with('.'), "{reason:?}");
    }
}
