//! Other data in the same database: a refresh that Git asks for, and actions that nobody commits; and a database of a moment
//! that no snapshot holds.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::context::Context;
use crate::gitea::Gitea;
use crate::kubernetes::{Kubernetes, condition, namespace};
use crate::output::line;
use crate::scenarios::{command_line, gone};
use crate::wait;

const NAME: &str = "renewed";
const THEN: &str = "renewed-then";
const FILE: &str = "environments/renewed/values.yaml";
const BY: &str = "developer";
const MASK: &str = "create table masked as select current_user as by";
const COLLATION: &str = "de-x-icu";
const SOON: Duration = Duration::from_secs(180);

pub(crate) async fn exchange(context: &Context) -> anyhow::Result<()> {
    let (forge, kubernetes) = (Gitea::new(context)?, Kubernetes::new(context));
    let (number, _) = forge
        .propose(BY, &branch("order"), &[(FILE, &values(None, MASK))])
        .await?;
    forge.merge(number).await?;
    let before = kubernetes.ready(NAME, SOON).await?;
    collations(&before, "True", "Match")?;
    kubernetes
        .sql(NAME, "create table mine as select 1 as one")
        .await?;
    let kept = identities(&kubernetes).await?;

    at_source(
        context,
        &kubernetes,
        "create table news as select 7 as seven",
    )
    .await?;
    let moment = Timestamp::now();
    let news = refreshed(context, &forge, &kubernetes, &before, &kept).await;
    at_source(context, &kubernetes, "drop table news").await?;
    news?;
    undone(&forge, &kubernetes, &kept).await?;

    // Another environment: they have nothing to do with each other.
    let (acted, then) = tokio::join!(
        actions(&kubernetes, &kept),
        at_that_moment(&forge, &kubernetes, moment)
    );
    acted?;
    then?;

    for name in [NAME, THEN] {
        let yes = [("ENV", name), ("YES", "1")];
        let deleted = command_line::make(context, "delete-env", &yes).await?;
        anyhow::ensure!(deleted.ok, "make delete-env: {}", deleted.text());
        gone(&kubernetes, name).await?;
    }
    Ok(())
}

/// The source has dropped its news since; between the snapshots before and after, only its log knows the moment.
async fn at_that_moment(
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
    moment: Timestamp,
) -> anyhow::Result<()> {
    let file = format!("environments/{THEN}/values.yaml");
    let ordered = format!(
        "owner: group:default/team-orders\nvdb:\n  source: {{type: dct-source, reference: '10.0.1.54:largedb', \
         timestamp: '{moment}'}}\n  database: {{name: largedb, user: app}}\n"
    );
    let (number, _) = forge
        .propose(BY, &branch("then"), &[(&file, &ordered)])
        .await?;
    forge.merge(number).await?;
    kubernetes.ready(THEN, SOON).await?;
    let seven = kubernetes.sql(THEN, "select seven from news").await?;
    anyhow::ensure!(seven == "7", "the news of {moment} are {seven}");
    Ok(())
}

/// Merged branches stay, and the scenario can be run again on the same forge.
fn branch(what: &str) -> String {
    format!("renewed-{what}-{}", Timestamp::now().as_millisecond())
}

fn values(token: Option<&str>, mask: &str) -> String {
    let refresh = token.map_or_else(String::new, |t| format!("  refresh: {{token: {t}}}\n"));
    format!(
        "owner: group:default/team-orders\nvdb:\n  source: {{type: dct-source, reference: '10.0.1.54:largedb'}}\n  \
         database: {{name: largedb, user: app}}\n  collations: Reindex\n  hooks:\n    - {{name: mask, stage: post-refresh, type: sql, \
         backoffLimit: 0, script: '{mask}'}}\n{refresh}"
    )
}

/// What must stay the same, by uid and version: Service and Secret.
async fn identities(kubernetes: &Kubernetes<'_>) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for (kind, name) in [
        ("service", format!("{NAME}-vdb")),
        ("secret", format!("{NAME}-vdb-credentials")),
    ] {
        let object = kubernetes
            .json(&["-n", &namespace(NAME), "get", kind, &name])
            .await?;
        found.push(object["metadata"]["uid"].clone());
        found.push(object["metadata"]["resourceVersion"].clone());
    }
    Ok(found)
}

async fn at_source(
    context: &Context,
    kubernetes: &Kubernetes<'_>,
    sql: &str,
) -> anyhow::Result<()> {
    let password = context.secret("source-app.password")?;
    let uri = format!("postgresql://app:{password}@10.0.1.54:5432/largedb");
    kubernetes.sql_as(NAME, json!(uri), sql).await?;
    Ok(())
}

