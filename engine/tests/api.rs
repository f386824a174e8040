//! The interface without a socket: what callers send and what they are answered.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::time::Duration;

use axum::http::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use support::app::App;
use support::{KEY, Pool};

#[tokio::test]
async fn without_a_known_key_nothing_is_told() {
    let app = App::new();
    for authorization in [
        None,
        Some("apk wrong"),
        Some("apk "),
        Some(KEY),
        Some("Bearer 1.0123456789abcdef"),
    ] {
        let (status, body) = app.raw("GET", "/dct/v3/vdbs", authorization, "").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error_description"].is_string());
        let (status, _) = app
            .raw("GET", "/dct/v3/no/such/path", authorization, "")
            .await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(app.raw("GET", "/healthz", None, "").await.0, StatusCode::OK);
    assert_eq!(app.raw("GET", "/readyz", None, "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_changed_key_file_counts_at_once_and_an_empty_one_locks_nobody_out() {
    let app = App::new();
    std::fs::write(app.pool.path("key"), "").unwrap();
    assert_eq!(
        app.call("GET", "/vdbs", Value::Null).await.0,
        StatusCode::OK
    );
    std::fs::write(app.pool.path("key"), "another-key\n").unwrap();
    assert_eq!(
        app.call("GET", "/vdbs", Value::Null).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        app.raw("GET", "/dct/v3/vdbs", Some("apk another-key"), "")
            .await
            .0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_copy_lives_its_whole_life() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    assert!(id.starts_with("1-APPDATA_CONTAINER-"), "{id}");
    let vdb = app.get(&format!("/vdbs/{id}")).await;
    assert_eq!(vdb["containerization_state"], "READY_FOR_CONTAINER");
    assert_eq!(vdb["enabled"], false);
    assert_eq!(vdb["database_type"], "postgres-vsdk");
    assert_eq!(vdb["database_version"], "16.9");
    assert_eq!(vdb["group_name"], "postgres-vdbs");
    assert_eq!(
        vdb["parent_timeflow_timestamp"],
        "2026-11-23T10:00:01.000000Z"
    );
    assert_eq!(vdb["tags"], json!([{"key": "cr-uid", "value": "dev-vdb"}]));
    assert!(vdb.get("exported_data_directory").is_none());
    assert!(vdb.as_object().unwrap().values().all(|v| !v.is_null()));

    let owner = app.engine.owner.clone();
    let enable = json!({"container_mode": true, "attempt_start": false, "ownership_spec": owner});
    let answer = app.post(&format!("/vdbs/{id}/enable"), enable).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let vdb = app.get(&format!("/vdbs/{id}")).await;
    assert_eq!(vdb["containerization_state"], "RUNNING_IN_CONTAINER");
    assert_eq!(vdb["exported_data_directory"], format!("/exports/{id}"));
    assert_eq!(vdb["enabled"], true);
    assert!(app.engine.vdb_root(&id).join("data/PG_VERSION").exists());
    assert!(!app.engine.vdb_root(&id).join("data/secret").exists());

    let answer = app
        .post(
            &format!("/vdbs/{id}/disable"),
            json!({"container_mode": true}),
        )
        .await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert!(
        app.get(&format!("/vdbs/{id}"))
            .await
            .get("exported_data_directory")
            .is_none()
    );

    let answer = app.post(&format!("/vdbs/{id}/delete"), Value::Null).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    app.refused(
        "GET",
        &format!("/vdbs/{id}"),
        Value::Null,
        404,
        "there is no virtual database",
    )
    .await;
    app.missing("POST", &format!("/vdbs/{id}/delete"), json!({}))
        .await;
    assert!(!app.engine.vdb_root(&id).exists());
}

#[tokio::test]
async fn an_order_is_carried_out_though_its_caller_hangs_up() {
    let app = App::new();
    let body = json!({"name": "left", "source_data_id": "largedb", "container_mode": true});
    let order = app.call("POST", "/vdbs/provision_by_snapshot", body);
    // Looked at once and dropped, as the end of a connection does it.
    tokio::select! {
        biased;
        _ = order => panic!("answered at once"),
        () = std::future::ready(()) => {}
    }
    for _ in 0..500 {
        if app.get("/vdbs").await["items"][0]["name"] == "left" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", app.get("/jobs").await);
}

#[tokio::test]
async fn an_order_that_does_not_fit_is_refused_with_figures_and_writes_nothing() {
    let mut pool = support::Pool::new();
    // The dSource is there already; then somebody wants more room to stay free than there is.
    drop(pool.linked());
    pool.keep_free = "999999999G".to_owned();
    let app = App::on(pool);
    let body = json!({"name": "dev", "source_data_id": "largedb", "container_mode": true});
    let path = "/vdbs/provision_by_snapshot";
    app.refused("POST", path, body, 507, "MiB are needed").await;
    let (_, answer) = app
        .call(
            "POST",
            path,
            json!({"source_data_id": "largedb", "container_mode": true}),
        )
        .await;
    let said = answer["error_description"].as_str().unwrap();
    assert!(
        said.contains("keepFree") && said.contains("MiB are free"),
        "{said}"
    );
    assert_eq!(app.get("/vdbs").await["items"], json!([]));
    assert_eq!(
        std::fs::read_dir(app.engine.settings.vdbs())
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_name_is_unique_in_its_group_alone() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let twin = json!({"name": "dev-vdb", "source_data_id": "largedb", "container_mode": true, "target_group_id": "postgres-vdbs"});
    app.refused("POST", "/vdbs/provision_by_snapshot", twin, 409, &id)
        .await;
    let elsewhere = json!({"name": "dev-vdb", "source_data_id": "largedb", "container_mode": true, "target_group_id": "other"});
    app.post("/vdbs/provision_by_snapshot", elsewhere).await;
}

#[rstest]
#[case(json!({"name": "x", "source_data_id": "largedb"}), 422, "container_mode")]
#[case(json!({"name": "x", "container_mode": true}), 422, "neither snapshot_id nor source_data_id")]
#[case(json!({"name": "x", "container_mode": true, "source_data_id": "nowhere"}), 404, "no dSource \"nowhere\"")]
#[case(json!({"name": "x", "container_mode": true, "snapshot_id": "1-APPDATA_SNAPSHOT-99"}), 404, "no snapshot")]
#[case(json!({"name": "", "container_mode": true, "source_data_id": "largedb"}), 422, "a name has")]
#[case(json!({"name": "a\nb", "container_mode": true, "source_data_id": "largedb"}), 422, "a name has")]
#[case(json!({"name": "x", "container_mode": true, "source_data_id": "largedb", "tags": [{"key": "", "value": "x"}]}), 422, "tags")]
#[tokio::test]
async fn a_provision_that_cannot_work_creates_nothing(
    #[case] body: Value,
    #[case] status: u16,
    #[case] part: &str,
) {
    let app = App::new();
    app.refused("POST", "/vdbs/provision_by_snapshot", body, status, part)
        .await;
    assert_eq!(app.get("/vdbs").await["items"], json!([]));
    assert_eq!(
        std::fs::read_dir(app.engine.settings.vdbs())
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn owners_other_than_the_engines_are_refused_with_a_reason() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let body = json!({"container_mode": true, "ownership_spec": "70:70"});
    app.refused(
        "POST",
        &format!("/vdbs/{id}/enable"),
        body,
        422,
        "may not change owners",
    )
    .await;
    app.refused(
        "POST",
        &format!("/vdbs/{id}/enable"),
        json!({}),
        422,
        "container_mode",
    )
    .await;
}

#[tokio::test]
async fn searches_find_by_name_tag_and_list() {
    let app = App::new();
    let (one, two) = (
        app.provisioned("feat-1").await,
        app.provisioned("feat-12").await,
    );
    let found = async |expression: String| {
        let page = app
            .post(
                "/vdbs/search?limit=10",
                json!({ "filter_expression": expression }),
            )
            .await;
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("name EQ 'feat-1'".to_owned()).await, [one.as_str()]);
    assert_eq!(
        found(dct::filter::tag("cr-uid", "feat-12").unwrap()).await,
        [two.as_str()]
    );
    assert_eq!(
        found(dct::filter::one_of("id", [one.as_str(), two.as_str()]).unwrap()).await,
        [one.clone(), two.clone()]
    );
    assert_eq!(found("SEARCH 'FEAT'".to_owned()).await.len(), 2);
    app.refused(
        "POST",
        "/vdbs/search",
        json!({"filter_expression": "nmae EQ 'x'"}),
        422,
        "nmae",
    )
    .await;
    let jobs = app
        .post(
            "/jobs/search",
            json!({"filter_expression": "target_name EQ 'feat-1' AND type EQ 'DB_PROVISION'"}),
        )
        .await;
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let app = App::new();
    for name in ["c", "a", "b"] {
        app.provisioned(name).await;
    }
    let names = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = app.get("/vdbs?limit=2&sort=-name").await;
    assert_eq!(names(&first), ["c", "b"]);
    assert_eq!(first["response_metadata"]["total"], 3);
    let cursor = first["response_metadata"]["next_cursor"].as_str().unwrap();
    let second = app
        .get(&format!("/vdbs?limit=2&sort=-name&cursor={cursor}"))
        .await;
    assert_eq!(names(&second), ["a"]);
    assert!(second["response_metadata"].get("next_cursor").is_none());
    assert_eq!(names(&app.get("/vdbs").await), ["c", "a", "b"]);
    for wrong in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=zzz",
        "sort=nothing",
    ] {
        assert_eq!(
            app.call("GET", &format!("/vdbs?{wrong}"), Value::Null)
                .await
                .0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_reference_of_host_and_database_resolves_to_the_dsource_and_its_snapshot() {
    let app = App::new();
    let filter = json!({"filter_expression": "ip_address EQ '10.0.1.54' AND name EQ 'largedb'"});
    let source = app.post("/sources/search", filter).await["items"][0].clone();
    assert_eq!(source["is_dsource"], true);
    let filter =
        json!({"filter_expression": format!("source_id EQ '{}'", source["id"].as_str().unwrap())});
    let dsource = app.post("/dsources/search", filter).await["items"][0].clone();
    assert_eq!(dsource["name"], "largedb");
    let filter = json!({"filter_expression": format!("dataset_id EQ '{}'", dsource["id"].as_str().unwrap())});
    let snapshots = app
        .post("/snapshots/search?sort=-timestamp&limit=1", filter)
        .await;
    assert_eq!(
        snapshots["items"][0]["timestamp"],
        "2026-11-23T10:00:01.000000Z"
    );
    let environments = app
        .post(
            "/environments/search",
            json!({"filter_expression": "name EQ '10.0.1.54'"}),
        )
        .await;
    assert_eq!(environments["items"][0]["id"], source["environment_id"]);
    let of_dsource = app
        .get(&format!(
            "/dsources/{}/snapshots",
            dsource["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(of_dsource["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tags_are_added_and_taken_away() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let path = format!("/vdbs/{id}/tags");
    let (status, body) = app
        .call(
            "POST",
            &path,
            json!({"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}),
        )
        .await;
    assert_eq!(
        (status, body["tags"].as_array().unwrap().len()),
        (StatusCode::CREATED, 3)
    );
    assert_eq!(
        app.call(
            "POST",
            &format!("{path}/delete"),
            json!({"key": "a", "value": "1"})
        )
        .await
        .0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(app.get(&path).await["tags"].as_array().unwrap().len(), 2);
    assert_eq!(
        app.call("POST", &format!("{path}/delete"), Value::Null)
            .await
            .0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(app.get(&path).await["tags"], json!([]));
    assert!(app.get(&format!("/vdbs/{id}")).await.get("tags").is_none());
}

#[tokio::test]
async fn names_and_descriptions_change_and_nothing_else() {
    let app = App::new();
    let id = app.provisioned("one").await;
    app.provisioned("two").await;
    let body = json!({"name": "uno", "hooks": {}, "validate_db_credentials": true});
    let (status, answer) = app.call("PATCH", &format!("/vdbs/{id}"), body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert_eq!(app.get(&format!("/vdbs/{id}")).await["name"], "uno");
    assert_eq!(app.get("/vdbs/uno").await["id"], id.as_str());
    app.refused(
        "PATCH",
        &format!("/vdbs/{id}"),
        json!({"name": "two"}),
        409,
        "exists already",
    )
    .await;
}

#[tokio::test]
async fn a_job_that_fails_says_why_and_leaves_nothing() {
    let app = App::new();
    app.pool.break_disk(true);
    let body = json!({"name": "dev-vdb", "source_data_id": "largedb", "container_mode": true});
    let answer = app.post("/vdbs/provision_by_snapshot", body.clone()).await;
    let job = app.over(&answer).await;
    assert_eq!(job["status"], "FAILED");
    assert_eq!(job["error_details"], "the disk is broken");
    let id = answer["vdb_id"].as_str().unwrap();
    app.refused(
        "GET",
        &format!("/vdbs/{id}"),
        Value::Null,
        404,
        "no virtual database",
    )
    .await;
    app.pool.break_disk(false);
    let answer = app.post("/vdbs/provision_by_snapshot", body).await;
    let job = app.over(&answer).await;
    assert_eq!(
        (&job["status"], &job["warning_message"]),
        (&json!("COMPLETED"), &json!("copies of a test"))
    );
}

#[tokio::test]
async fn a_deletion_that_fails_leaves_the_copy_where_it_was() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    app.pool.break_disk(true);
    let answer = app.post(&format!("/vdbs/{id}/delete"), json!({})).await;
    assert_eq!(app.over(&answer).await["status"], "FAILED");
    app.get(&format!("/vdbs/{id}")).await;
    app.pool.break_disk(false);
    let answer = app.post(&format!("/vdbs/{id}/delete"), json!({})).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_text_and_what_is_not_served_is_said() {
    let app = App::new();
    let key = format!("apk {KEY}");
    let (status, body) = app
        .raw("POST", "/dct/v3/vdbs/search", Some(&key), "{")
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.starts_with("Input is not readable."), "{body}");
    let (status, _) = app.raw("POST", "/dct/v3/vdbs/search", Some(&key), "").await;
    assert_eq!(status, StatusCode::OK);
    app.refused(
        "POST",
        "/vdbs/x/switch_timeflow",
        json!({}),
        501,
        "does not serve POST",
    )
    .await;
    app.refused(
        "DELETE",
        "/vdbs/x",
        Value::Null,
        501,
        "does not serve DELETE",
    )
    .await;
    app.refused("GET", "/jobs/x", Value::Null, 404, "there is no job")
        .await;
}

#[tokio::test]
async fn a_source_is_linked_once_and_a_link_that_fails_can_be_repeated() {
    let app = App::new();
    app.refused(
        "POST",
        "/dsources/appdata",
        json!({"source_id": "largedb"}),
        409,
        "linked already",
    )
    .await;
    app.refused(
        "POST",
        "/dsources/appdata",
        json!({"source_id": "other"}),
        404,
        "declared in the engine's settings",
    )
    .await;
    for _ in 0..2 {
        let answer = app
            .post("/dsources/appdata", json!({"source_id": "down"}))
            .await;
        let job = app.over(&answer).await;
        assert_eq!(
            (&job["status"], &job["error_details"]),
            (&json!("FAILED"), &json!("the source is down"))
        );
    }
    assert_eq!(
        app.get("/dsources").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let answer = app.post("/dsources/largedb/snapshots", json!({})).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert_eq!(
        app.get("/snapshots").await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn the_tower_describes_itself() {
    let app = App::new();
    assert_eq!(
        app.get("/reporting/product_info").await["api_version"],
        "3.28.0"
    );
    assert_eq!(
        app.get("/management/engines").await["items"][0]["engine_connection_status"],
        "ONLINE"
    );
    assert_eq!(app.get("/management/engines/1").await["name"], "embedded");
    assert_eq!(
        app.get("/toolkits").await["items"][0]["id"],
        "postgres-vsdk"
    );
    assert_eq!(app.get("/groups").await["items"], json!([]));
}

/// Lists and searches show what somebody saw last: they look at no disk.
#[tokio::test]
async fn sizes_that_were_seen_can_be_searched_for_and_sorted_by() {
    let app = App::new();
    let (small, large) = (
        app.provisioned("small").await,
        app.provisioned("large").await,
    );
    let more = app.engine.vdb_root(&large).join("data/more");
    std::fs::write(more, vec![1; 1 << 20]).unwrap();
    app.done("/vdbs/small/snapshots", json!({})).await;
    let mut sizes = Vec::new();
    for id in [&small, &large] {
        let seen = app.get(&format!("/vdbs/{id}")).await;
        sizes.push(seen["storage_size"].as_u64().unwrap());
        let listed = app.get("/vdbs").await;
        let item = listed["items"].as_array().unwrap();
        let item = item.iter().find(|item| item["id"] == **id).unwrap();
        for field in ["size", "storage_size", "unvirtualized_space"] {
            assert!(item[field].is_u64(), "{field}: {item}");
            assert_eq!(item[field], seen[field], "{field}");
        }
    }
    assert!(sizes[0] < sizes[1], "{sizes:?}");
    let found = async |sort: &str, filter: String| {
        let path = format!("/vdbs/search?sort={sort}");
        let page = app
            .post(&path, json!({ "filter_expression": filter }))
            .await;
        let items = page["items"].as_array().unwrap().clone();
        let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
        items.iter().map(id).collect::<Vec<String>>()
    };
    let both = || "name NE 'x'".to_owned();
    assert_eq!(found("storage_size", both()).await, [&*small, &*large]);
    assert_eq!(found("-storage_size", both()).await, [&*large, &*small]);
    assert_eq!(
        found("-unvirtualized_space", both()).await,
        [&*large, &*small]
    );
    let above = format!("storage_size GT {}", sizes[0]);
    assert_eq!(found("id", above).await, [&*large]);
    assert_eq!(
        found("id", format!("SEARCH '{}'", sizes[1])).await,
        [&*large]
    );
    assert!(
        found("id", "storage_size EQ NIL".to_owned())
            .await
            .is_empty()
    );

    // The same of a dSource.
    let path = app.get("/dsources").await["items"][0]["id"].clone();
    let seen = app
        .get(&format!("/dsources/{}", path.as_str().unwrap()))
        .await;
    let body = json!({"filter_expression": "storage_size GT 0"});
    let found = app.post("/dsources/search", body).await;
    assert_eq!(found["items"][0]["storage_size"], seen["storage_size"]);
}

#[tokio::test]
async fn pages_follow_each_other_while_objects_go() {
    let app = App::new();
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        ids.push(app.provisioned(name).await);
    }
    let page = async |query: &str, cursor: &Value| {
        let cursor = cursor
            .as_str()
            .map_or(String::new(), |c| format!("&cursor={c}"));
        let page = app
            .post(&format!("/vdbs/search?limit=2&{query}{cursor}"), json!({}))
            .await;
        let names = page["items"].as_array().unwrap().iter();
        let names: String = names.map(|vdb| vdb["name"].as_str().unwrap()).collect();
        let metadata = &page["response_metadata"];
        (
            names,
            metadata["prev_cursor"].clone(),
            metadata["next_cursor"].clone(),
        )
    };
    let (names, none, next) = page("sort=-name", &Value::Null).await;
    assert_eq!((&*names, none), ("ed", Value::Null));
    app.done("/vdbs/d/delete", json!({})).await;
    let (names, _, last) = page("sort=-name", &next).await;
    assert_eq!(names, "cb");
    let (names, back, none) = page("sort=-name", &last).await;
    assert_eq!((&*names, none), ("a", Value::Null));
    let (names, back, _) = page("sort=-name", &back).await;
    assert_eq!(names, "cb");
    let (names, none, _) = page("sort=-name", &back).await;
    assert_eq!((&*names, none), ("e", Value::Null));

    // A cursor belongs to its list and its order, of which GET and search are the same.
    let next = next.as_str().unwrap();
    app.get(&format!("/vdbs?sort=-name&cursor={next}")).await;
    for path in [
        format!("/vdbs?sort=name&cursor={next}"),
        format!("/dsources?sort=-name&cursor={next}"),
        format!("/vdbs?sort=-name&cursor={}", &next[2..]),
        "/vdbs?cursor=p2".to_owned(),
    ] {
        app.refused("GET", &path, Value::Null, 422, "cursor is none")
            .await;
    }
}

#[tokio::test]
async fn a_place_that_is_ordered_is_known_and_shown() {
    let app = App::with(Pool::classic());
    let environment = app.get("/environments").await["items"][0].clone();
    let repository = environment["repositories"][0].clone();
    assert_eq!(repository["version"], "16");
    assert!(environment["hosts"][0]["id"].is_string());
    let search = json!({"filter_expression": "repositories CONTAINS {version EQ '16'}"});
    let found = app.post("/environments/search", search).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let path = "/environments/compatible_repositories_by_snapshot";
    let snapshot = app.get("/snapshots").await["items"][0]["id"].clone();
    for body in [json!({}), json!({"snapshot_id": snapshot})] {
        let found = app.post(path, body).await;
        assert_eq!(found["items"][0]["repositories"], json!([repository]));
    }
    app.missing("POST", path, json!({"snapshot_id": "x"})).await;

    let order = |name: &str, place: Value| {
        let mut body = json!({"name": name, "source_data_id": "largedb", "container_mode": true,
            "config_params": {"work_mem": "8MB"}});
        for (field, value) in place.as_object().unwrap() {
            body[field] = value.clone();
        }
        body
    };
    let provision = "/vdbs/provision_by_snapshot";
    let by_name = json!({"environment_id": "10.0.1.54", "auto_select_repository": true});
    let by_id = json!({"repository_id": repository["id"]});
    let both = json!({"environment_id": environment["id"], "repository_id": "PostgreSQL 16"});
    for (name, place) in [("a", by_name), ("b", by_id), ("c", both)] {
        let answer = app.post(provision, order(name, place)).await;
        app.over(&answer).await;
        let vdb = app.get(&format!("/vdbs/{name}")).await;
        assert_eq!(vdb["environment_id"], environment["id"], "{name}");
        assert_eq!(vdb["environment_name"], "10.0.1.54", "{name}");
        assert_eq!(vdb["repository_id"], repository["id"], "{name}");
        // Kept for a container as well.
        assert_eq!(vdb["config_params"], json!({"work_mem": "8MB"}), "{name}");
    }
    for (place, said) in [
        (
            json!({"environment_id": "elsewhere"}),
            "environment_id: there is no environment",
        ),
        (
            json!({"repository_id": "x"}),
            "repository_id: there is no repository",
        ),
        (
            json!({"environment_id": "10.0.1.54", "repository_id": "PostgreSQL 15"}),
            "10.0.1.54",
        ),
    ] {
        app.refused("POST", provision, order("d", place.clone()), 404, said)
            .await;
        app.refused("POST", "/vdbs/empty_vdb", place, 404, said)
            .await;
    }
}

/// Only 17 is there for data of 16: it is named in the order, and refused.
#[tokio::test]
async fn programs_of_another_version_are_refused() {
    let pool = Pool::new();
    std::fs::create_dir_all(pool.path("bin")).unwrap();
    let program = pool.path("bin").join("postgres");
    std::fs::write(&program, "#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let app = App::with(pool);
    let snapshot = app.get("/snapshots").await["items"][0]["id"].clone();
    let path = "/environments/compatible_repositories_by_snapshot";
    let found = app.post(path, json!({"snapshot_id": snapshot})).await;
    assert_eq!(found["items"], json!([]));
    let body = json!({"source_data_id": "largedb", "container_mode": true, "repository_id": "PostgreSQL 17"});
    app.refused(
        "POST",
        "/vdbs/provision_by_snapshot",
        body,
        422,
        "is PostgreSQL 17",
    )
    .await;
}
