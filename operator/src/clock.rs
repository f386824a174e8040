//! Time as the operator sees it, so that tests decide what time it is.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    async fn sleep(&self, duration: Duration);
}

pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Text of a point in time with milliseconds, as stages are recorded.
pub fn precise(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Text of a point in time in whole seconds, as conditions are stamped.
pub fn seconds(at: Timestamp) -> String {
    format!("{at:.0}")
}

pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// From `earlier` to `later`; zero when the clocks disagree.
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}
