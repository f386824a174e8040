//! Who may call, how often, and what is told without a key.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod support;

use axum::http::StatusCode;
use dct::types::ProvisionBySnapshot;
use engine::settings::{ApiKey, RateLimit};
use serde_json::{Value, json};
use support::KEY;
use support::app::App;

#[tokio::test]
async fn the_hash_of_a_key_lets_the_key_in_and_not_itself() {
    let mut app = App::new();
    // printf %s another-key | sha256sum
    let hash = "dfc42b5169264b0614a973f3460a90a255e72d3bf083ced693776b21a3821690";
    app.rekeyed(|settings| {
        settings.api_keys = vec![ApiKey {
            name: "ci".to_owned(),
            key_file: None,
            sha256: Some(hash.to_owned()),
            read_only: false,
        }];
    });
    for (key, status) in [("another-key", 200), (hash, 401), (KEY, 401)] {
        let (got, _) = app.header("/dct/v3/vdbs", key, "x").await;
        assert_eq!(got, status, "{key}");
    }
}

#[tokio::test]
async fn no_key_and_no_token_is_written_down() {
    let app = App::new();
    let token = app.post("/login", json!({"api_key": KEY})).await;
    let token = token["access_token"].as_str().unwrap().to_owned();
    app.provisioned("dev").await;
    let pool = &app.engine.settings.pool;
    let mut looked = 0;
    for entry in std::fs::read_dir(pool).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for secret in [KEY, &token] {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "{} holds a secret", path.display());
            }
            looked += 1;
        }
    }
    assert!(looked > 0);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let mut app = App::new();
    let other = app.pool.path("other");
    std::fs::write(&other, "other-key").unwrap();
    app.rekeyed(|settings| {
        settings.rate_limit = Some(RateLimit {
            per_second: 1,
            burst: 5,
        });
        settings.api_keys.push(ApiKey {
            name: "other".to_owned(),
            key_file: Some(other),
            sha256: None,
            read_only: false,
        });
    });
    let mut refused = None;
    for _ in 0..50 {
        let (status, after) = app.header("/dct/v3/vdbs", KEY, "retry-after").await;
        if status == 429 {
            refused = after;
            break;
        }
        assert_eq!((status, after), (200, None));
    }
    assert_eq!(refused.as_deref(), Some("1"));
    // Others go on, and those who watch the engine need no key.
    assert_eq!(app.header("/dct/v3/vdbs", "other-key", "x").await.0, 200);
    assert_eq!(app.header("/healthz", KEY, "x").await.0, 200);
    assert_eq!(app.header("/dct/v3/vdbs", "wrong", "x").await.0, 401);
}

#[tokio::test]
async fn metrics_tell_what_goes_on_and_no_names_that_callers_choose() {
    let app = App::new();
    app.provisioned("a-name-of-theirs").await;
    app.call("GET", "/vdbs/another-name", Value::Null).await;
    app.raw("GET", "/made/up", None, "").await;
    let waiting = ProvisionBySnapshot {
        name: Some("waits".to_owned()),
        source_data_id: Some("largedb".to_owned()),
        container_mode: Some(true),
        ..ProvisionBySnapshot::default()
    };
    app.engine.provision(&waiting).unwrap();
    app.engine.snapshot("largedb").unwrap();
    let (status, text) = app.raw("GET", "/metrics", None, "").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        r#"vdb_engine_requests_total{method="POST",route="/dct/v3/vdbs/provision_by_snapshot",status="200"} 1"#,
        r#"vdb_engine_requests_total{method="GET",route="/dct/v3/vdbs/{id}",status="404"} 1"#,
        r#"vdb_engine_requests_total{method="GET",route="unknown",status="404"} 1"#,
        r#"vdb_engine_jobs{type="DB_PROVISION",state="COMPLETED"} 1.0"#,
        r#"vdb_engine_jobs{type="DB_PROVISION",state="STARTED"} 1.0"#,
        r#"vdb_engine_vdbs{enabled="false"} 1.0"#,
        r#"vdb_engine_vdbs{enabled="true"} 0.0"#,
        r#"vdb_engine_objects{kind="snapshot"} 1.0"#,
        r#"vdb_engine_pool_bytes{state="total"}"#,
        r#"vdb_engine_source_data_age_seconds{source="largedb"}"#,
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    for name in ["a-name-of-theirs", "another-name", "made", KEY] {
        assert!(!text.contains(name), "{name} in\n{text}");
    }
}

#[tokio::test]
async fn a_key_that_may_look_is_forbidden_to_change_anything() {
    let mut app = App::new();
    let id = app.provisioned("dev").await;
    app.rekeyed(|settings| {
        for key in &mut settings.api_keys {
            key.read_only = true;
        }
    });
    app.get(&format!("/vdbs/{id}")).await;
    app.post("/vdbs/search", json!({})).await;
    let path = "/environments/compatible_repositories_by_snapshot";
    app.post(path, json!({})).await;
    for (method, path) in [
        ("POST", "/vdbs/provision_by_snapshot".to_owned()),
        ("PATCH", format!("/vdbs/{id}")),
        ("POST", format!("/vdbs/{id}/delete")),
        ("POST", format!("/vdbs/{id}/tags")),
        ("DELETE", "/bookmarks/x".to_owned()),
    ] {
        app.refused(method, &path, json!({}), 403, "\"test\" is readOnly")
            .await;
    }
    // A token is worth what its key is.
    let token = app.post("/login", json!({"api_key": KEY})).await;
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let path = format!("/dct/v3/vdbs/{id}/delete");
    let (status, _) = app.raw("POST", &path, Some(&bearer), "{}").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    app.get(&format!("/vdbs/{id}")).await;
}

#[tokio::test]
async fn nothing_is_begun_on_a_pool_that_is_not_there() {
    let app = App::new();
    let away = |is| {
        let unmounted = &app.pool.disk.unmounted;
        unmounted.store(is, std::sync::atomic::Ordering::SeqCst);
    };
    away(true);
    let order = json!({"name": "dev", "source_data_id": "largedb", "container_mode": true});
    let path = "/vdbs/provision_by_snapshot";
    app.refused("POST", path, order.clone(), 503, "nothing is mounted")
        .await;
    let (status, after) = app
        .posted_header(&format!("/dct/v3{path}"), "retry-after")
        .await;
    assert_eq!((status, after.as_deref()), (503, Some("10")));
    app.post("/vdbs/search", json!({})).await;
    away(false);
    let answer = app.post(path, order).await;
    assert_eq!(app.over(&answer).await["status"], "COMPLETED");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_as_every_refusal() {
    let app = App::new();
    let large = json!({"api_key": "x".repeat(70 << 10)});
    app.refused("POST", "/login", large, 413, "larger").await;
}
