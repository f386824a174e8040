//! The scenarios: one that others build on, those that can run side by side, and those that need the stack for themselves.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::context::Context;
use crate::gitea::{self, Gitea};
use crate::kubernetes::{Kubernetes, namespace};
use crate::output::{error, line};
use crate::portal::Portal;
use crate::wait;

mod adapter;
mod admission;
pub(crate) mod by_hand;
mod command_line;
mod day2;
mod deletion;
mod doctor;
mod form;
mod harmless;
mod hooks;
mod kills;
mod life;
mod limits;
mod manifests;
mod node_lost;
mod policies;
mod refusals;
mod remote;
mod renewal;
mod review;
mod secrets;
mod tower;

type Scenario = for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;
/// Scenarios that run one after the other.
type Lane = &'static [(&'static str, Scenario)];

/// Others work in the environment that it makes.
const FIRST: Lane = &[("the_first_environment_of_an_empty_repository", |c| {
    Box::pin(command_line::first_environment(c))
})];

/// Each has databases of its own and looks at nothing else, so these lanes run side by side.
const SIDE_BY_SIDE: [Lane; 5] = [
    &[
        (
            "an_order_through_the_browser_is_queried_and_leaves_the_source_untouched",
            |c| Box::pin(form::order(c)),
        ),
        (
            "one_of_two_environments_with_a_common_prefix_is_retired_alone",
            |c| Box::pin(form::retire(c)),
        ),
    ],
    &[(
        "a_database_gets_more_memory_and_then_other_data_through_the_portal",
        |c| Box::pin(day2::change(c)),
    )],
    &[(
        "a_database_is_refreshed_by_git_and_rewound_by_an_action",
        |c| Box::pin(renewal::exchange(c)),
    )],
    &[("hooks_of_every_stage_run_as_they_are_ordered", |c| {
        Box::pin(hooks::stages(c))
    })],
    &[
        (
            "a_copy_contacts_nothing_and_knows_no_password_of_the_source",
            |c| Box::pin(harmless::copy(c)),
        ),
        ("the_cluster_refuses_what_a_schema_can_refuse", |c| {
            Box::pin(admission::refused(c))
        }),
        ("manifests_of_others_run_as_they_are", |c| {
            Box::pin(manifests::run(c))
        }),
        (
            "the_doctor_names_the_first_broken_link_of_an_environment",
            |c| Box::pin(doctor::environment(c)),
        ),
        ("what_cannot_be_delivered_says_why", |c| {
            Box::pin(admission::explained(c))
        }),
        (
            "the_operators_account_makes_no_other_volumes_and_reads_no_other_secrets",
            |c| Box::pin(policies::account(c)),
        ),
        (
            "what_is_protected_is_not_deleted_before_it_is_released",
            |c| Box::pin(policies::protected(c)),
        ),
        (
            "a_rule_refuses_one_namespace_and_another_deleted_by_hand_leaves_nothing",
            |c| Box::pin(policies::namespaces(c)),
        ),
    ],
];

/// These count what there is, or take a part of the platform away from all.
const ALONE: Lane = &[
    (
        "wrong_orders_are_refused_with_one_clear_error_and_nothing_is_created",
        |c| Box::pin(refusals::orders(c)),
    ),
    (
        "what_is_changed_by_hand_is_judged_before_it_is_merged",
        |c| Box::pin(review::by_hand(c)),
    ),
    (
        "the_forges_adapter_passes_its_suite_on_the_real_forge",
        |c| Box::pin(adapter::gitea(c)),
    ),
    (
        "an_engine_that_is_down_is_said_and_orders_go_on_when_it_is_back",
        |c| Box::pin(admission::engine_down(c)),
    ),
    (
        "orders_survive_the_kills_of_operator_engine_and_api_server",
        |c| Box::pin(kills::few(c)),
    ),
    (
        "what_the_tower_answers_is_said_and_every_order_ends_in_one_database",
        |c| Box::pin(tower::answers(c)),
    ),
    (
        "hooks_pools_and_lives_end_and_so_does_every_deletion",
        |c| Box::pin(limits::all(c)),
    ),
    (
        "with_a_protected_branch_orders_and_deletions_are_pull_requests",
        |c| Box::pin(deletion::protected_branch(c)),
    ),
    ("an_environment_is_deleted_from_the_command_line", |c| {
        Box::pin(command_line::delete(c))
    }),
    (
        "a_deletion_that_nobody_finishes_is_forced_and_its_orphan_recorded",
        |c| Box::pin(deletion::forced(c)),
    ),
    (
        "databases_whose_operator_is_gone_are_released_and_written_down",
        |c| Box::pin(limits::released(c)),
    ),
];

