use rstest::rstest;
use serde_json::json;

use super::*;
use crate::values::Values;
use crate::{edit, yaml};

const FILE: &str = "\
owner: group:default/team-orders
vdb:
  source: {type: dct-source, reference: '10.0.1.54:largedb'}
  image: postgres:16.9
  resources:
    requests: {cpu: 100m, memory: 256Mi}
    limits: {cpu: 1, memory: 512Mi}
  postgresConfig:
    - {name: work_mem, value: 4MB} # tuned
";

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// The file after the change.
fn changed(file: &str, change: &Change) -> Result<Value, Problems> {
    let values: Value = yaml::read(file).unwrap();
    let under = Circumstances {
        now: now(),
        request: "feat-1.refresh-0123456789",
        longest_life_days: 90,
    };
    let text = edit::apply(file, &change.edits(&values, &under)?).unwrap();
    let name = EnvironmentName::parse("feat-1").unwrap();
    Values::parse(&name, &text)?;
    Ok(yaml::read(&text).unwrap())
}

fn update(input: &Value) -> Change {
    let mut whole = json!({"name": "feat-1"});
    for (key, value) in input.as_object().unwrap() {
        whole[key] = value.clone();
    }
    Change::update(&whole).unwrap()
}

#[rstest]
#[case::nothing_new(json!({"image": "postgres:16.9", "cpu": "1", "memory": "512Mi", "postgresConfig": [{"name": "WORK_MEM", "value": "4MB"}]}), &[])]
#[case::a_request_follows_its_limit(json!({"memory": "2Gi", "cpu": "2"}), &[("/vdb/resources/limits/memory", json!("2Gi")), ("/vdb/resources/requests/memory", json!("1024Mi")), ("/vdb/resources/requests/cpu", json!("200m"))])]
#[case::a_setting_is_changed(json!({"postgresConfig": [{"name": "work_mem", "value": "8MB"}]}), &[("/vdb/postgresConfig/0/value", json!("8MB"))])]
#[case::a_setting_is_added(json!({"postgresConfig": [{"name": "jit", "value": "off"}]}), &[("/vdb/postgresConfig/1", json!({"name": "jit", "value": "off"})), ("/vdb/postgresConfig/0/value", json!("4MB"))])]
#[case::image(json!({"image": "postgres:16.10"}), &[("/vdb/image", json!("postgres:16.10"))])]
fn an_update_changes_what_it_names(#[case] input: Value, #[case] expected: &[(&str, Value)]) {
    let change = update(&input);
    let before: Value = yaml::read(FILE).unwrap();
    assert_eq!(change.is_done(&before), expected.is_empty());
    let after = changed(FILE, &change).unwrap();
    for (pointer, value) in expected {
        assert_eq!(after.pointer(pointer), Some(value), "{after}");
    }
    assert_eq!(after == before, expected.is_empty());
    assert!(change.is_done(&after));
}

#[test]
fn a_request_that_was_chosen_by_hand_stays() {
    let file = FILE.replace("memory: 256Mi", "memory: 100Mi");
    let after = changed(&file, &update(&json!({"memory": "1Gi"}))).unwrap();
    assert_eq!(after["vdb"]["resources"]["requests"]["memory"], "100Mi");
    let Problems(problems) = changed(&file, &update(&json!({"memory": "64Mi"}))).unwrap_err();
    assert!(
        problems[0].message.contains("below the request"),
        "{problems:?}"
    );
    let guaranteed = FILE.replace("memory: 256Mi", "memory: 512Mi");
    let after = changed(&guaranteed, &update(&json!({"memory": "1Gi"}))).unwrap();
    assert_eq!(after["vdb"]["resources"]["requests"]["memory"], "1Gi");
}

#[test]
fn what_came_from_the_defaults_of_the_file_is_kept() {
    let (head, tail) = FILE.split_once("  resources:\n").unwrap();
    let (_, tail) = tail.split_once("  postgresConfig").unwrap();
    let bare = format!("{head}  postgresConfig{tail}");
    let after = changed(&bare, &update(&json!({"memory": "1Gi"}))).unwrap();
    assert_eq!(
        after["vdb"]["resources"],
        json!({"requests": {"memory": "512Mi"}, "limits": {"memory": "1Gi"}})
    );
    let with_global = format!("{bare}global:\n  defaultResources:\n    limits: {{cpu: '2'}}\n");
    let after = changed(&with_global, &update(&json!({"memory": "1Gi"}))).unwrap();
    assert_eq!(
        after["vdb"]["resources"],
        json!({"limits": {"cpu": "2", "memory": "1Gi"}})
    );
}

