//! Orders as forms, people and attackers send them: each field right, or anything at all.

use proptest::prelude::*;
use serde_json::{Value, json};

/// What breaks templates, YAML, SQL, shells and readers' eyes.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\t",
    "\n  - ",
    "\n---\n",
    "\n...\n",
    ": ",
    " #",
    "- ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "${{",
    "${{ values.name }}",
    "{{ 7*7 }}",
    "{% raw %}",
    "${",
    "$(id)",
    "`id`",
    "&a",
    "*a",
    "!!binary ",
    "!ruby/object",
    "|",
    "|\n  x",
    ">",
    "%YAML 1.1",
    "@",
    "~",
    "null",
    "Null",
    "true",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "0755",
    "0x1f",
    "0o17",
    "1_000",
    "1e3",
    ".inf",
    ".nan",
    "12:30:45",
    "2026-11-23",
    "=",
    "<<",
    "<<: *x",
    "owner: evil",
    "platform: {}",
    "\u{0}",
    "\u{7}",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{200b}",
    "\u{202e}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{ffff}",
    "ü",
    "漢",
    "🐘",
    "\u{301}",
    "</script>",
    "<!--",
    "-->",
    "```",
    "__proto__",
    "../..",
    "%2e%2e",
    ";",
    "--",
];

/// A text of such pieces and of anything else.
pub(crate) fn hostile() -> BoxedStrategy<String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        2 => "[ -~]{0,12}",
        1 => "\\PC{0,8}",
        1 => any::<String>(),
    ];
    proptest::collection::vec(piece, 0..6)
        .prop_map(|pieces| pieces.concat())
        .boxed()
}

fn field(right: impl Strategy<Value = String> + 'static, of_ten: u32) -> BoxedStrategy<Value> {
    prop_oneof![
        of_ten => right.prop_map(Value::from),
        10 - of_ten => hostile().prop_map(Value::from),
    ]
    .boxed()
}

/// The input of an order; of ten values of a strict field, `right` are such that the field takes them.
pub(crate) fn input(right: u32) -> BoxedStrategy<Value> {
    let setting = (
        field("[a-z_]{1,12}(\\.[a-z]{1,5})?", right),
        field("('[^'\"\\\\{}\\p{C}]{0,9}'|[0-9]{1,4}(kB|MB)?)", right),
    )
        .prop_map(|(name, value)| json!({ "name": name, "value": value }));
    let strict = (
        field("[a-z]([-a-z0-9]{0,20}[a-z0-9])?", right),
        field("(group:default/)?[a-zA-Z0-9._-]{1,20}", right),
        field("[A-Za-z0-9][A-Za-z0-9._:/@-]{0,30}", right),
        field("([A-Za-z0-9][A-Za-z0-9._:@-]{0,20})?", right),
        field("[A-Za-z_][A-Za-z0-9_-]{0,20}", right),
        field("(yes|no|null|y|true|_1|[A-Za-z_]{1,9})", right),
        field("(postgres:1[0-9](\\.[0-9])?)?", right),
        field("(|[1-9]|[1-9]00m|0\\.5)", right),
        field("(|1Gi|512Mi|1G|300M|1073741824)", right),
    );
    let free = (
        proptest::option::of(hostile()),
        proptest::option::of(hostile()),
        proptest::collection::vec(setting, 0..4),
        any::<bool>(),
        any::<bool>(),
    );
    (strict, free)
        .prop_map(
            |((name, owner, source, snapshot, database, user, image, cpu, memory), free)| {
                let (sql, description, settings, create, some) = free;
                let mut input = json!({
                    "name": name, "owner": owner, "source": source, "database": database, "user": user,
                    "postgresConfig": settings, "createIfMissing": create,
                });
                if some {
                    for (key, value) in
                        [("snapshotId", snapshot), ("image", image), ("cpu", cpu), ("memory", memory)]
                    {
                        input[key] = value;
                    }
                }
                for (key, value) in [("initSql", sql), ("description", description)] {
                    if let Some(value) = value {
                        input[key] = Value::from(value);
                    }
                }
                input
            },
        )
        .boxed()
}
