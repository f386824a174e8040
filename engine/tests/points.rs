//! Bookmarks, deletions with what depends on them, groups, schedules, reports, logins.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use axum::http::StatusCode;
use dct::types::{DeleteSnapshot, DeleteVdb};
use rstest::rstest;
use serde_json::{Value, json};
use support::KEY;
use support::app::{App, text};

impl App {
    async fn bookmarked(&self, body: Value) -> String {
        let (status, answer) = self.call("POST", "/bookmarks", body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        assert_eq!(answer["bookmark"]["bookmark_status"], "INACTIVE");
        let job = self.over(&answer).await;
        assert_eq!(job["status"], "COMPLETED", "{job}");
        text(&answer["bookmark"]["id"]).to_owned()
    }

    async fn count(&self, path: &str) -> usize {
        self.get(path).await["items"].as_array().unwrap().len()
    }

    /// As it would be after the day is over.
    fn expire(&self, id: &str) {
        self.engine
            .store
            .change(|draft| {
                let kind = if id.contains("SNAPSHOT") {
                    engine::model::Kind::Snapshot
                } else {
                    engine::model::Kind::Bookmark
                };
                let object = draft.state.get(kind, id).unwrap().clone();
                let mut doc = object.doc.value();
                doc["expiration"] = "2020-01-01".into();
                draft.rewrite(&object, doc);
                Ok::<(), engine::store::Error>(())
            })
            .unwrap();
    }
}

#[tokio::test]
async fn a_bookmark_keeps_a_point_that_is_copied_refreshed_and_rewound_to() {
    let app = App::new();
    let (one, two) = (app.provisioned("one").await, app.provisioned("two").await);
    let mark = |id: &str, text: &str| {
        std::fs::write(app.engine.vdb_root(id).join("data/mark"), text).unwrap();
    };
    let marked = |id: &str| std::fs::read_to_string(app.engine.vdb_root(id).join("data/mark")).ok();
    mark(&one, "good");
    let body = json!({"name": "release", "vdb_ids": ["one"], "retention": 7, "tags": [{"key": "a", "value": "b"}]});
    let id = app.bookmarked(body).await;
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    let bookmark = app.get("/bookmarks/release").await;
    assert_eq!(bookmark["bookmark_status"], "ACTIVE");
    assert_eq!(bookmark["vdb_ids"], json!([one]));
    assert_eq!(
        (
            bookmark["vdbs"][0]["vdb_name"].clone(),
            bookmark["retention"].clone()
        ),
        (json!("one"), json!(7))
    );
    assert_eq!(text(&bookmark["expiration"]).len(), 10);
    mark(&one, "bad");

    app.done(
        &format!("/vdbs/{one}/rollback_from_bookmark"),
        json!({"bookmark_id": "release"}),
    )
    .await;
    assert_eq!(marked(&one).as_deref(), Some("good"));
    app.done(
        &format!("/vdbs/{two}/refresh_from_bookmark"),
        json!({"bookmark_id": id}),
    )
    .await;
    assert_eq!(marked(&two).as_deref(), Some("good"));
    assert_eq!(
        app.get(&format!("/vdbs/{two}")).await["parent_id"],
        one.as_str()
    );
    let body = json!({"name": "three", "bookmark_id": "release", "container_mode": true});
    let answer = app.post("/vdbs/provision_from_bookmark", body).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert_eq!(marked(text(&answer["vdb_id"])).as_deref(), Some("good"));
    let missing = json!({"name": "four", "bookmark_id": "none", "container_mode": true});
    app.refused(
        "POST",
        "/vdbs/provision_from_bookmark",
        missing,
        404,
        "no bookmark",
    )
    .await;
    let found = app
        .post(
            "/bookmarks/search",
            json!({"filter_expression": format!("vdb_ids CONTAINS '{one}'")}),
        )
        .await;
    assert_eq!(found["items"][0]["id"], id.as_str());
    assert_eq!(app.count(&format!("/vdbs/{one}/bookmarks")).await, 1);
    assert_eq!(app.count(&format!("/vdbs/{two}/bookmarks")).await, 0);
}

#[tokio::test]
async fn a_bookmark_goes_with_the_snapshot_that_was_taken_for_it_unless_others_need_that() {
    let app = App::new();
    let one = app.provisioned("one").await;
    let first = app
        .bookmarked(json!({"name": "first", "vdb_ids": [one]}))
        .await;
    let snapshot = app.get(&format!("/bookmarks/{first}")).await["vdbs"][0]["snapshot_id"].clone();
    app.refused(
        "POST",
        &format!("/snapshots/{}/delete", text(&snapshot)),
        json!({}),
        409,
        "bookmark first",
    )
    .await;
    let second = app
        .bookmarked(json!({"name": "second", "snapshot_ids": [snapshot]}))
        .await;
    let (_, answer) = app
        .call("DELETE", &format!("/bookmarks/{first}"), Value::Null)
        .await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert_eq!(app.count(&format!("/vdbs/{one}/snapshots")).await, 1);
    let (_, answer) = app
        .call("DELETE", &format!("/bookmarks/{second}"), Value::Null)
        .await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    app.done(&format!("/snapshots/{}/delete", text(&snapshot)), json!({}))
        .await;
    app.bookmarked(json!({"name": "third", "vdb_ids": [one]}))
        .await;
    let (_, answer) = app.call("DELETE", "/bookmarks/third", Value::Null).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert_eq!(app.count(&format!("/vdbs/{one}/snapshots")).await, 0);
    assert_eq!(app.count("/bookmarks").await, 0);
}

#[tokio::test]
async fn a_bookmark_is_renamed_kept_for_ever_and_gone_when_its_day_is_over() {
    let app = App::new();
    let one = app.provisioned("one").await;
    let id = app
        .bookmarked(json!({"name": "a", "vdb_ids": [one], "expiration": "2999-01-01"}))
        .await;
    app.bookmarked(json!({"name": "b", "vdb_ids": [one]})).await;
    let path = format!("/bookmarks/{id}");
    app.refused("PATCH", &path, json!({"name": "b"}), 409, "exists already")
        .await;
    let (status, answer) = app
        .call(
            "PATCH",
            &path,
            json!({"name": "c", "retain_forever": true, "bookmark_type": "PUBLIC"}),
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let bookmark = app.get("/bookmarks/c").await;
    assert_eq!(
        (&bookmark["retention"], &bookmark["bookmark_type"]),
        (&json!(-1), &json!("PUBLIC"))
    );
    assert!(bookmark.get("expiration").is_none());
    assert_eq!(app.engine.retire_expired(), Vec::<String>::new());
    app.expire(&id);
    for job in app.engine.retire_expired() {
        app.engine.execute(&job);
    }
    app.refused("GET", &path, Value::Null, 404, "no bookmark")
        .await;
    assert_eq!(app.count("/bookmarks").await, 1);
}

#[rstest]
#[case(json!({"name": "x"}), 422, "either vdb_ids")]
#[case(json!({"vdb_ids": ["one"]}), 422, "a name has")]
#[case(json!({"name": "x", "vdb_ids": ["one", "one"]}), 422, "each virtual database once")]
#[case(json!({"name": "x", "vdb_ids": ["none"]}), 404, "no virtual database")]
#[case(json!({"name": "x", "vdb_ids": ["one"], "expiration": "2020-01-01"}), 422, "is over")]
#[case(json!({"name": "x", "vdb_ids": ["one"], "retention": 0}), 422, "retention 0")]
#[case(json!({"name": "x", "vdb_ids": ["one"], "retention": 3, "retain_forever": true}), 422, "only one of")]
#[case(json!({"name": "x", "vdb_ids": ["one"], "bookmark_type": "SECRET"}), 422, "bookmark_type")]
#[tokio::test]
async fn a_bookmark_that_cannot_be_leaves_no_snapshot(
    #[case] body: Value,
    #[case] status: u16,
    #[case] part: &str,
) {
    let app = App::new();
    app.provisioned("one").await;
    app.refused("POST", "/bookmarks", body, status, part).await;
    assert_eq!(
        (app.count("/bookmarks").await, app.count("/snapshots").await),
        (0, 1)
    );
}

#[tokio::test]
async fn a_bookmark_of_two_is_taken_whole_or_not_at_all_and_loses_who_is_deleted() {
    let app = App::new();
    let (one, two) = (app.provisioned("one").await, app.provisioned("two").await);
    std::fs::remove_dir_all(app.engine.vdb_root(&two)).unwrap();
    let answer = app
        .post("/bookmarks", json!({"name": "both", "vdb_ids": [one, two]}))
        .await;
    assert_eq!(app.over(&answer).await["status"], "FAILED");
    assert_eq!(
        (app.count("/bookmarks").await, app.count("/snapshots").await),
        (0, 1)
    );
    assert_eq!(
        std::fs::read_dir(app.engine.settings.pool.join("snapshots"))
            .unwrap()
            .count(),
        1
    );
    app.done(&format!("/vdbs/{two}/refresh_by_snapshot"), json!({}))
        .await;
    let id = app
        .bookmarked(json!({"name": "both", "vdb_ids": [one, two]}))
        .await;
    app.refused(
        "POST",
        "/vdbs/provision_from_bookmark",
        json!({"name": "x", "bookmark_id": id, "container_mode": true}),
        422,
        "exactly one",
    )
    .await;
    app.done(&format!("/vdbs/{one}/delete"), json!({})).await;
    assert_eq!(app.get("/bookmarks/both").await["vdb_ids"], json!([two]));
    app.done(&format!("/vdbs/{two}/delete"), json!({})).await;
    assert_eq!(app.count("/bookmarks").await, 0);
}

#[tokio::test]
async fn a_dsource_with_copies_stays_and_one_without_goes_for_good() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let body = json!({"dsource_id": "largedb"});
    app.refused(
        "POST",
        "/dsources/delete",
        body.clone(),
        409,
        "virtual database dev-vdb",
    )
    .await;
    app.refused(
        "POST",
        "/dsources/delete",
        json!({"dsource_id": "largedb", "delete_all_dependent_vdbs": true}),
        422,
        "one by one",
    )
    .await;
    let snapshot = text(&app.get("/snapshots").await["items"][0]["id"]).to_owned();
    let (status, listed) = app
        .call(
            "GET",
            &format!("/snapshots/{snapshot}/deletion-dependencies"),
            Value::Null,
        )
        .await;
    assert_eq!(
        (status, &listed["object_dependencies"][0]["object_id"]),
        (StatusCode::OK, &json!(id))
    );
    app.refused(
        "DELETE",
        &format!("/snapshots/{snapshot}"),
        Value::Null,
        409,
        "dev-vdb",
    )
    .await;
    app.done(&format!("/vdbs/{id}/delete"), json!({})).await;
    app.done("/dsources/delete", body).await;
    for path in ["/dsources", "/snapshots", "/timeflows"] {
        assert_eq!(app.count(path).await, 0, "{path}");
    }
    assert_eq!(
        std::fs::read_dir(app.engine.settings.pool.join("snapshots"))
            .unwrap()
            .count(),
        0
    );
    let source = app.get("/sources/largedb").await;
    assert_eq!(
        (&source["is_dsource"], &source["linking_enabled"]),
        (&json!(false), &json!(false))
    );
    let answer = app
        .post("/dsources/appdata", json!({"source_id": "largedb"}))
        .await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    assert!(
        app.get("/sources/largedb")
            .await
            .get("linking_enabled")
            .is_none()
    );
}

#[tokio::test]
async fn what_is_being_deleted_is_neither_used_nor_deleted_again() {
    let app = App::new();
    let id = app.provisioned("one").await;
    app.done(&format!("/vdbs/{id}/snapshots"), Value::Null)
        .await;
    let own = app.get(&format!("/vdbs/{id}/snapshots")).await;
    let snapshot = text(&own["items"][0]["id"]).to_owned();
    // Ordered, and not begun.
    let job = app
        .engine
        .delete_snapshot(&snapshot, &DeleteSnapshot::default())
        .unwrap();
    let copy = json!({"name": "two", "snapshot_id": snapshot, "container_mode": true});
    app.refused(
        "POST",
        "/vdbs/provision_by_snapshot",
        copy.clone(),
        409,
        "is being deleted",
    )
    .await;
    let rewind = json!({ "snapshot_id": snapshot });
    app.refused(
        "POST",
        &format!("/vdbs/{id}/rollback_by_snapshot"),
        rewind,
        409,
        "is being deleted",
    )
    .await;
    let bookmark = json!({"name": "x", "snapshot_ids": [snapshot]});
    app.refused("POST", "/bookmarks", bookmark, 409, "still works")
        .await;
    app.refused(
        "POST",
        &format!("/vdbs/{id}/delete"),
        json!({}),
        409,
        "still works",
    )
    .await;
    app.engine.execute(&job.id);

    app.done(&format!("/vdbs/{id}/snapshots"), Value::Null)
        .await;
    let own = app.get(&format!("/vdbs/{id}/snapshots")).await;
    let snapshot = text(&own["items"][0]["id"]).to_owned();
    let job = app.engine.delete(&id, &DeleteVdb::default()).unwrap();
    app.refused(
        "DELETE",
        &format!("/snapshots/{snapshot}"),
        Value::Null,
        409,
        "still works",
    )
    .await;
    let copy = json!({"name": "two", "snapshot_id": snapshot, "container_mode": true});
    app.refused(
        "POST",
        "/vdbs/provision_by_snapshot",
        copy,
        409,
        "is being deleted",
    )
    .await;
    app.engine.execute(&job.id);
    assert_eq!(app.count("/snapshots").await, 1);
}

#[tokio::test]
async fn of_old_snapshots_those_stay_that_are_needed_or_told_to() {
    let app = App::new();
    app.provisioned("dev-vdb").await;
    for _ in 0..4 {
        app.done("/dsources/largedb/snapshots", json!({})).await;
    }
    let all: Vec<String> = app.get("/snapshots").await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| text(&s["id"]).to_owned())
        .collect();
    let (_, answer) = app
        .call(
            "PATCH",
            &format!("/snapshots/{}", all[1]),
            json!({"retain_forever": true}),
        )
        .await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let dsource = text(&app.get("/dsources/largedb").await["id"]).to_owned();
    for job in app.engine.retire_snapshots(&dsource, 2) {
        app.engine.execute(&job);
    }
    let left = app.get("/snapshots").await;
    let left: Vec<&str> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| text(&s["id"]))
        .collect();
    assert_eq!(left, [&all[0], &all[1], &all[3], &all[4]]);
    app.expire(&all[0]);
    app.expire(&all[3]);
    for job in app.engine.retire_expired() {
        app.engine.execute(&job);
    }
    assert_eq!(
        app.count("/snapshots").await,
        3,
        "a copy needs the other one"
    );
}

