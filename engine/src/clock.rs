//! Points in time as the interface writes them: RFC 3339, UTC, microseconds.

pub(crate) fn now() -> String {
    format(jiff::Timestamp::now())
}

pub(crate) fn format(time: jiff::Timestamp) -> String {
    format!("{time:.6}")
}

/// Milliseconds since 1970 of a point in time as callers write it; a date-time without a zone is none.
pub(crate) fn instant(text: &str) -> Option<i64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

/// Microseconds since 1970 of a point in time, as PostgreSQL counts them.
pub(crate) fn micros(text: &str) -> Option<i64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_microsecond())
}

pub(crate) fn from_micros(micros: i64) -> Option<String> {
    jiff::Timestamp::from_microsecond(micros).ok().map(format)
}

/// Today, in UTC.
pub(crate) fn today() -> jiff::civil::Date {
    jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}
