//! Other data for the same VDB: refreshed, rewound, undone; its snapshots, timeflows and locks.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use serde_json::{Value, json};
use support::app::{App, text};

impl App {
    async fn vdb(&self, id: &str) -> Value {
        self.get(&format!("/vdbs/{id}")).await
    }

    async fn enabled(&self, id: &str) {
        let body = json!({"container_mode": true, "ownership_spec": self.engine.owner});
        self.done(&format!("/vdbs/{id}/enable"), body).await;
    }

    fn mark(&self, id: &str, text: &str) {
        std::fs::write(self.engine.vdb_root(id).join("data/mark"), text).unwrap();
    }

    fn marked(&self, id: &str) -> Option<String> {
        std::fs::read_to_string(self.engine.vdb_root(id).join("data/mark")).ok()
    }

    fn directories(&self) -> usize {
        std::fs::read_dir(self.engine.settings.vdbs())
            .unwrap()
            .count()
    }

    async fn snapshot_of(&self, id: &str) -> String {
        self.done(&format!("/vdbs/{id}/snapshots"), Value::Null)
            .await;
        let own = self.get(&format!("/vdbs/{id}/snapshots")).await;
        let last = own["items"].as_array().unwrap().last().unwrap().clone();
        last["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_refresh_keeps_everything_but_the_data_and_exports_a_new_directory() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    app.enabled(&id).await;
    app.mark(&id, "old");
    let (before, old_root) = (app.vdb(&id).await, app.engine.vdb_root(&id));
    app.done("/dsources/largedb/snapshots", json!({})).await;
    app.done(&format!("/vdbs/{id}/refresh_by_snapshot"), Value::Null)
        .await;
    let after = app.vdb(&id).await;
    for same in [
        "id",
        "name",
        "tags",
        "creation_date",
        "group_name",
        "enabled",
        "parent_id",
    ] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(after["previous_timeflow_id"], before["current_timeflow_id"]);
    assert!(
        after["last_refreshed_date"].is_string() && before.get("last_refreshed_date").is_none()
    );
    assert_ne!(
        after["exported_data_directory"],
        before["exported_data_directory"]
    );
    assert_eq!(app.marked(&id), None);
    assert_eq!(
        std::fs::read_to_string(old_root.join("data/mark")).unwrap(),
        "old"
    );
    let exported = text(&after["exported_data_directory"])
        .strip_prefix("/exports/")
        .unwrap();
    assert_eq!(
        app.engine.settings.vdbs().join(exported),
        app.engine.vdb_root(&id)
    );

    let flow = app
        .get(&format!(
            "/timeflows/{}",
            text(&after["current_timeflow_id"])
        ))
        .await;
    assert_eq!(
        (
            &flow["creation_type"],
            &flow["is_active"],
            &flow["dataset_id"]
        ),
        (&json!("REFRESH"), &json!(true), &json!(id))
    );
    assert_eq!(
        flow["parent_snapshot_id"],
        app.get("/snapshots").await["items"][1]["id"]
    );
    let found = app
        .post(
            "/timeflows/search",
            json!({"filter_expression": format!("dataset_id EQ '{id}' AND is_active EQ false")}),
        )
        .await;
    assert_eq!(found["items"][0]["id"], before["current_timeflow_id"]);
}

#[tokio::test]
async fn only_the_data_before_the_last_refresh_is_kept() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let mut roots: Vec<PathBuf> = vec![app.engine.vdb_root(&id)];
    for _ in 0..3 {
        app.done(&format!("/vdbs/{id}/refresh_by_snapshot"), json!({}))
            .await;
        roots.push(app.engine.vdb_root(&id));
    }
    // The end of the job is told before the old directory is gone.
    app.eventually("the old data is removed", || !roots[1].exists())
        .await;
    let there: Vec<bool> = roots.iter().map(|root| root.exists()).collect();
    assert_eq!(there, [false, false, true, true]);
    let own = json!({"filter_expression": format!("dataset_id EQ '{id}'")});
    let flows = app.post("/timeflows/search", own).await;
    assert_eq!(flows["items"].as_array().unwrap().len(), 2);
    app.done(&format!("/vdbs/{id}/delete"), Value::Null).await;
    assert_eq!(app.directories(), 0);
    let flows = app.get("/timeflows").await;
    assert_eq!(
        flows["items"].as_array().unwrap().len(),
        1,
        "the dSource's own"
    );
}

#[tokio::test]
async fn an_undone_refresh_gives_back_what_was_written_before_it() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let undo = format!("/vdbs/{id}/undo_refresh");
    app.refused("POST", &undo, Value::Null, 409, "was not refreshed")
        .await;
    app.enabled(&id).await;
    app.mark(&id, "old");
    let before = app.vdb(&id).await;
    app.done(&format!("/vdbs/{id}/refresh_by_snapshot"), json!({}))
        .await;
    app.mark(&id, "new");
    app.done(&undo, Value::Null).await;
    let after = app.vdb(&id).await;
    assert_eq!(app.marked(&id).as_deref(), Some("old"));
    for same in [
        "current_timeflow_id",
        "exported_data_directory",
        "parent_timeflow_timestamp",
    ] {
        assert_eq!(before[same], after[same], "{same}");
    }
    app.done(&undo, Value::Null).await;
    assert_eq!(app.marked(&id).as_deref(), Some("new"));
}

