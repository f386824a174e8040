//! How long bookmarks and snapshots are kept.

use dct::types::Bookmark;

use crate::actions::Refusal;
use crate::clock;
use crate::engine::Engine;
use crate::model::Kind;

const FOR_EVER: i64 = -1;

impl Engine {
    /// Bookmarks whose last day is over.
    pub(crate) fn expired_bookmarks(&self) -> Vec<String> {
        let today = clock::today().to_string();
        self.store.read(|state| {
            let over = state.live(Kind::Bookmark).filter(|bookmark| {
                let day = bookmark.doc.get("expiration").and_then(|v| v.as_str());
                day.is_some_and(|day| day < today.as_str()) && state.busy(&bookmark.id).is_none()
            });
            over.map(|bookmark| bookmark.id.clone()).collect()
        })
    }
}

/// A date, a number of days, or for ever; without any of them for ever.
pub(super) fn keep_until(
    doc: &mut Bookmark,
    date: Option<&str>,
    days: Option<i64>,
    for_ever: Option<bool>,
) -> Result<(), Refusal> {
    let given = [date.is_some(), days.is_some(), for_ever == Some(true)];
    if given.into_iter().filter(|given| *given).count() > 1 {
        return Err(Refusal::Invalid(
            "only one of expiration, retention and retain_forever can be given".to_owned(),
        ));
    }
    let day = match (date, days) {
        (Some(date), _) => Some(checked_date(date)?),
        (None, None | Some(FOR_EVER)) => None,
        (None, Some(days)) => {
            let span = (1..=36_500).contains(&days).then(|| {
                clock::today()
                    .checked_add(jiff::Span::new().days(days))
                    .ok()
            });
            Some(span.flatten().ok_or_else(|| {
                Refusal::Invalid(format!("retention {days} is not -1 or 1 to 36500 days"))
            })?)
        }
    };
    doc.retention = Some(match day {
        None => FOR_EVER,
        Some(day) => i64::from((day - clock::today()).get_days()),
    });
    doc.expiration = day.map(|day| day.to_string());
    Ok(())
}

pub(crate) fn checked_date(text: &str) -> Result<jiff::civil::Date, Refusal> {
    // Some clients send a point in time.
    let day: jiff::civil::Date = text
        .get(..10)
        .unwrap_or(text)
        .parse()
        .map_err(|_| Refusal::Invalid(format!("expiration {text:?} is not like 2026-11-30")))?;
    if day < clock::today() {
        return Err(Refusal::Invalid(format!("expiration {text:?} is over")));
    }
    Ok(day)
}
