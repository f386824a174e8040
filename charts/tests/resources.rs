//! The resources that the model says are those that the chart renders: what a pull request shows is what comes.

use environment::values::Values;
use environment::{EnvironmentName, databases, yaml};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::charts::render;
use super::{helm, root};

/// Each takes one run of Helm, a tenth of a second.
const GENERATED: usize = 32;

fn compare(name: &str, text: &str) {
    let environment = EnvironmentName::parse(name).unwrap();
    let values = Values::parse(&environment, text)
        .unwrap_or_else(|problems| panic!("{name}: {problems}\n{text}"));
    let rendered = render(name, text).unwrap_or_else(|said| panic!("{said}\n{text}"));
    let (databases, _) = databases::of(&environment, &values);
    let mut wanted: Vec<Value> = databases.iter().map(|d| d.manifest(&environment)).collect();
    let mut found: Vec<Value> = helm::of_kind(&rendered, "PostgresVDB")
        .into_iter()
        .cloned()
        .collect();
    for list in [&mut wanted, &mut found] {
        list.sort_by_key(|d| d["metadata"]["name"].to_string());
    }
    assert_eq!(found, wanted, "{name}\n{text}");
}

#[test]
fn every_environment_is_rendered_as_the_model_says() {
    if helm::missing("every_environment_is_rendered_as_the_model_says") {
        return;
    }
    for entry in std::fs::read_dir(root().join("environments")).unwrap() {
        let file = entry.unwrap().path().join("values.yaml");
        if let Ok(text) = std::fs::read_to_string(&file) {
            let name = file.parent().unwrap().file_name().unwrap();
            compare(&name.to_string_lossy(), &text);
        }
    }
    let many = "owner: group:default/a\nglobal: {sourceDatabase: '10.0.1.54:largedb', postgresImage: 'postgres:16.9', storageClass: x}\n\
                vdbs: {a: {}, b: {source: {type: pvc-clone, reference: c}, image: 'postgres:16.8', port: 5433}}\nvdb: {enabled: false}\n";
    compare("feat-9", many);
    // An empty body, empty texts and empty objects: what says nothing is no value and no annotation.
    compare("feat-9", "global: {sourceDatabase: 'a:b'}\nvdb: {}\n");
    compare(
        "feat-9",
        "request: {id: '', by: ''}\nglobal: {storageClass: '', defaultResources: {}}\nvdb: {source: {type: dct-source, reference: a}}\n",
    );
}

#[test]
fn generated_values_are_rendered_as_the_model_says() {
    if helm::missing("generated_values_are_rendered_as_the_model_says") {
        return;
    }
    // The same cases at every run.
    let mut runner = TestRunner::deterministic();
    for _ in 0..GENERATED {
        let values = values().new_tree(&mut runner).unwrap().current();
        compare("feat-9", &yaml::write(&values).unwrap());
    }
}

