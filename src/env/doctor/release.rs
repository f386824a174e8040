//! `vdb doctor --release`: lets databases go whose operator was uninstalled first, or whose definition is being deleted.
//! What remains of them is written down first, and nothing is done while an operator lives: it would do it better.

mod live;

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use environment::names::FINALIZER;
use serde_json::{Value, json};

use crate::doctor::Check;
use crate::env::cluster::Cluster;
use crate::env::settings::Settings;
use crate::output;

/// What is asked of the cluster.
#[async_trait]
trait Api {
    /// What says that an operator lives. A question that is not answered is an error, not a no.
    async fn operators(&self) -> Result<Vec<String>>;
    async fn resources(&self) -> Result<Vec<Value>>;
    async fn volumes(&self, uid: &str) -> Result<Vec<String>>;
    async fn record(&self, uid: &str, entry: &Value) -> Result<()>;
    /// Fails if the resource has changed since it was read.
    async fn keep_finalizers(&self, resource: &Value, finalizers: &[String]) -> Result<()>;
}

/// One resource that holds on to our finalizer, and what it would leave.
struct Held {
    resource: Value,
    entry: Value,
}

impl Held {
    fn name(&self) -> String {
        let part = |key: &str| self.entry[key].as_str().unwrap_or_default();
        format!("{}/{}", part("namespace"), part("resource"))
    }

    fn leaves(&self) -> String {
        let volumes = self.entry["volumes"].as_array().map(Vec::as_slice);
        let volumes: Vec<&str> = volumes
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let vdb = ["vdbId", "vdbName"]
            .iter()
            .find_map(|key| self.entry[*key].as_str());
        format!(
            "leaves {} and {}",
            vdb.map_or("no virtual database".to_owned(), |vdb| format!(
                "virtual database {vdb}"
            )),
            if volumes.is_empty() {
                "no volume".to_owned()
            } else {
                format!("volume {}", volumes.join(", "))
            }
        )
    }
}

pub(crate) async fn run(settings: &Settings, yes: bool, dry_run: bool) -> Result<Vec<Check>> {
    let cluster = Cluster::connect(settings.kubeconfig()?).await?;
    let api = live::Live::new(&cluster);
    let now = format!("{:.0}", jiff::Timestamp::now());
    let held = look(&api, &now).await?;
    if held.is_empty() || dry_run {
        return Ok(dry(&held));
    }
    for held in &held {
        output::progress(format!("{} {}", held.name(), held.leaves()));
    }
    if !yes {
        agreed(held.len())?;
        none_by_now(&api).await?;
    }
    Ok(release(&api, &held).await)
}

/// # Errors
/// An operator lives, or the cluster does not say.
async fn look(api: &dyn Api, now: &str) -> Result<Vec<Held>> {
    let operators = api.operators().await.context(
        "nothing is released unless it is known that no operator lives; use a kubeconfig file that may read it",
    )?;
    if !operators.is_empty() {
        bail!(
            "an operator lives ({}): retire the environments, it deletes their databases; nothing was released",
            operators.join(", ")
        );
    }
    let mut held = Vec::new();
    for resource in api.resources().await? {
        if !finalizers(&resource).contains(&FINALIZER.to_owned()) {
            continue;
        }
        let uid = resource["metadata"]["uid"].as_str().unwrap_or_default();
        let volumes = api.volumes(uid).await?;
        let entry = entry(&resource, &volumes, now);
        held.push(Held { resource, entry });
    }
    Ok(held)
}

fn finalizers(resource: &Value) -> Vec<String> {
    serde_json::from_value(resource["metadata"]["finalizers"].clone()).unwrap_or_default()
}

/// In the form in which the operator writes its ledger. Kept: who lets a database go this way has decided that it stays,
/// and no sweep of a later operator takes it.
fn entry(resource: &Value, volumes: &[String], now: &str) -> Value {
    let vdb = &resource["status"]["vdb"];
    let name = [&vdb["name"], &vdb["intent"]["name"]];
    json!({
        "uid": resource["metadata"]["uid"],
        "namespace": resource["metadata"]["namespace"],
        "resource": resource["metadata"]["name"],
        "vdbId": vdb["id"],
        "vdbName": name.into_iter().find(|n| n.is_string()),
        "volumes": volumes,
        "at": now,
        "why": "released without an operator",
        "kept": true,
    })
}

fn dry(held: &[Held]) -> Vec<Check> {
    if held.is_empty() {
        return vec![Check::ok("release", "no PostgresVDB holds our finalizer")];
    }
    let would = |held: &Held| {
        Check::warning(
            held.name(),
            format!("would be released: {}", held.leaves()),
            "run it without --dry-run",
        )
    };
    held.iter().map(would).collect()
}

fn agreed(count: usize) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        bail!("nothing was released: say --yes, or answer in a terminal");
    }
    output::progress(format!(
        "Their data stays in Data Control Tower and is nobody's. Type release to let {count} go:"
    ));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("no answer can be read")?;
    if answer.trim() != "release" {
        bail!("nothing was released");
    }
    Ok(())
}

/// Asked again: an answer may have taken its time.
async fn none_by_now(api: &dyn Api) -> Result<()> {
    let operators = api.operators().await?;
    if operators.is_empty() {
        return Ok(());
    }
    bail!(
        "an operator lives ({}) by now; nothing was released",
        operators.join(", ")
    );
}

/// Each is in the ledger before it is let go. One that fails does not keep the others.
async fn release(api: &dyn Api, held: &[Held]) -> Vec<Check> {
    let mut checks = Vec::new();
    for held in held {
        checks.push(match let_go(api, held).await {
            Ok(()) => Check::ok(held.name(), format!("released, {}", held.leaves())),
            Err(error) => Check::problem(
                held.name(),
                crate::web::one_line(&format!("{error:#}"), 300),
                "it still holds; run it again",
            ),
        });
    }
    checks
}

async fn let_go(api: &dyn Api, held: &Held) -> Result<()> {
    let uid = held.entry["uid"].as_str().context("it has no uid")?;
    api.record(uid, &held.entry).await?;
    let others: Vec<String> = finalizers(&held.resource)
        .into_iter()
        .filter(|name| name != FINALIZER)
        .collect();
    api.keep_finalizers(&held.resource, &others).await
}

#[cfg(test)]
mod tests;
