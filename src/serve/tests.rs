//! The whole sidecar without a socket, its outside world in memory.

mod day_two;

use axum::body::{Body, to_bytes};
use environment::names::{OWNER, REQUEST_ID};
use environment::status::{Condition, Endpoint};
use http::{Method, Request};
use hyper::ext::ReasonPhrase;
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

mod crowd;
#[path = "../../fuzz/src/webhook.rs"]
#[expect(
    unreachable_pub,
    reason = "the module is a library's in the fuzz crate"
)]
mod fuzzed;
mod live;
mod speed;
mod templates;

use super::cluster::LiveDatabase;
use super::fakes::{Stage, WEBHOOK_SECRET};
use super::{background, listener, router};
use crate::push_event::mac;

mod user_token;
mod who;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) phrase: String,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

pub(crate) async fn send(router: axum::Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let phrase = response
        .extensions()
        .get::<ReasonPhrase>()
        .map(|p| String::from_utf8_lossy(p.as_bytes()).into_owned())
        .unwrap_or_default();
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    Answer {
        status,
        phrase,
        retry_after,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

impl Stage {
    pub(crate) async fn invoke_as(&self, user: Option<&str>, action: &str, input: Value) -> Answer {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!(
                "/api/vdb/.backstage/actions/v1/actions/vdb%3A{action}/invoke"
            ))
            .body(Body::from(input.to_string()))
            .unwrap();
        *request.headers_mut() = self.issuer.call(user);
        send(router::api(self.app.clone()), request).await
    }

    pub(crate) async fn invoke(&self, action: &str, input: Value) -> Answer {
        self.invoke_as(Some("user:default/guest"), action, input)
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let mut request = Request::builder()
            .uri(format!("/api/vdb{path}"))
            .body(Body::empty())
            .unwrap();
        *request.headers_mut() = self.issuer.call(None);
        send(router::api(self.app.clone()), request).await
    }

    pub(crate) fn live(&self, request: &str, ready: &str) {
        let mut database = LiveDatabase {
            name: "feat-1-vdb".into(),
            namespace: "postgres-vdbs-feat-1".into(),
            generation: 1,
            ..LiveDatabase::default()
        };
        database.annotations = [
            (REQUEST_ID.to_owned(), request.to_owned()),
            (OWNER.to_owned(), "group:default/team-orders".to_owned()),
        ]
        .into();
        database.spec = json!({"source": {"reference": "10.0.1.54:largedb"}, "database": {"name": "largedb", "user": "app"}});
        database.status.observed_generation = Some(1);
        database.status.endpoint = Some(Endpoint {
            host: "feat-1-vdb.postgres-vdbs-feat-1.svc".into(),
            port: 5432,
        });
        database.status.conditions = vec![Condition {
            kind: "Ready".into(),
            status: ready.into(),
            reason: "Answered".into(),
            message: "a query was answered".into(),
            observed_generation: Some(1),
            last_transition_time: String::new(),
        }];
        *self.cluster.databases.lock().unwrap() = vec![database];
    }
}

pub(crate) fn order(change: &Value) -> Value {
    let mut input = json!({
        "name": "feat-1", "owner": "group:default/team-orders", "source": "10.0.1.54:largedb", "database": "largedb", "user": "app",
        "snapshotId": "", "requestId": "task-1",
    });
    for (key, value) in change.as_object().unwrap() {
        input[key] = value.clone();
    }
    input
}

#[tokio::test]
async fn the_portal_lists_the_actions_with_schemas_it_understands() {
    let stage = Stage::set().await;
    let answer = stage.get("/.backstage/actions/v1/actions").await;
    let actions = answer.body["actions"].as_array().unwrap().clone();
    let ids: Vec<&str> = actions
        .iter()
        .map(|action| action["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "vdb:validate",
            "vdb:render",
            "vdb:publish",
            "vdb:wait",
            "vdb:retire",
            "vdb:update",
            "vdb:refresh",
            "vdb:extend",
            "vdb:bookmark",
            "vdb:list",
            "vdb:status"
        ]
    );
    for action in &actions {
        assert_eq!(
            action["schema"]["input"]["$schema"],
            "http://json-schema.org/draft-07/schema#"
        );
        assert_eq!(action["schema"]["input"]["type"], "object");
        let read_only = matches!(
            action["name"].as_str(),
            Some("validate" | "render" | "wait" | "list" | "status")
        );
        assert_eq!(action["attributes"]["readOnly"], read_only);
        assert_eq!(
            action["attributes"]["destructive"],
            action["name"] == "retire" || action["name"] == "refresh"
        );
        assert!(!action["description"].as_str().unwrap().is_empty());
        assert!(action["examples"][0]["input"].is_object());
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_except_for_the_keys() {
    let stage = Stage::set().await;
    for path in [
        "/.backstage/actions/v1/actions",
        "/v1/environments",
        "/v1/environments/feat-1",
        "/v1/sources",
        "/v1/requests/x",
    ] {
        let request = Request::builder()
            .uri(format!("/api/vdb{path}"))
            .body(Body::empty())
            .unwrap();
        let answer = send(router::api(stage.app.clone()), request).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.phrase.contains("no token"), "{}", answer.phrase);
    }
    let request = Request::builder()
        .uri("/api/vdb/.backstage/auth/v1/jwks.json")
        .body(Body::empty())
        .unwrap();
    let answer = send(router::api(stage.app.clone()), request).await;
    assert_eq!(
        (answer.status, &answer.body["keys"][0]["crv"]),
        (200, &json!("P-256"))
    );
}

#[rstest]
#[case::wrong_name(json!({"name": "../x"}), 400, "characters of a path")]
#[case::wrong_memory(json!({"memory": "1GB"}), 400, "memory")]
#[case::unknown_source(json!({"source": "10.0.1.54:nothing"}), 400, "there are: 10.0.1.54:largedb")]
#[case::image_not_allowed(json!({"image": "evil/postgres:16"}), 400, "NotAllowed")]
#[case::other_major_version(json!({"image": "postgres:17.2"}), 400, "PostgreSQL 17")]
#[case::template_syntax(json!({"description": "${{ x }}"}), 400, "template")]
#[case::not_my_group(json!({"owner": "group:default/platform"}), 400, "your groups: group:default/team-orders")]
#[case::unknown_field(json!({"surprise": 1}), 400, "surprise")]
#[tokio::test]
async fn each_wrong_order_is_refused_in_one_line_and_nothing_is_made(
    #[case] change: Value,
    #[case] status: u16,
    #[case] why: &str,
) {
    let stage = Stage::set().await;
    for action in ["validate", "publish"] {
        let answer = stage.invoke(action, order(&change)).await;
        assert!(
            (400..500).contains(&answer.status),
            "{action}: {}",
            answer.status
        );
        if action == "validate" {
            assert_eq!(answer.status, status);
        }
        assert!(answer.phrase.contains(why), "{action}: {}", answer.phrase);
        assert!(answer.phrase.len() <= 200 && answer.phrase.is_ascii());
        assert!(
            !answer.body["problems"].as_array().unwrap().is_empty(),
            "{action}"
        );
    }
    assert!(stage.forge.branches().is_empty() && stage.forge.pulls().is_empty());
    let mut report = order(&change);
    report["reportOnly"] = json!(true);
    let answer = stage.invoke("validate", report).await;
    assert_eq!(
        (answer.status, &answer.body["output"]["ok"]),
        (200, &json!(false))
    );
}

#[tokio::test]
async fn an_order_goes_from_form_to_database_and_back_to_nothing() {
    let stage = Stage::set().await;
    assert_eq!(
        stage.invoke("validate", order(&json!({}))).await.body["output"]["ok"],
        true
    );
    assert!(
        stage.invoke("render", order(&json!({}))).await.body["output"]["values"]
            .as_str()
            .unwrap()
            .contains("10.0.1.54:largedb")
    );
    let published = stage.invoke("publish", order(&json!({}))).await.body["output"].clone();
    assert_eq!(
        (&published["state"], &published["pullRequestNumber"]),
        (&json!("PROPOSED"), &json!(1))
    );
    let id = published["requestId"].as_str().unwrap().to_owned();
    // A retry of the form's check does not stumble over its own pull request.
    assert_eq!(
        stage.invoke("validate", order(&json!({}))).await.status,
        200
    );
    let wait = json!({"requestId": id, "timeoutSeconds": 0});
    assert_eq!(
        stage.invoke_as(None, "wait", wait.clone()).await.body["output"]["state"],
        "PROPOSED"
    );
    assert_eq!(
        stage.get("/v1/environments/feat-1").await.body["request"]["state"],
        "PROPOSED"
    );

    stage.forge.merge(1);
    stage.app.pulls.forget().await;
    assert_eq!(
        stage.invoke("wait", wait.clone()).await.body["output"]["state"],
        "MERGED"
    );
    stage.live(&id, "False");
    assert_eq!(
        stage.invoke("wait", wait.clone()).await.body["output"]["state"],
        "PROVISIONING"
    );
    stage.live(&id, "True");
    let ready = stage.invoke("wait", wait).await.body["output"].clone();
    assert_eq!(
        (
            &ready["state"],
            &ready["ready"],
            &ready["endpoint"]["secret"]
        ),
        (
            &json!("READY"),
            &json!(true),
            &json!("feat-1-vdb-credentials")
        )
    );
    let view = stage.get("/v1/environments/feat-1").await.body;
    assert_eq!(
        (
            &view["name"],
            &view["ready"],
            &view["request"]["pullRequest"]
        ),
        (&json!("feat-1"), &json!(true), &published["remoteUrl"])
    );
    assert_eq!(
        stage.get("/v1/environments").await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let retired = stage
        .invoke(
            "retire",
            json!({"name": "feat-1", "reason": "done", "requestId": "task-2"}),
        )
        .await
        .body["output"]
        .clone();
    let wait = json!({"requestId": retired["requestId"], "timeoutSeconds": 0});
    assert_eq!(
        stage.invoke("wait", wait.clone()).await.body["output"]["state"],
        "PROPOSED"
    );
    stage.forge.merge(2);
    assert_eq!(
        stage.invoke("wait", wait.clone()).await.body["output"]["state"],
        "SYNCING"
    );
    stage.cluster.databases.lock().unwrap().clear();
    let gone = stage.invoke("wait", wait).await.body["output"].clone();
    assert_eq!(gone["state"], "RETIRED");
    assert!(
        gone["message"]
            .as_str()
            .unwrap()
            .contains("namespace postgres-vdbs-feat-1"),
        "{gone}"
    );
}

#[tokio::test]
async fn orders_need_a_user_and_the_owner() {
    let stage = Stage::set().await;
    assert_eq!(
        stage
            .invoke_as(None, "publish", order(&json!({})))
            .await
            .status,
        403
    );
    assert_eq!(
        stage
            .invoke_as(None, "retire", json!({"name": "feat-1"}))
            .await
            .status,
        403
    );
    let answer = stage
        .invoke_as(Some("user:default/stranger"), "publish", order(&json!({})))
        .await;
    assert!(
        answer.status == 403 && answer.phrase.contains("not a member of owner"),
        "{}",
        answer.phrase
    );
    assert!(stage.forge.pulls().is_empty());
    // A user may order for themselves.
    assert_eq!(
        stage
            .invoke_as(
                Some("user:default/stranger"),
                "publish",
                order(&json!({"owner": "user:default/stranger"}))
            )
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_rejected_request_fails_its_step() {
    let stage = Stage::set().await;
    let published = stage.invoke("publish", order(&json!({}))).await.body["output"].clone();
    stage.forge.close(1);
    let answer = stage
        .invoke("wait", json!({"requestId": published["requestId"]}))
        .await;
    assert!(
        answer.status == 409 && answer.phrase.contains("closed without a merge"),
        "{}",
        answer.phrase
    );
    assert_eq!(
        stage
            .invoke("wait", json!({"requestId": "feat-9.create-0123456789"}))
            .await
            .status,
        404
    );
    assert_eq!(
        stage
            .invoke("wait", json!({"requestId": "nonsense"}))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn an_argo_cd_that_refuses_the_token_is_said() {
    let stage = Stage::set().await;
    let published = stage.invoke("publish", order(&json!({}))).await.body["output"].clone();
    stage.forge.merge(1);
    stage
        .argocd
        .refuses
        .store(true, std::sync::atomic::Ordering::SeqCst);
    let output = stage
        .invoke(
            "wait",
            json!({"requestId": published["requestId"], "timeoutSeconds": 0}),
        )
        .await
        .body["output"]
        .clone();
    assert_eq!(output["state"], "BLOCKED");
    assert!(
        output["message"]
            .as_str()
            .unwrap()
            .contains("refuses the token")
            && output["hint"].as_str().unwrap().contains("vdb-argocd"),
        "{output}"
    );
}

fn delivery(body: &str, signature: &str, id: &str) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri("/webhooks/gitea")
        .header("x-gitea-event", "push")
        .header("x-gitea-delivery", id)
        .header("x-gitea-signature", signature)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn a_delivery_is_taken_once_and_only_with_the_right_signature() {
    let stage = Stage::set().await;
    let published = stage.invoke("publish", order(&json!({}))).await.body["output"].clone();
    stage.forge.merge(1);
    let body = json!({"ref": "refs/heads/main", "commits": [{"added": ["environments/feat-1/catalog-info.yaml"], "removed": null}]}).to_string();
    let signature = hex::encode(mac(WEBHOOK_SECRET.as_bytes(), body.as_bytes()));
    let router = || router::webhooks(stage.app.clone());
    assert_eq!(
        send(router(), delivery(&body, "00", "delivery-a"))
            .await
            .status,
        401
    );
    assert_eq!(
        send(router(), delivery(&body, "", "delivery-a"))
            .await
            .status,
        401
    );
    assert_eq!(
        send(router(), delivery(&body, &signature, "delivery-a"))
            .await
            .status,
        202
    );
    assert_eq!(
        send(router(), delivery(&body, &signature, "delivery-a"))
            .await
            .status,
        200
    );
    let large = " ".repeat((1 << 20) + 1);
    assert_eq!(
        send(router(), delivery(&large, &signature, "delivery-b"))
            .await
            .status,
        413
    );
    for _ in 0..100 {
        if !stage.portal.locations.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let target = stage.portal.locations.lock().unwrap()[0].target.clone();
    assert!(
        target.ends_with("/src/branch/main/environments/feat-1/catalog-info.yaml"),
        "{target}"
    );
    assert_eq!(published["entityRef"], "resource:default/feat-1");
}

fn githubs(event: &str, body: &str, signature: &str, id: &str) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri("/webhooks/github")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", signature)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn githubs_deliveries_are_taken_once_and_wake_whoever_waits() {
    let stage = Stage::set().await;
    let woken = stage.app.wake.subscribe();
    let waked = || woken.has_changed().unwrap();
    let deliver = async |event: &str, body: &str, signature: Option<&str>, id: &str| {
        let right = crate::push_event::signature(WEBHOOK_SECRET.as_bytes(), body.as_bytes());
        let request = githubs(event, body, signature.unwrap_or(&right), id);
        send(router::webhooks(stage.app.clone()), request)
            .await
            .status
    };
    let bare = hex::encode(mac(WEBHOOK_SECRET.as_bytes(), b"{}"));
    for wrong in ["sha256=00", "", "sha1=00", &bare] {
        assert_eq!(deliver("push", "{}", Some(wrong), "gh-0").await, 401);
    }
    assert_eq!(deliver("ping", r#"{"zen":"x"}"#, None, "gh-1").await, 200);
    assert!(!waked(), "neither a forgery nor a ping wakes anybody");
    for (n, event) in ["pull_request", "installation", "check_suite"]
        .iter()
        .enumerate()
    {
        let id = format!("gh-2-{n}");
        assert_eq!(deliver(event, "{}", None, &id).await, 202);
        assert_eq!(deliver(event, "{}", None, &id).await, 200);
    }
    assert!(waked());
    assert_eq!(deliver("push", "payload=%7B%7D", None, "gh-3").await, 400);
    let large = " ".repeat((1 << 20) + 1);
    assert_eq!(deliver("push", &large, None, "gh-4").await, 413);
}

#[tokio::test]
async fn the_commit_of_githubs_merge_queue_gets_its_check() {
    let stage = Stage::set().await;
    stage.forge.push(|_| {});
    let number = stage.forge.hand_made("readme", |files| {
        files.insert("README.md".into(), "more".into());
    });
    let body = json!({"action": "checks_requested", "merge_group": {
        "head_sha": "head-of-readme", "head_ref": format!("refs/heads/gh-readonly-queue/main/pr-{number}-0465b148")
    }})
    .to_string();
    let signature = crate::push_event::signature(WEBHOOK_SECRET.as_bytes(), body.as_bytes());
    let request = githubs("merge_group", &body, &signature, "gh-queue");
    let router = router::webhooks(stage.app.clone());
    assert_eq!(send(router, request).await.status, 202);
    for _ in 0..200 {
        if let Some(check) = stage.forge.check("head-of-readme") {
            assert_eq!(check.context, "vdb/validate");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the queue waits for ever");
}

#[tokio::test]
async fn githubs_push_event_reaches_the_catalog() {
    let stage = Stage::set().await;
    stage.forge.push(|files| {
        files.insert(
            "environments/qa/catalog-info.yaml".into(),
            "kind: Resource\n".into(),
        );
    });
    let body = json!({"ref": "refs/heads/main", "after": "1", "commits": [{"added": ["environments/qa/catalog-info.yaml"], "modified": [], "removed": []}]}).to_string();
    let signature = crate::push_event::signature(WEBHOOK_SECRET.as_bytes(), body.as_bytes());
    let request = githubs("push", &body, &signature, "gh-push");
    let router = router::webhooks(stage.app.clone());
    assert_eq!(send(router, request).await.status, 202);
    for _ in 0..200 {
        if !stage.portal.locations.lock().unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the catalog was told nothing");
}

#[tokio::test]
async fn the_catalog_follows_the_base_branch_and_leaves_other_locations_alone() {
    let stage = Stage::set().await;
    let target = |name: &str| {
        format!(
            "http://gitea.localhost:3000/acme/databases/src/branch/main/environments/{name}/catalog-info.yaml"
        )
    };
    let location = |target: String| crate::serve::portal::Location {
        id: target.clone(),
        target,
    };
    *stage.portal.locations.lock().unwrap() = vec![
        location(target("gone")),
        location("http://elsewhere/catalog-info.yaml".into()),
    ];
    stage.forge.push(|files| {
        files.insert("environments/dev/catalog-info.yaml".into(), "x".into());
        files.insert("environments/bare/values.yaml".into(), "x".into());
    });
    assert!(background::catalog::reconcile(&stage.app).await);
    let targets: Vec<String> = stage
        .portal
        .locations
        .lock()
        .unwrap()
        .iter()
        .map(|l| l.target.clone())
        .collect();
    assert_eq!(
        targets,
        [
            "http://elsewhere/catalog-info.yaml".to_owned(),
            target("dev")
        ]
    );
}

#[tokio::test]
async fn the_owner_is_told_once_whoever_tells() {
    let stage = Stage::set().await;
    let published = stage.invoke("publish", order(&json!({}))).await.body["output"].clone();
    stage.forge.merge(1);
    stage.live(published["requestId"].as_str().unwrap(), "True");
    for _ in 0..3 {
        stage.app.pulls.forget().await;
        background::notify::Teller::default()
            .sweep(&stage.app)
            .await;
    }
    let told = stage.portal.told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].recipient.as_str(), told[0].scope.as_str()),
        ("group:default/team-orders", "vdb:feat-1")
    );
    assert!(told[0].title.contains("ready"));
}

#[tokio::test]
async fn argo_cd_is_told_of_a_head_that_no_webhook_spoke_of_until_it_takes_the_event() {
    let argo = wiremock::MockServer::start().await;
    let hook = |status, times| {
        let answer = wiremock::ResponseTemplate::new(status);
        wiremock::Mock::given(wiremock::matchers::path("/api/webhook"))
            .respond_with(answer)
            .up_to_n_times(times)
            .expect(times)
    };
    hook(503, 1).mount(&argo).await;
    hook(200, 2).mount(&argo).await;
    let url = argo.uri();
    let stage = Stage::set_with(|settings, folder| {
        let secret = folder.join("argocd-secret");
        std::fs::write(&secret, "s").unwrap();
        settings.argocd.webhook_secret_file = Some(secret);
        settings.argocd.webhooks = vec![format!("{url}/api/webhook")];
    })
    .await;
    let mut watched = background::Watched::default();
    // Refused, then quiet for a while, then a new head makes it speak again.
    watched.look(&stage.app).await;
    watched.look(&stage.app).await;
    stage.forge.push(|_| {});
    watched.look(&stage.app).await;
    watched.look(&stage.app).await;
    stage.forge.push(|_| {});
    watched.look(&stage.app).await;
}

#[tokio::test]
async fn addresses_in_a_delivery_are_never_called() {
    let elsewhere = wiremock::MockServer::start().await;
    let url = elsewhere.uri();
    let stage = Stage::set().await;
    let body = json!({
        "ref": "refs/heads/main", "compare_url": url, "after": "1",
        "repository": {"clone_url": url, "html_url": url, "url": url, "hooks_url": url, "archive_url": url},
        "sender": {"avatar_url": url}, "pusher": {"url": url},
        "commits": [{"url": url, "added": [format!("environments/{url}/values.yaml"), "environments/../x/values.yaml"]}],
    })
    .to_string();
    let signature = hex::encode(mac(WEBHOOK_SECRET.as_bytes(), body.as_bytes()));
    let answer = send(
        router::webhooks(stage.app.clone()),
        delivery(&body, &signature, "delivery-of-addresses"),
    )
    .await;
    assert_eq!(answer.status, 202);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
    assert!(stage.portal.locations.lock().unwrap().is_empty());
}

/// The fuzz target `webhook` over its committed corpus: found once, tested for ever.
#[test]
fn the_corpus_of_deliveries_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/webhook");
    let mut pushes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let data = std::fs::read(entry.unwrap().path()).unwrap();
        for end in 0..=data.len() {
            fuzzed::webhook(&data[..end]);
        }
        pushes += usize::from(super::received(&data, "x", "main").is_some());
    }
    assert_eq!(pushes, 1, "the corpus has one push of the base branch");
}
