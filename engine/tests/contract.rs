//! What callers of the interface rely on, sentence by sentence. The shape of every answer is checked by `support::schema`.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::sync::Arc;

use axum::http::StatusCode;
use dct::types::{DeleteVdb, ProvisionBySnapshot};
use rstest::rstest;
use serde_json::{Value, json};
use support::app::{App, text};

fn order(name: &str) -> ProvisionBySnapshot {
    ProvisionBySnapshot {
        name: Some(name.to_owned()),
        source_data_id: Some("largedb".to_owned()),
        container_mode: Some(true),
        ..ProvisionBySnapshot::default()
    }
}

#[rstest]
#[case::get_vdb("GET", "/vdbs/X")]
#[case::patch_vdb("PATCH", "/vdbs/X")]
#[case::enable("POST", "/vdbs/X/enable")]
#[case::disable("POST", "/vdbs/X/disable")]
#[case::delete("POST", "/vdbs/X/delete")]
#[case::refresh("POST", "/vdbs/X/refresh_by_snapshot")]
#[case::rollback("POST", "/vdbs/X/rollback_by_snapshot")]
#[case::undo("POST", "/vdbs/X/undo_refresh")]
#[case::lock("POST", "/vdbs/X/lock")]
#[case::unlock("POST", "/vdbs/X/unlock")]
#[case::snapshots("GET", "/vdbs/X/snapshots")]
#[case::take("POST", "/vdbs/X/snapshots")]
#[case::bookmarks_of("GET", "/vdbs/X/bookmarks")]
#[case::dependencies("GET", "/vdbs/X/deletion-dependencies")]
#[case::job("GET", "/jobs/X")]
#[case::abandon("POST", "/jobs/X/abandon")]
#[case::snapshot("GET", "/snapshots/X")]
#[case::patch_snapshot("PATCH", "/snapshots/X")]
#[case::delete_snapshot("POST", "/snapshots/X/delete")]
#[case::range("GET", "/snapshots/X/timeflow_range")]
#[case::runtime("GET", "/snapshots/X/runtime")]
#[case::timeflow("GET", "/timeflows/X")]
#[case::bookmark("GET", "/bookmarks/X")]
#[case::patch_bookmark("PATCH", "/bookmarks/X")]
#[case::delete_bookmark("DELETE", "/bookmarks/X")]
#[case::group("GET", "/vdb-groups/X")]
#[case::patch_group("PATCH", "/vdb-groups/X")]
#[case::delete_group("DELETE", "/vdb-groups/X")]
#[case::dsource("GET", "/dsources/X")]
#[case::dsource_snapshots("GET", "/dsources/X/snapshots")]
#[case::dsource_take("POST", "/dsources/X/snapshots")]
#[case::source("GET", "/sources/X")]
#[case::environment("GET", "/environments/X")]
#[case::dataset_group("GET", "/groups/X")]
#[case::toolkit("GET", "/toolkits/X")]
#[case::engine("GET", "/management/engines/X")]
#[tokio::test]
async fn an_unknown_id_is_404_with_a_reason(#[case] method: &str, #[case] path: &str) {
    let app = App::new();
    let body = if path.ends_with("able") {
        json!({"container_mode": true})
    } else {
        json!({})
    };
    app.missing(method, path, body).await;
}

