//! How the base branch is protected, from two sources: the classic rule, which GraphQL shows to everybody who may write, and
//! the rulesets of repository and organisation.

use serde_json::{Value, json};

use super::{GitHub, wire};
use crate::forge::{Error, Protection};
use crate::web;

const QUERY: &str = "query($owner: String!, $name: String!, $branch: String!) { repository(owner: $owner, name: $name) { \
    ref(qualifiedName: $branch) { refUpdateRule { requiredApprovingReviewCount requiredStatusCheckContexts viewerCanPush } } } }";

impl GitHub {
    pub(super) async fn read_protection(&self) -> Result<Protection, Error> {
        let settings = &self.0.settings;
        let variables = json!({
            "owner": settings.owner, "name": settings.repository, "branch": format!("refs/heads/{}", settings.branch)
        });
        let data = self.0.ask(QUERY, &variables).await?.data("refUpdateRule")?;
        let path = format!(
            "/rules/branches/{}?per_page=100",
            web::segment(&settings.branch)
        );
        // A server older than the rulesets has none.
        let answer = self.0.get(&path, &[404]).await?;
        let rules: Vec<wire::Rule> = if answer.status == 404 {
            Vec::new()
        } else {
            answer.json()?
        };
        Ok(combined(
            &data["repository"]["ref"]["refUpdateRule"],
            &rules,
        ))
    }
}

fn combined(classic: &Value, rules: &[wire::Rule]) -> Protection {
    let number = |value: &Value| {
        value
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or_default()
    };
    let mut checks = texts(&classic["requiredStatusCheckContexts"]);
    let mut approvals = number(&classic["requiredApprovingReviewCount"]);
    let mut by_pull_request = classic["requiredApprovingReviewCount"].is_u64();
    let mut closed = classic["viewerCanPush"] == Value::Bool(false);
    for rule in rules {
        match rule.kind.as_str() {
            "pull_request" => {
                by_pull_request = true;
                approvals =
                    approvals.max(number(&rule.parameters["required_approving_review_count"]));
            }
            "merge_queue" => by_pull_request = true,
            "update" => closed = true,
            "required_status_checks" => {
                let required = rule.parameters["required_status_checks"].as_array();
                checks.extend(
                    required
                        .into_iter()
                        .flatten()
                        .filter_map(|check| check["context"].as_str().map(str::to_owned)),
                );
            }
            _ => {}
        }
    }
    checks.sort();
    checks.dedup();
    Protection {
        protected: classic.is_object() || !rules.is_empty(),
        required_approvals: approvals,
        required_checks: checks,
        pushes_allowed: !by_pull_request && !closed,
    }
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<wire::Rule> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_branch_without_rules_is_open() {
        let open = Protection {
            pushes_allowed: true,
            ..Protection::default()
        };
        assert_eq!(combined(&Value::Null, &[]), open);
    }

    #[test]
    fn the_stricter_of_rule_and_ruleset_counts() {
        let classic = json!({"requiredApprovingReviewCount": 1, "requiredStatusCheckContexts": ["vdb/validate"], "viewerCanPush": true});
        let rules = rules(
            r#"[{"type":"pull_request","parameters":{"required_approving_review_count":2}},
                {"type":"required_status_checks","parameters":{"required_status_checks":[{"context":"ci"},{"context":"vdb/validate"}]}},
                {"type":"non_fast_forward"}]"#,
        );
        let expected = Protection {
            protected: true,
            required_approvals: 2,
            required_checks: vec!["ci".into(), "vdb/validate".into()],
            pushes_allowed: false,
        };
        assert_eq!(combined(&classic, &rules), expected);
    }

    #[test]
    fn a_rule_that_only_forbids_deletion_lets_pushes_through() {
        let protection = combined(&Value::Null, &rules(r#"[{"type":"deletion"}]"#));
        assert!(protection.protected && protection.pushes_allowed);
        let protection = combined(&Value::Null, &rules(r#"[{"type":"update"}]"#));
        assert!(protection.protected && !protection.pushes_allowed);
    }
}
