//! The client against a recorded tower: what is sent, and what becomes of every kind of answer.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::time::Duration;

use dct::types::{EnableVdb, JobStatus, ProvisionBySnapshot, Tag, Vdb};
use dct::{Class, Client, ClientSettings};
use serde_json::json;
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY: &str = "1.secretsecretsecret";

struct Tower {
    server: MockServer,
    client: Client,
    key: tempfile::NamedTempFile,
}

impl Tower {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), format!("{KEY}\n")).unwrap();
        let mut settings = ClientSettings::new(server.uri(), key.path(), "vdb-test");
        settings.timeout = Duration::from_millis(500);
        Self {
            client: Client::new(settings).unwrap(),
            server,
            key,
        }
    }

    async fn answers(&self, verb: &str, at: &str, answer: ResponseTemplate) {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }
}

#[tokio::test]
async fn a_call_carries_key_and_name_and_always_a_body() {
    let tower = Tower::start().await;
    Mock::given(method("POST"))
        .and(path("/dct/v3/vdbs/search"))
        .and(query_param("limit", "5"))
        .and(header("authorization", format!("apk {KEY}").as_str()))
        .and(header("x-dct-client-name", "vdb-test"))
        .and(body_json(json!({})))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({"items": [{"id": "1-APPDATA_CONTAINER-1", "size": 12.0}]})),
        )
        .expect(1)
        .mount(&tower.server)
        .await;
    let page = tower.client.search_vdbs("", 5).await.unwrap();
    assert_eq!(page.items[0].size, Some(12));
    assert_eq!(page.next_cursor(), None);
}

#[tokio::test]
async fn absent_fields_are_left_out_of_a_request() {
    let tower = Tower::start().await;
    Mock::given(method("POST"))
        .and(path("/dct/v3/vdbs/provision_by_snapshot"))
        .and(body_json(
            json!({"name": "n", "container_mode": true, "tags": [{"key": "k", "value": "v"}]}),
        ))
        .respond_with(ResponseTemplate::new(200).set_body_json(
            json!({"vdb_id": "1-APPDATA_CONTAINER-1", "job": {"id": "ab", "status": "PENDING"}}),
        ))
        .mount(&tower.server)
        .await;
    let request = ProvisionBySnapshot {
        name: Some("n".into()),
        container_mode: Some(true),
        tags: Some(vec![Tag::new("k", "v")]),
        ..Default::default()
    };
    let answer = tower.client.provision_by_snapshot(&request).await.unwrap();
    assert_eq!(answer.job.unwrap().status, JobStatus::Pending);
}

#[tokio::test]
async fn a_missing_object_is_an_answer_and_not_an_error() {
    let tower = Tower::start().await;
    assert!(tower.client.vdb("../x").await.unwrap().is_none());
    assert!(tower.client.job("x").await.unwrap().is_none());
    assert!(
        tower
            .client
            .delete_vdb("x", &dct::types::DeleteVdb::default())
            .await
            .unwrap()
            .is_none()
    );
    let asked: Vec<String> = tower
        .server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|r| r.url.path().to_owned())
        .collect();
    assert_eq!(asked[0], "/dct/v3/vdbs/%2E%2E%2Fx");
}

#[tokio::test]
async fn a_changed_key_is_used_at_once_and_a_refused_one_is_read_again() {
    let tower = Tower::start().await;
    tower
        .answers(
            "GET",
            "/dct/v3/reporting/product_info",
            ResponseTemplate::new(401),
        )
        .await;
    let error = tower.client.product_info().await.unwrap_err();
    assert_eq!(error.class(), Class::Unauthorized);
    tower.server.reset().await;
    std::fs::write(tower.key.path(), "apk 1.other").unwrap();
    Mock::given(header("authorization", "apk 1.other"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"api_version": "3.28.0"})))
        .mount(&tower.server)
        .await;
    assert_eq!(
        tower.client.product_info().await.unwrap().api(),
        Some((3, 28))
    );
}

