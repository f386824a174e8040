//! The search language against a naive model: expressions that are made up together with what they mean.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::fmt::Write as _;

use engine::filter::Filter;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const FIELDS: [&str; 8] = [
    "name", "note", "size", "enabled", "at", "list", "tags", "hosts",
];
const WORDS: [&str; 11] = [
    "", "a", "b", "ab", "AB", "a b", "it's", "ü\"x", "A\"b", "a\\B", "Ü",
];

/// An object as the model sees it.
#[derive(Clone, Debug)]
struct Thing {
    name: Option<String>,
    note: Option<String>,
    size: Option<i64>,
    enabled: Option<bool>,
    /// Milliseconds.
    at: Option<i64>,
    list: Vec<String>,
    tags: Vec<(String, String)>,
    /// Hosts with the versions of their repositories.
    hosts: Vec<Vec<String>>,
}

impl Thing {
    fn json(&self) -> Value {
        let mut value = json!({
            "list": self.list,
            "tags": self.tags.iter().map(|(k, v)| json!({"key": k, "value": v})).collect::<Vec<_>>(),
            "hosts": self.hosts.iter().map(|versions| json!({
                "repositories": versions.iter().map(|v| json!({"version": v})).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        });
        let mut set = |field: &str, it: Option<Value>| {
            if let Some(it) = it {
                value[field] = it;
            }
        };
        set("name", self.name.clone().map(Value::from));
        set("note", self.note.clone().map(Value::from));
        set("size", self.size.map(Value::from));
        set("enabled", self.enabled.map(Value::from));
        set("at", self.at.map(|at| instant(at).into()));
        value
    }

    fn text(&self, field: TextField) -> Option<&str> {
        match field {
            TextField::Name => self.name.as_deref(),
            TextField::Note => self.note.as_deref(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum TextField {
    Name,
    Note,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

const OPS: [Op; 6] = [Op::Eq, Op::Ne, Op::Gt, Op::Ge, Op::Lt, Op::Le];

/// Absent is equal to no value, and neither less nor greater.
fn holds<T: PartialOrd + ?Sized>(op: Op, have: Option<&T>, want: &T) -> bool {
    match (op, have) {
        (Op::Ne, None) => true,
        (_, None) => false,
        (Op::Eq, Some(have)) => have == want,
        (Op::Ne, Some(have)) => have != want,
        (Op::Gt, Some(have)) => have > want,
        (Op::Ge, Some(have)) => have >= want,
        (Op::Lt, Some(have)) => have < want,
        (Op::Le, Some(have)) => have <= want,
    }
}

#[derive(Clone, Debug)]
enum Expr {
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Text(TextField, Op, String),
    Contains(TextField, String),
    In(TextField, Vec<String>),
    Nil(&'static str, bool),
    Size(Op, i64, u8),
    Enabled(Op, bool),
    At(Op, i64, u8),
    Listed(String),
    Tagged(String, Option<String>),
    Hosted(String),
    Search(String),
}

impl Expr {
    fn means(&self, thing: &Thing) -> bool {
        match self {
            Self::Not(inner) => !inner.means(thing),
            Self::And(a, b) => a.means(thing) & b.means(thing),
            Self::Or(a, b) => a.means(thing) | b.means(thing),
            Self::Text(field, op, want) => holds(*op, thing.text(*field), want.as_str()),
            Self::Contains(field, part) => thing.text(*field).is_some_and(|t| t.contains(part)),
            Self::In(field, list) => thing
                .text(*field)
                .is_some_and(|have| list.iter().any(|want| want == have)),
            Self::Nil(field, absent) => thing.json().get(field).is_none() == *absent,
            Self::Size(op, want, _) => holds(*op, thing.size.as_ref(), want),
            // True is not more than false.
            Self::Enabled(op, want) => match op {
                Op::Eq => thing.enabled == Some(*want),
                Op::Ne => thing.enabled != Some(*want),
                _ => false,
            },
            Self::At(op, want, _) => holds(*op, thing.at.as_ref(), want),
            Self::Listed(want) => thing.list.contains(want),
            Self::Tagged(key, value) => thing
                .tags
                .iter()
                .any(|(k, v)| k == key && value.as_ref().is_none_or(|value| v == value)),
            Self::Hosted(version) => thing.hosts.iter().flatten().any(|v| v == version),
            Self::Search(part) => {
                let part = part.to_lowercase();
                let tags = thing.tags.iter().flat_map(|(k, v)| [k.clone(), v.clone()]);
                let texts = [&thing.name, &thing.note].into_iter().flatten().cloned();
                let mut all: Vec<String> = texts.chain(tags).collect();
                all.extend(thing.size.map(|n| n.to_string()));
                all.extend(thing.enabled.map(|b| b.to_string()));
                all.extend(thing.at.map(instant));
                all.extend(thing.list.iter().cloned());
                all.extend(thing.hosts.iter().flatten().cloned());
                all.iter().any(|text| text.to_lowercase().contains(&part))
            }
        }
    }

    /// How tightly its outermost operator binds.
    fn rank(&self) -> u8 {
        match self {
            Self::Or(..) => 0,
            Self::And(..) => 1,
            _ => 2,
        }
    }
}

/// Writes expressions with as few parentheses as the grammar allows, or more, in spellings that mean the same.
struct Writer {
    out: String,
    /// Where the next decision comes from.
    whims: Vec<u8>,
    at: usize,
}

impl Writer {
    fn whim(&mut self) -> u8 {
        self.at += 1;
        self.whims[self.at % self.whims.len()].wrapping_add(u8::try_from(self.at % 251).unwrap())
    }

    fn word(&mut self, word: &str) {
        let mixed = self.whim() % 3;
        let spelled: String = match mixed {
            0 => word.to_owned(),
            1 => word.to_lowercase(),
            _ => word
                .char_indices()
                .map(|(i, c)| {
                    if i % 2 == 0 {
                        c.to_ascii_lowercase()
                    } else {
                        c
                    }
                })
                .collect(),
        };
        let space = [" ", "  ", "\n", "\t "][usize::from(self.whim() % 4)];
        let _ = write!(self.out, "{space}{spelled} ");
    }

    fn quoted(&mut self, text: &str) {
        let double = text.contains('\'') || (!text.contains('"') && self.whim().is_multiple_of(2));
        let quote = if double { '"' } else { '\'' };
        let _ = write!(self.out, "{quote}{text}{quote}");
    }

    fn operator(&mut self, op: Op) {
        self.word(&format!("{op:?}").to_uppercase());
    }

    fn field(&mut self, field: TextField) {
        self.out += match field {
            TextField::Name => "name",
            TextField::Note => "note",
        };
    }

    fn inner(&mut self, expr: &Expr, least: u8) {
        if expr.rank() < least || self.whim().is_multiple_of(5) {
            self.out.push('(');
            self.expr(expr);
            self.out.push(')');
        } else {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Not(inner) => {
                self.word("NOT");
                self.inner(inner, 2);
            }
            Expr::And(a, b) => {
                self.inner(a, 1);
                self.word("AND");
                self.inner(b, 2);
            }
            Expr::Or(a, b) => {
                self.inner(a, 0);
                self.word("OR");
                self.inner(b, 1);
            }
            Expr::Text(field, op, want) => {
                self.field(*field);
                self.operator(*op);
                self.quoted(want);
            }
            Expr::Contains(field, part) => {
                self.field(*field);
                self.word("CONTAINS");
                self.quoted(part);
            }
            Expr::In(field, list) => {
                self.field(*field);
                self.word("IN");
                self.out.push('[');
                for (index, want) in list.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.quoted(want);
                }
                self.out.push(']');
            }
            Expr::Nil(field, absent) => {
                self.out += field;
                self.word(if *absent { "EQ" } else { "NE" });
                self.word("NIL");
            }
            Expr::Size(op, want, form) => {
                self.out += "size";
                self.operator(*op);
                let ending = ["", ".0", "e0"][usize::from(form % 3)];
                let _ = write!(self.out, "{want}{ending}");
            }
            Expr::Enabled(op, want) => {
                self.out += "enabled";
                self.operator(*op);
                self.word(if *want { "TRUE" } else { "FALSE" });
            }
            Expr::At(op, want, form) => {
                self.out += "at";
                self.operator(*op);
                match form % 3 {
                    0 => self.out += &instant(*want),
                    1 => self.out += &elsewhere(*want),
                    _ => self.quoted(&elsewhere(*want)),
                }
            }
            Expr::Listed(want) => {
                self.out += "list";
                self.word("CONTAINS");
                self.quoted(want);
            }
            Expr::Tagged(key, value) => {
                self.out += "tags";
                self.word("CONTAINS");
                self.out += "{key";
                self.word("EQ");
                self.quoted(key);
                if let Some(value) = value {
                    self.word("AND");
                    self.out += "value";
                    self.word("EQ");
                    self.quoted(value);
                }
                self.out.push('}');
            }
            Expr::Hosted(version) => {
                self.out += "hosts";
                self.word("CONTAINS");
                self.out += "{repositories";
                self.word("CONTAINS");
                self.out += "{ version";
                self.word("EQ");
                self.quoted(version);
                self.out += "}}";
            }
            Expr::Search(part) => {
                self.word("SEARCH");
                self.quoted(part);
            }
        }
    }
}

fn instant(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .unwrap()
        .to_string()
}

/// The same moment as another zone writes it.
fn elsewhere(millis: i64) -> String {
    let local = jiff::Timestamp::from_millisecond(millis + 3_600_000).unwrap();
    format!("{}+01:00", local.to_string().trim_end_matches('Z'))
}

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

fn millis() -> impl Strategy<Value = i64> {
    select(&[1_795_000_000_000_i64, 1_795_000_000_500, 1_795_000_001_000][..])
}

fn thing() -> impl Strategy<Value = Thing> {
    let absent = |s: BoxedStrategy<String>| proptest::option::of(s);
    (
        absent(word().boxed()),
        absent(word().boxed()),
        proptest::option::of(-2_i64..12),
        any::<Option<bool>>(),
        proptest::option::of(millis()),
        proptest::collection::vec(word(), 0..3),
        proptest::collection::vec((word(), word()), 0..3),
        proptest::collection::vec(proptest::collection::vec(word(), 0..2), 0..3),
    )
        .prop_map(|(name, note, size, enabled, at, list, tags, hosts)| Thing {
            name,
            note,
            size,
            enabled,
            at,
            list,
            tags,
            hosts,
        })
}

fn expr() -> impl Strategy<Value = Expr> {
    let field = select(&[TextField::Name, TextField::Note][..]);
    let op = select(&OPS[..]);
    let leaf = prop_oneof![
        (field.clone(), op.clone(), word()).prop_map(|(f, o, w)| Expr::Text(f, o, w)),
        (field.clone(), word()).prop_map(|(f, w)| Expr::Contains(f, w)),
        (field, proptest::collection::vec(word(), 0..4)).prop_map(|(f, l)| Expr::In(f, l)),
        (
            select(&["name", "size", "at", "enabled"][..]),
            any::<bool>()
        )
            .prop_map(|(f, absent)| Expr::Nil(f, absent)),
        (op.clone(), -2_i64..12, any::<u8>()).prop_map(|(o, n, f)| Expr::Size(o, n, f)),
        (op.clone(), any::<bool>()).prop_map(|(o, b)| Expr::Enabled(o, b)),
        (op, millis(), any::<u8>()).prop_map(|(o, t, f)| Expr::At(o, t, f)),
        word().prop_map(Expr::Listed),
        (word(), proptest::option::of(word())).prop_map(|(k, v)| Expr::Tagged(k, v)),
        word().prop_map(Expr::Hosted),
        select(
            &[
                "", "a", "B", "1", "tru", "2026", "it's", "\"", "a\"B", "\\b", "ü", "Ü\"X", "key",
                "{", "],"
            ][..]
        )
        .prop_map(|part| Expr::Search(part.to_owned())),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.prop_map(|e| Expr::Not(Box::new(e))),
            two.clone()
                .prop_map(|(a, b)| Expr::And(Box::new(a), Box::new(b))),
            two.prop_map(|(a, b)| Expr::Or(Box::new(a), Box::new(b))),
        ]
    })
}

/// More attributes than the language allows at once.
fn identifiers(text: &str) -> bool {
    matches!(
        Filter::parse(text, &FIELDS),
        Err(engine::filter::Error::Limit(what)) if what.contains("attributes")
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_expression_means_what_the_model_says(
        expr in expr(),
        things in proptest::collection::vec(thing(), 1..6),
        whims in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut writer = Writer { out: String::new(), whims, at: 0 };
        writer.expr(&expr);
        let text = writer.out;
        prop_assume!(!identifiers(&text));
        let filter = Filter::parse(&text, &FIELDS).unwrap_or_else(|e| panic!("{text}: {e}"));
        let printed = filter.to_string();
        let again = Filter::parse(&printed, &FIELDS).unwrap_or_else(|e| panic!("{printed}: {e}"));
        prop_assert_eq!(&again, &filter, "{}", printed);
        // One for all, as in a search.
        let mut ready = filter.ready(&FIELDS);
        for thing in &things {
            prop_assert_eq!(
                ready.matches(&thing.json().into()),
                expr.means(thing),
                "{} on {}", text, thing.json()
            );
        }
    }

    #[test]
    fn nothing_that_callers_write_breaks_the_reader(text in "[ a-z0-9'\"(){}\\[\\],.:+ANDORTEQINil-]{0,80}|\\PC{0,40}") {
        if let Ok(filter) = Filter::parse(&text, &FIELDS) {
            prop_assert_eq!(Filter::parse(&filter.to_string(), &FIELDS), Ok(filter));
        }
    }
}

/// As many comparisons side by side as fit, on a stack as small as a server's thread has.
#[test]
fn a_long_row_of_comparisons_needs_no_deep_stack() {
    let row = vec!["size EQ 1"; 3000].join(" OR ");
    let work = move || {
        let filter = Filter::parse(&row, &FIELDS).unwrap();
        assert!(!filter.ready(&FIELDS).matches(&json!({"size": 2}).into()));
        assert!(filter.ready(&FIELDS).matches(&json!({"size": 1}).into()));
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn numbers_beyond_all_numbers_are_refused() {
    for wrong in ["1e999", "-inf", "+nan"] {
        let text = format!("size LT {wrong}");
        assert!(Filter::parse(&text, &FIELDS).is_err(), "{text}");
    }
}
