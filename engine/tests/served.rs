//! What is served, held against a list: every operation of the vendor's document in the families that the engine knows
//! stands in `schema/served.txt` with what it is, and the router does as the list says.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use support::app::{App, text};
use support::{KEY, Pool, schema};

/// Operation by mark: E, S or -; with a star if the known clients call it.
fn list() -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("schema/served.txt").lines();
    let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut list = BTreeMap::new();
    for line in entries {
        let (mark, operation) = line.split_once(' ').unwrap();
        assert!(["E*", "S*", "E", "S", "-"].contains(&mark), "{line}");
        assert!(
            list.insert(operation.trim(), mark).is_none(),
            "{line} twice"
        );
    }
    list
}

#[test]
fn no_operation_of_the_document_is_forgotten() {
    let listed: Vec<&str> = list().into_keys().collect();
    let mut known: Vec<&str> = schema::operations().collect();
    known.sort_unstable();
    assert_eq!(listed, known);
}

#[tokio::test]
async fn the_router_serves_what_the_list_says_and_nothing_else() {
    let app = App::new();
    let mut wrong = Vec::new();
    for (operation, mark) in list() {
        let (method, path) = operation.split_once(' ').unwrap();
        let parameters = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part });
        let path = parameters.collect::<Vec<_>>().join("/");
        let (status, _) = app.call(method, &path, Value::Null).await;
        if (status != StatusCode::NOT_IMPLEMENTED) != (mark != "-") {
            wrong.push(format!("{mark} {operation} answers {status}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// An attribute that the document allows and no object has is nil; it is no reason to refuse a search.
#[tokio::test]
async fn every_attribute_of_the_document_can_be_searched_and_sorted_by() {
    let app = App::new();
    let vdb = app.provisioned("dev").await;
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (operation, mark) in list() {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path.replace("{vdbId}", &vdb);
        for attribute in schema::attributes(operation).filter(|_| mark != "-") {
            let sorted = format!("{path}?sort=-{attribute}");
            let filter = format!("{attribute} EQ NIL OR {attribute} NE NIL");
            let body = json!({ "filter_expression": filter });
            let (status, answer) = app.call(method, &sorted, body).await;
            asked += 1;
            if status != StatusCode::OK {
                wrong.push(format!("{operation} {attribute}: {answer}"));
            }
        }
    }
    assert!(asked > 500, "{asked}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl App {
    /// It is answered as the document says, and what it begins is completed.
    async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        if answer["job"].is_object() {
            let job = self.over(&answer).await;
            assert_eq!(job["status"], "COMPLETED", "{method} {path}: {job}");
        }
        answer
    }

    async fn tagged(&self, of: &str) {
        let tags = json!({"tags": [{"key": "k", "value": "v"}]});
        self.ok("POST", &format!("{of}/tags"), tags).await;
        self.ok("GET", &format!("{of}/tags"), Value::Null).await;
        self.ok("POST", &format!("{of}/tags/delete"), json!({}))
            .await;
    }

    async fn ordered(&self, how: &str, mut body: Value) -> String {
        body["container_mode"] = true.into();
        let answer = self.ok("POST", &format!("/vdbs/{how}"), body).await;
        format!("/vdbs/{}", text(&answer["vdb_id"]))
    }
}

/// Every list, search and object, and every action once with its end.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list is read from top to bottom")]
async fn every_operation_of_the_list_answers_as_the_document_says() {
    let app = App::with(Pool::classic());
    let post = "POST";
    let first = app.get("/snapshots").await["items"][0].clone();
    let (moment, place) = (&first["timestamp"], &first["location"]);

    // Copies, by all ways.
    let body = json!({"name": "dev", "source_data_id": "largedb"});
    let dev = app.ordered("provision_by_snapshot", body).await;
    let id = dev.trim_start_matches("/vdbs/").to_owned();
    let body = json!({"source_data_id": "largedb", "timestamp": moment});
    app.ordered("provision_by_timestamp", body).await;
    let body = json!({"source_data_id": "largedb", "location": place});
    app.ordered("provision_by_location", body).await;
    let mark = json!({"name": "mark", "vdb_ids": [id]});
    let mark = text(&app.ok(post, "/bookmarks", mark).await["bookmark"]["id"]).to_owned();
    let body = json!({"bookmark_id": mark});
    let copy = app.ordered("provision_from_bookmark", body).await;
    app.ok(post, &format!("{copy}/delete"), json!({})).await;
    let empty = app.ok(post, "/vdbs/empty_vdb", json!({})).await;
    let server = format!("/vdbs/{}", text(&empty["vdb_id"]));
    for action in ["stop", "start"] {
        app.ok(post, &format!("{server}/{action}"), json!({})).await;
    }
    let group = json!({"name": "group", "vdb_ids": [id]});
    let group = text(&app.ok(post, "/vdb-groups", group).await["vdb_group"]["id"]).to_owned();
    let group = format!("/vdb-groups/{group}");

    // What becomes of one.
    app.ok("PATCH", &dev, json!({"description": "d"})).await;
    let container = json!({"container_mode": true});
    app.ok(post, &format!("{dev}/enable"), container.clone())
        .await;
    app.ok(post, &format!("{dev}/disable"), container).await;
    app.ok(post, &format!("{dev}/snapshots"), Value::Null).await;
    let own = app.get(&format!("{dev}/snapshots")).await["items"].clone();
    let own = own.as_array().unwrap().last().unwrap().clone();
    for (action, body) in [
        ("refresh_by_snapshot", json!({})),
        ("undo_refresh", json!({})),
        (
            "refresh_by_timestamp",
            json!({"timestamp": moment, "dataset_id": "largedb"}),
        ),
        (
            "refresh_by_location",
            json!({"location": place, "dataset_id": "largedb"}),
        ),
        ("refresh_from_bookmark", json!({"bookmark_id": mark})),
        ("rollback_by_snapshot", json!({"snapshot_id": own["id"]})),
        (
            "rollback_by_timestamp",
            json!({"timestamp": own["timestamp"]}),
        ),
        ("rollback_from_bookmark", json!({"bookmark_id": mark})),
        ("lock", json!({})),
        ("unlock", json!({})),
        ("bookmarks/search", json!({})),
    ] {
        app.ok(post, &format!("{dev}/{action}"), body).await;
    }
    for look in ["bookmarks", "deletion-dependencies"] {
        app.get(&format!("{dev}/{look}")).await;
    }

    // Lists, searches, single objects, tags.
    let bookmark = format!("/bookmarks/{mark}");
    app.ok("PATCH", &bookmark, json!({"name": "renamed"})).await;
    app.ok("PATCH", &group, json!({"name": "renamed"})).await;
    for (list, tags) in [
        ("/bookmarks", true),
        ("/dsources", true),
        ("/environments", true),
        ("/groups", false),
        ("/jobs", true),
        ("/management/engines", false),
        ("/snapshots", true),
        ("/sources", true),
        ("/timeflows", true),
        ("/toolkits", false),
        ("/vdb-groups", true),
        ("/vdbs", true),
    ] {
        let items = app.get(list).await["items"].clone();
        app.ok(post, &format!("{list}/search"), json!({})).await;
        let one = format!("{list}/{}", text(&items[0]["id"]));
        app.get(&one).await;
        if tags {
            app.tagged(&one).await;
        }
    }
    for report in [
        "vdb-inventory-report",
        "storage-savings-report",
        "virtualization-storage-summary-report",
    ] {
        let path = format!("/reporting/{report}");
        assert!(app.get(&path).await["items"][0].is_object(), "{report}");
        app.ok(post, &format!("{path}/search"), json!({})).await;
    }
    app.get("/reporting/product_info").await;
    let compatible = "/environments/compatible_repositories_by_snapshot";
    app.ok(post, compatible, json!({"snapshot_id": first["id"]}))
        .await;
    let flow = format!("/timeflows/{}", text(&first["timeflow_id"]));
    app.ok(post, &format!("{flow}/timeflow_snapshot_ranges"), json!({}))
        .await;
    let token = app.ok(post, "/login", json!({"api_key": KEY})).await;
    app.ok(post, "/token-info", json!({"token": token["access_token"]}))
        .await;
    app.ok(post, "/logout", Value::Null).await;

    let dsource = format!("/dsources/appdata/{}", text(&first["dataset_id"]));
    app.ok("PATCH", &dsource, json!({"description": "d"})).await;

    // Snapshots.
    let source = text(&first["dataset_id"]).to_owned();
    for (find, at) in [("timestamp", moment), ("location", place)] {
        let path = format!(
            "/snapshots/find_by_{find}?dataset_id={source}&{find}={}",
            text(at)
        );
        let found = app.get(&path).await["items"].clone();
        assert_eq!(found[0]["id"], first["id"], "{path}");
    }
    let snapshot = format!("/snapshots/{}", text(&first["id"]));
    for look in ["timeflow_range", "runtime", "deletion-dependencies"] {
        app.get(&format!("{snapshot}/{look}")).await;
    }
    app.ok("PATCH", &snapshot, json!({"retain_forever": true}))
        .await;
    for (method, ending) in [(post, "/delete"), ("DELETE", "")] {
        app.ok(post, &format!("/dsources/{source}/snapshots"), json!({}))
            .await;
        let all = app.get(&format!("/dsources/{source}/snapshots")).await["items"].clone();
        let last = text(&all.as_array().unwrap().last().unwrap()["id"]).to_owned();
        app.ok(method, &format!("/snapshots/{last}{ending}"), json!({}))
            .await;
    }

    // The end of everything.
    app.ok("DELETE", &group, Value::Null).await;
    app.ok("DELETE", &bookmark, Value::Null).await;
    for vdb in app.get("/vdbs").await["items"].as_array().unwrap() {
        app.ok(
            post,
            &format!("/vdbs/{}/delete", text(&vdb["id"])),
            json!({}),
        )
        .await;
    }
    app.ok(post, "/dsources/delete", json!({"dsource_id": source}))
        .await;
    let link = json!({"source_id": "largedb"});
    let job = app.ok(post, "/dsources/appdata", link).await["job"]["id"].clone();
    app.ok(post, &format!("/jobs/{}/abandon", text(&job)), Value::Null)
        .await;

    let done = schema::done();
    let wanted = list().into_iter().filter(|(_, mark)| *mark != "-");
    let missing: Vec<&str> = wanted
        .map(|(name, _)| name)
        .filter(|name| !done.contains(*name))
        .collect();
    assert!(missing.is_empty(), "nothing asked for {missing:#?}");
}