#[tokio::test]
async fn no_error_shows_the_key() {
    let tower = Tower::start().await;
    let echo = ResponseTemplate::new(422).set_body_string(format!("bad header apk {KEY}"));
    tower.answers("POST", "/dct/v3/vdbs/x/enable", echo).await;
    let error = tower
        .client
        .enable("x", &EnableVdb::default())
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Rejected);
    assert_eq!(
        error.to_string(),
        "data control tower answered 422 to POST /vdbs/x/enable: bad header apk …"
    );
    assert!(!format!("{error:?}{:?}", tower.client).contains("secretsecret"));
}

#[tokio::test]
async fn answers_that_are_none_are_malformed() {
    let tower = Tower::start().await;
    tower
        .answers(
            "GET",
            "/dct/v3/reporting/product_info",
            ResponseTemplate::new(200).set_body_string("<html>login</html>"),
        )
        .await;
    assert_eq!(
        tower.client.product_info().await.unwrap_err().class(),
        Class::Malformed
    );
    tower
        .answers(
            "POST",
            "/dct/v3/vdbs/x/disable",
            ResponseTemplate::new(200).set_body_json(json!({})),
        )
        .await;
    assert_eq!(
        tower
            .client
            .disable("x", &dct::types::DisableVdb::default())
            .await
            .unwrap_err()
            .class(),
        Class::Malformed
    );
}

