//! The vendor's own clients, call by call, in the order that they were seen to use (the Terraform provider 3.3 and 4.3,
//! the Python SDK). Every body is theirs. The provider knows no containers: its databases are those whose server the
//! engine runs, here by programs that stand in for PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]
#![expect(
    clippy::too_many_lines,
    reason = "a recording is read from top to bottom"
)]

mod support;

use axum::http::StatusCode;
use serde_json::{Value, json};
use support::app::{App, text};
use support::{KEY, Pool};

impl App {
    /// Polls as the Terraform provider does: PENDING and STARTED are not the end, every other word is.
    async fn terraform(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        assert_eq!(self.over(&answer).await["status"], "COMPLETED", "{path}");
        answer
    }

    /// What each phase of the provider begins with.
    async fn configure(&self) {
        for _ in 0..2 {
            let engines = self.get("/management/engines").await;
            assert_eq!(engines["items"].as_array().unwrap().len(), 1);
        }
    }

    async fn vdb(&self, id: &str) -> Value {
        self.get(&format!("/vdbs/{id}")).await
    }
}

fn hook(name: &str) -> Value {
    json!({"name": name, "command": format!("echo {name}\n"), "shell": "bash"})
}

/// Without the id that the server gave.
fn as_sent(hooks: &Value) -> Vec<Value> {
    let plain = |hook: &Value| {
        assert!(!text(&hook["element_id"]).is_empty());
        json!({"name": hook["name"], "command": hook["command"], "shell": hook["shell"]})
    };
    hooks.as_array().unwrap().iter().map(plain).collect()
}