#[rstest]
#[case("/vdbs")]
#[case("/vdb-groups")]
#[case("/dsources")]
#[case("/sources")]
#[case("/environments")]
#[case("/snapshots")]
#[case("/timeflows")]
#[case("/bookmarks")]
#[case("/jobs")]
#[tokio::test]
async fn everything_that_can_carry_tags_does(#[case] kind: &str) {
    let app = App::new();
    let vdb = app.provisioned("dev").await;
    let group = json!({"name": "g", "vdb_ids": [vdb]});
    let mark = json!({"name": "b", "vdb_ids": [vdb]});
    let answer = app.post("/vdb-groups", group).await;
    app.over(&answer).await;
    let answer = app.post("/bookmarks", mark).await;
    app.over(&answer).await;
    app.call("POST", &format!("/vdbs/{vdb}/tags/delete"), Value::Null)
        .await;

    let id = text(&app.get(kind).await["items"][0]["id"]).to_owned();
    let path = format!("{kind}/{id}/tags");
    assert_eq!(app.get(&path).await, json!({"tags": []}));
    let tags = json!([{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]);
    let (status, answer) = app.call("POST", &path, json!({"tags": tags})).await;
    assert_eq!((status, &answer["tags"]), (StatusCode::CREATED, &tags));
    assert_eq!(app.get(&format!("{kind}/{id}")).await["tags"], tags);
    let search = json!({"filter_expression": "tags CONTAINS { key EQ 'a' AND value EQ '2' }"});
    let found = app.post(&format!("{kind}/search"), search).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let (status, _) = app
        .call(
            "POST",
            &format!("{path}/delete"),
            json!({"key": "a", "value": "1"}),
        )
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(
        app.get(&path).await["tags"],
        json!([{"key": "a", "value": "2"}])
    );
    app.refused(
        "POST",
        &path,
        json!({"tags": [{"key": "a", "value": ""}]}),
        422,
        "tags",
    )
    .await;
    app.missing("GET", &format!("{kind}/X/tags"), Value::Null)
        .await;
}

/// The work is held back here, so that nothing depends on who is faster.
#[tokio::test]
async fn a_job_is_started_until_it_is_over_and_its_object_comes_with_the_end() {
    let app = App::new();
    let answer = app.engine.provision(&order("dev")).unwrap();
    let (job, id) = (answer.job.unwrap(), answer.vdb_id.unwrap());
    assert_eq!(serde_json::to_value(job.status).unwrap(), "PENDING");
    for _ in 0..3 {
        assert_eq!(
            app.get(&format!("/jobs/{}", job.id)).await["status"],
            "STARTED"
        );
        app.missing("GET", &format!("/vdbs/{id}"), Value::Null)
            .await;
        assert_eq!(app.get("/vdbs").await["items"], json!([]));
    }
    app.engine.execute(&job.id);
    assert_eq!(
        app.get(&format!("/jobs/{}", job.id)).await["status"],
        "COMPLETED"
    );
    app.get(&format!("/vdbs/{id}")).await;

    let job = app.engine.delete(&id, &DeleteVdb::default()).unwrap();
    assert_eq!(
        app.get(&format!("/jobs/{}", job.id)).await["status"],
        "STARTED"
    );
    app.get(&format!("/vdbs/{id}")).await;
    app.engine.execute(&job.id);
    assert_eq!(
        app.get(&format!("/jobs/{}", job.id)).await["status"],
        "COMPLETED"
    );
    app.missing("GET", &format!("/vdbs/{id}"), Value::Null)
        .await;
}

/// Whoever looks while the work goes on sees the job's end and the object in one step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_a_job_that_is_over_without_its_object() {
    let app = Arc::new(App::new());
    for round in 0..20 {
        let answer = app.engine.provision(&order(&format!("v{round}"))).unwrap();
        let (job, id) = (answer.job.unwrap().id, answer.vdb_id.unwrap());
        let (engine, ordered) = (Arc::clone(&app.engine), job.clone());
        let work = tokio::task::spawn_blocking(move || engine.execute(&ordered));
        loop {
            let status = app.get(&format!("/jobs/{job}")).await["status"].clone();
            if status == "COMPLETED" {
                app.get(&format!("/vdbs/{id}")).await;
                break;
            }
            assert_eq!(status, "STARTED");
        }
        work.await.unwrap();
    }
}

#[tokio::test]
async fn an_abandoned_job_is_204_and_its_work_goes_on() {
    let app = App::new();
    let answer = app.engine.provision(&order("dev")).unwrap();
    let job = answer.job.unwrap().id;
    let (status, body) = app
        .call("POST", &format!("/jobs/{job}/abandon"), Value::Null)
        .await;
    assert_eq!((status, body), (StatusCode::NO_CONTENT, json!("")));
    assert_eq!(
        app.get(&format!("/jobs/{job}")).await["status"],
        "ABANDONED"
    );
    app.engine.execute(&job);
    assert_eq!(
        app.get(&format!("/jobs/{job}")).await["status"],
        "ABANDONED"
    );
    app.get(&format!("/vdbs/{}", answer.vdb_id.unwrap())).await;
}

