//! The real routes on a real port, with the outside world in memory: for tools that speak HTTP.
//!
//! `cargo test -p vdb --lib serve::tests::live -- --ignored --nocapture` prints one line of JSON with address and token
//! and serves until its standard input ends.

use environment::status::Stage as Done;
use tokio::io::AsyncReadExt as _;

use super::*;

/// Nobody needs it longer, whatever became of who started it.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "serves until its standard input ends"]
async fn serve() {
    let stage = Stage::set().await;
    let published = stage.invoke("publish", order(&json!({}))).await.body["output"].clone();
    stage.forge.merge(1);
    stage.live(published["requestId"].as_str().unwrap(), "True");
    stage.cluster.databases.lock().unwrap()[0].status.stages = vec![Done {
        name: "accept".into(),
        started_at: "2026-11-23T10:00:00Z".into(),
        finished_at: Some("2026-11-23T10:00:01Z".into()),
    }];
    stage
        .invoke(
            "publish",
            order(&json!({"name": "feat-2", "requestId": "task-2"})),
        )
        .await;
    // Whoever waits for it has its answer at once.
    stage.forge.close(2);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let headers = stage.issuer.call(Some("user:default/guest"));
    let authorization = headers["authorization"].to_str().unwrap();
    println!(
        "\n{}",
        json!({"url": format!("http://{address}"), "authorization": authorization, "request": published["requestId"]})
    );
    let api = router::api(stage.app.clone());
    let server = tokio::spawn(listener::serve(listener, api, std::future::pending()));
    let mut rest = Vec::new();
    let end = tokio::time::timeout(LONGEST, tokio::io::stdin().read_to_end(&mut rest)).await;
    server.abort();
    assert!(end.is_ok(), "nobody closed the standard input");
}
