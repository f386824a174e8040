//! What can be said of an order before it is merged: how old its data will be, how long it may take, what it reserves.
//!
//! Nothing here may stop an order: what is not known in time is said to be unknown.

use std::time::Duration;

use environment::order::Order;
use environment::quantity::Quantity;
use environment::resource::Demand;
use jiff::{SignedDuration, Timestamp};

use crate::serve::app::App;
use crate::serve::cluster::LiveDatabase;
use crate::serve::settings::Quota;

/// A pull request is not kept waiting for its decoration.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Texts for the pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    pub(super) data: String,
    pub(super) time: String,
    pub(super) quota: String,
}

pub(super) async fn look(app: &App, order: &Order, demand: &Demand) -> Outlook {
    let (data, databases) = tokio::join!(
        tokio::time::timeout(LONGEST_LOOK, snapshot(app, order)),
        tokio::time::timeout(LONGEST_LOOK, app.cluster.all_databases()),
    );
    Outlook {
        data: data.ok().flatten().map_or_else(
            || "not known now".to_owned(),
            |at| data_text(&at, order.snapshot_id.is_some(), Timestamp::now()),
        ),
        time: match databases {
            Ok(Ok(databases)) => time_text(&databases),
            _ => "not known now".to_owned(),
        },
        quota: quota_text(demand, &app.settings.orders.quota),
    }
}

/// The time of the data that the order would get now.
async fn snapshot(app: &App, order: &Order) -> Option<String> {
    let dataset = app.sources.find(&order.source).await.ok()?.ok()?;
    let found = app
        .sources
        .data_time(&dataset, order.snapshot_id.as_deref())
        .await;
    found.ok().flatten()
}

fn data_text(at: &str, chosen: bool, now: Timestamp) -> String {
    let Ok(time) = at.parse::<Timestamp>() else {
        return "not known now".to_owned();
    };
    let which = if chosen {
        "the snapshot that was chosen"
    } else {
        "the newest snapshot when this was ordered"
    };
    let age = now.duration_since(time).max(SignedDuration::ZERO);
    let second = Timestamp::from_second(time.as_second()).unwrap_or(time);
    format!("{second}, {} old ({which})", length(age))
}

/// One number and its unit, as people say it.
fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} seconds", duration.as_secs_f64()),
        10..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The median over the databases that run now, in all and by stage.
fn time_text(databases: &[LiveDatabase]) -> String {
    let measured: Vec<Vec<(String, SignedDuration)>> = databases
        .iter()
        .filter(|database| database.is_ready())
        .filter_map(durations)
        .collect();
    let Some(total) = median(
        measured
            .iter()
            .map(|stages| stages.iter().map(|(_, took)| *took).sum())
            .collect(),
    ) else {
        return "no database yet to measure".to_owned();
    };
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in measured.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let stages: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let of_name = measured.iter().flatten().filter(|(n, _)| n == name);
            let took = median(of_name.map(|(_, took)| *took).collect())?;
            Some(format!("{name} {}", length(took)))
        })
        .collect();
    let many = if measured.len() == 1 {
        "the one database that runs".to_owned()
    } else {
        format!("median of {} databases that run", measured.len())
    };
    format!(
        "about {} after the merge ({many} now: {})",
        length(total),
        stages.join(", ")
    )
}

/// How long each stage took; None unless all of them have ended.
fn durations(database: &LiveDatabase) -> Option<Vec<(String, SignedDuration)>> {
    let stages = &database.status.stages;
    let took = |stage: &environment::status::Stage| {
        let from: Timestamp = stage.started_at.parse().ok()?;
        let to: Timestamp = stage.finished_at.as_deref()?.parse().ok()?;
        Some((
            stage.name.clone(),
            to.duration_since(from).max(SignedDuration::ZERO),
        ))
    };
    let all: Option<Vec<_>> = stages.iter().map(took).collect();
    all.filter(|stages| !stages.is_empty())
}

fn median(mut durations: Vec<SignedDuration>) -> Option<SignedDuration> {
    durations.sort();
    let middle = durations.len() / 2;
    Some(if durations.len() % 2 == 1 {
        *durations.get(middle)?
    } else {
        (*durations.get(middle.checked_sub(1)?)? + *durations.get(middle)?) / 2
    })
}