#[tokio::test]
async fn fields_that_the_engine_does_not_know_are_ignored() {
    let app = App::new();
    let more = |mut body: Value| {
        body["cdc_on_provision"] = json!(true);
        body["of_a_later_version"] = json!({"a": [1, null]});
        body
    };
    let body = json!({"name": "dev", "source_data_id": "largedb", "container_mode": true, "oracle_instance_name": "x"});
    let answer = app.post("/vdbs/provision_by_snapshot", more(body)).await;
    app.over(&answer).await;
    let path = format!("/vdbs/{}", text(&answer["vdb_id"]));
    let (_, answer) = app
        .call("PATCH", &path, more(json!({"description": "mine"})))
        .await;
    app.over(&answer).await;
    let vdb = app.get(&path).await;
    assert_eq!(vdb["description"], "mine");
    assert!(vdb.get("of_a_later_version").is_none());
    app.done(
        &format!("{path}/enable"),
        more(json!({"container_mode": true})),
    )
    .await;
    app.done(
        &format!("{path}/disable"),
        more(json!({"container_mode": true})),
    )
    .await;
    app.done(&format!("{path}/refresh_by_snapshot"), more(json!({})))
        .await;
    app.done(&format!("{path}/snapshots"), more(json!({})))
        .await;
    app.post("/vdbs/search", more(json!({}))).await;
    app.get("/vdbs?permission=READ&unknown=1").await;
    app.done(&format!("{path}/delete"), more(json!({}))).await;
}

