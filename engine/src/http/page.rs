//! Lists and searches: filter, sort, cut into pages. Without a sort, the order is that of creation.

use std::cmp::Ordering;
use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use dct::types::{Page, ResponseMetadata, SearchBody};

use super::error::ApiError;
use crate::doc::{Doc, Field, Is};
use crate::filter::Filter;

pub(super) type List = Json<Page<Shown>>;

/// A document on its way out.
#[derive(Clone)]
pub(super) struct Shown(pub(super) Doc);

impl serde::Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1000;

/// `limit`, `cursor` and `sort`; other parameters are ignored.
#[derive(Debug)]
pub(super) struct Wanted {
    limit: usize,
    from: usize,
    sort: Option<(String, bool)>,
}

impl Wanted {
    /// Where the page ends.
    fn until(&self, total: usize) -> usize {
        self.from.saturating_add(self.limit).min(total)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let query = Query::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|_| ApiError::invalid("the query of the address cannot be read"))?;
        let limit = match query.get("limit").map(|text| text.parse()) {
            None => DEFAULT_LIMIT,
            Some(Ok(limit @ 1..=LARGEST_LIMIT)) => limit,
            Some(_) => return Err(ApiError::invalid("limit must be a number from 1 to 1000")),
        };
        let from = match query.get("cursor") {
            None => 0,
            Some(cursor) => {
                let from = cursor.strip_prefix('p').and_then(|from| from.parse().ok());
                from.ok_or_else(|| ApiError::invalid("cursor is none that this engine gave out"))?
            }
        };
        let sort =
            query
                .get("sort")
                .filter(|s| !s.is_empty())
                .map(|sort| match sort.strip_prefix('-') {
                    Some(field) => (field.to_owned(), true),
                    None => (sort.clone(), false),
                });
        Ok(Self { limit, from, sort })
    }
}

/// One page of the objects that the search wants.
pub(super) fn page(
    objects: &[Doc],
    fields: &[&str],
    search: &SearchBody,
    wanted: &Wanted,
) -> Result<List, ApiError> {
    page_of(|_, cut| cut(&mut objects.iter()), fields, search, wanted)
}

/// Cuts a page out of all objects.
pub(super) type Cut<'a> = dyn FnMut(&mut dyn Iterator<Item = &Doc>) + 'a;

/// The same, from a source that may leave out what does not fit anyway. Only what the page shows is copied.
pub(super) fn page_of(
    source: impl FnOnce(Option<&Filter>, &mut Cut<'_>),
    fields: &[&str],
    search: &SearchBody,
    wanted: &Wanted,
) -> Result<List, ApiError> {
    let expression = search.filter_expression.as_deref();
    let expression = expression.filter(|e| !e.trim().is_empty());
    let filter = expression
        .map(|text| Filter::parse(text, fields))
        .transpose()
        .map_err(|e| ApiError::invalid(e.to_string()))?;
    if let Some((field, _)) = &wanted.sort
        && !fields.contains(&field.as_str())
    {
        return Err(ApiError::invalid(format!(
            "sort: objects of this kind have no attribute {field:?}"
        )));
    }
    let (mut items, mut total) = (Vec::new(), 0);
    source(filter.as_ref(), &mut |objects| {
        let mut ready = filter.as_ref().map(|filter| filter.ready(fields));
        let fits = |doc: &&Doc| ready.as_mut().is_none_or(|ready| ready.matches(doc));
        let mut found: Vec<&Doc> = objects.filter(fits).collect();
        total = found.len();
        let end = wanted.until(total);
        if let Some((field, descending)) = &wanted.sort {
            found = sorted(&found, field, *descending, end);
        }
        let shown = found.get(wanted.from..end).unwrap_or_default();
        items = shown.iter().map(|doc| Shown((*doc).clone())).collect();
    });
    let end = wanted.until(total);
    let metadata = ResponseMetadata {
        prev_cursor: (wanted.from > 0)
            .then(|| format!("p{}", wanted.from.saturating_sub(wanted.limit))),
        next_cursor: (end < total).then(|| format!("p{end}")),
        total: i64::try_from(total).ok(),
    };
    Ok(Json(Page {
        items,
        response_metadata: Some(metadata),
        errors: Vec::new(),
    }))
}

/// The first so many in their order. Equal ones stay in the order of creation, so that pages fit together.
fn sorted<'a>(objects: &[&'a Doc], field: &str, descending: bool, first: usize) -> Vec<&'a Doc> {
    // Each attribute is looked up once.
    let keyed = objects.iter().enumerate();
    let mut keyed: Vec<(Option<Field<'a>>, usize)> =
        keyed.map(|(at, object)| (object.get(field), at)).collect();
    let compare = |(a, at): &(Option<Field<'_>>, usize), (b, other): &(_, usize)| {
        let order = order(*a, *b);
        let order = if descending { order.reverse() } else { order };
        order.then(at.cmp(other))
    };
    // Finding the page's objects costs less than to sort all.
    if (1..keyed.len()).contains(&first) {
        keyed.select_nth_unstable_by(first - 1, compare);
        keyed.truncate(first);
    }
    keyed.sort_unstable_by(compare);
    keyed.into_iter().map(|(_, at)| objects[at]).collect()
}

/// Absent before present, and each kind by itself; numbers as numbers; points in time sort as texts because all are
/// written alike.
fn order(a: Option<Field<'_>>, b: Option<Field<'_>>) -> Ordering {
    let kind = |field: Option<Field<'_>>| field.map_or(Is::Null, |field| field.is());
    match (a, b) {
        (Some(a), Some(b)) if a.is() == b.is() => match a.is() {
            Is::Number => a.as_f64().partial_cmp(&b.as_f64()),
            Is::Text => Some(a.text().cmp(b.text())),
            Is::Bool => a.as_bool().partial_cmp(&b.as_bool()),
            Is::Null | Is::Nested => None,
        }
        .unwrap_or(Ordering::Equal),
        (a, b) => kind(a).cmp(&kind(b)),
    }
}
