//! Hooks of virtual databases whose server the engine runs: when they run, what they see, and what is left of an action
//! that one of them fails. The server is none in truth; `.ci/real-engine faults a_server` has a real one.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::process::Command;

use axum::http::StatusCode;
use dct::types::{BySnapshot, JobStatus, ProvisionBySnapshot};
use engine::model::Kind;
use rstest::rstest;
use serde_json::{Map, Value, json};
use support::Pool;
use support::app::{App, text};

const LISTS: [&str; 13] = [
    "pre_refresh",
    "post_refresh",
    "pre_self_refresh",
    "post_self_refresh",
    "pre_rollback",
    "post_rollback",
    "configure_clone",
    "pre_snapshot",
    "post_snapshot",
    "pre_start",
    "post_start",
    "pre_stop",
    "post_stop",
];

/// Writes down that it ran, on which directory, and whether the server ran: for everybody, apart or not.
fn witness(pool: &Pool, list: &str) -> Value {
    let log = pool.path("log").display().to_string();
    let command = format!(
        r#"how=down
if [ -e "$PGDATA/postmaster.pid" ]; then
  how=open
  if grep -q "^listen_addresses = ''" "$PGHOST/postgresql.conf"; then how=apart; fi
  if [ $how = apart ] && ! grep -q "^restart_after_crash = 'off'" "$PGHOST/postgresql.conf"; then how=restarting; fi
fi
[ "$DLPX_DATA_DIRECTORY/data" = "$PGDATA" ] || exit 9
echo "{list} $how $(basename "$DLPX_DATA_DIRECTORY") $VDB_NAME" >>'{log}'"#
    );
    json!([{"name": list, "shell": "shell", "command": command}])
}

fn witnesses(pool: &Pool) -> Map<String, Value> {
    let lists = LISTS.map(|list| (list.to_owned(), witness(pool, list)));
    lists.into_iter().collect()
}

/// What ran since the last time, each without the directory.
fn ran(app: &App) -> Vec<String> {
    let path = app.pool.path("log");
    let log = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    let short = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    log.lines().map(short).collect()
}

async fn ordered(app: &App, hooks: Map<String, Value>) -> (Value, String) {
    let mut body = json!({"name": "classic", "source_data_id": "largedb"});
    body.as_object_mut().unwrap().extend(hooks);
    let answer = app.post("/vdbs/provision_by_snapshot", body).await;
    let id = text(&answer["vdb_id"]).to_owned();
    (answer, id)
}

async fn made(app: &App, hooks: Map<String, Value>) -> String {
    let (answer, id) = ordered(app, hooks).await;
    let job = app.over(&answer).await;
    assert_eq!(job["status"], "COMPLETED", "{job}");
    id
}

async fn failed(app: &App, path: &str, part: &str) {
    let answer = app.post(path, json!({})).await;
    let job = app.over(&answer).await;
    let said = job["error_details"].as_str().unwrap_or_default();
    assert_eq!(job["status"], "FAILED", "{job}");
    assert!(said.contains(part), "{said:?} lacks {part:?}");
}

