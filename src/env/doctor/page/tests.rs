use environment::reason::Kind;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::doctor::Outcome::{Ok as Fine, Problem, Warning};

/// In every place of a state where somebody may have written one.
const SECRET: &str = "hunter2-Correct/Horse";
const CREDENTIAL: &str = "only-in-the-Secret-42";

fn healthy() -> Value {
    json!({
        "environment": "qa",
        "secrets": [CREDENTIAL],
        "git": { "is": { "branch": "main", "head": "0123456789abcdef", "lastCommit": "0123456 Ada, 2026-11-20: order qa",
            "values": "owner: group:default/payments\nvdb:\n  source: { type: dct-source, reference: '10.0.1.54:largedb' }\n  database: { name: orders, user: app }\n" } },
        "application": { "is": { "metadata": { "name": "qa" }, "status": {
            "sync": { "status": "Synced", "revision": "0123456789abcdef" }, "health": { "status": "Healthy" },
            "operationState": { "phase": "Succeeded" } } } },
        "namespace": { "is": { "metadata": { "name": "postgres-vdbs-qa" } } },
        "databases": { "is": [ {
            "resource": {
                "metadata": { "name": "qa-vdb", "uid": "u", "generation": 1 },
                "spec": { "database": { "password": SECRET } },
                "status": { "observedGeneration": 1, "phase": "Running", "dataAsOf": "2026-11-19T00:00:00Z",
                    "vdb": { "id": "7-VDB-1" },
                    "stages": [ { "name": "Provision", "startedAt": "t", "finishedAt": "t" } ],
                    "conditions": [ { "type": "Ready", "status": "True", "reason": "Verified", "message": "answers", "lastTransitionTime": "t", "observedGeneration": 1 } ] } },
            "vdb": { "is": { "id": "7-VDB-1", "status": "RUNNING", "enabled": true, "parent_timeflow_timestamp": "2026-11-19T00:00:00Z" } },
            "volume": { "is": { "metadata": { "name": "postgres-vdbs-qa-qa-vdb-g1" }, "status": { "phase": "Bound" } } },
            "claim": { "is": { "metadata": { "name": "qa-vdb-g1" }, "status": { "phase": "Bound" } } },
            "pod": { "is": { "metadata": { "name": "qa-vdb-0" }, "spec": { "nodeName": "node1" }, "status": { "phase": "Running",
                "conditions": [ { "type": "Ready", "status": "True" } ], "containerStatuses": [ { "ready": true, "restartCount": 0, "state": { "running": {} } } ] } } },
            "service": { "is": {} },
            "endpoints": { "is": 1 },
            "secret": { "is": [ "dbname", "host", "password", "port", "username" ] },
            "query": { "is": "SELECT 1 as app on orders through the Service" },
        } ] },
    })
}

/// A healthy one with some of it changed.
fn changed(changes: &[(&str, Value)]) -> State {
    let mut state = healthy();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        state.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    serde_json::from_value(state).unwrap()
}

fn page(state: &State) -> String {
    let checks = checks(state);
    let mut lines: Vec<String> = checks
        .iter()
        .map(|c| {
            let outcome = format!("{:?}", c.outcome).to_lowercase();
            format!("{outcome} | {} | {} | {}", c.name, c.detail, c.remedy)
        })
        .collect();
    lines.push(super::super::summary(&checks));
    lines.join("\n")
}

const DATABASE: &str = "/databases/is/0";

fn at(part: &str) -> String {
    format!("{DATABASE}{part}")
}

#[test]
fn a_healthy_environment_is_one_page_of_ok() {
    let expected = "\
ok | git | main at 01234567, owned by group:default/payments, last commit: 0123456 Ada, 2026-11-20: order qa; no open pull request | 
ok | argo cd | Synced at 01234567, Healthy | 
ok | namespace | postgres-vdbs-qa | 
ok | qa-vdb | Ready, data as of 2026-11-19T00:00:00Z, stages: Provision | 
ok | qa-vdb virtual database | 7-VDB-1, RUNNING, of 2026-11-19T00:00:00Z | 
ok | qa-vdb volume | postgres-vdbs-qa-qa-vdb-g1 Bound, claim qa-vdb-g1 Bound | 
ok | qa-vdb pod | Running on node1, restarts: 0 | 
ok | qa-vdb service | 1 address behind it | 
ok | qa-vdb secret | keys: dbname, host, password, port, username | 
ok | qa-vdb query | SELECT 1 as app on orders through the Service | 
every link holds";
    assert_eq!(page(&changed(&[])), expected);
}

