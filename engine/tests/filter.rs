//! The search language, as its grammar and the official clients' expressions have it.

use engine::filter::{Error, Filter};
use rstest::rstest;
use serde_json::{Value, json};

const FIELDS: [&str; 11] = [
    "id",
    "name",
    "size",
    "enabled",
    "tags",
    "creation_date",
    "engine_id",
    "nfs_addresses",
    "repositories",
    "hooks",
    "config_params",
];

fn object() -> Value {
    json!({
        "id": "1-APPDATA_CONTAINER-7", "name": "Orders Dev", "size": 1024, "enabled": true, "creation_date": "2026-11-23T10:00:00.5Z",
        "tags": [{"key": "cr-uid", "value": "abc"}, {"key": "env", "value": "dev"}],
        "nfs_addresses": ["10.0.0.1", "10.0.0.2"], "repositories": [{"version": "16.9"}],
        "hooks": {"post_refresh": [{"name": "mask", "command": "true"}], "pre_stop": [{"name": "wait"}]},
        "config_params": {"work_mem": "16MB"},
    })
}

#[rstest]
#[case("name EQ 'Orders Dev'", true)]
#[case("name eq \"Orders Dev\"", true)]
#[case("name EQ 'orders dev'", false)]
#[case("name NE 'x'", true)]
#[case("engine_id NE 'x'", true)]
#[case("engine_id EQ NIL", true)]
#[case("name EQ nil", false)]
#[case("NOT name EQ nil", true)]
#[case("size EQ 1024", true)]
#[case("size EQ 1.024e3", true)]
#[case("size GT 1023 AND size LE 1024", true)]
#[case("size GT 1024 OR enabled EQ false", false)]
#[case("enabled EQ true", true)]
#[case("name CONTAINS 'Dev'", true)]
#[case("name contains 'dev'", false)]
#[case("nfs_addresses CONTAINS '10.0.0.2'", true)]
#[case("nfs_addresses CONTAINS '10.0.0'", false)]
#[case("nfs_addresses EQ ['10.0.0.1', '10.0.0.2']", true)]
#[case("tags CONTAINS { key EQ 'cr-uid' AND value EQ 'abc' }", true)]
#[case("tags CONTAINS {key eq 'cr-uid' and value eq 'dev'}", false)]
#[case("repositories CONTAINS {version eq '16.9'}", true)]
#[case(
    "hooks CONTAINS { name EQ 'mask' AND hook_point EQ 'post_refresh' }",
    true
)]
#[case(
    "hooks CONTAINS { name EQ 'mask' AND hook_point EQ 'pre_stop' }",
    false
)]
#[case("hooks CONTAINS { hook_point IN ['pre_start', 'pre_stop'] }", true)]
#[case("config_params CONTAINS 'work_mem'", true)]
#[case("config_params CONTAINS 'shared_buffers'", false)]
#[case("id IN ['a', '1-APPDATA_CONTAINER-7']", true)]
#[case("id in []", false)]
#[case("SEARCH 'orders'", true)]
#[case("SEARCH '102'", true)]
#[case("search 'nowhere'", false)]
#[case("creation_date GT 2026-11-23T09:00:00Z", true)]
#[case("creation_date EQ '2026-11-23T11:00:00.500+01:00'", true)]
#[case("creation_date LT '2026-11-23T10:00:00Z'", false)]
// NOT before AND before OR, from the left.
#[case("name EQ 'x' OR enabled EQ true AND size EQ 1024", true)]
#[case("(name EQ 'x' OR enabled EQ true) AND size EQ 1", false)]
#[case("NOT name EQ 'x' AND enabled EQ true", true)]
#[case("NOT (name EQ 'Orders Dev' AND enabled EQ true)", false)]
fn an_expression_decides(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(
        Filter::parse(text, &FIELDS)
            .unwrap()
            .ready(&FIELDS)
            .matches(&object().into()),
        expected
    );
}

#[rstest]
#[case("", "expected an attribute at character 1")]
#[case(
    "name",
    "expected EQ, NE, GT, GE, LT, LE, CONTAINS or IN at character 5"
)]
#[case("name EQ", "expected a value at character 8")]
#[case("name EQ dev", "expected a value (quote texts) at character 9")]
#[case("name EQ 'x", "a text without its closing quote at character 9")]
#[case("name EQ 'x' name", "expected AND, OR or the end at character 13")]
#[case("(name EQ 'x'", "expected ')' at character 13")]
#[case("name = 'x'", "'=' means nothing at character 6")]
#[case("tags CONTAINS {key EQ 'x'", "expected '}' at character 26")]
#[case("id IN ['a' 'b']", "expected ',' or ']' at character 12")]
#[case(
    "size EQ 10GB",
    "\"10GB\" is neither a number nor a point in time at character 9"
)]
fn what_means_nothing_is_refused_with_its_place(#[case] text: &str, #[case] message: &str) {
    let error = Filter::parse(text, &FIELDS).unwrap_err().to_string();
    assert_eq!(error, format!("filter_expression: {message}"));
}

