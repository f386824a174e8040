//! Lists and searches: filter, sort, cut into pages. Without a sort, the order is that of creation.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use dct::types::{Page, ResponseMetadata, SearchBody};
use serde_json::Value;

use super::error::ApiError;
use crate::filter::Filter;

pub(super) type List = Json<Page<Shown>>;

/// A document on its way out, without a copy.
#[derive(Clone)]
pub(super) struct Shown(pub(super) Arc<Value>);

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
    objects: Vec<Arc<Value>>,
    fields: &[&str],
    search: &SearchBody,
    wanted: &Wanted,
) -> Result<List, ApiError> {
    page_of(|_| objects, fields, search, wanted)
}

/// The same, from a source that may leave out what does not fit anyway.
pub(super) fn page_of(
    objects: impl FnOnce(Option<&Filter>) -> Vec<Arc<Value>>,
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
    let mut objects = objects(filter.as_ref());
    if let Some(filter) = &filter {
        objects.retain(|object| filter.matches(object, fields));
    }
    if let Some((field, descending)) = &wanted.sort {
        if !fields.contains(&field.as_str()) {
            return Err(ApiError::invalid(format!(
                "sort: objects of this kind have no attribute {field:?}"
            )));
        }
        objects = sorted(&objects, field, *descending);
    }
    let total = objects.len();
    let end = wanted.from.saturating_add(wanted.limit).min(total);
    let items = objects
        .get(wanted.from..end)
        .unwrap_or_default()
        .iter()
        .cloned()
        .map(Shown)
        .collect();
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

/// Each attribute is looked up once. Stable, so that equal ones stay in the order of creation.
fn sorted(objects: &[Arc<Value>], field: &str, descending: bool) -> Vec<Arc<Value>> {
    let keyed = objects.iter().map(|object| (object.get(field), object));
    let mut keyed: Vec<(Option<&Value>, &Arc<Value>)> = keyed.collect();
    keyed.sort_by(|(a, _), (b, _)| {
        let order = order(*a, *b);
        if descending { order.reverse() } else { order }
    });
    keyed.into_iter().map(|(_, o)| Arc::clone(o)).collect()
}

/// Absent before present; numbers as numbers; points in time sort as texts because all are written alike.
fn order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a
            .as_f64()
            .partial_cmp(&b.as_f64())
            .unwrap_or(Ordering::Equal),
        (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