#[tokio::test]
async fn groups_of_vdbs_come_change_and_go() {
    let app = App::new();
    let (one, two) = (app.provisioned("one").await, app.provisioned("two").await);
    let (status, answer) = app
        .call(
            "POST",
            "/vdb-groups",
            json!({"name": "pair", "vdb_ids": ["one", "two"]}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let group = app.get("/vdb-groups/pair").await;
    assert_eq!(
        (&group["status"], &group["vdb_ids"]),
        (&json!("RUNNING"), &json!([one, two]))
    );
    app.refused(
        "POST",
        "/vdb-groups",
        json!({"name": "pair"}),
        409,
        "exists already",
    )
    .await;
    let (status, answer) = app
        .call(
            "PATCH",
            "/vdb-groups/pair",
            json!({"name": "single", "vdbs": [{"vdb_id": two, "order": 2}]}),
        )
        .await;
    assert_eq!(
        (status, &answer["vdbs"][0]["order"]),
        (StatusCode::OK, &json!(2))
    );
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let id = app
        .bookmarked(json!({"name": "of-group", "vdb_group_id": "single"}))
        .await;
    assert_eq!(
        app.get(&format!("/bookmarks/{id}")).await["vdb_group_name"],
        "single"
    );
    app.done(&format!("/vdbs/{two}/delete"), json!({})).await;
    assert_eq!(app.get("/vdb-groups/single").await["vdb_ids"], json!([]));
    let found = app
        .post(
            "/vdb-groups/search",
            json!({"filter_expression": "name EQ 'single'"}),
        )
        .await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let gone = app.call("DELETE", "/vdb-groups/single", Value::Null).await;
    assert_eq!(gone.0, StatusCode::NO_CONTENT);
    app.refused(
        "DELETE",
        "/vdb-groups/single",
        Value::Null,
        404,
        "no VDB group",
    )
    .await;
}

#[tokio::test]
async fn a_login_gives_a_token_that_ends_with_its_key() {
    let app = App::new();
    let (status, answer) = app
        .raw(
            "POST",
            "/dct/v3/login",
            None,
            &json!({"api_key": format!("apk {KEY}")}).to_string(),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );
    let token = text(&answer["access_token"]).to_owned();
    let bearer = format!("Bearer {token}");
    let list = async || app.raw("GET", "/dct/v3/vdbs", Some(&bearer), "").await.0;
    assert_eq!(list().await, StatusCode::OK);
    let info = json!({ "token": token }).to_string();
    let info = async || {
        serde_json::from_str::<Value>(&app.raw("POST", "/dct/v3/token-info", None, &info).await.1)
            .unwrap()
    };
    let told = info().await;
    assert_eq!(
        (&told["active"], &told["username"]),
        (&json!(true), &json!("test"))
    );
    std::fs::write(app.pool.path("key"), "another-key-of-other-length").unwrap();
    assert_eq!(list().await, StatusCode::UNAUTHORIZED);
    assert_eq!(info().await, json!({"active": false}));
    std::fs::write(app.pool.path("key"), KEY).unwrap();
    assert_eq!(list().await, StatusCode::OK);
    assert_eq!(
        app.raw("POST", "/dct/v3/logout", Some(&bearer), "").await.0,
        StatusCode::OK
    );
    assert_eq!(list().await, StatusCode::UNAUTHORIZED);
    for wrong in [
        json!({"api_key": "1.wrong"}),
        json!({"username": "a", "password": "b"}),
        json!({}),
    ] {
        let (status, answer) = app
            .raw("POST", "/dct/v3/login", None, &wrong.to_string())
            .await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(answer.contains("error_description"), "{answer}");
    }
}

#[tokio::test]
async fn reports_tell_what_is_known_and_leave_out_the_rest() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let size = app.get(&format!("/vdbs/{id}")).await["storage_size"]
        .as_i64()
        .unwrap();
    assert!(size > 0);
    let row = app.get("/reporting/vdb-inventory-report").await["items"][0].clone();
    assert_eq!(
        (&row["vdb_id"], &row["type"], &row["storage_size"]),
        (&json!(id), &json!("postgres-vsdk"), &json!(size))
    );
    let row = app
        .post("/reporting/storage-savings-report/search", Value::Null)
        .await["items"][0]
        .clone();
    assert_eq!(
        (&row["name"], &row["dependant_vdbs"]),
        (&json!("largedb"), &json!(1))
    );
    // The snapshot's two directories, and one copy; without sharing, its data twice.
    let dsource = app.get("/dsources/largedb").await;
    let held = dsource["storage_size"].as_i64().unwrap();
    assert!(held > size);
    assert_eq!(row["virtualized_space"], held + size);
    assert_eq!(row["unvirtualized_space"], 2 * size);
    assert_eq!(dsource["unvirtualized_space"], size);
    assert_eq!(dsource["dependant_vdbs"], 1);
    let row = app
        .get("/reporting/virtualization-storage-summary-report")
        .await["items"][0]
        .clone();
    assert_eq!(
        (&row["dsource_count"], &row["vdb_count"]),
        (&json!(1), &json!(1))
    );
    assert!(row["free_storage"].as_i64().unwrap() <= row["total_capacity"].as_i64().unwrap());
    // What is written is seen at once.
    std::fs::write(app.engine.vdb_root(&id).join("data/more"), [7; 1000]).unwrap();
    let vdb = app.get(&format!("/vdbs/{id}")).await;
    for field in ["storage_size", "size", "unvirtualized_space"] {
        assert_eq!(vdb[field], size + 1000, "{field}");
    }
    let row = app.get("/reporting/vdb-inventory-report").await["items"][0].clone();
    assert_eq!(row["storage_size"], size + 1000);
    std::fs::remove_dir_all(app.engine.vdb_root(&id)).unwrap();
    assert!(
        app.get(&format!("/vdbs/{id}"))
            .await
            .get("storage_size")
            .is_none()
    );
    let row = app.get("/reporting/vdb-inventory-report").await["items"][0].clone();
    assert!(row.get("storage_size").is_none());
    let row = app.get("/reporting/storage-savings-report").await["items"][0].clone();
    assert!(row.get("virtualized_space").is_none(), "{row}");
}