#[tokio::test]
async fn a_rewind_goes_back_to_a_snapshot_of_the_vdb_itself() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let path = format!("/vdbs/{id}/rollback_by_snapshot");
    app.refused("POST", &path, json!({}), 409, "has no snapshot")
        .await;
    app.mark(&id, "good");
    let snapshot = app.snapshot_of(&id).await;
    app.mark(&id, "bad");
    let before = app.vdb(&id).await;
    app.done(&path, json!({"snapshot_id": snapshot})).await;
    assert_eq!(app.marked(&id).as_deref(), Some("good"));
    let after = app.vdb(&id).await;
    for same in [
        "parent_id",
        "parent_dsource_id",
        "parent_timeflow_timestamp",
    ] {
        assert_eq!(before[same], after[same], "{same}");
    }
    let undo = format!("/vdbs/{id}/undo_refresh");
    app.refused("POST", &undo, json!({}), 409, "was a rewind")
        .await;
    let own = json!({ "snapshot_id": snapshot });
    app.refused(
        "POST",
        &format!("/vdbs/{id}/refresh_by_snapshot"),
        own,
        422,
        "rollback_by_snapshot",
    )
    .await;
    let other = app.get("/dsources/largedb/snapshots").await["items"][0]["id"].clone();
    app.refused(
        "POST",
        &path,
        json!({"snapshot_id": other}),
        422,
        "refresh_by_snapshot",
    )
    .await;
}

#[tokio::test]
async fn a_vdb_is_copied_from_another_ones_snapshot_and_refreshed_from_it() {
    let app = App::new();
    let parent = app.provisioned("parent").await;
    let body = json!({"name": "child", "source_data_id": "parent", "container_mode": true});
    app.refused(
        "POST",
        "/vdbs/provision_by_snapshot",
        body.clone(),
        409,
        "has no snapshot",
    )
    .await;
    app.mark(&parent, "one");
    let snapshot = app.snapshot_of(&parent).await;
    let answer = app.post("/vdbs/provision_by_snapshot", body).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let child = text(&answer["vdb_id"]).to_owned();
    assert_eq!(app.marked(&child).as_deref(), Some("one"));
    let vdb = app.vdb(&child).await;
    let dsource = app.get("/dsources/largedb").await["id"].clone();
    assert_eq!(
        (&vdb["parent_id"], &vdb["parent_dsource_id"]),
        (&json!(parent), &dsource)
    );
    assert_eq!(vdb["root_parent_id"], dsource);
    app.mark(&parent, "two");
    app.snapshot_of(&parent).await;
    app.done(&format!("/vdbs/{child}/refresh_by_snapshot"), json!({}))
        .await;
    assert_eq!(app.marked(&child).as_deref(), Some("two"));

    let delete = format!("/vdbs/{parent}/delete");
    app.refused("POST", &delete, json!({}), 409, "virtual database child")
        .await;
    let listed = app
        .get(&format!("/vdbs/{parent}/deletion-dependencies"))
        .await;
    assert_eq!(listed["items"][0]["dataset_id"], child.as_str());
    app.refused(
        "DELETE",
        &format!("/snapshots/{snapshot}"),
        Value::Null,
        409,
        "child",
    )
    .await;
    app.done(&format!("/vdbs/{child}/delete"), json!({})).await;
    app.done(&delete, json!({})).await;
    let left = app.get("/snapshots").await;
    assert_eq!(left["items"].as_array().unwrap().len(), 1, "the dSource's");
}

#[tokio::test]
async fn a_snapshot_says_whether_its_copies_recover_and_carries_no_server_of_the_original() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    app.enabled(&id).await;
    for name in ["dirty", "postmaster.pid"] {
        std::fs::write(app.engine.vdb_root(&id).join("data").join(name), "").unwrap();
    }
    let dirty = app.snapshot_of(&id).await;
    assert_eq!(
        app.get(&format!("/snapshots/{dirty}")).await["consistency"],
        "CRASH_CONSISTENT"
    );
    assert!(
        !app.engine
            .raw_root(&dirty)
            .join("data/postmaster.pid")
            .exists()
    );
    std::fs::remove_file(app.engine.vdb_root(&id).join("data/dirty")).unwrap();
    let clean = app.snapshot_of(&id).await;
    let clean = app.get(&format!("/snapshots/{clean}")).await;
    assert_eq!(clean["consistency"], "CONSISTENT");
    assert_eq!(
        clean["timeflow_id"],
        app.vdb(&id).await["current_timeflow_id"]
    );
    assert_eq!(
        app.get("/snapshots").await["items"][0]["consistency"],
        "CONSISTENT"
    );

    app.pool.disk.file_by_file.store(true, Ordering::SeqCst);
    let path = format!("/vdbs/{id}/snapshots");
    app.refused("POST", &path, json!({}), 409, "disable it first")
        .await;
    app.done(
        &format!("/vdbs/{id}/disable"),
        json!({"container_mode": true}),
    )
    .await;
    app.done(&path, json!({})).await;
}

