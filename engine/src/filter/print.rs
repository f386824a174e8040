//! An expression as text that reads back as the same.

use std::fmt::{Display, Formatter, Result, Write as _};

use super::{Filter, Literal, Operator};

impl Display for Filter {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self {
            Self::Not(inner) => {
                out.write_str("NOT ")?;
                part(inner, out)
            }
            Self::And(all) => joined(all, " AND ", out),
            Self::Or(any) => joined(any, " OR ", out),
            Self::Compare {
                field,
                operator,
                literal,
            } => write!(out, "{field} {operator} {literal}"),
            Self::Contains { field, literal } => write!(out, "{field} CONTAINS {literal}"),
            Self::Any { field, inner } => write!(out, "{field} CONTAINS {{ {inner} }}"),
            Self::In { field, list } => {
                write!(out, "{field} IN ")?;
                bracketed(list, out)
            }
            Self::Search(literal) => write!(out, "SEARCH {literal}"),
        }
    }
}

/// Parentheses where the reader would otherwise take the parts for those of the whole.
fn part(filter: &Filter, out: &mut Formatter<'_>) -> Result {
    match filter {
        Filter::And(_) | Filter::Or(_) => write!(out, "({filter})"),
        simple => simple.fmt(out),
    }
}

fn joined(filters: &[Filter], with: &str, out: &mut Formatter<'_>) -> Result {
    for (index, filter) in filters.iter().enumerate() {
        if index > 0 {
            out.write_str(with)?;
        }
        part(filter, out)?;
    }
    Ok(())
}

fn bracketed(list: &[Literal], out: &mut Formatter<'_>) -> Result {
    out.write_char('[')?;
    for (index, literal) in list.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(out, "{comma}{literal}")?;
    }
    out.write_char(']')
}

impl Display for Operator {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        out.write_str(match self {
            Self::Equal => "EQ",
            Self::NotEqual => "NE",
            Self::Greater => "GT",
            Self::GreaterOrEqual => "GE",
            Self::Less => "LT",
            Self::LessOrEqual => "LE",
        })
    }
}

impl Display for Literal {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        match self {
            Self::Nil => out.write_str("NIL"),
            Self::Bool(bool) => write!(out, "{bool}"),
            Self::Number(number) => write!(out, "{number}"),
            // A text that was read holds one of the two quotes at most.
            Self::Text(text) if text.contains('\'') => write!(out, "\"{text}\""),
            Self::Text(text) => write!(out, "'{text}'"),
            Self::Time(time) => write!(out, "{time}"),
            Self::List(list) => bracketed(list, out),
        }
    }
}
