//! What the cluster says about one environment at one moment, and what follows from it. Pure.

use environment::names::{ENVIRONMENT_LABEL, REQUEST_ID};
use environment::status::{Condition, PostgresVdbStatus};
use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Observed {
    pub(super) application: Option<Application>,
    /// `None`: gone. Otherwise whether it is being deleted.
    pub(super) namespace: Option<bool>,
    pub(super) databases: Vec<Database>,
    pub(super) volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Application {
    pub(super) sync: String,
    pub(super) operation: String,
    /// What Argo CD could not do, if anything.
    pub(super) trouble: Option<String>,
    pub(super) deleting: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) environment: String,
    pub(super) request_id: Option<String>,
    pub(super) source: String,
    pub(super) deleting: bool,
    /// Its virtual database is to outlive it.
    pub(super) kept: bool,
    pub(super) status: PostgresVdbStatus,
}

/// A volume with the data of a copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Volume {
    pub(super) name: String,
    /// Where its data lies.
    pub(super) path: String,
}

impl Application {
    pub(super) fn read(object: &Value) -> Self {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let operation = text("/status/operationState/phase");
        let failed = matches!(operation.as_str(), "Failed" | "Error")
            .then(|| text("/status/operationState/message"));
        let conditions = object
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        let error = conditions.into_iter().flatten().find_map(|condition| {
            let kind = condition["type"].as_str()?;
            kind.ends_with("Error").then(|| {
                format!(
                    "{kind}: {}",
                    condition["message"].as_str().unwrap_or_default()
                )
            })
        });
        Self {
            sync: text("/status/sync/status"),
            operation,
            trouble: error.or(failed),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        }
    }

    pub(super) fn says(&self) -> String {
        if self.deleting {
            return "being deleted".into();
        }
        if let Some(trouble) = &self.trouble {
            return crate::web::one_line(trouble, 300);
        }
        match (self.sync.as_str(), self.operation.as_str()) {
            (_, "Running") => "syncing".into(),
            ("Synced", _) => "synced".into(),
            ("", _) => "made".into(),
            (sync, _) => sync.to_ascii_lowercase(),
        }
    }
}

