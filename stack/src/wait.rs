//! Waits with a deadline. A wait that ends in vain says what it waited for, the last answer and the end of the log.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::command::log_tail;

const PAUSE: Duration = Duration::from_millis(150);

/// Asks again until the answer is `Ok`. `log` belongs to the program that is waited for.
pub(crate) async fn until<T, F, Fut>(
    what: &str,
    seconds: u64,
    log: Option<&Path>,
    mut ask: F,
) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut last = anyhow!("no answer");
    loop {
        let asked = tokio::time::timeout_at(deadline.into(), ask()).await;
        match asked {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error,
            // Cut off by the deadline: what was said before says more.
            Err(_) => {}
        }
        if Instant::now() >= deadline {
            let tail = log.map_or_else(String::new, |log| {
                format!("\nend of {}:\n  {}", log.display(), log_tail(log))
            });
            return Err(anyhow!(
                "{what} not ready after {seconds} s: {last:#}{tail}"
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until something listens on the address.
pub(crate) async fn listening(what: &str, address: &str, seconds: u64, log: &Path) -> Result<()> {
    until(what, seconds, Some(log), || async {
        Ok(tokio::net::TcpStream::connect(address).await.map(drop)?)
    })
    .await
}
