//! How much one owner may have and order. Computed from the cluster and the pull requests: nothing is counted up anywhere.

mod amounts;

use std::collections::BTreeSet;

use environment::names::NAMESPACE_PREFIX;
use environment::resource::Demand;
use environment::{EnvironmentName, Problem};
use jiff::{SignedDuration, Timestamp};

use crate::forge::{Pull, PullState};
use crate::serve::app::App;
use crate::serve::cluster::LiveDatabase;
use crate::serve::error::ApiError;
use crate::serve::portal::same_entity;
use crate::serve::request::{Marker, Operation, RequestId};
use crate::serve::settings::Orders;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What an owner has and has ordered.
#[derive(Debug, Default, PartialEq, Eq)]
struct Usage {
    /// In the cluster, on their way there, or offered by an open pull request.
    environments: BTreeSet<String>,
    open_orders: usize,
    /// When the orders of the last hour were given.
    last_hour: Vec<Timestamp>,
}

/// Why an order is one too many.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) problem: Problem,
    /// Seconds after which the same order is accepted, where time helps.
    retry_after: Option<i64>,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::too_many(refusal.problem, refusal.retry_after)
    }
}

/// What an order or a change makes of an environment.
pub(crate) struct Asked<'a> {
    pub(crate) owner: &'a str,
    pub(crate) environment: &'a EnvironmentName,
    /// What it reserves now; none where there is no such environment yet.
    pub(crate) before: Option<Demand>,
    pub(crate) after: Demand,
}

/// Why an order or a change that nobody asked for before is one too many for its owner, if so.
pub(crate) async fn check(app: &App, asked: &Asked<'_>) -> Result<Option<Refusal>, ApiError> {
    // Fresh ones: the order before this one must be seen.
    let mut pulls = app.forge.open_pulls().await?;
    pulls.extend(app.forge.recent_pulls().await?);
    let databases = app.cluster.all_databases().await?;
    let now = Timestamp::now();
    let usage = usage(asked.owner, &databases, &pulls, now);
    let limits = &app.settings.orders;
    if let Some(refusal) = counts(&usage, limits, asked, now) {
        return Ok(Some(refusal));
    }
    let others = amounts::of_others(&databases, asked);
    Ok(amounts::refusal(&others, limits, asked))
}

fn usage(owner: &str, databases: &[LiveDatabase], pulls: &[Pull], now: Timestamp) -> Usage {
    let mut usage = Usage::default();
    let live = databases
        .iter()
        .filter(|database| database.owner().is_some_and(|of| same_entity(of, owner)));
    let names = live.filter_map(|database| database.namespace.strip_prefix(NAMESPACE_PREFIX));
    usage.environments.extend(names.map(str::to_owned));
    let mut orders: Vec<(&Pull, RequestId)> = pulls
        .iter()
        .filter_map(|pull| Some((pull, RequestId::of_branch(&pull.branch)?)))
        .filter(|(pull, _)| {
            let marker = Marker::of(pull);
            marker.withdrawn_for.is_none() && same_entity(&marker.owner, owner)
        })
        .collect();
    orders.sort_by_key(|(pull, _)| pull.number);
    usage.environments.extend(coming(&orders, now));
    for (pull, request) in &orders {
        if request.operation() == Operation::Retire {
            continue;
        }
        usage.open_orders += usize::from(pull.state == PullState::Open);
        usage.last_hour.extend(
            Some(pull.created_at.as_str())
                .filter(|at| within(Some(at), now))
                .and_then(|at| at.parse::<Timestamp>().ok()),
        );
    }
    usage
}

/// What was merged just now is not in the cluster yet.
fn coming(orders: &[(&Pull, RequestId)], now: Timestamp) -> BTreeSet<String> {
    let mut coming = BTreeSet::new();
    for (pull, request) in orders {
        let name = request.environment().to_string();
        let new = pull.state == PullState::Open
            || (pull.state == PullState::Merged && within(pull.finished_at.as_deref(), now));
        match (request.operation(), pull.state) {
            (Operation::Retire, PullState::Merged) => {
                coming.remove(&name);
            }
            (Operation::Create, _) if new => {
                coming.insert(name);
            }
            _ => {}
        }
    }
    coming
}

fn within(at: Option<&str>, now: Timestamp) -> bool {
    at.and_then(|at| at.parse::<Timestamp>().ok())
        .is_some_and(|at| now.duration_since(at) < HOUR)
}

fn refuse(message: &str, hint: String, retry_after: Option<i64>) -> Refusal {
    let problem = Problem::field("owner", "/owner", format!("{message} (quota)")).hint(hint);
    Refusal {
        problem,
        retry_after,
    }
}