fn missing_image() -> State {
    let ready = json!([{ "type": "Ready", "status": "False", "reason": "ImageUnavailable",
        "message": "postgres:99 cannot be pulled: use an image that the nodes can pull", "lastTransitionTime": "t" }]);
    let status = json!({ "phase": "Pending", "containerStatuses": [ { "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image \"postgres:99\"" } } } ] });
    changed(&[
        (&at("/resource/status/conditions"), ready),
        (&at("/resource/status/phase"), json!("Provisioning")),
        (&at("/pod/is/status"), status),
        (
            &at("/events"),
            json!(["Failed: manifest for postgres:99 not found"]),
        ),
        (&at("/endpoints/is"), json!(0)),
        (&at("/secret"), json!({ "is": null })),
        (
            &at("/query"),
            json!({ "not": "the database publishes its Secret first" }),
        ),
    ])
}

#[test]
fn with_a_missing_image_the_first_broken_link_is_named_and_the_pod_says_which() {
    let page = page(&missing_image());
    let expected = "\
problem | qa-vdb | Provisioning, ImageUnavailable: postgres:99 cannot be pulled: use an image that the nodes can pull; stages: Provision | docs/operations.md says what to do about ImageUnavailable
ok | qa-vdb virtual database | 7-VDB-1, RUNNING, of 2026-11-19T00:00:00Z | 
ok | qa-vdb volume | postgres-vdbs-qa-qa-vdb-g1 Bound, claim qa-vdb-g1 Bound | 
problem | qa-vdb pod | Pending on node1, restarts: 0, ImagePullBackOff: Back-off pulling image \"postgres:99\"; last event: Failed: manifest for postgres:99 not found | use an image that the nodes can pull
problem | qa-vdb service | no address behind it is ready | the lines before this one say why
warning | qa-vdb secret | there is none yet | it is published when the database is ready
warning | qa-vdb query | not looked at | the database publishes its Secret first
begin with qa-vdb: docs/operations.md says what to do about ImageUnavailable";
    assert!(page.ends_with(expected), "{page}");
}

#[rstest]
#[case::nowhere("/git/is/values", json!(null), "git", Problem, "no pull request orders it")]
#[case::unreadable("/git/is/values", json!("owner: [\n"), "git", Problem, "main at")]
#[case::open_pull("/git/is/pull", json!("#7 more memory (http://f/7)"), "git", Warning, "open: #7")]
#[case::not_asked("/git", json!({ "not": "set VDB_FORGE_URL" }), "git", Warning, "not looked at")]
#[case::down("/git", json!({ "failed": "connection refused" }), "git", Warning, "connection refused")]
#[case::no_application("/application/is", json!(null), "argo cd", Problem, "no Application qa")]
#[case::sync_failed("/application/is/status/operationState", json!({ "phase": "Failed", "message": "quota" }), "argo cd", Problem, "quota")]
#[case::out_of_sync("/application/is/status/sync/status", json!("OutOfSync"), "argo cd", Warning, "OutOfSync")]
#[case::no_namespace("/namespace/is", json!(null), "namespace", Problem, "none")]
#[case::going("/namespace/is/metadata/deletionTimestamp", json!("t"), "namespace", Problem, "being deleted")]
#[case::no_database("/databases/is", json!([]), "qa-vdb", Problem, "no such PostgresVDB")]
#[case::unseen("/databases/is/0/resource/status", json!({}), "qa-vdb", Problem, "has not looked")]
#[case::held("/databases/is/0/resource/metadata", json!({ "name": "qa-vdb", "deletionTimestamp": "t", "finalizers": ["f/x"] }), "qa-vdb", Warning, "held by f/x")]
#[case::vdb_lost("/databases/is/0/vdb/is", json!(null), "qa-vdb virtual database", Problem, "has no 7-VDB-1")]
#[case::job("/databases/is/0/job", json!({ "is": { "status": "FAILED", "error_details": "disk full" } }), "qa-vdb job", Problem, "disk full")]
#[case::unbound("/databases/is/0/claim/is/status/phase", json!("Pending"), "qa-vdb volume", Problem, "Pending")]
#[case::no_pod("/databases/is/0/pod/is", json!(null), "qa-vdb pod", Warning, "none")]
#[case::restarted("/databases/is/0/pod/is/status/containerStatuses", json!([{ "ready": true, "restartCount": 3 }]), "qa-vdb pod", Warning, "restarts: 3")]
#[case::keys("/databases/is/0/secret/is", json!(["host"]), "qa-vdb secret", Problem, "missing: port")]
#[case::refused("/databases/is/0/query", json!({ "failed": "password authentication failed" }), "qa-vdb query", Problem, "authentication")]
fn each_link_says_what_is_wrong_with_it(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] link: &str,
    #[case] outcome: Outcome,
    #[case] says: &str,
) {
    let state = changed(&[(pointer, value)]);
    let checks = checks(&state);
    let check = checks.iter().find(|c| c.name == link).unwrap();
    assert_eq!(check.outcome, outcome, "{check:?}");
    assert!(check.detail.contains(says), "{check:?}");
    assert!(outcome == Fine || !check.remedy.is_empty());
    assert_eq!(first(&checks).unwrap().name, link);
}