/// What the environment reserves, of what the platform grants it.
fn quota_text(demand: &Demand, quota: &Quota) -> String {
    let of = |granted: &Option<String>| {
        granted
            .as_ref()
            .map_or_else(String::new, |granted| format!(" of {granted}"))
    };
    let count = demand.databases;
    let parts = [
        format!("{count}{} pods", of(&quota.pods)),
        format!("{count}{} volumes", of(&quota.persistentvolumeclaims)),
        format!("{}{} CPU", cores(demand.cpu), of(&quota.requests_cpu)),
        format!(
            "{}{} memory",
            bytes(demand.memory),
            of(&quota.requests_memory)
        ),
    ];
    let milli = |granted: &Option<String>| Quantity::new(granted.clone()?).milli();
    let beyond = [
        (u128::from(count) * 1_000, &quota.pods),
        (u128::from(count) * 1_000, &quota.persistentvolumeclaims),
        (demand.cpu, &quota.requests_cpu),
        (demand.memory * 1_000, &quota.requests_memory),
    ]
    .iter()
    .any(|(wanted, granted)| milli(granted).is_some_and(|granted| *wanted > granted));
    let warning = if beyond {
        "; **more than the environment is granted: it will not start**"
    } else {
        ""
    };
    format!("{}{warning}", parts.join(", "))
}

pub(crate) fn cores(milli: u128) -> String {
    if milli.is_multiple_of(1_000) {
        (milli / 1_000).to_string()
    } else {
        format!("{milli}m")
    }
}

pub(crate) fn bytes(bytes: u128) -> String {
    let mut units = [(30, "Gi"), (20, "Mi"), (10, "Ki")].iter();
    units
        .find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift))
        .map_or_else(
            || bytes.to_string(),
            |(shift, unit)| format!("{}{unit}", bytes >> shift),
        )
}

#[cfg(test)]
mod tests {
    use environment::status::{Condition, Stage};

    use super::*;

    fn database(stages: &[(&str, f64)], ready: bool) -> LiveDatabase {
        let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let mut database = LiveDatabase::default();
        let mut at = start;
        for (name, seconds) in stages {
            let end = at + SignedDuration::from_secs_f64(*seconds);
            database.status.stages.push(Stage {
                name: (*name).to_owned(),
                started_at: at.to_string(),
                finished_at: Some(end.to_string()),
            });
            at = end;
        }
        database.status.conditions = vec![Condition {
            kind: "Ready".into(),
            status: if ready { "True" } else { "False" }.into(),
            reason: String::new(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: String::new(),
        }];
        database
    }

    #[test]
    fn the_time_is_the_median_of_what_runs() {
        assert_eq!(time_text(&[]), "no database yet to measure");
        let waiting = database(&[("accept", 900.0)], false);
        assert_eq!(
            time_text(std::slice::from_ref(&waiting)),
            "no database yet to measure"
        );
        let quick = database(&[("provision", 1.0), ("start", 2.0)], true);
        let slow = database(&[("provision", 2.0), ("start", 300.0)], true);
        assert_eq!(
            time_text(&[waiting, quick.clone(), quick.clone(), slow]),
            "about 3.0 seconds after the merge (median of 3 databases that run now: provision 1.0 seconds, start 2.0 seconds)"
        );
        let mut open = quick;
        open.status.stages[1].finished_at = None;
        assert_eq!(time_text(&[open]), "no database yet to measure");
    }

    #[test]
    fn the_data_says_its_time_and_its_age() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        assert_eq!(
            data_text("2026-11-23T07:00:00.123Z", false, now),
            "2026-11-23T07:00:00Z, 2 hours old (the newest snapshot when this was ordered)"
        );
        assert!(
            data_text("2026-11-23T10:00:05Z", true, now).contains("0.0 seconds old (the snapshot"),
            "another clock"
        );
        assert_eq!(data_text("| x |", true, now), "not known now");
    }

    #[test]
    fn what_is_beyond_the_quota_is_said() {
        let mut demand = Demand {
            databases: 1,
            cpu: 100,
            memory: 256 << 20,
        };
        let quota = Quota::default();
        assert_eq!(
            quota_text(&demand, &quota),
            "1 of 20 pods, 1 of 10 volumes, 100m of 4 CPU, 256Mi of 8Gi memory"
        );
        demand.memory = 9 << 30;
        assert!(quota_text(&demand, &quota).contains("9Gi of 8Gi memory; **more"));
        let none = Quota {
            requests_memory: None,
            ..quota
        };
        assert!(quota_text(&demand, &none).ends_with("9Gi memory"));
    }
}