fn one(list: &str, command: &str) -> Map<String, Value> {
    let hooks = json!([{"name": "it", "command": command}]);
    Map::from_iter([(list.to_owned(), hooks)])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_runs_its_hooks_in_their_order_and_nobody_reaches_new_data_before() {
    let app = App::with(Pool::hooked());
    let (answer, id) = ordered(&app, witnesses(&app.pool)).await;
    let told = answer["job"]["warning_message"]
        .as_str()
        .unwrap_or_default();
    assert!(!told.contains("hooks"), "{told}");
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert_eq!(ran(&app), ["configure_clone apart"]);
    let path = format!("/vdbs/{id}");
    let act = async |action: &str| {
        app.done(&format!("{path}/{action}"), json!({})).await;
        ran(&app)
    };
    assert_eq!(app.get(&path).await["status"], "RUNNING");
    assert_eq!(act("stop").await, ["pre_stop open", "post_stop down"]);
    assert_eq!(act("start").await, ["pre_start down", "post_start open"]);
    assert_eq!(act("disable").await, ["pre_stop open", "post_stop down"]);
    assert_eq!(act("enable").await, ["pre_start down", "post_start open"]);
    assert_eq!(
        act("snapshots").await,
        ["pre_snapshot open", "post_snapshot open"]
    );
    let refreshed = [
        "pre_refresh open",
        "configure_clone apart",
        "post_refresh apart",
    ];
    assert_eq!(act("refresh_by_snapshot").await, refreshed);
    assert!(act("undo_refresh").await.is_empty());
    let rewound = [
        "pre_rollback open",
        "pre_self_refresh open",
        "post_rollback apart",
        "post_self_refresh apart",
    ];
    assert_eq!(act("rollback_by_snapshot").await, rewound);
    assert_eq!(app.get(&path).await["status"], "RUNNING");
    let conf = app
        .pool
        .path("pool/servers")
        .join(&id)
        .join("postgresql.conf");
    let conf = std::fs::read_to_string(conf).unwrap();
    assert!(conf.contains("listen_addresses = '127.0.0.1'"), "{conf}");
    // New data of a stopped one goes through them too: nobody finds it unmasked at the next start.
    act("stop").await;
    assert_eq!(
        act("refresh_by_snapshot").await,
        ["pre_refresh down", refreshed[1], refreshed[2]]
    );
    assert_eq!(app.get(&path).await["status"], "STOPPED");
    let marked = app
        .post("/bookmarks", json!({"name": "b", "vdb_ids": [id]}))
        .await;
    app.over(&marked).await;
    assert_eq!(ran(&app), ["pre_snapshot down", "post_snapshot down"]);
    assert!(act("delete").await.is_empty());
    let left = std::fs::read_dir(app.pool.path("pool/run")).unwrap();
    assert_eq!(left.count(), 0, "what hooks have kept for each other");
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_of_one_job_find_what_the_first_has_kept() {
    let app = App::with(Pool::hooked());
    let mut hooks = one("pre_refresh", "echo kept > ~/for-later");
    hooks.extend(one("post_refresh", "grep -q kept for-later"));
    let id = made(&app, hooks).await;
    app.done(&format!("/vdbs/{id}/refresh_by_snapshot"), json!({}))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_hook_fails_does_not_come_about() {
    let app = App::with(Pool::hooked());
    let command = "echo masking; echo 'no table orders' >&2; exit 3";
    let (answer, id) = ordered(&app, one("configure_clone", command)).await;
    let job = app.over(&answer).await;
    assert_eq!(
        (&job["status"], &job["error_details"]),
        (
            &json!("FAILED"),
            &json!("hook configure_clone[0] (it) failed: exit status: 3: masking no table orders")
        )
    );
    app.missing("GET", &format!("/vdbs/{id}"), Value::Null)
        .await;
    // A login is kept until the job's end is written down, and goes then.
    for folder in ["pool/vdbs", "pool/servers", "pool/run"] {
        let left = || std::fs::read_dir(app.pool.path(folder)).unwrap().count();
        app.eventually(folder, || left() == 0).await;
    }
    // The empty one as well.
    let mut body = json!({"name": "empty"});
    body.as_object_mut()
        .unwrap()
        .extend(one("configure_clone", "exit 5"));
    let answer = app.post("/vdbs/empty_vdb", body).await;
    let job = app.over(&answer).await;
    assert!(
        text(&job["error_details"]).contains("exit status: 5"),
        "{job}"
    );
}

#[rstest]
#[case::before("pre_refresh")]
#[case::on_the_new_data("configure_clone")]
#[case::after("post_refresh")]
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_hook_fails_is_undone(#[case] list: &str) {
    let app = App::with(Pool::hooked());
    let id = made(&app, Map::new()).await;
    let path = format!("/vdbs/{id}");
    let body = json!({"hooks": one(list, "echo gone wrong; exit 1")});
    let (status, answer) = app.call("PATCH", &path, body).await;
    assert_eq!(status, StatusCode::OK);
    app.over(&answer).await;
    let before = app.get(&path).await;
    failed(&app, &format!("{path}/refresh_by_snapshot"), "gone wrong").await;
    let after = app.get(&path).await;
    for field in ["status", "current_timeflow_id", "last_refreshed_date"] {
        assert_eq!(before.get(field), after.get(field), "{field}");
    }
    assert_eq!(after["status"], "RUNNING");
    let data = app.engine.vdb_root(&id).join("data/postmaster.pid");
    assert!(data.exists(), "the old data is served");
    let left = std::fs::read_dir(app.pool.path("pool/vdbs")).unwrap();
    assert_eq!(left.count(), 1);
}

#[rstest]
#[case("pre_stop", "stop", "RUNNING")]
#[case("post_stop", "stop", "STOPPED")]
#[case("pre_start", "start", "STOPPED")]
#[case("post_start", "start", "STOPPED")]
#[case("pre_snapshot", "snapshots", "RUNNING")]
#[case("post_snapshot", "snapshots", "RUNNING")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_fails_its_action(
    #[case] list: &str,
    #[case] action: &str,
    #[case] status: &str,
) {
    let app = App::with(Pool::hooked());
    let mut hooks = one(list, "exit 7");
    if list == "pre_snapshot" {
        hooks.insert("post_snapshot".to_owned(), witness(&app.pool, "undone"));
    }
    let id = made(&app, hooks).await;
    let path = format!("/vdbs/{id}");
    if action == "start" {
        app.done(&format!("{path}/stop"), json!({})).await;
    }
    failed(&app, &format!("{path}/{action}"), "exit status: 7").await;
    assert_eq!(app.get(&path).await["status"], status);
    let own = app.get(&format!("{path}/snapshots")).await;
    assert!(own["items"].as_array().unwrap().is_empty());
    if list == "pre_snapshot" {
        assert_eq!(ran(&app), ["undone open"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_and_what_is_not_run_is_told() {
    let app = App::with(Pool::hooked());
    let body = |shell: &str, container: bool| {
        json!({"name": shell, "source_data_id": "largedb", "container_mode": container,
            "pre_start": [{"command": "true", "shell": shell}]})
    };
    for shell in ["ps", "psd", "expect"] {
        let part = format!("pre_start[0]: shell \"{shell}\" cannot be run");
        app.refused(
            "POST",
            "/vdbs/provision_by_snapshot",
            body(shell, false),
            422,
            &part,
        )
        .await;
    }
    // Not even in an error is a secret told.
    let secret = json!({"name": "x", "source_data_id": "largedb", "pre_start": [{"command": "true",
        "credentials_env_vars": [{"base_var_name": "DB", "password": "hunter2"}]}]});
    let (status, answer) = app
        .call("POST", "/vdbs/provision_by_snapshot", secret)
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!answer.to_string().contains("hunter2"), "{answer}");
    // The pod's server is none that the engine could reach.
    let answer = app
        .post("/vdbs/provision_by_snapshot", body("bash", true))
        .await;
    let told = text(&answer["job"]["warning_message"]);
    assert!(told.contains("container"), "{told}");
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_nothing_runs() {
    let app = App::with(Pool::classic());
    let (answer, id) = ordered(&app, witnesses(&app.pool)).await;
    let told = text(&answer["job"]["warning_message"]);
    assert!(told.contains("--run-hooks"), "{told}");
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    for action in ["stop", "start", "refresh_by_snapshot"] {
        app.done(&format!("/vdbs/{id}/{action}"), json!({})).await;
    }
    assert!(ran(&app).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_one_keeps_its_hooks_and_its_mount_point() {
    for (pool, warned) in [(Pool::classic(), true), (Pool::hooked(), false)] {
        let app = App::with(pool);
        let mut body = json!({"name": "empty", "mount_point": "/mnt/x"});
        body.as_object_mut().unwrap().extend(witnesses(&app.pool));
        let answer = app.post("/vdbs/empty_vdb", body).await;
        assert_eq!(answer["job"]["warning_message"].is_string(), warned);
        let job = app.over(&answer).await;
        assert_eq!(job["status"], "COMPLETED", "{job}");
        let vdb = app.get(&format!("/vdbs/{}", text(&answer["vdb_id"]))).await;
        assert_eq!(vdb["mount_point"], "/mnt/x");
        assert_eq!(vdb["hooks"].as_object().unwrap().len(), LISTS.len());
        let expected: &[&str] = if warned {
            &[]
        } else {
            &["configure_clone apart"]
        };
        assert_eq!(ran(&app), expected);
    }
}

#[test]
fn a_crash_ends_the_script_and_the_job_runs_its_hooks_again_on_data_made_anew() {
    let pool = Pool::hooked();
    let engine = pool.linked();
    let counted = format!(
        "echo x >> '{}'; [ ! -e $PGDATA/half ]; ",
        pool.path("log").display()
    );
    let hooks =
        json!({"configure_clone": [{"command": counted}], "pre_refresh": [{"command": counted}]});
    let request = ProvisionBySnapshot {
        name: Some("classic".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        db_username: Some("app".to_owned()),
        db_password: Some("hunter2".to_owned()),
        hooks: serde_json::from_value(hooks).unwrap(),
        ..Default::default()
    };
    let mut engine = engine;
    let answer = engine.provision(&request).unwrap();
    let vdb = answer.vdb_id.unwrap();
    let first = answer.job.unwrap().id;
    let root = engine.vdb_root(&vdb);
    for (round, runs) in [(1, 1), (2, 3)] {
        let (job, root) = if round == 1 {
            (first.clone(), root.clone())
        } else {
            let job = engine.refresh(&vdb, &BySnapshot::default()).unwrap();
            let flow = engine.store.read(|state| {
                let mut flows = state.objects(Kind::Timeflow);
                flows.next_back().unwrap().id.clone()
            });
            let number = flow.rsplit('-').next().unwrap().to_owned();
            (job.id, root.with_file_name(format!("{vdb}-{number}")))
        };
        // As a killed engine leaves it: whole data, half changed by a script that still runs.
        let template = engine.template_root(&snapshot(&engine));
        engine.storage.copy(&template, &root).unwrap();
        std::fs::write(root.join("data/half"), "").unwrap();
        let home = pool.path("pool/servers").join(&vdb);
        let given = root.as_os_str().as_encoded_bytes();
        std::fs::write(home.join("login.applied"), given).unwrap();
        let mut left = Command::new("sleep")
            .arg("600")
            .env("VDB_JOB_ID", &job)
            .spawn()
            .unwrap();
        drop(engine);
        engine = pool.open();
        assert!(!left.wait().unwrap().success());
        let ended = engine
            .store
            .read(|state| state.job(&job).unwrap().job.clone());
        assert_eq!(
            ended.status,
            JobStatus::Completed,
            "{:?}",
            ended.error_details
        );
        let log = std::fs::read_to_string(pool.path("log")).unwrap();
        assert_eq!(log.lines().count(), runs);
        let login = std::fs::read_to_string(root.join("data/login")).unwrap();
        assert!(login.contains("SCRAM-SHA-256") && !login.contains("hunter2"));
    }
}

fn snapshot(engine: &engine::engine::Engine) -> String {
    engine
        .store
        .read(|state| state.live(Kind::Snapshot).next().unwrap().id.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn enabled_without_a_start_and_disabled_without_a_clean_end() {
    let app = App::with(Pool::hooked());
    let id = made(&app, witnesses(&app.pool)).await;
    ran(&app);
    let path = format!("/vdbs/{id}");
    let act = async |action: &str, body: Value| {
        let answer = app.post(&format!("{path}/{action}"), body).await;
        let job = app.over(&answer).await;
        assert_eq!(job["status"], "COMPLETED", "{job}");
        let vdb = app.get(&path).await;
        let warned = job["warning_message"].is_string();
        (
            vdb["enabled"] == true,
            text(&vdb["status"]).to_owned(),
            warned,
            ran(&app),
        )
    };
    let none = Vec::<String>::new;
    assert_eq!(
        act("disable", json!({"attempt_cleanup": false})).await,
        (false, "STOPPED".to_owned(), true, none())
    );
    assert_eq!(
        act("enable", json!({"attempt_start": false})).await,
        (true, "STOPPED".to_owned(), false, none())
    );
    let (enabled, status, warned, hooks) = act("enable", json!({"attempt_start": true})).await;
    assert!(enabled && status == "RUNNING" && !warned && hooks.len() == 2);
    let (enabled, status, warned, hooks) = act("disable", json!({"attempt_cleanup": true})).await;
    assert!(!enabled && status == "STOPPED" && !warned && hooks.len() == 2);
}