/// These take long and run when they are named: `make soak` does.
const LONG: Lane = &[
    ("long_a_node_is_lost_until_the_cluster_says_so", |c| {
        Box::pin(node_lost::alone(c))
    }),
    (
        "long_a_server_on_a_target_host_is_reached_and_renewed",
        |c| Box::pin(remote::served(c)),
    ),
];

pub(crate) async fn run(context: &Context, names: &[String]) -> anyhow::Result<ExitCode> {
    let asked = |name: &str| names.iter().any(|part| name.contains(part.as_str()));
    let chosen = |name: &str| asked(name) || (names.is_empty() && !name.starts_with("long_"));
    let rounds: [&[Lane]; 4] = [&[FIRST], &SIDE_BY_SIDE, &[ALONE], &[LONG]];
    anyhow::ensure!(
        rounds
            .iter()
            .any(|round| round.concat().iter().any(|(name, _)| chosen(name))),
        "no scenario is named {}",
        names.join(", ")
    );
    let secrets = Mutex::new(secrets::Secrets::of_the_stack(context)?);
    let mut score = Score::default();
    for round in rounds {
        let lanes = round.iter().map(|lane| {
            let chosen = lane.iter().filter(|(name, _)| chosen(name));
            one_after_the_other(context, chosen, &secrets)
        });
        for lane in try_join_all(lanes).await? {
            score.passed += lane.passed;
            score.failed += lane.failed;
        }
    }
    let start = Instant::now();
    let result = secrets::nowhere(context, secrets.into_inner()).await;
    score.count("no_secret_shows_where_it_must_not", start, result);
    let Score { passed, failed } = score;
    line(format!("{passed} passed, {failed} failed"));
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn one_after_the_other(
    context: &Context,
    lane: impl Iterator<Item = &'static (&'static str, Scenario)>,
    secrets: &Mutex<secrets::Secrets>,
) -> anyhow::Result<Score> {
    let mut score = Score::default();
    for (name, scenario) in lane {
        let start = Instant::now();
        let result = scenario(context).await;
        score.count(name, start, result);
        secrets.lock().await.look(context).await?;
    }
    Ok(score)
}

/// The long form, for `make soak`.
pub(crate) async fn kills(context: &Context, orders: usize, seed: u64) -> anyhow::Result<()> {
    kills::orders(context, orders, seed).await
}

#[derive(Default)]
struct Score {
    passed: u32,
    failed: u32,
}

impl Score {
    fn count(&mut self, name: &str, start: Instant, result: anyhow::Result<()>) {
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                self.passed += 1;
                line(format!("ok     {seconds:>6.1} s  {name}"));
            }
            Err(why) => {
                self.failed += 1;
                line(format!("FAILED {seconds:>6.1} s  {name}"));
                error(&why);
            }
        }
    }
}

/// Orders the end of an environment through the portal and merges it.
pub(crate) async fn retire(
    context: &Context,
    portal: &Portal<'_>,
    forge: &Gitea<'_>,
    name: &str,
) -> anyhow::Result<()> {
    let task = portal
        .task(
            "vdb-retire",
            json!({ "entity": format!("resource:default/{name}"), "confirmation": name }),
        )
        .await?;
    anyhow::ensure!(
        task.completed,
        "retiring {name} failed in {}: {}",
        context.get("VDB_PORTAL_URL")?,
        task.log()
    );
    forge.merge(gitea::number(&task.pull_request()?)?).await
}

/// Waits until nothing of the environment is left in the cluster: Application, namespace with all in it, volumes.
pub(crate) async fn gone(kubernetes: &Kubernetes<'_>, name: &str) -> anyhow::Result<()> {
    wait::until(
        &format!("everything of {name} to go"),
        Duration::from_secs(180),
        || async {
            let mut left = Vec::new();
            if kubernetes
                .exists(&["-n", "argocd", "application", name])
                .await?
            {
                left.push("Application".to_owned());
            }
            if kubernetes.exists(&["namespace", &namespace(name)]).await? {
                left.push("namespace".to_owned());
            }
            left.extend(volumes(kubernetes, name).await?);
            anyhow::ensure!(left.is_empty(), "still there: {}", left.join(", "));
            Ok(Some(()))
        },
    )
    .await
}

/// The persistent volumes that an environment's claims are bound to.
async fn volumes(kubernetes: &Kubernetes<'_>, name: &str) -> anyhow::Result<Vec<String>> {
    let all = kubernetes.json(&["get", "pv"]).await?;
    let of = |pv: &&Value| pv["spec"]["claimRef"]["namespace"] == namespace(name);
    Ok(all["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(of)
        .map(|pv| pv["metadata"]["name"].to_string())
        .collect())
}