/// An object of which each field may be missing.
fn some(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let (keys, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    let values: Vec<_> = values.into_iter().map(proptest::option::of).collect();
    values
        .prop_map(move |values| {
            let fields: Map<String, Value> = keys
                .iter()
                .zip(values)
                .filter_map(|(key, value)| Some(((*key).to_owned(), value?)))
                .collect();
            Value::Object(fields)
        })
        .boxed()
}

fn text(pattern: &'static str) -> BoxedStrategy<Value> {
    pattern.prop_map(Value::from).boxed()
}

fn one_of(values: Vec<Value>) -> BoxedStrategy<Value> {
    proptest::sample::select(values).boxed()
}

fn resources() -> BoxedStrategy<Value> {
    let least = vec![
        (
            "cpu",
            one_of(vec![json!("100m"), json!(1), json!("0.5"), json!("1")]),
        ),
        ("memory", one_of(vec![json!("256Mi"), json!(268_435_456)])),
    ];
    let most = vec![
        ("cpu", one_of(vec![json!("2"), json!(2), json!("2000m")])),
        ("memory", one_of(vec![json!("1Gi"), json!("2147483648")])),
    ];
    some(vec![("requests", some(least)), ("limits", some(most))])
}

fn hook() -> BoxedStrategy<Value> {
    let more = some(vec![
        ("weight", (-1000..=1000_i32).prop_map(Value::from).boxed()),
        ("transaction", any::<bool>().prop_map(Value::from).boxed()),
        (
            "env",
            some(vec![
                ("A", text("[ -z]{0,20}")),
                ("no", text("(yes|on|1_0|0x1f|~|)")),
            ]),
        ),
    ]);
    // Scripts: anything but template syntax and what cannot be seen.
    ("[^{}\\p{C}]{1,60}(\n[^{}\\p{C}]{0,60}){0,3}\n?", more)
        .prop_map(|(script, mut hook)| {
            hook["name"] = json!("init");
            hook["stage"] = json!("post-create");
            hook["type"] = json!("sql");
            hook["script"] = json!(script);
            hook
        })
        .boxed()
}

fn vdb() -> BoxedStrategy<Value> {
    let setting = text("[^'\"\\\\{}\\p{C}]{0,20}")
        .prop_map(|value| json!([{ "name": "work_mem", "value": value }]));
    some(vec![
        (
            "source",
            text("[A-Za-z0-9][A-Za-z0-9._:/@-]{0,30}")
                .prop_map(|reference| json!({ "type": "dct-source", "reference": reference }))
                .boxed(),
        ),
        (
            "database",
            some(vec![
                ("name", text("[A-Za-z_][A-Za-z0-9_-]{0,20}")),
                (
                    "createIfMissing",
                    any::<bool>().prop_map(Value::from).boxed(),
                ),
            ]),
        ),
        ("port", (1024..49151_u16).prop_map(Value::from).boxed()),
        ("image", text("postgres:1[0-9]\\.[0-9]")),
        ("mode", one_of(vec![json!("Primary"), json!("Standby")])),
        ("enabled", any::<bool>().prop_map(Value::from).boxed()),
        ("errorBackoffPeriod", text("[1-9][0-9]{0,2}[smh]")),
        ("resources", resources()),
        ("postgresConfig", setting.boxed()),
        ("hooks", hook().prop_map(|hook| json!([hook])).boxed()),
        (
            "storageClass",
            one_of(vec![json!("fast"), json!("no"), json!("1e3")]),
        ),
        ("storageSize", one_of(vec![json!("10Gi"), json!(1_000_000)])),
    ])
}

/// Every database has a source: its own, or that of `global`.
fn values() -> BoxedStrategy<Value> {
    let global = some(vec![
        (
            "postgresImage",
            one_of(vec![json!("postgres:16.9"), json!("registry:5000/pg:17")]),
        ),
        ("storageClass", one_of(vec![json!("thin"), json!("")])),
        ("defaultResources", resources()),
    ]);
    let request = some(vec![
        ("id", text("(feat-9\\.create-[0-9a-f]{10})?")),
        ("by", text("(user:default/[a-z0-9]{1,8})?")),
    ]);
    let more = some(vec![
        ("owner", text("(group:default/)?[A-Za-z0-9._-]{1,20}")),
        ("request", request),
        ("vdb", vdb()),
        ("featureBranch", text("feature/[a-z0-9]{1,9}")),
    ]);
    let vdbs = proptest::collection::btree_map("[a-z][a-z0-9]{0,9}", vdb(), 0..3);
    (more, global, vdbs, "[A-Za-z0-9][A-Za-z0-9._:/@-]{0,30}")
        .prop_map(|(mut values, mut global, vdbs, source)| {
            global["sourceDatabase"] = json!(source);
            values["global"] = global;
            if !vdbs.is_empty() {
                values["vdbs"] = json!(vdbs);
            }
            values
        })
        .boxed()
}