/// A snapshot of the source as it is now.
async fn snapshot(context: &Context) -> anyhow::Result<()> {
    let ask = |method: Method, path: String| async move {
        let call = context.engine(method, &path)?.json(&json!({}));
        let answer: Value = call.send().await?.error_for_status()?.json().await?;
        anyhow::Ok(answer)
    };
    let sources = ask(Method::GET, "/dsources".to_owned()).await?;
    let source = sources["items"].as_array().into_iter().flatten();
    let id = source
        .filter(|s| s["name"] == "largedb")
        .find_map(|s| s["id"].as_str())
        .context("the engine has no largedb")?
        .to_owned();
    let job = ask(Method::POST, format!("/dsources/{id}/snapshots")).await?["job"]["id"]
        .as_str()
        .context("no job")?
        .to_owned();
    wait::until("the snapshot of the source", SOON, || async {
        let job = ask(Method::GET, format!("/jobs/{job}")).await?;
        anyhow::ensure!(job["status"] == "COMPLETED", "{job}");
        Ok(Some(()))
    })
    .await
}

async fn refreshed(
    context: &Context,
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
    before: &Value,
    kept: &[Value],
) -> anyhow::Result<()> {
    snapshot(context).await?;
    let number = forge
        .change(BY, &branch("refresh"), FILE, &values(Some("first"), MASK))
        .await?;
    forge.merge(number).await?;
    let vdb = exchanged(kubernetes, "first", "Succeeded").await?;
    anyhow::ensure!(
        vdb["status"]["dataAsOf"] != before["status"]["dataAsOf"],
        "dataAsOf is still {}",
        vdb["status"]["dataAsOf"]
    );
    expect(kubernetes, "select to_regclass('mine') is null", "t").await?;
    expect(kubernetes, "select seven from news", "7").await?;
    expect(kubernetes, "select by from masked", "app").await?;
    unchanged(kubernetes, kept, "renewed-vdb-g2").await
}

/// Waits for this end of the refresh that a token asked for, and until the database is Ready after it.
async fn exchanged(kubernetes: &Kubernetes<'_>, token: &str, end: &str) -> anyhow::Result<Value> {
    let refresh = wait::until(&format!("the {token} refresh"), SOON, || async {
        let refresh = kubernetes.vdb(NAME).await?["status"]["refresh"].take();
        anyhow::ensure!(
            refresh["token"] == token && refresh["state"] == end,
            "{refresh}"
        );
        Ok(Some(refresh))
    })
    .await?;
    line(format!(
        "       {end}: from {} to {}",
        refresh["startedAt"], refresh["finishedAt"]
    ));
    kubernetes.ready(NAME, SOON).await
}

/// A hook that fails on the new data: the data before it comes back, and all that leads to it has stayed.
async fn undone(
    forge: &Gitea<'_>,
    kubernetes: &Kubernetes<'_>,
    kept: &[Value],
) -> anyhow::Result<()> {
    kubernetes
        .sql(NAME, "create table since as select 3 as three")
        .await?;
    let before = kubernetes.ready(NAME, SOON).await?;
    let wrong = values(Some("second"), "select nonsense");
    let number = forge.change(BY, &branch("undone"), FILE, &wrong).await?;
    forge.merge(number).await?;
    let ready = exchanged(kubernetes, "second", "Failed").await?;
    let refresh = &ready["status"]["refresh"];
    let said = refresh["message"].as_str().unwrap_or_default();
    anyhow::ensure!(
        refresh["reason"] == "HookFailed" && said.contains("mask") && said.contains("nonsense"),
        "{refresh}"
    );
    let stalled = condition(&ready, "Stalled").context("no Stalled condition")?;
    anyhow::ensure!(
        stalled["status"] == "True" && stalled["reason"] == "RefreshFailed",
        "{stalled}"
    );
    let hooks = condition(&ready, "HooksSucceeded").context("no HooksSucceeded condition")?;
    let told = hooks["message"].as_str().unwrap_or_default();
    anyhow::ensure!(
        hooks["status"] == "False" && told.contains("nonsense"),
        "{hooks}"
    );
    anyhow::ensure!(
        ready["status"]["dataAsOf"] == before["status"]["dataAsOf"],
        "dataAsOf is {}",
        ready["status"]["dataAsOf"]
    );
    expect(kubernetes, "select three from since", "3").await?;
    expect(kubernetes, "select by from masked", "app").await?;
    unchanged(kubernetes, kept, "renewed-vdb-g2").await
}

async fn expect(kubernetes: &Kubernetes<'_>, sql: &str, answer: &str) -> anyhow::Result<()> {
    let got = kubernetes.sql(NAME, sql).await?;
    anyhow::ensure!(got == answer, "{sql}: {got} instead of {answer}");
    Ok(())
}

async fn unchanged(kubernetes: &Kubernetes<'_>, kept: &[Value], claim: &str) -> anyhow::Result<()> {
    let now = identities(kubernetes).await?;
    anyhow::ensure!(now == kept, "Service or Secret changed: {kept:?}, {now:?}");
    let claims = kubernetes
        .json(&["-n", &namespace(NAME), "get", "persistentvolumeclaims"])
        .await?;
    let names: Vec<_> = claims["items"].as_array().into_iter().flatten().collect();
    anyhow::ensure!(
        names.len() == 1 && names[0]["metadata"]["name"] == claim,
        "the claims are {:?}",
        names
            .iter()
            .map(|c| &c["metadata"]["name"])
            .collect::<Vec<_>>()
    );
    Ok(())
}

