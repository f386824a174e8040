//! What an installation will create and change, as people and programs read it. Secrets appear by name and key only.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// Which cluster: said before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Identity {
    pub(super) context: String,
    pub(super) server: String,
    pub(super) version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Create,
    Change,
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) detail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Plan {
    pub(super) cluster: Identity,
    pub(super) steps: Vec<Step>,
    /// The chart's values; they hold no secret.
    pub(super) values: Value,
}

impl Action {
    /// What a look at the live object means.
    pub(super) fn of(exists: bool, same: bool) -> Self {
        match (exists, same) {
            (false, _) => Self::Create,
            (true, false) => Self::Change,
            (true, true) => Self::Keep,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Keep => "keep",
        }
    }
}

impl Plan {
    pub(super) fn is_done(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Keep)
    }

    /// The values are shown where they will be sent.
    fn sends_values(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| step.kind == "Release" && step.action != Action::Keep)
    }

    pub(super) fn text(&self) -> String {
        let Identity {
            context,
            server,
            version,
        } = &self.cluster;
        let mut text = format!(
            "cluster  context     {context}\n         API server  {server}\n         Kubernetes  {version}\n\n"
        );
        for step in &self.steps {
            let _ = writeln!(
                text,
                "{:<7}  {:<14}  {}{}{}",
                step.action.word(),
                step.kind,
                step.name,
                if step.detail.is_empty() { "" } else { ": " },
                step.detail
            );
        }
        if self.sends_values() {
            let values = environment::yaml::write(&self.values).unwrap_or_default();
            text.push_str("\nvalues of the chart\n");
            for line in values.lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(action: Action) -> Plan {
        Plan {
            cluster: Identity {
                context: "prod-eu".into(),
                server: "https://10.0.0.1:6443".into(),
                version: "v1.34.4".into(),
            },
            steps: vec![
                Step {
                    action: Action::Keep,
                    kind: "Namespace",
                    name: "vdb-system".into(),
                    detail: String::new(),
                },
                Step {
                    action,
                    kind: "Release",
                    name: "vdb-system/vdb".into(),
                    detail: "charts/postgres-vdb-platform".into(),
                },
            ],
            values: json!({"operator": {"image": "r/operator:1"}}),
        }
    }

    #[test]
    fn the_cluster_comes_first_then_each_object_then_the_values() {
        let text = plan(Action::Create).text();
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(at("prod-eu") < at("https://10.0.0.1:6443"));
        assert!(at("v1.34.4") < at("keep     Namespace       vdb-system\n"));
        assert!(at("create   Release") < at("image: r/operator:1"));
    }

    #[test]
    fn where_nothing_is_sent_no_values_are_shown() {
        let plan = plan(Action::Keep);
        assert!(plan.is_done());
        assert!(!plan.text().contains("r/operator"));
    }
}
