//! Lists and searches: filter, sort, cut into pages. Without a sort, the order is that of creation.

mod cursor;

use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use dct::types::{Page, ResponseMetadata, SearchBody};

use super::error::ApiError;
use crate::doc::{Doc, Row};
use crate::filter::Filter;
use crate::sizes::MEASURED;
use cursor::{Cursor, Key, Place, compare};

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
    cursor: Cursor,
    sort: Option<(String, bool)>,
    /// The list and its order, which its cursors belong to.
    of: String,
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
        let sort =
            query
                .get("sort")
                .filter(|s| !s.is_empty())
                .map(|sort| match sort.strip_prefix('-') {
                    Some(field) => (field.to_owned(), true),
                    None => (sort.clone(), false),
                });
        let order = query.get("sort").map_or("", String::as_str);
        let path = parts.uri.path();
        let of = format!("{} {order}", path.strip_suffix("/search").unwrap_or(path));
        let cursor = match query.get("cursor").filter(|cursor| !cursor.is_empty()) {
            None => Cursor::Start,
            Some(text) => Cursor::read(text, &of).ok_or_else(|| {
                let why = "cursor is none that this engine gave out for this list and this sort; begin again without one";
                ApiError::invalid(why)
            })?,
        };
        Ok(Self {
            limit,
            cursor,
            sort,
            of,
        })
    }
}

/// One page of the objects that the search wants.
pub(super) fn page(
    objects: &[Numbered],
    fields: &[&str],
    search: &SearchBody,
    wanted: &Wanted,
) -> Result<List, ApiError> {
    page_of(
        |_, cut| cut(&mut objects.iter().map(Row::from), &|_| None),
        fields,
        search,
        wanted,
    )
}

/// A document with the number of its object.
pub(super) type Numbered = (u64, Doc);

/// What is known of an object besides its document. To look it up costs more than to look at a document.
pub(super) type Beside<'a> = dyn Fn(&Doc) -> Option<&'a Doc> + 'a;

/// Cuts a page out of all objects, which come in the order of their numbers.
pub(super) type Cut<'a> = dyn FnMut(&mut dyn Iterator<Item = Row<'_>>, &Beside<'_>) + 'a;

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
    let sorted_by = wanted.sort.as_ref().map(|(field, _)| field.as_str());
    let all_of_it = filter.as_ref().is_some_and(|f| f.mentions(&MEASURED))
        || sorted_by.is_some_and(|field| MEASURED.contains(&field));
    let mut page = None;
    source(filter.as_ref(), &mut |rows, beside| {
        let mut ready = filter.as_ref().map(|filter| filter.ready(fields));
        let rows = rows.map(|row| Row {
            beside: all_of_it.then(|| beside(row.doc)).flatten(),
            ..row
        });
        let fits = |row: &Row<'_>| ready.as_mut().is_none_or(|ready| ready.matches_row(*row));
        let found = rows.filter(fits).map(|row| Keyed {
            key: Key(sorted_by.and_then(|field| row.get(field)), row.number),
            row,
        });
        let found: Vec<Keyed<'_>> = found.collect();
        let total = found.len();
        let cut = wanted.cut(found);
        let whole = |Keyed { row, .. }: &Keyed<'_>| match beside(row.doc) {
            Some(more) => row.doc.with(more),
            None => row.doc.clone(),
        };
        let items = cut.shown.iter().map(|one| Shown(whole(one))).collect();
        page = Some(Page {
            items,
            response_metadata: Some(ResponseMetadata {
                prev_cursor: cut.before.map(|cursor| cursor.written(&wanted.of)),
                next_cursor: cut.after.map(|cursor| cursor.written(&wanted.of)),
                total: i64::try_from(total).ok(),
            }),
            errors: Vec::new(),
        });
    });
    Ok(Json(page.unwrap_or_default()))
}

/// An object with what it is sorted by.
struct Keyed<'a> {
    key: Key<'a>,
    row: Row<'a>,
}

/// Objects of a page, with the cursors of what is before and after them.
struct CutOut<'a> {
    shown: Vec<Keyed<'a>>,
    before: Option<Cursor>,
    after: Option<Cursor>,
}