#[tokio::test]
async fn terraform_creates_reads_changes_and_destroys_a_vdb() {
    let app = App::with(Pool::classic());
    let parameters = json!({
        "mountLocation": "/mnt/x", "postgresPort": 5434,
        "configSettingsStg": [{"propertyName": "timezone", "value": "GMT", "commentProperty": false}],
    });
    let tags = json!([{"key": "env", "value": "dev"}, {"key": "env", "value": "qa"}]);

    // create
    app.configure().await;
    let environment = app.get("/environments/10.0.1.54").await["id"].clone();
    let body = json!({
        "appdata_source_params": parameters, "auto_select_repository": true, "environment_id": "10.0.1.54",
        "make_current_account_owner": true, "name": "tf-vdb", "post_refresh": [hook("mask"), hook("check")],
        "source_data_id": "largedb", "tags": tags, "vdb_restart": true,
    });
    let answer = app
        .terraform("POST", "/vdbs/provision_by_snapshot", body)
        .await;
    let id = text(&answer["vdb_id"]).to_owned();
    // There no later than the job's end: the provider does not ask twice.
    let vdb = app.vdb(&id).await;
    let timeflow = app
        .get(&format!("/timeflows/{}", text(&vdb["current_timeflow_id"])))
        .await;
    app.get(&format!(
        "/snapshots/{}",
        text(&timeflow["parent_snapshot_id"])
    ))
    .await;

    // read, again and again: whatever differs from what was sent is shown as a change.
    app.configure().await;
    let again = app.vdb(&id).await;
    for seen in [&vdb, &again] {
        assert_eq!(seen["appdata_source_params"], parameters);
        assert_eq!(seen["environment_id"], environment);
        assert_eq!(seen["tags"], tags);
        assert_eq!(
            as_sent(&seen["hooks"]["post_refresh"]),
            [hook("mask"), hook("check")]
        );
        assert_eq!(
            (&seen["vdb_restart"], &seen["is_appdata"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            (&seen["name"], &seen["database_type"]),
            (&json!("tf-vdb"), &json!("postgres-vsdk"))
        );
        for field in [
            "engine_id",
            "parent_id",
            "parent_dsource_id",
            "root_parent_id",
            "group_name",
            "creation_date",
            "database_version",
        ] {
            assert!(seen[field].is_string(), "{field}");
        }
    }
    assert_eq!(
        vdb["hooks"], again["hooks"],
        "the ids of hooks are not made anew"
    );

    // update of what destroys nothing; no hooks means no change
    let path = format!("/vdbs/{id}");
    assert_eq!(vdb["status"], "RUNNING");
    let body = json!({"name": "tf-renamed", "auto_restart": false, "hooks": {}, "validate_db_credentials": true});
    app.terraform("PATCH", &path, body).await;
    let vdb = app.vdb(&id).await;
    assert_eq!(
        (&vdb["name"], &vdb["vdb_restart"]),
        (&json!("tf-renamed"), &json!(false))
    );
    assert_eq!(vdb["hooks"], again["hooks"]);
    // Hooks are sent with the ids by which they are known.
    let [mask, check] = [0, 1].map(|i| vdb["hooks"]["post_refresh"][i].clone());
    let body = json!({"hooks": {"post_refresh": [check, hook("new"), mask], "pre_refresh": [hook("before")]}});
    app.terraform("PATCH", &path, body).await;
    let hooks = app.vdb(&id).await["hooks"].clone();
    assert_eq!(
        as_sent(&hooks["post_refresh"]),
        [hook("check"), hook("new"), hook("mask")]
    );
    assert_eq!(
        (&hooks["post_refresh"][0], &hooks["post_refresh"][2]),
        (&check, &mask)
    );
    app.terraform(
        "PATCH",
        &path,
        json!({"hooks": {"post_refresh": [], "pre_refresh": []}}),
    )
    .await;
    assert!(app.vdb(&id).await.get("hooks").is_none());

    // update of what the provider disables for
    let changed = json!({"postgresPort": 5435, "mountLocation": "/mnt/x"});
    app.terraform(
        "POST",
        &format!("{path}/disable"),
        json!({"attempt_cleanup": true}),
    )
    .await;
    app.terraform(
        "PATCH",
        &path,
        json!({"appdata_source_params": changed, "hooks": {}}),
    )
    .await;
    app.terraform(
        "POST",
        &format!("{path}/enable"),
        json!({"attempt_start": true}),
    )
    .await;
    let vdb = app.vdb(&id).await;
    assert_eq!(
        (&vdb["appdata_source_params"], &vdb["enabled"]),
        (&changed, &json!(true))
    );
    assert_eq!(
        (&vdb["status"], &vdb["jdbc_connection_string"]),
        (
            &json!("RUNNING"),
            &json!("jdbc:postgresql://127.0.0.1:5435/")
        )
    );

    // tags are replaced: all away, without a body in one version and with an empty one in the other
    for body in [Value::Null, json!({})] {
        app.vdb(&id).await;
        let (status, _) = app.call("POST", &format!("{path}/tags/delete"), body).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert!(app.vdb(&id).await.get("tags").is_none());
        let (status, _) = app
            .call("POST", &format!("{path}/tags"), json!({"tags": tags}))
            .await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(app.vdb(&id).await["tags"], tags);
    }

    // delete
    app.configure().await;
    app.terraform("POST", &format!("{path}/delete"), json!({"force": false}))
        .await;
    app.missing("GET", &path, Value::Null).await;
}

#[tokio::test]
async fn terraform_groups_tags_and_waits_for_a_dsource() {
    let app = App::new();
    app.configure().await;
    // A dSource is ready once it has a snapshot.
    let dsources = app
        .post(
            "/dsources/search",
            json!({"filter_expression": "name eq 'largedb'"}),
        )
        .await;
    let dsource = text(&dsources["items"][0]["id"]).to_owned();
    let snapshots = app.get(&format!("/dsources/{dsource}/snapshots")).await;
    assert!(!snapshots["items"].as_array().unwrap().is_empty());
    let (a, b) = (app.provisioned("a").await, app.provisioned("b").await);
    let body =
        json!({"name": "both", "vdbs": [{"vdb_id": a, "order": 1}, {"vdb_id": b, "order": 2}]});
    let (status, answer) = app.call("POST", "/vdb-groups", body).await;
    assert_eq!(status, StatusCode::CREATED);
    let id = text(&answer["vdb_group"]["id"]).to_owned();
    for key in [id.as_str(), "both"] {
        // The literal that the provider polls for after an update.
        assert_eq!(
            app.get(&format!("/vdb-groups/{key}")).await["status"],
            "RUNNING"
        );
    }
    let path = format!("/vdb-groups/{id}/tags");
    let (status, _) = app
        .call("POST", &path, json!({"tags": [{"key": "k", "value": "v"}]}))
        .await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(
        app.get(&path).await["tags"],
        json!([{"key": "k", "value": "v"}])
    );
    let (status, _) = app
        .call("DELETE", &format!("/vdb-groups/{id}"), Value::Null)
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

/// The other two ways to order, and an import, which only reads.
#[tokio::test]
async fn terraform_orders_by_time_and_from_a_bookmark_and_imports() {
    let app = App::with(Pool::classic());
    let snapshot = app.get("/snapshots").await["items"][0].clone();
    let ordered = |more: Value| {
        let mut body = json!({
            "auto_select_repository": true, "environment_id": "10.0.1.54", "make_current_account_owner": true,
            "vdb_restart": true,
        });
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        body
    };
    app.configure().await;
    let body = ordered(
        json!({"name": "by-time", "source_data_id": "largedb", "timestamp": snapshot["timestamp"]}),
    );
    let path = "/vdbs/provision_by_timestamp";
    let answer = app.terraform("POST", path, body).await;
    let id = text(&answer["vdb_id"]).to_owned();
    let mark = json!({"name": "mark", "vdb_ids": [id], "retention": -1});
    let (status, mark) = app.call("POST", "/bookmarks", mark).await;
    assert_eq!(status, StatusCode::CREATED);
    app.over(&mark).await;
    let body = ordered(json!({"name": "of-mark", "bookmark_id": mark["bookmark"]["id"]}));
    let path = "/vdbs/provision_from_bookmark";
    let other = app.terraform("POST", path, body).await;

    // Version 4 asks for the snapshot that was taken where none was named.
    for id in [&id, text(&other["vdb_id"])] {
        let vdb = app.vdb(id).await;
        let flow = text(&vdb["current_timeflow_id"]);
        let flow = app.get(&format!("/timeflows/{flow}")).await;
        let from = text(&flow["parent_snapshot_id"]);
        app.get(&format!("/snapshots/{from}")).await;
        assert_eq!(
            (&vdb["status"], &vdb["enabled"]),
            (&json!("RUNNING"), &json!(true))
        );
    }
    // An import knows the id alone, and changes nothing.
    let jobs = app.get("/jobs").await["response_metadata"]["total"].clone();
    app.configure().await;
    let (one, again) = (app.vdb(&id).await, app.vdb(&id).await);
    assert_eq!(one, again);
    assert_eq!(app.get("/jobs").await["response_metadata"]["total"], jobs);
}

#[tokio::test]
async fn terraform_changes_a_group_and_waits_until_it_runs() {
    let app = App::new();
    let (a, b) = (app.provisioned("a").await, app.provisioned("b").await);
    let body = json!({"name": "group", "vdb_ids": [a]});
    let group = app.post("/vdb-groups", body).await["vdb_group"]["id"].clone();
    let path = format!("/vdb-groups/{}", text(&group));
    let body = json!({"name": "renamed", "vdb_ids": [a, b]});
    let answer = app.terraform("PATCH", &path, body).await;
    assert_eq!(answer["name"], "renamed");
    let seen = app.get(&path).await;
    assert_eq!(
        (&seen["status"], &seen["vdb_ids"]),
        (&json!("RUNNING"), &json!([a, b]))
    );
    app.missing("GET", "/vdb-groups/group", Value::Null).await;
}

#[tokio::test]
async fn terraform_creates_changes_and_destroys_an_appdata_dsource() {
    let app = App::on(Pool::new());
    app.configure().await;
    let tags = json!([{"key": "env", "value": "dev"}]);
    let body = json!({
        "name": "orders", "source_id": "largedb", "group_id": "1-GROUP-1", "description": "of the shop", "link_type": "AppDataStaged",
        "make_current_account_owner": true, "environment_user": "HOST_USER-2", "staging_environment": "1-UNIX_HOST_ENVIRONMENT-1",
        "parameters": {"postgresPort": 5434}, "sync_parameters": {"resync": true}, "tags": tags,
    });
    let answer = app.terraform("POST", "/dsources/appdata", body).await;
    let id = text(&answer["dsource_id"]).to_owned();
    let path = format!("/dsources/{id}");
    let dsource = app.get(&path).await;
    assert_eq!(
        (&dsource["name"], &dsource["tags"]),
        (&json!("orders"), &tags)
    );
    assert_eq!(dsource["description"], "of the shop");
    let snapshots = app.get(&format!("{path}/snapshots")).await;
    assert_eq!(snapshots["items"].as_array().unwrap().len(), 1);
    let order = json!({"name": "dev", "source_data_id": "orders", "container_mode": true});
    app.terraform("POST", "/vdbs/provision_by_snapshot", order)
        .await;

    let update = format!("/dsources/appdata/{id}");
    let body = json!({"name": "renamed", "description": "", "ops_pre_sync": []});
    app.terraform("PATCH", &update, body).await;
    let dsource = app.get(&path).await;
    assert_eq!(
        (&dsource["name"], &dsource["description"]),
        (&json!("renamed"), &json!(""))
    );
    let vdb = app.get("/vdbs/dev").await;
    for field in ["parent_name", "parent_dsource_name"] {
        assert_eq!(vdb[field], "renamed", "{field}");
    }
    let snapshots = app.get(&format!("{path}/snapshots")).await;
    assert_eq!(snapshots["items"][0]["dataset_name"], "renamed");
    app.missing("PATCH", "/dsources/appdata/x", json!({})).await;

    app.terraform("POST", "/vdbs/dev/delete", json!({"force": false}))
        .await;
    let body = json!({"dsource_id": id, "force": false});
    app.terraform("POST", "/dsources/delete", body).await;
    app.missing("GET", &path, Value::Null).await;
}

/// The SDK sends an empty body where it has no model, and turns the numbers of free objects into fractions.
#[tokio::test]
async fn the_python_sdk_goes_its_usual_way() {
    let app = App::new();
    assert!(text(&app.get("/reporting/product_info").await["api_version"]).starts_with("3."));
    assert_eq!(
        app.get("/management/engines").await["items"][0]["engine_connection_status"],
        "ONLINE"
    );
    let (status, _) = app.call("POST", "/vdbs/search", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let token = app.post("/login", json!({"api_key": KEY})).await;
    let told = app
        .post("/token-info", json!({"token": token["access_token"]}))
        .await;
    assert_eq!(told["active"], true);

    let search = json!({"filter_expression": "name EQ 'largedb'"});
    let source = app.post("/sources/search", search.clone()).await["items"][0].clone();
    let dsource = app.post("/dsources/search", search).await["items"][0].clone();
    assert_eq!(dsource["source_id"], source["id"]);
    app.done(
        &format!("/dsources/{}/snapshots", text(&dsource["id"])),
        Value::Null,
    )
    .await;
    let of = json!({"filter_expression": format!("dataset_id EQ '{}'", text(&dsource["id"]))});
    let latest = app
        .post("/snapshots/search?sort=-timestamp&limit=1", of)
        .await["items"][0]
        .clone();

    let body = json!({
        "name": "dev", "source_data_id": "largedb", "snapshot_id": latest["id"], "container_mode": true,
        "postgres_port": 5434.0, "appdata_source_params": {"postgresPort": 5434.0}, "target_group_id": "postgres-vdbs",
    });
    let ordered = app.post("/vdbs/provision_by_snapshot", body).await;
    app.over(&ordered).await;
    let id = text(&ordered["vdb_id"]).to_owned();
    let found = app
        .post(
            "/vdbs/search",
            json!({"filter_expression": format!("id in ['{id}', 'x']")}),
        )
        .await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let owner = app.engine.owner.clone();
    let path = format!("/vdbs/{id}");
    app.done(
        &format!("{path}/enable"),
        json!({"container_mode": true, "ownership_spec": owner}),
    )
    .await;
    app.done(&format!("{path}/disable"), json!({"container_mode": true}))
        .await;
    app.done(&format!("{path}/snapshots"), Value::Null).await;
    let own = app.get(&format!("{path}/snapshots?limit=10")).await["items"][0].clone();
    app.done(
        &format!("{path}/rollback_by_snapshot"),
        json!({"snapshot_id": own["id"]}),
    )
    .await;
    app.done(&format!("{path}/refresh_by_snapshot"), Value::Null)
        .await;
    app.done(&format!("{path}/undo_refresh"), Value::Null).await;
    let marked = app
        .post(
            "/bookmarks",
            json!({"name": "before", "vdb_ids": [id], "retention": 5.0}),
        )
        .await;
    app.over(&marked).await;
    let mark = format!("/bookmarks/{}", text(&marked["bookmark"]["id"]));
    app.done(
        &format!("{path}/refresh_from_bookmark"),
        json!({"bookmark_id": marked["bookmark"]["id"]}),
    )
    .await;
    let (_, changed) = app.call("PATCH", &mark, json!({"name": "renamed"})).await;
    assert_eq!(app.over(&changed).await["status"], "COMPLETED");
    assert_eq!(app.get(&mark).await["name"], "renamed");
    app.post(&format!("{path}/lock"), json!({"account_id": 1.0}))
        .await;
    app.refused(
        "POST",
        &format!("{path}/delete"),
        Value::Null,
        409,
        "locked",
    )
    .await;
    app.post(&format!("{path}/unlock"), Value::Null).await;
    let (_, gone) = app.call("DELETE", &mark, Value::Null).await;
    assert_eq!(app.over(&gone).await["status"], "COMPLETED");
    app.done(&format!("{path}/delete"), json!({"force": false}))
        .await;
    let jobs = app
        .post(
            "/jobs/search?sort=-start_time",
            json!({"filter_expression": format!("target_id EQ '{id}'")}),
        )
        .await;
    let over = jobs["items"].as_array().unwrap();
    assert!(
        over.len() >= 9 && over.iter().all(|job| job["status"] == "COMPLETED"),
        "{jobs}"
    );
}
