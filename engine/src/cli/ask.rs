//! Asking a serving engine, as any other caller does.

use std::time::Duration;

use anyhow::{Context as _, bail};
use dct::types::{DSource, Job, JobStatus, LinkAppdata, Page, Snapshot, Vdb};
use dct::{Client, ClientSettings};
use engine::settings::Settings;
use tokio::time::Instant;

use crate::output;

const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
#[error("job {job} is not over after {} s; it goes on, and vdb-engine list shows what it made", waited.as_secs())]
pub(super) struct Late {
    job: String,
    waited: Duration,
}

pub(super) struct Everything {
    pub(super) vdbs: Page<Vdb>,
    pub(super) dsources: Page<DSource>,
    pub(super) snapshots: Page<Snapshot>,
}

fn client(settings: &Settings) -> anyhow::Result<Client> {
    let mut address = settings.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let key = settings
        .api_keys
        .iter()
        .find_map(|key| key.key_file.as_ref());
    let key = key.context(
        "apiKeys of the settings has hashes alone, with which nobody can call; add one with a keyFile",
    )?;
    let scheme = if settings.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let url = format!("{scheme}://{address}");
    let mut client = ClientSettings::new(url, key, "vdb-engine");
    client.ca_file = settings
        .tls
        .as_ref()
        .map(|tls| tls.ca_file.as_ref().unwrap_or(&tls.cert_file).clone());
    Ok(Client::new(client)?)
}

/// Returns the id of the dSource.
pub(super) async fn link(
    settings: &Settings,
    source: &str,
    deadline: Duration,
    tell: bool,
) -> anyhow::Result<String> {
    let client = client(settings)?;
    let request = LinkAppdata {
        source_id: Some(source.to_owned()),
        ..LinkAppdata::default()
    };
    let answer = client.link_appdata(&request).await?;
    let job = answer.job.context("the engine named no job")?;
    wait(&client, &job.id, deadline, tell).await?;
    answer.dsource_id.context("the engine named no dSource")
}

/// Returns the id of the snapshot.
pub(super) async fn snapshot(
    settings: &Settings,
    dsource: &str,
    deadline: Duration,
    tell: bool,
) -> anyhow::Result<String> {
    let client = client(settings)?;
    let job = client.snapshot_dsource(dsource).await?;
    let job = wait(&client, &job.id, deadline, tell).await?;
    let target = job.target_id.context("the job names no dSource")?;
    let own = dct::filter::equals("dataset_id", &target).context("the id of the dSource is odd")?;
    let newest = client.search_snapshots(&own, "-creation_time", 1).await?;
    let newest = newest.items.into_iter().next();
    Ok(newest.context("the snapshot is gone already")?.id)
}

/// Tells people on the way what the job says of itself.
async fn wait(client: &Client, id: &str, deadline: Duration, tell: bool) -> anyhow::Result<Job> {
    let begun = Instant::now();
    let mut told = String::new();
    loop {
        let job = client.job(id).await?.context("the job is gone")?;
        for text in news(&job, &mut told).iter().filter(|_| tell) {
            output::complain(text);
        }
        match job.status {
            JobStatus::Completed => return Ok(job),
            status if status.is_over() => bail!(
                "{}",
                job.error_details.unwrap_or_else(|| format!("{status:?}"))
            ),
            _ if begun.elapsed() >= deadline => bail!(Late {
                job: id.to_owned(),
                waited: deadline,
            }),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What a job's events say that was not told yet: up to the time in `told`.
fn news(job: &Job, told: &mut String) -> Vec<String> {
    let tasks = job.tasks.iter().flatten();
    let events = tasks.flat_map(|task| task.events.iter().flatten());
    let mut texts = Vec::new();
    for event in events {
        let at = event.timestamp.as_deref().unwrap_or_default();
        if at > told.as_str() {
            at.clone_into(told);
            let kind = if event.message_action.is_some() {
                "warning: "
            } else {
                ""
            };
            let text = event.message_details.as_deref().unwrap_or_default();
            texts.push(format!("{kind}{text}"));
        }
    }
    texts
}

pub(super) async fn list(settings: &Settings) -> anyhow::Result<Everything> {
    let client = client(settings)?;
    Ok(Everything {
        vdbs: client.search_vdbs("", 1000).await?,
        dsources: client.search_dsources("").await?,
        snapshots: client.search_snapshots("", "timestamp", 1000).await?,
    })
}

#[cfg(test)]
mod tests {
    use dct::types::{JobEvent, JobTask};

    use super::*;

    #[test]
    fn what_a_job_says_is_told_once() {
        let event = |at: &str, text: &str, kind: Option<&str>| JobEvent {
            timestamp: Some(format!("2026-11-23T10:00:{at}Z")),
            message_details: Some(text.to_owned()),
            message_action: kind.map(str::to_owned),
            ..JobEvent::default()
        };
        let job = |events| Job {
            tasks: Some(vec![JobTask {
                events: Some(events),
                ..JobTask::default()
            }]),
            ..Job::default()
        };
        let mut told = String::new();
        let lost = event("02", "broke off", Some("WARNING"));
        let first = job(vec![event("01", "1 of 4 MiB", None), lost.clone()]);
        assert_eq!(
            news(&first, &mut told),
            ["1 of 4 MiB", "warning: broke off"]
        );
        let second = job(vec![lost, event("03", "2 of 4 MiB", None)]);
        assert_eq!(news(&second, &mut told), ["2 of 4 MiB"]);
        assert!(news(&second, &mut told).is_empty());
    }
}
