//! Whatever a values file or an order holds: no panic, and what is taken says what it says.

use environment::values::Request;
use environment::{EnvironmentName, Order, Values, databases, render, resource, validate, yaml};
use serde_json::Value;

/// Bytes as a values file, and as the input of an action where they are JSON.
///
/// # Panics
/// Where something that was taken does not keep its word.
pub fn values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    file(text);
    if let Ok(input) = serde_json::from_str::<Value>(text) {
        order(&input);
    }
}

fn file(text: &str) {
    assert_eq!(
        yaml::read_rendered(text),
        yaml::read(text),
        "the short way reads otherwise"
    );
    let name = EnvironmentName::parse("feat-1").expect("a right name");
    let problems = validate::values(&name, text);
    let Ok(values) = Values::parse(&name, text) else {
        assert!(
            problems.iter().any(|problem| !problem.warning),
            "refused without a reason"
        );
        return;
    };
    let (databases, refused) = databases::of(&name, &values);
    assert!(
        refused.is_empty(),
        "a key was taken and is refused: {refused:?}"
    );
    for database in &databases {
        assert!(database.cr_name.len() <= 40, "{}", database.cr_name);
    }
    let _ = resource::demand(&databases);
    let shown = resource::text(&name, Some(&values)).expect("what was read can be written");
    let secret = databases
        .iter()
        .filter_map(|database| database.spec.pointer("/database/password")?.as_str())
        .filter(|password| password.len() >= 8)
        .any(|password| shown.contains(&format!("password: {password}\n")));
    assert!(!secret, "a password is shown");
    let written = values.to_yaml().expect("what was read can be written");
    assert_eq!(
        Values::parse(&name, &written).as_ref(),
        Ok(&values),
        "{written}"
    );
}

fn order(input: &Value) {
    let Ok(order) = Order::parse(input) else {
        return;
    };
    let request = Request {
        id: Some("x.create-0123456789".into()),
        by: Some("user:default/guest".into()),
    };
    let files = render::files(&order, &request).expect("an order that is taken renders");
    let name = order.environment().expect("checked when it was read");
    let values = Values::parse(&name, &files.values).expect("what was rendered is a values file");
    assert_eq!(values.request, Some(request));
    assert_eq!(values.owner.as_ref(), Some(&order.owner));
}