#[tokio::test]
async fn integers_may_come_as_fractions_and_go_as_integers() {
    let app = App::new();
    let body = r#"{"name": "dev", "source_data_id": "largedb", "container_mode": true, "postgres_port": 5434.0,
                   "appdata_source_params": {"postgresPort": 5434}}"#;
    let key = format!("apk {}", support::KEY);
    let (status, answer) = app
        .raw(
            "POST",
            "/dct/v3/vdbs/provision_by_snapshot",
            Some(&key),
            body,
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    app.over(&answer).await;
    let path = format!("/dct/v3/vdbs/{}", text(&answer["vdb_id"]));
    let (_, vdb) = app.raw("GET", &path, Some(&key), "").await;
    assert!(vdb.contains(r#""postgresPort":5434}"#), "{vdb}");
    let (_, jobs) = app.raw("GET", "/dct/v3/jobs", Some(&key), "").await;
    assert!(jobs.contains(r#""percent_complete":100,"#), "{jobs}");
}

#[tokio::test]
async fn ids_have_the_products_shapes() {
    let app = App::new();
    let vdb = app.provisioned("dev").await;
    let marked = app
        .post("/bookmarks", json!({"name": "b", "vdb_ids": [vdb]}))
        .await;
    app.over(&marked).await;
    let grouped = app
        .post("/vdb-groups", json!({"name": "g", "vdb_ids": [vdb]}))
        .await;
    for hex in [
        &marked["job"]["id"],
        &marked["bookmark"]["id"],
        &grouped["vdb_group"]["id"],
    ] {
        let digits = text(hex);
        assert!(
            digits.len() == 32 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')),
            "{digits}"
        );
    }
    for (path, begins) in [
        ("/vdbs", "1-APPDATA_CONTAINER-"),
        ("/dsources", "1-APPDATA_CONTAINER-"),
        ("/snapshots", "1-APPDATA_SNAPSHOT-"),
        ("/timeflows", "1-APPDATA_TIMEFLOW-"),
        ("/environments", "1-UNIX_HOST_ENVIRONMENT-"),
        ("/groups", "1-GROUP-"),
        ("/sources", "1-APPDATA_STAGED_SOURCE_CONFIG-"),
    ] {
        for item in app.get(path).await["items"].as_array().unwrap() {
            let number = text(&item["id"]).strip_prefix(begins).unwrap();
            number.parse::<u64>().unwrap();
        }
    }
}

#[tokio::test]
async fn names_are_taken_for_ids() {
    let app = App::new();
    let id = app.provisioned("dev").await;
    let from_vdb = json!({"name": "of-dev", "source_data_id": "dev", "container_mode": true});
    app.refused(
        "POST",
        "/vdbs/provision_by_snapshot",
        from_vdb.clone(),
        409,
        "has no snapshot",
    )
    .await;
    app.done("/vdbs/dev/snapshots", json!({})).await;
    let answer = app.post("/vdbs/provision_by_snapshot", from_vdb).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let marked = app
        .post("/bookmarks", json!({"name": "mark", "vdb_ids": ["dev"]}))
        .await;
    app.over(&marked).await;
    app.done(
        "/vdbs/dev/refresh_from_bookmark",
        json!({"bookmark_id": "mark"}),
    )
    .await;
    app.done("/dsources/largedb/snapshots", json!({})).await;
    for (path, kind) in [("/vdbs/dev", &id)] {
        assert_eq!(app.get(path).await["id"], kind.as_str());
    }
    for path in [
        "/management/engines/embedded",
        "/environments/10.0.1.54",
        "/groups/postgres-vdbs",
        "/sources/largedb",
        "/bookmarks/mark",
    ] {
        app.get(path).await;
    }
}

/// Names are looked up, not compared one by one: the look-up has to follow every change.
#[tokio::test]
async fn a_search_by_name_finds_it_under_its_name_of_now() {
    let app = App::new();
    let first = app.provisioned("one").await;
    let twin = json!({"name": "one", "source_data_id": "largedb", "container_mode": true, "target_group_id": "other"});
    let twin = app.post("/vdbs/provision_by_snapshot", twin).await;
    app.over(&twin).await;
    let found = async |filter: &str| {
        let page = app
            .post("/vdbs/search", json!({"filter_expression": filter}))
            .await;
        let items = page["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|v| text(&v["id"]).to_owned())
            .collect::<Vec<String>>()
    };
    let second = text(&twin["vdb_id"]).to_owned();
    let both = [first.clone(), second.clone()];
    assert_eq!(found("name EQ 'one'").await, both);
    assert_eq!(
        found("name IN ['x', 'one', 'one'] AND enabled EQ false").await,
        both
    );
    assert_eq!(
        found("name EQ 'one' AND group_name EQ 'other'").await,
        [second.as_str()]
    );
    assert_eq!(found("name EQ 'one' OR name EQ 'x'").await, both);
    let ids = format!("id IN ['{second}', '{first}', 'x', '{second}']");
    assert_eq!(found(&ids).await, both);
    let (_, answer) = app
        .call("PATCH", &format!("/vdbs/{first}"), json!({"name": "uno"}))
        .await;
    app.over(&answer).await;
    assert_eq!(found("name EQ 'one'").await, [second.as_str()]);
    assert_eq!(found("name EQ 'uno'").await, [first.as_str()]);
    // Tags likewise.
    let tagged = "tags CONTAINS { key EQ 'cr-uid' AND value EQ 'one' }";
    assert_eq!(found(tagged).await, [first.as_str()]);
    app.call("POST", &format!("/vdbs/{first}/tags/delete"), Value::Null)
        .await;
    assert!(found(tagged).await.is_empty());
    let tag = json!({"tags": [{"key": "cr-uid", "value": "one"}]});
    app.call("POST", &format!("/vdbs/{second}/tags"), tag).await;
    assert_eq!(found(tagged).await, [second.as_str()]);
    app.done(&format!("/vdbs/{second}/delete"), json!({})).await;
    assert!(found("name EQ 'one'").await.is_empty());
    assert!(found(tagged).await.is_empty());
}

#[rstest]
#[case(json!([{"name": "x"}]), "configure_clone[0]: command is missing")]
#[case(json!([{"command": "true", "shell": "zsh"}]), "configure_clone[0]: shell \"zsh\" is none of bash")]
#[case(json!([{"command": "true"}, {"hook_template_id": "7"}]), "configure_clone[1]: hook_template_id")]
#[case(json!([{"command": "true", "credentials_env_vars": []}]), "credentials_env_vars")]
#[case(json!(vec![json!({"command": "true"}); 101]), "configure_clone: at most 100 hooks")]
#[tokio::test]
async fn a_hook_that_could_not_be_kept_is_refused(#[case] hooks: Value, #[case] part: &str) {
    let app = App::new();
    let body = json!({"name": "x", "source_data_id": "largedb", "container_mode": true, "configure_clone": hooks});
    app.refused("POST", "/vdbs/provision_by_snapshot", body, 422, part)
        .await;
    let id = app.provisioned("dev").await;
    app.refused(
        "PATCH",
        &format!("/vdbs/{id}"),
        json!({"hooks": {"configure_clone": hooks}}),
        422,
        part,
    )
    .await;
}

#[tokio::test]
async fn who_orders_hooks_is_told_that_they_do_not_run() {
    let app = App::new();
    let body = json!({"name": "x", "source_data_id": "largedb", "container_mode": true, "pre_stop": [{"command": "true"}]});
    let answer = app.post("/vdbs/provision_by_snapshot", body).await;
    let told = text(&answer["job"]["warning_message"]).to_owned();
    assert!(told.contains("not run"), "{told}");
}
