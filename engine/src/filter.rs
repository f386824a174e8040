//! The search language of Data Control Tower: text to an expression, an expression against an object.
//!
//! NOT binds tighter than AND, AND tighter than OR; keywords know no case. An expression that means nothing is refused
//! with the place where it stops making sense, because a search that silently finds nothing makes callers create twice.

mod evaluate;
mod lexer;
mod parser;
mod print;

use serde_json::Value;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    Not(Box<Filter>),
    /// Two or more. A list, because thousands of them side by side must not nest.
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Compare {
        field: String,
        operator: Operator,
        literal: Literal,
    },
    Contains {
        field: String,
        literal: Literal,
    },
    /// An element of a list of objects for which the inner expression holds.
    Any {
        field: String,
        inner: Box<Filter>,
    },
    In {
        field: String,
        list: Vec<Literal>,
    },
    /// Somewhere in any filterable attribute, whatever the case.
    Search(Literal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Nil,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A point in time, written without quotes.
    Time(jiff::Timestamp),
    List(Vec<Literal>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("filter_expression: {what} at character {at}")]
    Syntax { what: String, at: usize },
    #[error("filter_expression: objects of this kind have no filterable attribute {0}")]
    Field(String),
    #[error("filter_expression: {0}")]
    Limit(&'static str),
}

impl Filter {
    /// `fields` are the attributes of this kind of object.
    pub fn parse(text: &str, fields: &[&str]) -> Result<Self, Error> {
        parser::parse(text, fields)
    }

    pub fn matches(&self, object: &Value, fields: &[&str]) -> bool {
        evaluate::matches(self, object, fields)
    }
}
