//! The resources that the chart renders from a values file, as text for people: what a pull request changes in the
//! cluster, and what that takes of the namespace's quota.

use serde_json::Value;

use crate::databases::{self, Database};
use crate::names::EnvironmentName;
use crate::quantity::Quantity;
use crate::values::Values;
use crate::{diff, yaml};

/// Stands in the place of a password that somebody wrote into a file.
const HIDDEN: &str = "(hidden)";

/// The `PostgresVDB`s of an environment as YAML documents, passwords left out; empty where there are none.
///
/// # Errors
/// A value that YAML cannot hold.
pub fn text(name: &EnvironmentName, values: Option<&Values>) -> Result<String, String> {
    let Some(values) = values else {
        return Ok(String::new());
    };
    let mut documents = Vec::new();
    for database in databases::of(name, values).0 {
        let mut manifest = database.manifest(name);
        if let Some(password) = manifest.pointer_mut("/spec/database/password") {
            *password = Value::from(HIDDEN);
        }
        let text = yaml::write(&manifest)?;
        documents.push(format!("{}\n", text.trim_end()));
    }
    Ok(documents.join("---\n"))
}

/// What a change of the values file changes in the cluster, as a unified difference; empty if nothing.
///
/// # Errors
/// A value that YAML cannot hold.
pub fn difference(
    name: &EnvironmentName,
    before: Option<&Values>,
    after: Option<&Values>,
) -> Result<String, String> {
    Ok(diff::unified(&text(name, before)?, &text(name, after)?))
}

/// What the databases of an environment reserve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Pods, and as many claims.
    pub databases: u32,
    /// Thousandths of a core.
    pub cpu: u128,
    /// Bytes.
    pub memory: u128,
}

/// A database without requests of its own reserves what the namespace's LimitRange says, which is not known here.
pub fn demand(databases: &[Database]) -> Demand {
    demand_of(databases.iter().map(|database| &database.spec))
}

/// The same, of specs.
pub fn demand_of<'a>(specs: impl Iterator<Item = &'a Value>) -> Demand {
    let request = |spec: &Value, what: &str| {
        // The API server takes a limit as request where there is none.
        ["requests", "limits"].iter().find_map(|kind| {
            let written = spec.pointer(&format!("/resources/{kind}/{what}"))?;
            let quantity: Quantity = serde_json::from_value(written.clone()).ok()?;
            quantity.milli()
        })
    };
    specs.fold(Demand::default(), |sum, spec| Demand {
        databases: sum.databases + 1,
        cpu: sum.cpu + request(spec, "cpu").unwrap_or_default(),
        memory: sum.memory + request(spec, "memory").unwrap_or_default() / 1_000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &str = "\
owner: group:default/a
global: {sourceDatabase: 'h:d', defaultResources: {requests: {cpu: 100m}, limits: {memory: 512Mi}}}
vdb: {database: {name: a, password: correct-horse}}
vdbs: {b: {resources: {requests: {cpu: 1, memory: 1Gi}}}}
";

    fn environment() -> EnvironmentName {
        EnvironmentName::parse("feat-1").unwrap()
    }

    fn values(text: &str) -> Values {
        Values::parse(&environment(), text).unwrap()
    }

    #[test]
    fn a_change_is_one_line_and_a_new_environment_is_all_new() {
        let (before, after) = (values(VALUES), values(&VALUES.replace("1Gi", "2Gi")));
        let changed = difference(&environment(), Some(&before), Some(&after)).unwrap();
        assert!(
            changed.contains("\n-      memory: 1Gi\n+      memory: 2Gi\n"),
            "{changed}"
        );
        assert_eq!(changed.matches("\n-").count(), 1, "{changed}");
        let new = difference(&environment(), None, Some(&after)).unwrap();
        assert_eq!(new.matches("\n+kind: PostgresVDB").count(), 2, "{new}");
        assert_eq!(new.matches("\n-").count(), 0, "{new}");
        assert_eq!(
            difference(&environment(), Some(&after), Some(&after)).unwrap(),
            ""
        );
    }

    #[test]
    fn a_password_that_somebody_wrote_is_not_shown() {
        let text = text(&environment(), Some(&values(VALUES))).unwrap();
        assert!(
            !text.contains("correct-horse") && text.contains(HIDDEN),
            "{text}"
        );
    }

    #[test]
    fn the_text_reads_back_as_the_resources() {
        let values = values(VALUES.replace(", password: correct-horse", "").as_str());
        let text = text(&environment(), Some(&values)).unwrap();
        let read: Vec<Value> = text
            .split("---\n")
            .map(|part| yaml::read(part).unwrap())
            .collect();
        let wanted: Vec<Value> = databases::of(&environment(), &values)
            .0
            .iter()
            .map(|d| d.manifest(&environment()))
            .collect();
        assert_eq!(read, wanted);
    }

    #[test]
    fn requests_are_added_up_and_a_limit_counts_where_there_is_no_request() {
        let (databases, _) = databases::of(&environment(), &values(VALUES));
        assert_eq!(
            demand(&databases),
            Demand {
                databases: 2,
                cpu: 1_100,
                memory: (512 << 20) + (1 << 30)
            }
        );
    }
}