async fn actions(kubernetes: &Kubernetes<'_>, kept: &[Value]) -> anyhow::Result<()> {
    let act = |kind, name, spec| act(kubernetes, NAME, kind, name, spec);
    let old = act("PostgresTask", "old", old_collation()).await?;
    let bookmark = json!({ "name": "renewed-before-tests", "retentionDays": 1 });
    act("PostgresSnapshot", "before-tests", bookmark).await?;
    kubernetes
        .sql(NAME, "create table later as select 2 as two")
        .await?;
    let back = json!({ "bookmark": "renewed-before-tests" });
    act("PostgresRewind", "back", back).await?;
    let rebuilt = collations(&kubernetes.ready(NAME, SOON).await?, "True", "Reindexed")?;
    anyhow::ensure!(rebuilt.contains("indexes rebuilt"), "{rebuilt}");
    expect(kubernetes, &rebuilt_since(&old)?, "t").await?;
    expect(kubernetes, "select to_regclass('later') is null", "t").await?;
    expect(kubernetes, "select seven from news", "7").await?;
    unchanged(kubernetes, kept, "renewed-vdb-g4").await?;

    let count = json!({ "sql": "select 'rows ' || count(*) from news" });
    let task = act("PostgresTask", "count", count).await?;
    let output = task["status"]["output"].as_str().unwrap_or_default();
    anyhow::ensure!(output.contains("rows 1"), "the task printed {output:?}");
    let wrong = json!({ "sql": "select nothing from news" });
    let task = end(kubernetes, NAME, "PostgresTask", "wrong", wrong, "Failed").await?;
    for said in ["message", "output"] {
        let text = task["status"][said].as_str().unwrap_or_default();
        let named = text.contains("column \"nothing\" does not exist");
        anyhow::ensure!(named, "the task's {said} is {text:?}");
    }
    Ok(())
}

/// As if another image had written the data: one index, which is small. It prints the index's file.
pub(super) fn old_collation() -> Value {
    let sql = format!(
        "create table sorted (word text collate \"{COLLATION}\" primary key); insert into sorted values ('a');\
         update pg_collation set collversion = '0.0' where collname = '{COLLATION}';\
         select 'file ' || pg_relation_filenode('sorted_pkey')"
    );
    json!({ "sql": sql, "as": "admin" })
}

/// Whether the index has another file than then, and the version is recorded that the server has.
fn rebuilt_since(old: &Value) -> anyhow::Result<String> {
    let printed = old["status"]["output"].as_str().unwrap_or_default();
    let file = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("file "));
    let file = file.with_context(|| format!("the task printed {printed:?}"))?;
    Ok(format!(
        "select pg_relation_filenode('sorted_pkey') <> {file} and collversion = pg_collation_actual_version(oid) \
         from pg_collation where collname = '{COLLATION}'"
    ))
}

/// The message of the condition that compares the collations.
pub(super) fn collations(vdb: &Value, status: &str, reason: &str) -> anyhow::Result<String> {
    let found = condition(vdb, "CollationsMatch").context("no CollationsMatch condition")?;
    anyhow::ensure!(
        found["status"] == status && found["reason"] == reason,
        "{found} instead of {status} {reason}"
    );
    Ok(found["message"].as_str().unwrap_or_default().to_owned())
}

/// Creates an action and waits until it has succeeded.
pub(super) async fn act(
    kubernetes: &Kubernetes<'_>,
    environment: &str,
    kind: &str,
    name: &str,
    spec: Value,
) -> anyhow::Result<Value> {
    end(kubernetes, environment, kind, name, spec, "Succeeded").await
}

/// Creates an action and waits for this end of it.
async fn end(
    kubernetes: &Kubernetes<'_>,
    environment: &str,
    kind: &str,
    name: &str,
    mut spec: Value,
    phase: &str,
) -> anyhow::Result<Value> {
    spec["vdb"] = json!(format!("{environment}-vdb"));
    let namespace = namespace(environment);
    let applied = kubernetes
        .apply(&json!({
            "apiVersion": "actions.delphix.com/v1alpha1", "kind": kind,
            "metadata": { "name": name, "namespace": namespace }, "spec": spec,
        }))
        .await?;
    anyhow::ensure!(applied.ok, "create {kind} {name}: {}", applied.text());
    wait::until(&format!("{kind} {name}"), SOON, || async {
        let action = kubernetes
            .json(&["-n", &namespace, "get", kind, name])
            .await?;
        let status = &action["status"];
        anyhow::ensure!(status["phase"] == phase, "{status}");
        Ok(Some(action))
    })
    .await
}
