//! Serves the connections of one listener.
//!
//! Not by `axum::serve`, which sets none of hyper's limits: a head may be 400 KiB long there, and who never sends one is
//! waited for without end. HTTP/1 alone, which is what portals, forges, probes and Prometheus speak.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What Node.js takes, and so whatever reaches a portal.
const LONGEST_HEAD: usize = 16 << 10;
/// From the connection, or the answer before, to the end of the next request's head. Longer than proxies keep an idle
/// connection, which is a minute, so that none is closed while a request is on its way.
const HEAD_WITHIN: Duration = Duration::from_secs(75);

/// Serves until `end`; then no connection is accepted any more, and those that are open finish what they answer.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    end: impl Future<Output = ()>,
) {
    let (ending, open) = (CancellationToken::new(), TaskTracker::new());
    let mut end = pin!(end);
    loop {
        tokio::select! {
            // This trait's method waits where the process has no file descriptors left.
            (stream, _) = Listener::accept(&mut listener) => {
                open.spawn(connection(stream, router.clone(), ending.clone()));
            }
            () = &mut end => break,
        }
    }
    drop(listener);
    ending.cancel();
    open.close();
    open.wait().await;
}

async fn connection(stream: TcpStream, router: Router, ending: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::trace!(error = error.to_string(), "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::{Notify, oneshot};

    use super::*;

    async fn all(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let rest = stream.read_to_end(&mut text);
        let rest = tokio::time::timeout(Duration::from_secs(20), rest).await;
        rest.expect("the connection ends").unwrap();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn what_is_being_answered_is_finished_and_nothing_new_begins() {
        let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, finishes) = (Arc::clone(&begun), Arc::clone(&finish));
        let answer = get(move || {
            let (begins, finishes) = (Arc::clone(&begins), Arc::clone(&finishes));
            async move {
                begins.notify_one();
                finishes.notified().await;
                "finished"
            }
        });
        let router = Router::new().route("/", answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ends) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, router, async { ends.await.unwrap() }));
        // Connections are accepted in their order: the first one is when the second is answered.
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut asks = TcpStream::connect(address).await.unwrap();
        // Without `connection: close`: it is the end of serving that closes it.
        asks.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        begun.notified().await;
        end.send(()).unwrap();
        assert_eq!(all(&mut idle).await, "");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
        assert!(!served.is_finished(), "an answer is open");
        finish.notify_one();
        assert!(all(&mut asks).await.ends_with("finished"));
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_head_has_a_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "taken"));
        let served = tokio::spawn(serve(listener, router, std::future::pending()));
        // No byte more than what is read of it: the rest would make the kernel drop the answer.
        let begin = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: ";
        for (end, status) in [("\r\n\r\n", "200"), ("", "431")] {
            let long = "a".repeat(LONGEST_HEAD - begin.len() - end.len());
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("{begin}{long}{end}");
            stream.write_all(head.as_bytes()).await.unwrap();
            let answer = all(&mut stream).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
        }
        served.abort();
    }
}
