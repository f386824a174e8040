//! Times that repeat, written as cron writes them: minute, hour, day of the month, month, day of the week; in UTC.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// 29 February may be eight years away; a schedule that has no time by then has none.
const LONGEST: i32 = 366 * 9;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// One bit for each value.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Where both are restricted, either one is enough.
    either_day: bool,
}

impl Schedule {
    /// # Errors
    /// Which field is wrong, and what may stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!(
                "a schedule has five fields (minute, hour, day, month, weekday), not {}",
                fields.len()
            ));
        };
        let sundays = bits("weekday", weekday, 0, 7)?;
        let schedule = Self {
            minutes: bits("minute", minute, 0, 59)?,
            hours: bits("hour", hour, 0, 23)?,
            days: bits("day", day, 1, 31)?,
            months: bits("month", month, 1, 12)?,
            // 7 is Sunday, as 0 is.
            weekdays: (sundays | (sundays >> 7)) & 0x7f,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        match schedule.after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err("no day is ever like that".to_owned()),
        }
    }

    /// The first time after this one; `None` only where there is none at all.
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let start = time.to_zoned(TimeZone::UTC).datetime();
        let mut date = start.date();
        for _ in 0..LONGEST {
            if self.has_day(date) {
                let found = (0..24i8)
                    .filter(|hour| has(self.hours, *hour))
                    .flat_map(|hour| {
                        let minutes = (0..60i8).filter(|minute| has(self.minutes, *minute));
                        minutes.map(move |minute| date.at(hour, minute, 0, 0))
                    })
                    .find(|at| *at > start);
                if let Some(found) = found {
                    return found.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp());
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let wanted = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        wanted && has(self.months, date.month())
    }
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits >> value & 1 == 1)
}

/// `*`, `5`, `1-5`, `*/15`, `1-10/3`, and several of them with commas between.
fn bits(what: &str, text: &str, least: u32, most: u32) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{what} {text:?} is not *, a number from {least} to {most}, a range, a list or a step"
        )
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = text.parse::<u32>().ok().filter(|_| digits);
        value
            .filter(|v| (least..=most).contains(v))
            .ok_or_else(wrong)
    };
    let mut all = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().map_err(|_| wrong())?),
            None => (part, 1),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (least, most),
            (_, Some((from, to))) => (number(from)?, number(to)?),
            (one, None) => {
                let from = number(one)?;
                (from, if part.contains('/') { most } else { from })
            }
        };
        if step == 0 || from > to {
            return Err(wrong());
        }
        let mut value = from;
        while value <= to {
            all |= 1 << value;
            value = value.saturating_add(step);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0 3 * * *", "2026-11-23T10:00:00Z", "2026-11-24T03:00:00Z")]
    #[case("0 3 * * *", "2026-11-23T02:59:59Z", "2026-11-23T03:00:00Z")]
    #[case("0 3 * * *", "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z")]
    #[case("*/15 * * * *", "2026-11-23T10:14:59.9Z", "2026-11-23T10:15:00Z")]
    #[case("30 6 * * 1-5", "2026-11-27T07:00:00Z", "2026-11-30T06:30:00Z")]
    #[case("0 0 * * 7", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z")]
    #[case("0 0 1,15 * *", "2026-12-31T23:59:00Z", "2027-01-01T00:00:00Z")]
    #[case("0 0 13 * 5", "2026-11-10T00:00:00Z", "2026-11-13T00:00:00Z")]
    #[case("0 0 13 * 5", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z")]
    #[case("5 4 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T04:05:00Z")]
    #[case("10-20/5 1 * * *", "2026-11-23T01:10:00Z", "2026-11-23T01:15:00Z")]
    fn the_next_time_is_found(#[case] text: &str, #[case] from: &str, #[case] next: &str) {
        let schedule = Schedule::parse(text).unwrap();
        let found = schedule.after(from.parse().unwrap()).unwrap();
        assert_eq!(found, next.parse::<Timestamp>().unwrap(), "{text}");
    }

    #[rstest]
    #[case("0 3 * *", "five fields")]
    #[case("60 3 * * *", "minute")]
    #[case("0 3-1 * * *", "hour")]
    #[case("0 3 0 * *", "day")]
    #[case("0 3 * JAN *", "month")]
    #[case("0 3 * * 8", "weekday")]
    #[case("*/0 3 * * *", "minute")]
    #[case("+1 3 * * *", "minute")]
    #[case("0 0 31 2 *", "no day")]
    fn a_schedule_that_is_none_says_which_field(#[case] text: &str, #[case] says: &str) {
        let why = Schedule::parse(text).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}
