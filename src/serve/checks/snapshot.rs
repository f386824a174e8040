//! How old the data of an order would be.

use environment::Problem;
use environment::order::Order;
use jiff::{SignedDuration, Timestamp};

use crate::serve::app::App;
use crate::serve::error::ApiError;
use crate::serve::sources::Dataset;

/// The time of the data that an order of the latest snapshot gets; `None` where it names a snapshot itself, or where
/// nothing is known.
pub(crate) async fn newest(app: &App, order: &Order) -> Result<Option<Timestamp>, ApiError> {
    if order.snapshot_id.is_some() {
        return Ok(None);
    }
    match app.sources.find(&order.source).await? {
        Ok(dataset) => app.sources.newest_snapshot(&dataset.id).await,
        Err(_) => Ok(None),
    }
}

/// Whoever names a snapshot has chosen its age.
pub(super) async fn too_old(
    app: &App,
    order: &Order,
    dataset: &Dataset,
) -> Result<Option<Problem>, ApiError> {
    let Some(most) = app.settings.orders.max_snapshot_age_hours else {
        return Ok(None);
    };
    if order.snapshot_id.is_some() {
        return Ok(None);
    }
    let newest = app.sources.newest_snapshot(&dataset.id).await?;
    Ok(beyond(&order.source, newest, Timestamp::now(), most))
}

fn beyond(source: &str, newest: Option<Timestamp>, now: Timestamp, most: u32) -> Option<Problem> {
    let source = environment::names::quoted(source);
    let problem = |message: String| Problem::field("source", "/source", message);
    let Some(newest) = newest else {
        return Some(
            problem(format!("source {source} has no snapshot yet"))
                .hint("have a snapshot taken, then order again"),
        );
    };
    let age = now.duration_since(newest);
    (age > SignedDuration::from_hours(i64::from(most))).then(|| {
        let message = format!(
            "the newest snapshot of source {source} is {} old, at most {most} h are allowed here",
            in_words(age)
        );
        problem(message).hint("have a new snapshot taken, or name one in snapshotId")
    })
}

/// An age for people: its two largest units.
pub(crate) fn in_words(age: SignedDuration) -> String {
    let minutes = age.as_mins().max(0);
    let (days, hours) = (minutes / (24 * 60), minutes / 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0..2, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_snapshot_is_named_with_age_limit_and_fix() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let taken = |hours| Some(now - SignedDuration::from_hours(hours));
        assert_eq!(beyond("a:b", taken(24), now, 24), None);
        assert_eq!(beyond("a:b", taken(-1), now, 24), None, "clocks differ");
        let problem = beyond("a:b", taken(75), now, 24).unwrap();
        for part in ["\"a:b\"", "3 d 3 h", "at most 24 h"] {
            assert!(problem.message.contains(part), "{}", problem.message);
        }
        assert!(problem.hint.unwrap().contains("snapshotId"));
        let none = beyond("a:b", None, now, 24).unwrap();
        assert!(none.message.contains("no snapshot yet"));
    }

    #[test]
    fn an_age_has_two_units() {
        let words = |minutes| in_words(SignedDuration::from_mins(minutes));
        for (minutes, expected) in [
            (-5, "0 min"),
            (59, "59 min"),
            (60, "1 h 0 min"),
            (47 * 60, "47 h 0 min"),
            (49 * 60, "2 d 1 h"),
        ] {
            assert_eq!(words(minutes), expected);
        }
    }
}
