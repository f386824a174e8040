//! The portal's forms name only actions, inputs and outputs that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use environment::capabilities::{DayTwo, OPERATOR};
use serde_json::Value;

use crate::serve::actions;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    environment::yaml::read(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Each template with its folder's name.
fn templates() -> BTreeMap<String, Value> {
    let folders = std::fs::read_dir(root().join("backstage-templates")).unwrap();
    folders
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.is_dir())
        .map(|folder| {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            (name, read(&folder.join("template.yaml")))
        })
        .collect()
}

fn schemas() -> BTreeMap<String, Value> {
    let listed = actions::list(&OPERATOR);
    let listed = listed["actions"].as_array().unwrap().clone();
    listed
        .into_iter()
        .map(|action| {
            (
                action["id"].as_str().unwrap().to_owned(),
                action["schema"].clone(),
            )
        })
        .collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys().cloned())
        .collect()
}

/// Every name that stands behind `prefix` in the texts below, up to what is no part of a name.
fn named(value: &Value, prefix: &str) -> BTreeSet<String> {
    let text = value.to_string();
    text.match_indices(prefix)
        .map(|(at, _)| {
            let rest = &text[at + prefix.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
            rest[..end.unwrap_or(rest.len())].to_owned()
        })
        .collect()
}

#[test]
fn each_form_names_only_what_there_is() {
    let schemas = schemas();
    let templates = templates();
    assert_eq!(
        templates.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "bookmark", "create", "extend", "refresh", "retire", "update"
        ]
    );
    for (folder, template) in &templates {
        let spec = &template["spec"];
        let asked: BTreeSet<String> = spec["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|page| {
                let fields = keys(&page["properties"]);
                for required in page["required"].as_array().into_iter().flatten() {
                    assert!(
                        fields.contains(required.as_str().unwrap()),
                        "{folder}: {required}"
                    );
                }
                fields
            })
            .collect();
        assert_eq!(
            named(spec, "parameters."),
            asked,
            "{folder}: fields that are asked for and used"
        );

        let mut outputs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let known = |outputs: &BTreeMap<String, BTreeSet<String>>, value: &Value| {
            for path in named(value, "steps.") {
                let (step, output) = path.split_once(".output.").expect("an output of a step");
                assert!(outputs[step].contains(output), "{folder}: steps.{path}");
            }
        };
        for step in spec["steps"].as_array().unwrap() {
            let action = step["action"].as_str().unwrap();
            let schema = &schemas[action];
            let (given, takes) = (keys(&step["input"]), keys(&schema["input"]["properties"]));
            assert!(
                given.is_subset(&takes),
                "{folder}: {action} takes {takes:?}, not {given:?}"
            );
            for required in schema["input"]["required"].as_array().into_iter().flatten() {
                assert!(
                    given.contains(required.as_str().unwrap()),
                    "{folder}: {action} needs {required}"
                );
            }
            // A task that runs again finds its pull request by this key.
            if takes.contains("requestId") && action != actions::WAIT {
                assert_eq!(
                    step["input"]["requestId"], "${{ context.task.id }}",
                    "{folder}: {action}"
                );
            }
            known(&outputs, step);
            outputs.insert(
                step["id"].as_str().unwrap().to_owned(),
                keys(&schema["output"]["properties"]),
            );
        }
        known(&outputs, &spec["output"]);
        assert_eq!(
            template["metadata"]["name"],
            format!("vdb-{folder}"),
            "the entity page opens it by this name"
        );
        if folder != "create" {
            assert!(
                asked.contains("entity"),
                "{folder}: the entity page fills it in"
            );
        }
    }
}

#[test]
fn a_form_is_listed_where_the_operator_can_do_what_it_asks_for() {
    let listed = read(&root().join("template-location.yaml"));
    let listed: BTreeSet<PathBuf> = listed["spec"]["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| root().join(target.as_str().unwrap().trim_start_matches("./")))
        .collect();
    let possible = |folder: &str| match folder {
        "update" => OPERATOR.can(DayTwo::Update),
        "refresh" => OPERATOR.can(DayTwo::Refresh),
        "extend" => OPERATOR.can(DayTwo::Extend),
        "bookmark" => OPERATOR.can(DayTwo::Bookmark),
        _ => true,
    };
    let wanted: BTreeSet<PathBuf> = templates()
        .into_keys()
        .filter(|folder| possible(folder))
        .map(|folder| {
            root()
                .join("backstage-templates")
                .join(folder)
                .join("template.yaml")
        })
        .collect();
    assert_eq!(listed, wanted);
}