#[rstest]
#[case(json!({"initSql": "select 1"}), "initSql", "ran once")]
#[case(json!({"source": "a:b"}), "source", "when the copy was made")]
#[case(json!({"description": "x"}), "description", "catalog file")]
#[case(json!({"memory": "1GB"}), "memory", "not allowed")]
#[case(json!({"name": "../x", "memory": "1Gi"}), "name", "path")]
#[case(json!({"image": "a{{b"}), "image", "not allowed")]
#[case(json!({"memory": "1Gi", "reason": "{% x"}), "reason", "template syntax")]
#[case(json!({"postgresConfig": [{"name": "a", "value": "1"}, {"name": "A", "value": "2"}]}), "postgresConfig", "stands twice")]
fn a_wrong_update_is_refused_with_its_field(
    #[case] input: Value,
    #[case] field: &str,
    #[case] why: &str,
) {
    let mut whole = json!({"name": "feat-1", "cpu": "1"});
    for (key, value) in input.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let Problems(problems) = Change::update(&whole).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0].field.as_deref(), Some(field));
    assert!(problems[0].message.contains(why), "{problems:?}");
}

#[test]
fn an_update_of_nothing_and_of_no_database_is_refused() {
    let Problems(problems) = Change::update(&json!({"name": "feat-1", "cpu": ""})).unwrap_err();
    assert!(problems[0].message.contains("nothing to change"));
    let several = "vdbs: {a: {source: {type: dct-source, reference: 'x'}}}\n";
    let Problems(problems) = changed(several, &update(&json!({"cpu": "1"}))).unwrap_err();
    assert_eq!(problems[0].pointer, "/vdb");
}

#[rstest]
#[case(json!({"expiresAt": "2026-12-24T18:00:00+01:00"}), Ok("2026-12-24T17:00:00Z"))]
#[case(json!({"days": 30}), Ok("2026-12-25T12:00:00Z"))]
#[case(json!({"days": 91}), Err("at most 90 days"))]
#[case(json!({"expiresAt": "2027-12-24T18:00:00Z"}), Err("at most 90 days"))]
#[case(json!({"expiresAt": "2026-11-24T18:00:00Z"}), Err("is over"))]
#[case(json!({"expiresAt": "tomorrow"}), Err("no point in time"))]
#[case(json!({"expiresAt": "2026-12-24T18:00:00Z", "days": 1}), Err("exclude each other"))]
#[case(json!({}), Err("is missing"))]
#[case(json!({"days": 0}), Err("too small"))]
fn an_extension_stays_within_its_bounds(
    #[case] input: Value,
    #[case] expected: Result<&str, &str>,
) {
    let mut whole = json!({"name": "feat-1"});
    for (key, value) in input.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let result = Change::extend(&whole).and_then(|change| changed(FILE, &change));
    match (result, expected) {
        (Ok(after), Ok(until)) => assert_eq!(after["vdb"]["expiresAt"], until),
        (Err(Problems(problems)), Err(why)) => {
            assert!(problems[0].message.contains(why), "{problems:?}");
        }
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn days_are_added_to_an_expiry_that_is_still_to_come() {
    let extend = Change::extend(&json!({"name": "feat-1", "days": 10})).unwrap();
    for (before, after) in [
        ("2026-12-01T00:00:00Z", "2026-12-11T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "2026-12-05T12:00:00Z"),
    ] {
        let file = FILE.replace("  image:", &format!("  expiresAt: '{before}'\n  image:"));
        assert_eq!(changed(&file, &extend).unwrap()["vdb"]["expiresAt"], after);
    }
}

#[test]
fn wishes_are_told_apart_by_what_they_want() {
    let values: Value = yaml::read(FILE).unwrap();
    let content = |change: &Change, values| change.content(values);
    let one = update(&json!({"memory": "1Gi", "requestId": "a", "reason": "x"}));
    let other = update(&json!({"memory": "1Gi", "requestId": "b"}));
    assert_eq!(content(&one, &values), content(&other, &values));
    assert_ne!(
        content(&one, &values),
        content(&update(&json!({"cpu": "1Gi"})), &values)
    );
    // A refresh without a key is a new wish once the last one was carried out; the same call never is.
    let refresh = |input: Value| Change::refresh(&input).unwrap();
    let keyless = refresh(json!({"name": "feat-1"}));
    let keyed = refresh(json!({"name": "feat-1", "requestId": "a"}));
    let after = changed(FILE, &keyless).unwrap();
    assert_eq!(
        after["vdb"]["refresh"]["token"],
        "feat-1.refresh-0123456789"
    );
    assert_ne!(content(&keyless, &values), content(&keyless, &after));
    assert_eq!(content(&keyed, &values), content(&keyed, &after));
}