#[tokio::test]
async fn a_locked_vdb_keeps_its_data() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    let vdb = app.post(&format!("/vdbs/{id}/lock"), Value::Null).await;
    assert_eq!(
        (&vdb["is_locked"], &vdb["locked_by"]),
        (&json!(true), &json!(1))
    );
    for action in [
        "refresh_by_snapshot",
        "rollback_by_snapshot",
        "undo_refresh",
        "delete",
    ] {
        app.refused(
            "POST",
            &format!("/vdbs/{id}/{action}"),
            json!({}),
            409,
            "is locked",
        )
        .await;
    }
    app.enabled(&id).await;
    let vdb = app.post("/vdbs/dev-vdb/unlock", Value::Null).await;
    assert_eq!(vdb["is_locked"], false);
    assert!(vdb.get("locked_by").is_none());
    app.done(&format!("/vdbs/{id}/delete"), json!({})).await;
}

#[tokio::test]
async fn a_container_is_started_and_stopped_by_nobody_here() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    for action in ["start", "stop"] {
        app.refused(
            "POST",
            &format!("/vdbs/{id}/{action}"),
            Value::Null,
            422,
            "enable and disable",
        )
        .await;
        app.missing("POST", &format!("/vdbs/x/{action}"), Value::Null)
            .await;
    }
}

#[tokio::test]
async fn a_moment_is_served_exactly_or_refused_with_its_neighbours() {
    let app = App::new();
    let dsource = text(&app.get("/dsources/largedb").await["id"]).to_owned();
    let provision = |timestamp: &str| json!({"name": "at", "source_data_id": "largedb", "container_mode": true, "timestamp": timestamp});
    let path = "/vdbs/provision_by_timestamp";
    for (wrong, part) in [
        (
            "2026-11-23T10:00:00Z",
            "the first after: 2026-11-23T10:00:01.000000Z (1-APPDATA_SNAPSHOT",
        ),
        (
            "2026-11-23T11:00:00Z",
            "the last before: 2026-11-23T10:00:01.000000Z (1-APPDATA_SNAPSHOT",
        ),
        ("yesterday", "is not like"),
    ] {
        app.refused("POST", path, provision(wrong), 422, part).await;
    }
    let answer = app.post(path, provision("2026-11-23T10:00:01Z")).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
    let id = text(&answer["vdb_id"]).to_owned();
    app.done(
        &format!("/vdbs/{id}/refresh_by_timestamp"),
        json!({"timestamp_in_database_timezone": "2026-11-23T10:00:01", "dataset_id": dsource}),
    )
    .await;
    let flow = app.get("/dsources/largedb").await["current_timeflow_id"].clone();
    app.done(
        &format!("/vdbs/{id}/refresh_by_timestamp"),
        json!({"timestamp": "2026-11-23T12:00:01+02:00", "timeflow_id": flow}),
    )
    .await;
    let find =
        |time: &str| format!("/snapshots/find_by_timestamp?dataset_id=largedb&timestamp={time}");
    let found = app.get(&find("2026-11-23T10:30:00Z")).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        app.get(&find("2026-11-23T09:30:00Z")).await["items"],
        json!([])
    );
    let found = app
        .get("/snapshots/find_by_location?dataset_id=largedb&location=0/3000000")
        .await;
    let snapshot = text(&found["items"][0]["id"]).to_owned();
    let range = app
        .get(&format!("/snapshots/{snapshot}/timeflow_range"))
        .await;
    assert_eq!(range["start_point_timestamp"], range["end_point_timestamp"]);
    assert_eq!(
        app.get(&format!("/snapshots/{snapshot}/runtime")).await["provisionable"],
        true
    );
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_data_and_the_directory_as_they_were() {
    let app = App::new();
    let id = app.provisioned("dev-vdb").await;
    app.enabled(&id).await;
    app.mark(&id, "old");
    let before = app.vdb(&id).await;
    app.pool.break_disk(true);
    for action in ["refresh_by_snapshot", "snapshots"] {
        let answer = app.post(&format!("/vdbs/{id}/{action}"), json!({})).await;
        let job = app.over(&answer).await;
        assert_eq!(
            (&job["status"], &job["error_details"]),
            (&json!("FAILED"), &json!("the disk is broken"))
        );
    }
    app.pool.break_disk(false);
    assert_eq!(app.vdb(&id).await, before);
    assert_eq!(
        (app.marked(&id).as_deref(), app.directories()),
        (Some("old"), 1)
    );
    assert_eq!(
        app.get(&format!("/vdbs/{id}/snapshots")).await["items"],
        json!([])
    );
    let (status, _) = app
        .call(
            "POST",
            &format!("/vdbs/{id}/refresh_by_snapshot"),
            json!({"snapshot_id": "none"}),
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
