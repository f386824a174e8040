//! CPU and memory: what an owner's databases reserve together, and what one environment is granted.
//!
//! Only what grows is refused: whoever has more than a limit that was lowered since may still change other things.

use environment::names::NAMESPACE_PREFIX;
use environment::quantity::Quantity;
use environment::resource::{Demand, demand_of};

use super::{Asked, Refusal, refuse};
use crate::serve::cluster::LiveDatabase;
use crate::serve::portal::same_entity;
use crate::serve::proposal::{bytes, cores};
use crate::serve::settings::Orders;

/// What the owner's other environments reserve in the cluster.
pub(super) fn of_others(databases: &[LiveDatabase], asked: &Asked<'_>) -> Demand {
    let other = |database: &&LiveDatabase| {
        let name = database.namespace.strip_prefix(NAMESPACE_PREFIX);
        name != Some(asked.environment.as_str())
            && database
                .owner()
                .is_some_and(|owner| same_entity(owner, asked.owner))
    };
    demand_of(
        databases
            .iter()
            .filter(other)
            .map(|database| &database.spec),
    )
}

/// One resource in its unit: thousandths of a core, or bytes.
struct Amount<'a> {
    what: &'static str,
    before: u128,
    after: u128,
    others: u128,
    owner_limit: Option<&'a Quantity>,
    granted: Option<&'a String>,
    /// How many units a thousandth of a quantity has.
    per_milli: u128,
    text: fn(u128) -> String,
}

/// All that is too much, with its numbers.
pub(super) fn refusal(others: &Demand, limits: &Orders, asked: &Asked<'_>) -> Option<Refusal> {
    let is_change = asked.before.is_some();
    let before = asked.before.clone().unwrap_or_default();
    let amounts = [
        Amount {
            what: "CPU",
            before: before.cpu,
            after: asked.after.cpu,
            others: others.cpu,
            owner_limit: limits.max_cpu_per_owner.as_ref(),
            granted: limits.quota.requests_cpu.as_ref(),
            per_milli: 1,
            text: cores,
        },
        Amount {
            what: "memory",
            before: before.memory,
            after: asked.after.memory,
            others: others.memory,
            owner_limit: limits.max_memory_per_owner.as_ref(),
            granted: limits.quota.requests_memory.as_ref(),
            per_milli: 1_000,
            text: bytes,
        },
    ];
    let grown = amounts.iter().filter(|amount| amount.after > amount.before);
    let mut messages = Vec::new();
    for amount in grown {
        messages.extend(amount.beyond_owner(asked.owner));
        // A new environment that is too large does not start, and its pull request says so. One that runs would stop.
        messages.extend(amount.beyond_grant(asked).filter(|_| is_change));
    }
    if messages.is_empty() {
        return None;
    }
    let hint = "ask for less, retire something first, or ask the platform team for more";
    Some(refuse(&messages.join("; "), hint.into(), None))
}

impl Amount<'_> {
    fn beyond_owner(&self, owner: &str) -> Option<String> {
        let limit = self.owner_limit?;
        let all = self.others + self.after;
        let shown = self.text;
        (all * self.per_milli > limit.milli()?).then(|| {
            format!(
                "owner {owner} would reserve {} of at most {limit} {}: {} here, {} in other environments",
                shown(all),
                self.what,
                shown(self.after),
                shown(self.others)
            )
        })
    }

    fn beyond_grant(&self, asked: &Asked<'_>) -> Option<String> {
        let granted = self.granted?;
        let shown = self.text;
        (self.after * self.per_milli > Quantity::new(granted.clone()).milli()?).then(|| {
            format!(
                "environment {} would reserve {} of at most {granted} {}",
                asked.environment,
                shown(self.after),
                self.what
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use environment::EnvironmentName;
    use environment::names::OWNER;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const TEAM: &str = "group:default/team-orders";

    fn live(name: &str, owner: &str) -> LiveDatabase {
        LiveDatabase {
            namespace: format!("postgres-vdbs-{name}"),
            annotations: BTreeMap::from([(OWNER.to_owned(), owner.to_owned())]),
            spec: json!({"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}),
            ..LiveDatabase::default()
        }
    }

    fn demand(cpu: u128, memory: u128) -> Demand {
        Demand {
            databases: 1,
            cpu,
            memory: memory << 30,
        }
    }

    #[rstest]
    #[case::new_and_well(None, demand(500, 1), &[])]
    #[case::new_and_too_much(None, demand(1_500, 1), &["would reserve 2500m of at most 2 CPU: 1500m here, 1 in other environments"])]
    #[case::new_beyond_its_grant(None, demand(500, 9), &["11Gi of at most 6Gi memory"])]
    #[case::change_within(Some(demand(100, 1)), demand(1_000, 2), &[])]
    #[case::both_grow(Some(demand(100, 1)), demand(1_500, 5), &["2500m of at most 2 CPU", "7Gi of at most 6Gi memory: 5Gi here, 2Gi in other environments"])]
    #[case::one_grows(Some(demand(5_000, 1)), demand(5_000, 2), &[])]
    #[case::it_shrinks(Some(demand(5_000, 9)), demand(4_000, 8), &[])]
    fn what_grows_beyond_a_limit_is_refused_with_its_numbers(
        #[case] before: Option<Demand>,
        #[case] after: Demand,
        #[case] says: &[&str],
    ) {
        let limits = Orders {
            max_cpu_per_owner: Some(Quantity::new("2")),
            max_memory_per_owner: Some(Quantity::new("6Gi")),
            ..Orders::default()
        };
        let name = EnvironmentName::parse("dev").unwrap();
        let asked = Asked {
            owner: TEAM,
            environment: &name,
            before,
            after,
        };
        let databases = [
            live("dev", TEAM),
            live("a", TEAM),
            live("b", "team-orders"),
            live("c", "group:default/x"),
        ];
        let others = of_others(&databases, &asked);
        assert_eq!((others.cpu, others.memory), (1_000, 2 << 30));
        let refused = refusal(&others, &limits, &asked);
        let message = refused
            .map(|refused| refused.problem.message)
            .unwrap_or_default();
        assert_eq!(message.is_empty(), says.is_empty(), "{message}");
        for part in says {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
        assert_eq!(
            message.matches("would reserve").count(),
            says.len(),
            "{message}"
        );
    }

    #[test]
    fn a_change_beyond_what_its_environment_is_granted_would_stop_it() {
        let name = EnvironmentName::parse("dev").unwrap();
        let mut asked = Asked {
            owner: TEAM,
            environment: &name,
            before: Some(demand(100, 1)),
            after: demand(5_000, 1),
        };
        let none = Demand::default();
        let refused = refusal(&none, &Orders::default(), &asked).unwrap();
        let message = &refused.problem.message;
        assert_eq!(
            message,
            "environment dev would reserve 5 of at most 4 CPU (quota)"
        );
        asked.before = None;
        assert_eq!(refusal(&none, &Orders::default(), &asked), None);
    }
}
