//! What many waiting orders cost in memory and calls: printed, never asserted.
//!
//! `cargo test -p vdb --lib serve::watch::tests::waiting::cost -- --ignored --nocapture`
//!
//! The sidecar runs in a process of its own, with the real router on a real socket; its outside world lies in its memory,
//! so what is printed is rather too much.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::*;
use crate::serve::{listener, router};

const ORDERS: [usize; 3] = [10, 100, 1_000];
/// Tells the other process how many orders there are.
const VARIABLE: &str = "VDB_WAITING_ORDERS";
/// The first looks are not those of an order that waits.
const SETTLE: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn cost() {
    for orders in ORDERS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve::watch::tests::waiting::sidecar"])
            .args(["--ignored", "--nocapture"])
            .env(VARIABLE, orders.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let listens = after(&mut said, "listens ").await;
        let (address, authorization) = listens.split_once(' ').unwrap();
        let clients: Vec<_> = (1..=orders)
            .map(|n| tokio::spawn(client(address.to_owned(), authorization.to_owned(), n)))
            .collect();
        let calls = after(&mut said, "calls ").await;
        let memory = memory(child.id().unwrap());
        println!("{orders} waiting orders: {memory}; calls in a minute: {calls}");
        clients.iter().for_each(tokio::task::JoinHandle::abort);
        // It ends when nobody can write to it any more.
        drop(child.stdin.take());
        child.wait().await.unwrap();
    }
    println!("aim: 30 MB resident at 1,000; calls that do not grow with the orders");
}

/// What is said after this word.
async fn after(
    said: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    word: &str,
) -> String {
    let heard = async {
        loop {
            let line = said.next_line().await.unwrap().expect("it goes on");
            if let Some(rest) = line.strip_prefix(word) {
                return rest.to_owned();
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(180), heard);
    heard.await.expect("the other process speaks")
}

/// Waits for one order, again and again, as the portal does.
async fn client(address: String, authorization: String, n: usize) {
    let request = format!(
        "GET /api/vdb/v1/requests/{}?wait=25s HTTP/1.1\r\nhost: vdb\r\nconnection: close\r\nauthorization: {authorization}\r\n\r\n",
        id(n)
    );
    loop {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

fn memory(pid: u32) -> String {
    let megabytes = |file: &str, key: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes: f64 = line
            .and_then(|rest| rest.split_whitespace().next())
            .map_or(0.0, |number| number.parse().unwrap());
        kilobytes * 1024.0 / 1e6
    };
    format!(
        "{:.1} MB resident ({:.1} MB of its own, {:.1} MB at most)",
        megabytes("status", "VmRSS:"),
        megabytes("smaps_rollup", "Pss_Anon:"),
        megabytes("status", "VmHWM:"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other process of the measurement"]
async fn sidecar() {
    let Ok(orders) = std::env::var(VARIABLE) else {
        return;
    };
    let orders: usize = orders.parse().unwrap();
    let stage = stage(orders, Pace::LIVE).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authorization = stage.issuer.call(None)["authorization"].clone();
    println!(
        "\nlistens {} {}",
        listener.local_addr().unwrap(),
        authorization.to_str().unwrap()
    );
    let api = router::api(stage.app.clone());
    let server = tokio::spawn(listener::serve(listener, api, std::future::pending()));
    let all = i64::try_from(orders).unwrap();
    while stage.app.metrics.waiters.get() < all {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(SETTLE).await;
    let before = calls(&stage);
    tokio::time::sleep(WINDOW).await;
    let after = calls(&stage);
    let minute: [usize; 3] = std::array::from_fn(|i| (after[i] - before[i]) * 2);
    println!(
        "calls forge {}, Argo CD {}, cluster {}",
        minute[0], minute[1], minute[2]
    );
    let mut end = String::new();
    tokio::io::stdin().read_to_string(&mut end).await.unwrap();
    server.abort();
}