fn counts(usage: &Usage, limits: &Orders, asked: &Asked<'_>, now: Timestamp) -> Option<Refusal> {
    let owner = asked.owner;
    let others = usage.environments.iter();
    let has = others
        .filter(|name| *name != asked.environment.as_str())
        .count();
    let most = limits.max_environments_per_owner;
    if asked.before.is_none() && has >= most {
        return Some(refuse(
            &format!("owner {owner} has {has} environments of at most {most}"),
            "retire one first, or ask the platform team for more".into(),
            None,
        ));
    }
    let (has, most) = (usage.open_orders, limits.max_open_orders_per_owner);
    if has >= most {
        return Some(refuse(
            &format!("owner {owner} has {has} open orders of at most {most}"),
            "have one merged or closed first".into(),
            None,
        ));
    }
    let (has, most) = (usage.last_hour.len(), limits.max_orders_per_hour);
    if has < most {
        return None;
    }
    // As many must grow older than an hour as are too many, and this one.
    let mut times = usage.last_hour.clone();
    times.sort();
    let leaves = times.get(has - most).copied().unwrap_or(now);
    let seconds = (HOUR - now.duration_since(leaves)).as_secs().max(1);
    Some(refuse(
        &format!("owner {owner} has given {has} orders of at most {most} within an hour"),
        format!("order again in {} minutes", (seconds + 59) / 60),
        Some(seconds),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use environment::names::OWNER;

    use super::*;
    use crate::serve::fakes::pull;

    const TEAM: &str = "group:default/team-orders";

    fn now() -> Timestamp {
        "2026-11-25T12:00:00Z".parse().unwrap()
    }

    fn ordered(number: u64, branch: &str, owner: &str, at: &str, state: PullState) -> Pull {
        let marker = Marker {
            owner: owner.into(),
            ..Marker::default()
        };
        Pull {
            created_at: at.into(),
            finished_at: (state != PullState::Open).then(|| at.to_owned()),
            state,
            ..pull(number, branch, &marker.comment())
        }
    }

    fn live(name: &str, owner: &str) -> LiveDatabase {
        LiveDatabase {
            name: format!("{name}-vdb"),
            namespace: format!("postgres-vdbs-{name}"),
            annotations: BTreeMap::from([(OWNER.to_owned(), owner.to_owned())]),
            ..LiveDatabase::default()
        }
    }

    #[test]
    fn what_is_there_what_is_coming_and_what_was_ordered_counts_for_its_owner_alone() {
        let (early, late) = ("2026-11-25T10:00:00Z", "2026-11-25T11:30:00Z");
        let pulls = [
            ordered(
                1,
                "vdb/old.create-0123456789",
                TEAM,
                early,
                PullState::Merged,
            ),
            ordered(
                2,
                "vdb/new.create-0123456789",
                "team-orders",
                late,
                PullState::Merged,
            ),
            ordered(
                3,
                "vdb/gone.create-0123456789",
                TEAM,
                late,
                PullState::Merged,
            ),
            ordered(
                4,
                "vdb/gone.retire-0123456789",
                TEAM,
                late,
                PullState::Merged,
            ),
            ordered(
                5,
                "vdb/asked.create-0123456789",
                TEAM,
                early,
                PullState::Open,
            ),
            ordered(
                6,
                "vdb/theirs.create-0123456789",
                "group:default/x",
                late,
                PullState::Open,
            ),
            ordered(7, "vdb/no.create-0123456789", TEAM, late, PullState::Closed),
            ordered(8, "readme", TEAM, late, PullState::Open),
        ];
        let databases = [
            live("dev", TEAM),
            live("dev", TEAM),
            live("qa", "group:default/x"),
        ];
        let usage = usage(TEAM, &databases, &pulls, now());
        assert_eq!(
            usage.environments.iter().collect::<Vec<_>>(),
            ["asked", "dev", "new"]
        );
        assert_eq!((usage.open_orders, usage.last_hour.len()), (1, 3));
    }

    #[test]
    fn each_limit_refuses_with_its_numbers_and_time_helps_only_the_last() {
        let limits = Orders {
            max_environments_per_owner: 2,
            max_open_orders_per_owner: 2,
            max_orders_per_hour: 2,
            ..Orders::default()
        };
        let name = EnvironmentName::parse("new").unwrap();
        let new = Asked {
            owner: TEAM,
            environment: &name,
            before: None,
            after: Demand::default(),
        };
        let judged = |usage: &Usage| counts(usage, &limits, &new, now());
        assert_eq!(judged(&Usage::default()), None);
        let two: BTreeSet<String> = ["a".into(), "b".into()].into();
        let full = judged(&Usage {
            environments: two.clone(),
            ..Usage::default()
        })
        .unwrap();
        assert!(full.problem.message.contains("2 environments of at most 2"));
        assert_eq!(full.retry_after, None);
        // A change makes no environment more, but it is an order as well.
        let change = Asked {
            owner: TEAM,
            environment: &name,
            before: Some(Demand::default()),
            after: Demand::default(),
        };
        let changed = |environments: &BTreeSet<String>, open_orders| {
            let usage = Usage {
                environments: environments.clone(),
                open_orders,
                ..Usage::default()
            };
            counts(&usage, &limits, &change, now())
        };
        assert_eq!(changed(&two, 1), None);
        let open = changed(&two, 2).unwrap();
        assert!(open.problem.message.contains("2 open orders of at most 2"));
        let open = judged(&Usage {
            open_orders: 3,
            ..Usage::default()
        })
        .unwrap();
        assert!(open.problem.message.contains("3 open orders of at most 2"));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let fast = judged(&Usage {
            last_hour: vec![
                at("2026-11-25T11:59:00Z"),
                at("2026-11-25T11:30:00Z"),
                at("2026-11-25T11:40:00Z"),
            ],
            ..Usage::default()
        })
        .unwrap();
        assert!(fast.problem.message.contains("3 orders of at most 2"));
        // The second oldest is the one whose age lets the next in.
        assert_eq!(fast.retry_after, Some(40 * 60));
        assert!(fast.problem.hint.unwrap().contains("40 minutes"));
    }
}
