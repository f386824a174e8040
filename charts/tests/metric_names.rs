//! What dashboard, alert rules and page name is what a program exports. Each program's own tests include this file.

use std::collections::BTreeSet;

const DASHBOARD: &str = include_str!("../postgres-vdb-platform/files/monitoring/dashboard.json");
const RULES: &str = include_str!("../postgres-vdb-platform/files/monitoring/rules.yaml");
const PAGE: &str = include_str!("../../docs/monitoring.md");

/// `exported` is what the program answers to Prometheus, `prefix` what all its names begin with.
pub(crate) fn hold(prefix: &str, exported: &str) {
    let (exported, series) = exported_names(exported);
    assert!(!exported.is_empty(), "nothing is exported");
    for (file, text) in [
        ("dashboard.json", DASHBOARD),
        ("rules.yaml", RULES),
        ("docs/monitoring.md", PAGE),
    ] {
        let found = names(prefix, text);
        assert!(!found.is_empty(), "{file} names nothing of {prefix}");
        for name in found {
            let known = series.contains(name) || (text == PAGE && exported.contains(name));
            assert!(known, "{file} names {name}, which is not exported");
        }
    }
    for name in &exported {
        let shown = names(prefix, PAGE)
            .iter()
            .any(|n| n.starts_with(name.as_str()));
        assert!(shown, "docs/monitoring.md does not say what {name} is");
    }
}

/// Names of metrics, and of the series that Prometheus keeps of them.
fn exported_names(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut names, mut series) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            _ => &[""],
        };
        names.insert(name.to_owned());
        series.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    (names, series)
}

fn names<'a>(prefix: &str, text: &'a str) -> BTreeSet<&'a str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| {
            word.strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('_'))
        })
        .collect()
}
