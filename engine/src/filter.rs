//! The search language of Data Control Tower: text to an expression, an expression against an object.
//!
//! NOT binds tighter than AND, AND tighter than OR; keywords know no case. An expression that means nothing is refused
//! with the place where it stops making sense, because a search that silently finds nothing makes callers create twice.

mod anywhere;
mod evaluate;
mod lexer;
mod parser;
mod print;

pub use evaluate::Ready;

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

    /// The texts that alone fit an attribute, if the expression says so: who can look them up need not look at everything.
    pub fn only(&self, attribute: &str) -> Option<Vec<&str>> {
        fn text(literal: &Literal) -> Option<&str> {
            match literal {
                // A point in time also fits where it is spelled otherwise.
                Literal::Text(text) if evaluate::time(text).is_none() => Some(text),
                _ => None,
            }
        }
        match self {
            Self::Compare {
                field,
                operator: Operator::Equal,
                literal,
            } if field == attribute => Some(vec![text(literal)?]),
            Self::In { field, list } if field == attribute => list.iter().map(text).collect(),
            Self::And(all) => all.iter().find_map(|one| one.only(attribute)),
            _ => None,
        }
    }

    /// The tag that everything that fits carries, if the expression asks for one.
    pub fn tag(&self) -> Option<(&str, &str)> {
        fn one<'a>(inner: &'a Filter, attribute: &str) -> Option<&'a str> {
            match inner.only(attribute)?[..] {
                [one] => Some(one),
                _ => None,
            }
        }
        match self {
            Self::Any { field, inner } if field == "tags" => {
                Some((one(inner, "key")?, one(inner, "value")?))
            }
            Self::And(all) => all.iter().find_map(Self::tag),
            _ => None,
        }
    }

    /// Whether it looks at one of these attributes, which are whole numbers.
    pub fn mentions(&self, attributes: &[&str]) -> bool {
        match self {
            Self::Not(inner) => inner.mentions(attributes),
            Self::And(all) | Self::Or(all) => all.iter().any(|one| one.mentions(attributes)),
            Self::Compare { field, .. }
            | Self::Contains { field, .. }
            | Self::Any { field, .. }
            | Self::In { field, .. } => attributes.contains(&field.as_str()),
            Self::Search(literal) => anywhere::plain(literal).bytes().all(|b| b.is_ascii_digit()),
        }
    }

    /// To be held against documents with these attributes.
    pub fn ready<'a>(&'a self, fields: &'a [&'a str]) -> Ready<'a> {
        Ready::new(self, fields)
    }
}