#[test]
fn an_unknown_attribute_is_refused_and_not_empty() {
    assert_eq!(
        Filter::parse("nmae EQ 'x'", &FIELDS),
        Err(Error::Field("nmae".to_owned()))
    );
    // The braces ask for attributes of the element.
    assert!(Filter::parse("tags CONTAINS {whatever EQ 'x'}", &FIELDS).is_ok());
}

#[test]
fn limits_hold() {
    let list = |n: usize| format!("id IN [{}]", vec!["'a'"; n].join(","));
    assert!(Filter::parse(&list(100), &FIELDS).is_ok());
    assert!(matches!(
        Filter::parse(&list(101), &FIELDS),
        Err(Error::Limit(_))
    ));
    let attributes = |n: usize| {
        let braces = (1..n).map(|i| format!("a{i} EQ 1"));
        format!(
            "tags CONTAINS {{ {} }}",
            braces.collect::<Vec<_>>().join(" OR ")
        )
    };
    assert!(Filter::parse(&attributes(8), &FIELDS).is_ok());
    assert_eq!(
        Filter::parse(&attributes(9), &FIELDS),
        Err(Error::Limit("more than 8 different attributes"))
    );
    let deep = format!("{}name EQ 'x'{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(matches!(
        Filter::parse(&deep, &FIELDS),
        Err(Error::Limit(_))
    ));
    assert!(matches!(
        Filter::parse(&"NOT ".repeat(5_000), &FIELDS),
        Err(Error::Limit(_))
    ));
    assert!(matches!(
        Filter::parse(&" ".repeat(50_001), &FIELDS),
        Err(Error::Limit(_))
    ));
}

#[rstest]
#[case("id EQ 'a'", Some(vec!["a"]))]
#[case("id IN ['a', 'b'] AND name NE 'x'", Some(vec!["a", "b"]))]
#[case("name EQ 'x' AND (id EQ 'a')", Some(vec!["a"]))]
#[case("id EQ 'a' OR name EQ 'x'", None)]
#[case("NOT id EQ 'a'", None)]
#[case("id NE 'a'", None)]
#[case("id IN ['a', 1]", None)]
#[case("id EQ '2026-11-23T10:00:00Z'", None)]
#[case("tags CONTAINS {id EQ 'a'}", None)]
fn the_ids_that_alone_can_fit_are_known(#[case] text: &str, #[case] ids: Option<Vec<&str>>) {
    assert_eq!(Filter::parse(text, &FIELDS).unwrap().only("id"), ids);
}

#[rstest]
#[case("tags CONTAINS { key EQ 'k' AND value EQ 'v' }", Some(("k", "v")))]
#[case("name EQ 'x' AND tags CONTAINS { value EQ 'v' AND key IN ['k'] }", Some(("k", "v")))]
#[case("tags CONTAINS { key EQ 'k' }", None)]
#[case("tags CONTAINS { key EQ 'k' OR value EQ 'v' }", None)]
#[case("NOT tags CONTAINS { key EQ 'k' AND value EQ 'v' }", None)]
#[case("repositories CONTAINS { key EQ 'k' AND value EQ 'v' }", None)]
fn the_tag_that_is_asked_for_is_known(#[case] text: &str, #[case] tag: Option<(&str, &str)>) {
    assert_eq!(Filter::parse(text, &FIELDS).unwrap().tag(), tag);
}

#[test]
fn elements_are_those_of_lists_with_escapes_or_without_and_no_text_is_taken_for_a_list() {
    let wanted = "tags CONTAINS { key EQ 'a' AND SEARCH 'B' }";
    let fits = |tags: Value| {
        let filter = Filter::parse(wanted, &FIELDS).unwrap();
        filter
            .ready(&FIELDS)
            .matches(&json!({ "tags": tags, "name": "x" }).into())
    };
    assert!(fits(json!([{"key": "a", "name": "b"}])));
    assert!(fits(json!([{"key": "a", "name": "\"b\""}])));
    assert!(fits(
        json!([{"key": "c"}, {"key": "a", "size": 1, "name": "b"}])
    ));
    assert!(!fits(
        json!([{"key": "c", "name": "b"}, {"key": "a", "name": "c"}])
    ));
    assert!(!fits(json!(r#"[{"key":"a","name":"b"}]"#)));
}
