//! Waiting until an order's databases answer, with a line for each change on the way.

use std::time::Duration;

use anyhow::{Result, bail};
use environment::values::Values;
use environment::{EnvironmentName, databases};

use super::cluster::Cluster;
use super::observed::{Observed, Verdict, Wanted};
use super::progress::{News, Progress};
use super::settings::Settings;

/// Argo CD may stumble over a commit that it has only half seen, and tries again by itself.
const TROUBLE_MAY_LAST: Duration = Duration::from_secs(30);

/// What is there when all of it is ready. `afterwards` says how to go on looking once the deadline is over.
pub(super) async fn wait(
    settings: &Settings,
    name: &EnvironmentName,
    values: &Values,
    deadline: Duration,
    afterwards: &str,
    progress: &Progress,
) -> Result<Observed> {
    let cluster = Cluster::connect(settings.kubeconfig()?).await?;
    let wanted = wanted(name, values);
    let mut news = News::default();
    let mut trouble_since = None;
    let mut last = "the cluster does not answer".to_owned();
    while progress.elapsed() < deadline {
        let states = match cluster.observe(name).await {
            Ok(observed) => {
                if is_ready(name, &observed, &wanted, &mut trouble_since, progress)? {
                    return Ok(observed);
                }
                observed.states()
            }
            Err(error) => vec![("cluster".into(), crate::web::error_chain(error.as_ref()))],
        };
        last = said(&states);
        for line in news.of(states) {
            progress.step(line);
        }
        tokio::time::sleep(super::INTERVAL).await;
    }
    bail!(
        "environment {name} is not ready after {}s ({last}); \
         it goes on by itself, and {afterwards}",
        deadline.as_secs()
    )
}

/// Every database of the file, with the order that it is to carry.
fn wanted(name: &EnvironmentName, values: &Values) -> Wanted {
    let id = values
        .request
        .as_ref()
        .and_then(|request| request.id.clone());
    let (databases, _) = databases::of(name, values);
    databases
        .into_iter()
        .map(|database| (database.cr_name, id.clone()))
        .collect()
}

/// Whether it is done; an error when a person must act.
fn is_ready(
    name: &EnvironmentName,
    observed: &Observed,
    wanted: &Wanted,
    trouble_since: &mut Option<Duration>,
    progress: &Progress,
) -> Result<bool> {
    match observed.verdict(wanted) {
        Verdict::Ready => {
            progress.step(format!("environment {name} is ready"));
            return Ok(true);
        }
        Verdict::Stalled(why) => bail!("environment {name} needs a change: {why}"),
        Verdict::Trouble(why) => {
            let since = trouble_since.get_or_insert_with(|| progress.elapsed());
            if progress.elapsed().saturating_sub(*since) > TROUBLE_MAY_LAST {
                bail!("Argo CD cannot apply environment {name}: {why}");
            }
        }
        Verdict::Waiting => *trouble_since = None,
    }
    Ok(false)
}

fn said(states: &[(String, String)]) -> String {
    let states: Vec<String> = states
        .iter()
        .map(|(thing, state)| format!("{thing}: {state}"))
        .collect();
    states.join("; ")
}
