//! How much one key may ask: a bucket of tokens, refilled at a steady rate.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::settings::RateLimit;

/// A bucket for each key. Without a limit everybody may ask as much as the engine can answer.
pub(super) struct Limits {
    limit: Option<RateLimit>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limits {
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        Self {
            limit,
            buckets: Mutex::default(),
        }
    }

    /// Takes one token, or says when the next one is there. Keys are those of the settings, so there are few buckets.
    pub(super) fn take(&self, key: &str, now: Instant) -> Result<(), Duration> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key.to_owned()).or_insert(Bucket {
            tokens: f64::from(limit.burst),
            at: now,
        });
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        let rate = f64::from(limit.per_second);
        bucket.tokens = since
            .mul_add(rate, bucket.tokens)
            .min(f64::from(limit.burst));
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - bucket.tokens) / rate))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        per_second: 2,
        burst: 3,
    };

    #[test]
    fn a_burst_is_served_and_then_the_rate() {
        let limits = Limits::new(Some(LIMIT));
        let begin = Instant::now();
        let after = |millis| begin + Duration::from_millis(millis);
        for _ in 0..3 {
            assert_eq!(limits.take("a", begin), Ok(()));
        }
        assert_eq!(limits.take("a", begin), Err(Duration::from_millis(500)));
        assert_eq!(
            limits.take("a", after(250)),
            Err(Duration::from_millis(250))
        );
        assert_eq!(limits.take("a", after(500)), Ok(()));
        // Whoever waits long gets no more than a burst.
        let served = (0..10).filter(|_| limits.take("a", after(60_000)).is_ok());
        assert_eq!(served.count(), 3);
    }

    #[test]
    fn a_key_pays_for_itself_alone_and_without_a_limit_nobody_does() {
        let limits = Limits::new(Some(LIMIT));
        let now = Instant::now();
        while limits.take("a", now).is_ok() {}
        assert_eq!(limits.take("b", now), Ok(()));
        let free = Limits::new(None);
        assert!((0..10_000).all(|_| free.take("a", now).is_ok()));
    }
}
