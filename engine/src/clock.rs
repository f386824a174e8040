//! Points in time as the interface writes them: RFC 3339, UTC, microseconds.

pub(crate) fn now() -> String {
    format(jiff::Timestamp::now())
}

pub(crate) fn format(time: jiff::Timestamp) -> String {
    format!("{time:.6}")
}
