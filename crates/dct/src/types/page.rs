//! Lists, searches and refusals.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::lenient;

/// One page of a list. `errors` reports engines that could not be asked: the list is then incomplete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    #[serde(
        default = "Vec::new",
        deserialize_with = "lenient::list",
        bound(deserialize = "T: Deserialize<'de>")
    )]
    pub items: Vec<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_metadata: Option<ResponseMetadata>,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::list"
    )]
    pub errors: Vec<PartialError>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            response_metadata: None,
            errors: Vec::new(),
        }
    }
}

impl<T> Page<T> {
    /// Where the next page begins; `None` at the end.
    pub fn next_cursor(&self) -> Option<&str> {
        self.response_metadata
            .as_ref()
            .and_then(|meta| meta.next_cursor.as_deref())
            .filter(|cursor| !cursor.is_empty())
    }
}

wire! {
    ResponseMetadata {
        |
        prev_cursor: String,
        next_cursor: String,
        #[serde(deserialize_with = "lenient::integer")]
        total: i64,
    }
}

wire! {
    PartialError {
        |
        message: String,
        object_name: String,
    }
}

wire! {
    SearchBody {
        |
        filter_expression: String,
    }
}

wire! {
    ErrorResponse {
        |
        error: String,
        error_description: String,
    }
}
