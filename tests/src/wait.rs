//! Waiting on conditions, with a deadline and the last thing seen.

use std::future::Future;
use std::time::{Duration, Instant};

/// Asks again until the answer is there. What was seen last is said when time is up.
///
/// `ask` answers `Ok(Some)` when done and `Ok(None)` or `Err` when not yet.
pub(crate) async fn until<T, F, A>(what: &str, deadline: Duration, mut ask: F) -> anyhow::Result<T>
where
    F: FnMut() -> A,
    A: Future<Output = anyhow::Result<Option<T>>>,
{
    let start = Instant::now();
    loop {
        let last = match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        anyhow::ensure!(
            start.elapsed() < deadline,
            "{what}: not within {} s; last: {last}",
            deadline.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
