//! The catalog file of an environment: one entity, which speaks of this environment and its owner alone.

use environment::names::{ENVIRONMENT_LABEL, quoted};
use environment::{EnvironmentName, yaml};
use serde_json::Value;

use crate::serve::portal::same_entity;

pub(super) fn problems(name: &EnvironmentName, text: &str, owner: Option<&str>) -> Vec<String> {
    let entity: Value = match yaml::read(text) {
        Ok(entity) => entity,
        Err(why) => return vec![format!("it is not readable as one YAML document: {why}")],
    };
    let name = name.as_str();
    let label = ENVIRONMENT_LABEL.replace('/', "~1");
    let annotation = format!("/metadata/annotations/{label}");
    let said = |pointer: &str| entity.pointer(pointer).and_then(Value::as_str);
    let mut problems = Vec::new();
    for (pointer, expected, needed) in [
        ("/kind", "Resource", true),
        ("/metadata/name", name, true),
        ("/metadata/namespace", "default", false),
        (annotation.as_str(), name, false),
    ] {
        let is = said(pointer);
        if is != Some(expected) && (needed || entity.pointer(pointer).is_some()) {
            let is = is.map_or("missing or no text".to_owned(), quoted);
            problems.push(format!("{pointer} is {is}; write {expected}"));
        }
    }
    if let Some((theirs, owner)) = said("/spec/owner").zip(owner)
        && !same_entity(theirs, owner)
    {
        problems.push(format!(
            "/spec/owner is {}, values.yaml says {}; write the same",
            quoted(theirs),
            quoted(owner)
        ));
    }
    problems
}