impl Database {
    pub(super) fn read(object: &Value) -> Self {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let label = object["metadata"]["labels"][ENVIRONMENT_LABEL].as_str();
        Self {
            name: text("/metadata/name").unwrap_or_default(),
            uid: text("/metadata/uid").unwrap_or_default(),
            generation: object["metadata"]["generation"]
                .as_i64()
                .unwrap_or_default(),
            environment: label.unwrap_or_default().to_owned(),
            request_id: object["metadata"]["annotations"][REQUEST_ID]
                .as_str()
                .map(str::to_owned),
            source: text("/spec/source/reference").unwrap_or_default(),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
            kept: object["spec"]["deletionPolicy"] == "Retain",
            status: serde_json::from_value(object["status"].clone()).unwrap_or_default(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.deleting && self.status.is_ready(self.generation)
    }

    /// Why a person must act, if so, and whether the order waits for it.
    pub(super) fn stalled(&self) -> Option<(&Condition, bool)> {
        let current = |c: &Condition| c.observed_generation.is_none_or(|g| g >= self.generation);
        self.status.stalled().filter(|(c, _)| current(c))
    }

    pub(super) fn phase(&self) -> String {
        if self.deleting {
            return "Deleting".into();
        }
        self.status
            .phase
            .map_or_else(|| "Pending".to_owned(), |phase| format!("{phase:?}"))
    }

    /// Phase, stage and what the operator says about it, on one line.
    pub(super) fn says(&self) -> String {
        if self.is_ready() {
            return "Ready".into();
        }
        let stage = self
            .status
            .stages
            .iter()
            .find(|stage| stage.finished_at.is_none());
        let stage = stage
            .map(|stage| format!(", stage {}", stage.name))
            .unwrap_or_default();
        let ready = self
            .status
            .condition("Ready")
            .filter(|ready| ready.status != "True");
        let why = ready.filter(|ready| !ready.message.is_empty());
        let why = why
            .map(|why| format!(" ({}: {})", why.reason, why.message))
            .unwrap_or_default();
        crate::web::one_line(&format!("{}{stage}{why}", self.phase()), 400)
    }
}

/// What an order wants to see: each database with the request that it answers.
pub(super) type Wanted = Vec<(String, Option<String>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Waiting,
    Ready,
    /// A person must act.
    Stalled(String),
    /// Argo CD says that it cannot; often it can a moment later.
    Trouble(String),
}

impl Observed {
    /// Where the order stands. A database decides only once it carries the order.
    pub(super) fn verdict(&self, wanted: &Wanted) -> Verdict {
        let live = |name: &str| self.databases.iter().find(|database| database.name == name);
        let carried = wanted
            .iter()
            .filter_map(|(name, id)| live(name).filter(|database| database.request_id == *id));
        let carried: Vec<_> = carried.collect();
        if let Some(why) = carried.iter().find_map(|d| {
            let (why, _) = d.stalled().filter(|(_, hinders)| *hinders)?;
            Some(format!("{}: {}: {}", d.name, why.reason, why.message))
        }) {
            return Verdict::Stalled(why);
        }
        if carried.len() == wanted.len() {
            return if carried.iter().all(|d| d.is_ready()) {
                Verdict::Ready
            } else {
                Verdict::Waiting
            };
        }
        match self.application.as_ref().and_then(|a| a.trouble.clone()) {
            Some(trouble) => Verdict::Trouble(crate::web::one_line(&trouble, 400)),
            None => Verdict::Waiting,
        }
    }

    /// One state for each thing, for progress lines.
    pub(super) fn states(&self) -> Vec<(String, String)> {
        let application = self
            .application
            .as_ref()
            .map_or_else(|| "not made yet".into(), Application::says);
        let mut states = vec![("Application".to_owned(), application)];
        states.extend(
            self.databases
                .iter()
                .map(|d| (format!("PostgresVDB {}", d.name), d.says())),
        );
        states
    }

    /// Everything of the environment that is still there, by name.
    pub(super) fn things(&self, environment: &str) -> Vec<String> {
        let mut things = Vec::new();
        things.extend(
            self.application
                .iter()
                .map(|_| format!("Application {environment}")),
        );
        for database in &self.databases {
            things.push(format!("PostgresVDB {}", database.name));
            things.extend(
                database
                    .status
                    .vdb
                    .iter()
                    .filter_map(|v| v.id.as_ref())
                    .map(|id| virtual_database(id)),
            );
        }
        things.extend(
            self.namespace
                .iter()
                .map(|_| format!("namespace postgres-vdbs-{environment}")),
        );
        for volume in &self.volumes {
            things.push(format!("volume {} ({})", volume.name, volume.path));
        }
        things
    }
}

/// The name of a virtual database among the things of an environment.
pub(super) fn virtual_database(id: &str) -> String {
    format!("VDB {id}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn database(request: &str, ready: &str, stalled: &str) -> Database {
        Database::read(&json!({
            "metadata": {
                "name": "feat-1-vdb", "uid": "u", "generation": 2,
                "labels": {"postgres-vdb-platform/environment": "feat-1"},
                "annotations": {"postgres-vdb-platform/request-id": request},
            },
            "spec": {"source": {"reference": "10.0.1.54:largedb"}},
            "status": {
                "observedGeneration": 2, "phase": "Provisioning", "vdb": {"id": "7-VDB-1"},
                "conditions": [
                    {"type": "Ready", "status": ready, "reason": "R", "message": "m", "lastTransitionTime": "t", "observedGeneration": 2},
                    {"type": "Stalled", "status": stalled, "reason": "NotAllowed", "message": "no", "lastTransitionTime": "t"},
                ],
                "stages": [{"name": "Provision", "startedAt": "t"}],
            },
        }))
    }

    fn wanted() -> Wanted {
        vec![("feat-1-vdb".into(), Some("id".into()))]
    }

    fn observed(database: Database) -> Observed {
        Observed {
            databases: vec![database],
            ..Observed::default()
        }
    }

    #[test]
    fn only_a_database_that_carries_the_order_decides() {
        assert_eq!(Observed::default().verdict(&wanted()), Verdict::Waiting);
        assert_eq!(
            observed(database("other", "True", "False")).verdict(&wanted()),
            Verdict::Waiting
        );
        assert_eq!(
            observed(database("id", "False", "False")).verdict(&wanted()),
            Verdict::Waiting
        );
        assert_eq!(
            observed(database("id", "True", "False")).verdict(&wanted()),
            Verdict::Ready
        );
        let stalled = observed(database("id", "False", "True")).verdict(&wanted());
        assert_eq!(
            stalled,
            Verdict::Stalled("feat-1-vdb: NotAllowed: no".into())
        );
    }

    #[test]
    fn ready_for_an_older_generation_is_not_ready() {
        let stale = Database {
            generation: 3,
            ..database("id", "True", "False")
        };
        assert_eq!(observed(stale).verdict(&wanted()), Verdict::Waiting);
    }

    #[test]
    fn argo_cds_trouble_counts_until_the_database_carries_the_order() {
        let application = Application::read(&json!({"status": {
            "sync": {"status": "Unknown"}, "conditions": [{"type": "ComparisonError", "message": "values\nfile missing"}]}}));
        let trouble = Observed {
            application: Some(application),
            ..Observed::default()
        };
        assert_eq!(
            trouble.verdict(&wanted()),
            Verdict::Trouble("ComparisonError: values file missing".into())
        );
        let ready = Observed {
            databases: vec![database("id", "True", "False")],
            ..trouble
        };
        assert_eq!(ready.verdict(&wanted()), Verdict::Ready);
    }

    #[test]
    fn everything_that_is_there_has_a_name() {
        let observed = Observed {
            application: Some(Application::default()),
            namespace: Some(true),
            volumes: vec![Volume {
                name: "feat-1-vdb-g1".into(),
                path: "/pool/vdbs/7".into(),
            }],
            ..observed(database("id", "True", "False"))
        };
        let things = [
            "Application feat-1",
            "PostgresVDB feat-1-vdb",
            "VDB 7-VDB-1",
            "namespace postgres-vdbs-feat-1",
            "volume feat-1-vdb-g1 (/pool/vdbs/7)",
        ];
        assert_eq!(observed.things("feat-1"), things);
        assert!(Observed::default().things("feat-1").is_empty());
    }
}
