//! What the status list takes: printed, never asserted.
//!
//! `cargo test -p vdb --lib serve::tests::speed -- --ignored --nocapture`

use std::time::{Duration, Instant};

use super::*;

const ENVIRONMENTS: usize = 1_000;
const ROUNDS: usize = 21;

#[tokio::test]
#[ignore = "a measurement"]
async fn status_list_of_a_thousand_environments() {
    let stage = Stage::set_with(|settings, _| {
        settings.orders.max_open_orders_per_owner = 100;
        settings.orders.max_environments_per_owner = 10_000;
    })
    .await;
    stage.live("feat-1.create-0123456789", "True");
    let one = stage.cluster.databases.lock().unwrap()[0].clone();
    *stage.cluster.databases.lock().unwrap() = (0..ENVIRONMENTS)
        .map(|i| LiveDatabase {
            name: format!("feat-{i}-vdb"),
            namespace: format!("postgres-vdbs-feat-{i}"),
            ..one.clone()
        })
        .collect();
    for i in 0..20 {
        let change = json!({"name": format!("open-{i}"), "requestId": format!("open-{i}")});
        stage.invoke("publish", order(&change)).await;
    }
    let (mut times, mut worked): (Vec<Duration>, Vec<Duration>) = Default::default();
    for _ in 0..ROUNDS {
        let mut request = Request::builder()
            .uri("/api/vdb/v1/environments")
            .body(Body::empty())
            .unwrap();
        *request.headers_mut() = stage.issuer.call(None);
        let api = router::api(stage.app.clone());
        let (since, before) = (Instant::now(), processor());
        let response = api.oneshot(request).await.unwrap();
        let body = to_bytes(response.into_body(), 16 << 20).await.unwrap();
        times.push(since.elapsed());
        worked.push(processor().saturating_sub(before));
        let list: Value = serde_json::from_slice(&body).unwrap();
        let items = list["items"].as_array().unwrap().len();
        assert_eq!(items, ENVIRONMENTS + 20);
    }
    times.sort();
    worked.sort();
    println!(
        "\nstatus list of {ENVIRONMENTS} environments: p50 {:.1} ms, best {:.1} ms, of the processor {:.1} ms (aim: 50 ms)",
        milliseconds(times[ROUNDS / 2]),
        milliseconds(times[0]),
        milliseconds(worked[ROUNDS / 2]),
    );
}

/// What this thread, which does all the work, has had of the processor so far: others' work on the machine is not in it.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split(' ').next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