/// What a database says of itself while it does not answer.
fn says(reason: &str, message: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({ "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "t" });
    json!([
        condition("Ready", "False", reason, message),
        condition("Stalled", "False", reason, "")
    ])
}

/// The end of the page, from the database's own line on.
fn ending(state: &State) -> String {
    page(state).split_inclusive('\n').skip(3).collect()
}

/// The list is the operator's: a reason that is new there is judged here at once.
#[test]
fn every_reason_of_the_operator_is_judged_by_what_follows_from_it() {
    for reason in Reason::ALL {
        let state = changed(&[(
            &at("/resource/status/conditions"),
            says(reason.as_str(), "m"),
        )]);
        let checks = checks(&state);
        let check = checks.iter().find(|c| c.name == "qa-vdb").unwrap();
        let expected = match reason.kind() {
            Kind::Progress => Warning,
            Kind::Trouble | Kind::Stalled => Problem,
        };
        assert_eq!(check.outcome, expected, "{check:?}");
        assert!(!check.remedy.is_empty());
    }
    let unknown = changed(&[(&at("/resource/status/conditions"), says("Newer", "m"))]);
    assert_eq!(first(&checks(&unknown)).unwrap().outcome, Problem);
}

/// A refresh that failed and is being undone: the server is down for a moment.
#[test]
fn a_refresh_that_is_undone_is_on_its_way() {
    let state = changed(&[
        (
            &at("/resource/status/conditions"),
            says("Undoing", "the data before comes back"),
        ),
        (&at("/resource/status/phase"), json!("Refreshing")),
        (&at("/pod/is"), json!(null)),
        (&at("/endpoints/is"), json!(0)),
        (&at("/query"), json!({ "failed": "connection refused" })),
    ]);
    let expected = "\
warning | qa-vdb | Refreshing, Undoing: the data before comes back; stages: Provision | it goes on by itself
ok | qa-vdb virtual database | 7-VDB-1, RUNNING, of 2026-11-19T00:00:00Z | 
ok | qa-vdb volume | postgres-vdbs-qa-qa-vdb-g1 Bound, claim qa-vdb-g1 Bound | 
warning | qa-vdb pod | there is none | the operator makes it once the volume is there; a quota may refuse it
warning | qa-vdb service | no address behind it is ready | it comes when the server answers
ok | qa-vdb secret | keys: dbname, host, password, port, username | 
warning | qa-vdb query | connection refused | it is answered when the database is ready
nothing is broken; look at qa-vdb: it goes on by itself";
    assert_eq!(ending(&state), expected);
}

#[rstest]
#[case::suspended("Suspended", "set spec.enabled to true to start the database")]
#[case::expired(
    "Expired",
    "extend it (vdb:extend, or a later spec.expiresAt) to start it again, or retire it"
)]
fn a_database_that_rests_is_not_broken(#[case] reason: &str, #[case] remedy: &str) {
    let state = changed(&[
        (
            &at("/resource/status/conditions"),
            says(reason, "the database is stopped and its data is kept"),
        ),
        (&at("/resource/status/phase"), json!("Suspended")),
        (&at("/vdb/is/enabled"), json!(false)),
        (&at("/pod/is"), json!(null)),
        (&at("/endpoints/is"), json!(0)),
        (&at("/query"), json!({ "failed": "connection refused" })),
    ]);
    let expected = format!(
        "\
warning | qa-vdb | Suspended, {reason}: the database is stopped and its data is kept; stages: Provision | {remedy}
ok | qa-vdb virtual database | 7-VDB-1, RUNNING, of 2026-11-19T00:00:00Z, disabled | 
ok | qa-vdb volume | postgres-vdbs-qa-qa-vdb-g1 Bound, claim qa-vdb-g1 Bound | 
ok | qa-vdb pod | none: the server is stopped | 
ok | qa-vdb service | no address behind it: the server is stopped | 
ok | qa-vdb secret | keys: dbname, host, password, port, username | 
ok | qa-vdb query | not answered: the server is stopped | 
nothing is broken; look at qa-vdb: {remedy}"
    );
    assert_eq!(ending(&state), expected);
}

#[test]
fn a_database_that_starts_has_no_address_yet() {
    let state = changed(&[
        (
            &at("/resource/status/conditions"),
            says("Starting", "the server starts"),
        ),
        (&at("/resource/status/phase"), json!("Provisioning")),
        (&at("/endpoints/is"), json!(0)),
    ]);
    let checks = checks(&state);
    let service = checks.iter().find(|c| c.name == "qa-vdb service").unwrap();
    assert_eq!(service.outcome, Warning, "{service:?}");
    let ready = changed(&[(&at("/endpoints/is"), json!(0))]);
    assert_eq!(first(&super::checks(&ready)).unwrap().outcome, Problem);
}

