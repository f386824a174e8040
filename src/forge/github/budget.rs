//! GitHub's limits, kept before they are reached and obeyed when they are: pure, the time is an argument.
//!
//! GitHub stops an account that makes content faster than 80 times a minute or 500 times an hour, and whoever goes on
//! calling while stopped risks to be banned. So after a refusal nothing is sent until the time that GitHub names.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A quarter of GitHub's numbers is left to whatever else the account does.
const PER_MINUTE: usize = 60;
const PER_HOUR: usize = 375;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// GitHub's advice where a refusal names no time.
const UNNAMED: Duration = Duration::from_secs(60);
/// Limits are counted by the hour; a wrong clock must not stop us for a day.
const LONGEST: Duration = Duration::from_secs(3900);

#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When something was made, the oldest first, within the last hour.
    made: VecDeque<Instant>,
    closed_until: Option<Instant>,
}

/// What an answer says about limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs<'a> {
    pub(super) status: u16,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
    pub(super) remaining: Option<u64>,
    /// Seconds since 1970.
    pub(super) reset: Option<u64>,
    pub(super) message: &'a str,
    /// GraphQL says so in its errors, with status 200.
    pub(super) graphql_limited: bool,
}

impl Budget {
    /// Lets a call through and counts it where it makes something; otherwise how long to wait.
    pub(super) fn admit(&mut self, now: Instant, makes: bool) -> Result<(), Duration> {
        if let Some(until) = self.closed_until {
            if until > now {
                return Err(until - now);
            }
            self.closed_until = None;
        }
        if !makes {
            return Ok(());
        }
        while self.made.front().is_some_and(|at| now - *at >= HOUR) {
            self.made.pop_front();
        }
        let wait = [(PER_MINUTE, MINUTE), (PER_HOUR, HOUR)]
            .into_iter()
            .filter_map(|(most, window)| {
                let oldest = self.made.len().checked_sub(most)?;
                (self.made[oldest] + window).checked_duration_since(now)
            })
            .max()
            .filter(|wait| !wait.is_zero());
        if let Some(wait) = wait {
            return Err(wait);
        }
        self.made.push_back(now);
        Ok(())
    }

    /// Takes note of an answer; how long GitHub wants no call where it refused this one for a limit.
    pub(super) fn note(
        &mut self,
        now: Instant,
        seconds_since_1970: u64,
        signs: &Signs<'_>,
    ) -> Option<Duration> {
        let wait = pause(signs, seconds_since_1970)?;
        self.closed_until = self.closed_until.max(Some(now + wait));
        Some(wait)
    }
}

/// How long the account that made the call should make none.
pub(super) fn pause(signs: &Signs<'_>, now: u64) -> Option<Duration> {
    let refused = matches!(signs.status, 403 | 429);
    if !refused && !signs.graphql_limited {
        return None;
    }
    let until_reset = signs
        .reset
        .filter(|_| signs.remaining == Some(0))
        .map(|reset| reset.saturating_sub(now) + 1);
    let named = signs
        .retry_after
        .filter(|_| refused)
        .or(until_reset)
        .map(Duration::from_secs);
    let message = signs.message.to_ascii_lowercase();
    let limited = signs.status == 429
        || signs.graphql_limited
        || message.contains("rate limit")
        || message.contains("abuse detection");
    let wait = named.or(limited.then_some(UNNAMED))?;
    Some(wait.clamp(Duration::from_secs(1), LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16) -> Signs<'static> {
        Signs {
            status,
            ..Signs::default()
        }
    }

    #[test]
    fn what_is_made_is_counted_by_the_minute_and_by_the_hour() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for _ in 0..PER_MINUTE {
            budget.admit(start, true).unwrap();
        }
        let soon = start + Duration::from_secs(20);
        assert_eq!(budget.admit(soon, true), Err(Duration::from_secs(40)));
        budget.admit(soon, false).expect("reading goes on");
        let mut now = start;
        for _ in PER_MINUTE..PER_HOUR {
            now += MINUTE;
            budget.admit(now, true).unwrap();
        }
        assert_eq!(
            budget.admit(now + MINUTE, true),
            Ok(()),
            "the first hour is over"
        );
    }

    #[test]
    fn an_hours_worth_waits_for_the_hours_end() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for n in 0..PER_HOUR {
            let at = start + Duration::from_secs(2 * n as u64);
            budget.admit(at, true).unwrap();
        }
        let now = start + Duration::from_secs(2 * PER_HOUR as u64);
        assert_eq!(
            budget.admit(now, true),
            Err(Duration::from_secs(3600 - 2 * PER_HOUR as u64))
        );
        assert_eq!(budget.admit(start + HOUR, true), Ok(()));
    }

    #[test]
    fn a_refusal_for_a_limit_stops_every_call_until_the_time_it_names() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let signs = Signs {
            retry_after: Some(30),
            ..refusal(403)
        };
        assert_eq!(budget.note(start, 0, &signs), Some(Duration::from_secs(30)));
        assert_eq!(budget.admit(start, false), Err(Duration::from_secs(30)));
        assert_eq!(budget.admit(start + Duration::from_secs(30), true), Ok(()));
    }

    #[rstest::rstest]
    #[case::primary(Signs { remaining: Some(0), reset: Some(1_100), ..refusal(403) }, Some(101))]
    #[case::reset_far_away(Signs { remaining: Some(0), reset: Some(999_999), ..refusal(429) }, Some(3900))]
    #[case::reset_past(Signs { remaining: Some(0), reset: Some(900), ..refusal(429) }, Some(1))]
    #[case::only_said(Signs { message: "You have exceeded a secondary rate limit.", ..refusal(403) }, Some(60))]
    #[case::bare_429(refusal(429), Some(60))]
    #[case::graphql(Signs { graphql_limited: true, remaining: Some(0), reset: Some(1_010), ..refusal(200) }, Some(11))]
    #[case::ordinary_403(Signs { message: "Resource not accessible by integration", remaining: Some(4_000), reset: Some(1_100), ..refusal(403) }, None)]
    #[case::last_call_of_the_hour(Signs { remaining: Some(0), reset: Some(1_100), ..refusal(201) }, None)]
    fn each_kind_of_refusal_names_its_time(#[case] signs: Signs<'_>, #[case] seconds: Option<u64>) {
        assert_eq!(pause(&signs, 1_000), seconds.map(Duration::from_secs));
    }
}