impl Wanted {
    fn cut<'a>(&self, mut found: Vec<Keyed<'a>>) -> CutOut<'a> {
        let descending = self
            .sort
            .as_ref()
            .is_some_and(|(_, descending)| *descending);
        let compare = |a: &Key<'_>, b: &Key<'_>| compare(a, b, descending);
        let total = found.len();
        match &self.cursor {
            Cursor::After(place) => found.retain(|one| compare(&one.key, &place.key()).is_gt()),
            Cursor::Before(place) => found.retain(|one| compare(&one.key, &place.key()).is_lt()),
            Cursor::Start | Cursor::End => {}
        }
        let (left, most) = (found.len(), self.limit.min(found.len()));
        let backward = matches!(self.cursor, Cursor::Before(_) | Cursor::End);
        let other_way = |a: &Keyed<'_>, b: &Keyed<'_>| {
            let order = compare(&a.key, &b.key);
            if backward { order.reverse() } else { order }
        };
        // Finding the page's objects costs less than to sort all; without a sort they come in their order.
        if self.sort.is_some() && (1..left).contains(&most) {
            found.select_nth_unstable_by(most - 1, other_way);
            found.truncate(most);
        } else if backward {
            found.drain(..left - most);
        } else {
            found.truncate(most);
        }
        if self.sort.is_some() {
            found.sort_unstable_by(|a, b| compare(&a.key, &b.key));
        }
        let (more_ahead, more_behind) = (left > most, left < total);
        let (before, after) = if backward {
            (more_ahead, more_behind)
        } else {
            (more_behind, more_ahead)
        };
        let place = |one: &Keyed<'_>| Place::from(one.key);
        CutOut {
            before: before.then(|| {
                found
                    .first()
                    .map_or(Cursor::End, |one| Cursor::Before(place(one)))
            }),
            after: after.then(|| {
                found
                    .last()
                    .map_or(Cursor::Start, |one| Cursor::After(place(one)))
            }),
            shown: found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn objects(numbers: impl IntoIterator<Item = u64>) -> Vec<Numbered> {
        let doc = |n: u64| match n % 5 {
            0 => json!({ "id": n }),
            r => json!({ "id": n, "name": format!("n{r}") }),
        };
        numbers.into_iter().map(|n| (n, doc(n).into())).collect()
    }

    fn wanted(limit: usize, cursor: Option<&str>, sort: &str) -> Wanted {
        Wanted {
            limit,
            cursor: cursor.map_or(Cursor::Start, |text| Cursor::read(text, sort).unwrap()),
            sort: sort.strip_prefix('-').map_or_else(
                || (!sort.is_empty()).then(|| (sort.to_owned(), false)),
                |field| Some((field.to_owned(), true)),
            ),
            of: sort.to_owned(),
        }
    }

    /// Numbers on the page, and the cursors before and after it.
    fn asked(objects: &[Numbered], wanted: &Wanted) -> (Vec<u64>, Option<String>, Option<String>) {
        let search = SearchBody::default();
        let Json(page) = page(objects, &["id", "name"], &search, wanted).unwrap();
        let metadata = page.response_metadata.unwrap();
        assert_eq!(metadata.total, i64::try_from(objects.len()).ok());
        let id = |Shown(doc): &Shown| doc.get("id").unwrap().as_i64().unwrap().cast_unsigned();
        let ids = page.items.iter().map(id).collect();
        (ids, metadata.prev_cursor, metadata.next_cursor)
    }

    #[test]
    fn pages_go_there_and_back_and_show_everything_once() {
        let all = objects(1..=23);
        for sort in ["", "name", "-name", "id", "-id"] {
            let (whole, ..) = asked(&all, &wanted(100, None, sort));
            assert_eq!(whole.len(), 23);
            for limit in [1, 2, 7, 22, 23, 24] {
                let (mut pages, mut cursor): (Vec<Vec<u64>>, _) = (Vec::new(), None);
                let mut back = loop {
                    let (ids, before, after) = asked(&all, &wanted(limit, cursor.as_deref(), sort));
                    assert_eq!(before.is_some(), !pages.is_empty(), "{sort} {limit}");
                    pages.push(ids);
                    match after {
                        Some(after) => cursor = Some(after),
                        None => break before,
                    }
                };
                assert_eq!(pages.concat(), whole, "{sort} {limit}");
                for expected in pages.iter().rev().skip(1) {
                    let (ids, before, after) = asked(&all, &wanted(limit, back.as_deref(), sort));
                    assert_eq!((&ids, after.is_some()), (expected, true), "{sort} {limit}");
                    back = before;
                }
                assert_eq!(back, None);
            }
        }
    }

    #[test]
    fn what_goes_between_two_pages_neither_hides_nor_repeats_anything() {
        let all = objects(1..=23);
        for sort in ["", "name", "-name"] {
            let (first, _, after) = asked(&all, &wanted(7, None, sort));
            let (whole, ..) = asked(&all, &wanted(100, None, sort));
            // The first, the last of the page, some behind it; and something new.
            let gone = [first[0], first[3], first[6], whole[9]];
            let mut left = all.clone();
            left.retain(|(number, _)| !gone.contains(number));
            left.extend(objects([24]));
            let (ids, before, _) = asked(&left, &wanted(100, after.as_deref(), sort));
            let rest = |from: &[u64]| {
                let mut rest = from.to_vec();
                rest.retain(|n| !gone.contains(n));
                rest
            };
            let known =
                |ids: &[u64]| -> Vec<u64> { ids.iter().copied().filter(|n| *n != 24).collect() };
            assert_eq!(known(&ids), rest(&whole[7..]), "{sort}");
            let (behind, ..) = asked(&left, &wanted(7, before.as_deref(), sort));
            assert_eq!(known(&behind), rest(&first), "{sort}");
            assert!(ids.contains(&24) != behind.contains(&24), "{sort}");

            // Nothing is left on that side: the way back is there.
            let alone: Vec<Numbered> = all
                .iter()
                .filter(|o| first.contains(&o.0))
                .cloned()
                .collect();
            let (ids, before, next) = asked(&alone, &wanted(7, after.as_deref(), sort));
            assert_eq!((ids, next), (Vec::new(), None));
            let (ids, ..) = asked(&alone, &wanted(7, before.as_deref(), sort));
            assert_eq!(ids, first, "{sort}");
        }
    }
}