#[tokio::test]
async fn a_tower_that_is_silent_or_down_is_unreachable() {
    let tower = Tower::start().await;
    tower
        .answers(
            "GET",
            "/dct/v3/management/engines",
            ResponseTemplate::new(200).set_delay(Duration::from_secs(5)),
        )
        .await;
    assert_eq!(
        tower.client.engines().await.unwrap_err().class(),
        Class::Unreachable
    );
    let nobody = Client::new(ClientSettings::new(
        "http://127.0.0.1:1",
        tower.key.path(),
        "t",
    ))
    .unwrap();
    assert_eq!(
        nobody.engines().await.unwrap_err().class(),
        Class::Unreachable
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for url in ["", "localhost:8080", "file:///x", "ftp://x"] {
        assert_eq!(
            Client::new(ClientSettings::new(url, "/nowhere", "t"))
                .unwrap_err()
                .class(),
            Class::Rejected,
            "{url}"
        );
    }
}

#[test]
fn a_virtual_database_reads_nulls_unknown_fields_and_unknown_words() {
    let text = r#"{"id": "1-APPDATA_CONTAINER-1046", "name": null, "status": "RUNNING", "size": 1073741824.0, "tags": null,
        "containerization_state": "SOMETHING_NEW", "recycle_bin": true, "appdata_source_params": {"postgresPort": 5434.0}}"#;
    let vdb: Vdb = serde_json::from_str(text).unwrap();
    assert_eq!(vdb.size, Some(1 << 30));
    assert_eq!(
        vdb.containerization_state,
        Some(dct::types::ContainerizationState::Unknown)
    );
    assert_eq!(vdb.tag("x"), None);
    assert!(serde_json::from_str::<Vdb>(r#"{"id": "x", "size": 1.5}"#).is_err());
    assert!(serde_json::from_str::<Vdb>(r#"{"name": "no id"}"#).is_err());
    let written = serde_json::to_string(&Vdb {
        id: "x".into(),
        enabled: Some(false),
        ..Vdb::default()
    })
    .unwrap();
    assert_eq!(written, r#"{"id":"x","enabled":false}"#);
}

#[test]
fn job_states_that_end_are_told_from_those_that_do_not() {
    let status = |word: &str| serde_json::from_value::<JobStatus>(json!(word)).unwrap();
    for word in ["COMPLETED", "FAILED", "CANCELED", "TIMEDOUT", "ABANDONED"] {
        assert!(status(word).is_over(), "{word}");
    }
    for word in [
        "PENDING",
        "STARTED",
        "RUNNING",
        "SUSPENDED",
        "WAITING",
        "LATER",
    ] {
        assert!(!status(word).is_over(), "{word}");
    }
    assert!(status("TIMEDOUT").is_inconclusive() && !status("FAILED").is_inconclusive());
}

#[tokio::test]
async fn what_renews_a_copy_names_it_in_the_path_and_sends_a_body() {
    let tower = Tower::start().await;
    let vdb = "1-APPDATA_CONTAINER-1";
    let job = json!({"job": {"id": "ab", "status": "PENDING"}});
    for (action, body) in [
        ("refresh_by_snapshot", json!({})),
        ("rollback_from_bookmark", json!({"bookmark_id": "b"})),
        ("undo_refresh", json!({})),
        ("snapshots", json!({})),
    ] {
        Mock::given(method("POST"))
            .and(path(format!("/dct/v3/vdbs/{vdb}/{action}")))
            .and(body_json(body))
            .respond_with(ResponseTemplate::new(200).set_body_json(job.clone()))
            .expect(1)
            .mount(&tower.server)
            .await;
    }
    let bookmark = dct::types::FromBookmark {
        bookmark_id: Some("b".into()),
    };
    let latest = dct::types::BySnapshot::default();
    let client = &tower.client;
    for job in [
        client.refresh_by_snapshot(vdb, &latest).await,
        client.rollback_from_bookmark(vdb, &bookmark).await,
        client.undo_refresh(vdb).await,
        client.snapshot_vdb(vdb).await,
    ] {
        assert_eq!(job.unwrap().status, JobStatus::Pending);
    }
    let created = json!({"bookmark": {"id": "b", "bookmark_status": "CREATING"}, "job": {"id": "ab", "status": "PENDING"}});
    tower
        .answers(
            "POST",
            "/dct/v3/bookmarks",
            ResponseTemplate::new(201).set_body_json(created),
        )
        .await;
    let request = dct::types::CreateBookmark::default();
    let answer = client.create_bookmark(&request).await;
    assert_eq!(answer.unwrap().bookmark.unwrap().id, "b");
    assert_eq!(client.timeflow("none").await.unwrap(), None);
    assert_eq!(client.snapshot("none").await.unwrap(), None);
}

#[tokio::test]
async fn a_bookmark_is_gone_whatever_the_answer_to_its_removal_holds() {
    let tower = Tower::start().await;
    for (id, answer) in [
        ("b", ResponseTemplate::new(204)),
        (
            "c",
            ResponseTemplate::new(200).set_body_json(json!({"job": {"id": "ab"}})),
        ),
    ] {
        tower
            .answers("DELETE", &format!("/dct/v3/bookmarks/{id}"), answer)
            .await;
    }
    for id in ["b", "c", "gone-already"] {
        tower.client.delete_bookmark(id).await.unwrap();
    }
    tower
        .answers(
            "DELETE",
            "/dct/v3/bookmarks/used",
            ResponseTemplate::new(409),
        )
        .await;
    assert!(
        tower
            .client
            .delete_bookmark("used")
            .await
            .unwrap_err()
            .is_conflict()
    );
}

#[tokio::test]
async fn copies_of_a_moment_and_of_a_bookmark_are_ordered_in_one_flat_body() {
    let tower = Tower::start().await;
    let provision = dct::types::ProvisionBySnapshot {
        name: Some("n".into()),
        ..Default::default()
    };
    for (action, body) in [
        (
            "provision_by_timestamp",
            json!({"name": "n", "timestamp": "2026-01-01T00:00:00Z"}),
        ),
        (
            "provision_from_bookmark",
            json!({"name": "n", "bookmark_id": "b"}),
        ),
    ] {
        Mock::given(method("POST"))
            .and(path(format!("/dct/v3/vdbs/{action}")))
            .and(body_json(body))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"vdb_id": "v"})))
            .expect(1)
            .mount(&tower.server)
            .await;
    }
    let at = dct::types::ProvisionByTimestamp {
        provision: provision.clone(),
        point: dct::types::PointInTime {
            timestamp: Some("2026-01-01T00:00:00Z".into()),
            ..Default::default()
        },
    };
    let of = dct::types::ProvisionFromBookmark {
        provision,
        bookmark_id: Some("b".into()),
    };
    let vdb = Some("v".to_owned());
    assert_eq!(
        tower
            .client
            .provision_by_timestamp(&at)
            .await
            .unwrap()
            .vdb_id,
        vdb
    );
    assert_eq!(
        tower
            .client
            .provision_from_bookmark(&of)
            .await
            .unwrap()
            .vdb_id,
        vdb
    );
}