#[test]
fn a_refresh_that_failed_is_named_though_the_database_works() {
    let mut conditions = healthy()["databases"]["is"][0]["resource"]["status"]["conditions"].take();
    conditions.as_array_mut().unwrap().push(json!({ "type": "Stalled", "status": "True", "reason": "RefreshFailed",
        "message": "refresh 7 failed: hook mask failed", "lastTransitionTime": "t", "observedGeneration": 1 }));
    let state = changed(&[(&at("/resource/status/conditions"), conditions.clone())]);
    let expected = "\
problem | qa-vdb | Ready, data as of 2026-11-19T00:00:00Z, stages: Provision; but RefreshFailed: refresh 7 failed: hook mask failed | docs/operations.md says what to do about RefreshFailed
";
    assert!(ending(&state).starts_with(expected), "{}", ending(&state));
    assert_eq!(first(&checks(&state)).unwrap().name, "qa-vdb");
    // Nobody ordered the data that a schedule did not get.
    let schedule = json!({ "state": "Failed", "schedule": "0 3 * * *" });
    let state = changed(&[
        (&at("/resource/status/conditions"), conditions),
        (&at("/resource/status/refresh"), schedule),
    ]);
    let check = &checks(&state)[3];
    assert_eq!(check.outcome, Warning, "{check:?}");
    assert!(check.detail.contains("but RefreshFailed: refresh 7 failed"));
}

#[test]
fn on_a_target_host_there_is_neither_volume_nor_pod() {
    let state = changed(&[
        (&at("/resource/status/vdb/delivery"), json!("TargetHost")),
        (&at("/volume"), json!({ "is": null })),
        (&at("/claim"), json!({ "is": null })),
        (&at("/pod"), json!({ "is": null })),
    ]);
    let page = page(&state);
    let expected = "\
ok | qa-vdb volume | none: the data is on a target host | 
ok | qa-vdb pod | none: the server runs on a target host | 
ok | qa-vdb service | 1 address behind it | ";
    assert!(page.contains(expected), "{page}");
    assert!(page.ends_with("every link holds"), "{page}");
}

/// Ready for the order before: the operator has not come to the present one.
#[test]
fn a_new_order_that_is_not_seen_yet_is_no_problem() {
    let state = changed(&[(&at("/resource/metadata/generation"), json!(2))]);
    let checks = checks(&state);
    let check = first(&checks).unwrap();
    assert_eq!((check.outcome, check.name.as_ref()), (Warning, "qa-vdb"));
    assert!(check.detail.contains("an earlier order"), "{check:?}");
}

/// Whatever the servers repeat, nothing of it reaches the page.
#[test]
fn secrets_in_what_was_found_never_come_out() {
    let leak = format!(
        "password={SECRET} postgres://app:{SECRET}@h/d Bearer abcdef-Token-1 {CREDENTIAL} hunter2-Correct%2FHorse"
    );
    let texts = [
        ("/git/is/lastCommit", json!(leak)),
        ("/git/is/pull", json!(leak)),
        (
            "/application/is/status/operationState",
            json!({ "phase": "Failed", "message": leak }),
        ),
        ("/namespace/is/metadata/name", json!(leak)),
    ];
    let mut changes: Vec<(String, Value)> = texts.map(|(at, text)| (at.to_owned(), text)).into();
    let ready = json!([{ "type": "Ready", "status": "False", "reason": "HookFailed", "message": leak, "lastTransitionTime": "t" }]);
    let waiting = json!({ "phase": "Pending", "containerStatuses": [ { "restartCount": 1, "state": { "waiting": { "reason": "X", "message": leak } } } ] });
    changes.extend([
        (at("/resource/status/conditions"), ready),
        (
            at("/job"),
            json!({ "is": { "status": "FAILED", "error_details": leak } }),
        ),
        (at("/vdb/is/status"), json!(leak)),
        (at("/pod/is/status"), waiting),
        (at("/events"), json!([leak])),
        (at("/log"), json!(leak)),
        (at("/query"), json!({ "failed": leak })),
    ]);
    let changes: Vec<(&str, Value)> = changes
        .iter()
        .map(|(at, value)| (at.as_str(), value.clone()))
        .collect();
    let page = page(&changed(&changes));
    assert!(
        page.contains("password=…"),
        "the leak is not shown at all: {page}"
    );
    for secret in [SECRET, CREDENTIAL, "hunter2", "abcdef-Token-1"] {
        assert!(!page.contains(secret), "{secret} in {page}");
    }
}
