//! Tokens to an expression, by recursive descent.

use super::lexer::{Token, syntax, tokens};
use super::{Error, Filter, Literal, Operator};

/// Limits of the vendor's document: length of an expression, of an IN list, number of distinct identifiers.
const LONGEST: usize = 50_000;
const LONGEST_LIST: usize = 100;
const MOST_IDENTIFIERS: usize = 8;
/// Ours: an expression nests by recursion.
const DEEPEST: usize = 50;

pub(super) fn parse(text: &str, fields: &[&str]) -> Result<Filter, Error> {
    if text.chars().nth(LONGEST).is_some() {
        return Err(Error::Limit("longer than 50000 characters"));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        end: text.chars().count(),
        fields,
        seen: Vec::new(),
        depth: 0,
        braces: 0,
    };
    let filter = parser.any_of()?;
    if parser.at < parser.tokens.len() {
        return Err(parser.expected("AND, OR or the end"));
    }
    if parser.seen.len() > MOST_IDENTIFIERS {
        return Err(Error::Limit("more than 8 different attributes"));
    }
    Ok(filter)
}

/// One by itself is no list.
fn one_or(mut filters: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(only) if filters.is_empty() => only,
        last => many(filters.into_iter().chain(last).collect()),
    }
}

struct Parser<'a> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    end: usize,
    fields: &'a [&'a str],
    seen: Vec<String>,
    depth: usize,
    /// Inside braces identifiers are those of the element.
    braces: usize,
}

impl Parser<'_> {
    fn any_of(&mut self) -> Result<Filter, Error> {
        let mut any = vec![self.all_of()?];
        while self.keyword("OR") {
            any.push(self.all_of()?);
        }
        Ok(one_or(any, Filter::Or))
    }

    fn all_of(&mut self) -> Result<Filter, Error> {
        let mut all = vec![self.negation()?];
        while self.keyword("AND") {
            all.push(self.negation()?);
        }
        Ok(one_or(all, Filter::And))
    }

    fn negation(&mut self) -> Result<Filter, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Error::Limit("nested deeper than 50 levels"));
        }
        let filter = if self.keyword("NOT") {
            Filter::Not(Box::new(self.negation()?))
        } else if self.token(&Token::Open) {
            let inner = self.any_of()?;
            self.require(&Token::Close, "')'")?;
            inner
        } else if self.keyword("SEARCH") {
            Filter::Search(self.literal()?)
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Result<Filter, Error> {
        let field = self.field()?;
        if self.keyword("CONTAINS") {
            if self.token(&Token::OpenBrace) {
                self.braces += 1;
                let inner = Box::new(self.any_of()?);
                self.braces -= 1;
                self.require(&Token::CloseBrace, "'}'")?;
                return Ok(Filter::Any { field, inner });
            }
            return Ok(Filter::Contains {
                field,
                literal: self.literal()?,
            });
        }
        if self.keyword("IN") {
            self.require(&Token::OpenBracket, "'['")?;
            return Ok(Filter::In {
                field,
                list: self.list()?,
            });
        }
        let operators = [
            ("EQ", Operator::Equal),
            ("NE", Operator::NotEqual),
            ("GT", Operator::Greater),
            ("GE", Operator::GreaterOrEqual),
            ("LT", Operator::Less),
            ("LE", Operator::LessOrEqual),
        ];
        for (word, operator) in operators {
            if self.keyword(word) {
                return Ok(Filter::Compare {
                    field,
                    operator,
                    literal: self.literal()?,
                });
            }
        }
        Err(self.expected("EQ, NE, GT, GE, LT, LE, CONTAINS or IN"))
    }

    fn field(&mut self) -> Result<String, Error> {
        let Some((Token::Word(name), _)) = self.tokens.get(self.at) else {
            return Err(self.expected("an attribute"));
        };
        let name = name.clone();
        if self.braces == 0 && !self.fields.contains(&name.as_str()) {
            return Err(Error::Field(name));
        }
        self.at += 1;
        if !self.seen.contains(&name) {
            self.seen.push(name.clone());
        }
        Ok(name)
    }

    fn literal(&mut self) -> Result<Literal, Error> {
        let Some((token, _)) = self.tokens.get(self.at) else {
            return Err(self.expected("a value"));
        };
        let literal = match token {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(number) => Literal::Number(*number),
            Token::Time(time) => Literal::Time(*time),
            Token::Word(word) if word.eq_ignore_ascii_case("nil") => Literal::Nil,
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Token::OpenBracket => {
                self.at += 1;
                return Ok(Literal::List(self.list()?));
            }
            _ => return Err(self.expected("a value (quote texts)")),
        };
        self.at += 1;
        Ok(literal)
    }

    /// From after the opening bracket to the closing one.
    fn list(&mut self) -> Result<Vec<Literal>, Error> {
        let mut list = Vec::new();
        if self.token(&Token::CloseBracket) {
            return Ok(list);
        }
        loop {
            if matches!(self.tokens.get(self.at), Some((Token::OpenBracket, _))) {
                return Err(self.expected("a value that is no list"));
            }
            list.push(self.literal()?);
            if list.len() > LONGEST_LIST {
                return Err(Error::Limit("a list of more than 100 values"));
            }
            if self.token(&Token::CloseBracket) {
                return Ok(list);
            }
            self.require(&Token::Comma, "',' or ']'")?;
        }
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some((Token::Word(word), _)) if word.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }

    fn token(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|(t, _)| t == token);
        self.at += usize::from(found);
        found
    }

    fn require(&mut self, token: &Token, name: &str) -> Result<(), Error> {
        if self.token(token) {
            Ok(())
        } else {
            Err(self.expected(name))
        }
    }

    fn expected(&self, what: &str) -> Error {
        let at = self.tokens.get(self.at).map_or(self.end, |(_, at)| at - 1);
        syntax(&format!("expected {what}"), at)
    }
}
