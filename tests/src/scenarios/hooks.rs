//! A hook of every stage, and every way to say how it runs. Each tells what it saw in another database, which outlives its own.

use std::time::Duration;

use serde_json::{Value, json};

use super::by_hand::ByHand;
use super::{gone, renewal};
use crate::context::Context;
use crate::kubernetes::Kubernetes;
use crate::output::line;
use crate::wait;

/// As if an environment had this name: its namespace and its database are found by it.
const NAME: &str = "x-hooks";
const DATABASE: &str = "x-hooks-vdb";
const WITNESS: &str = "x-witness";
const NAMESPACE: &str = "postgres-vdbs-x-hooks";
/// A schedule has a time every minute, and the refresh takes its own.
const SOON: Duration = Duration::from_secs(150);

/// Writes to the witness; its address comes by `envFrom`.
const TELL: &str = r#"
tell() {
    echo "insert into seen (hook, what) values (:'hook', :'what')" |
        psql "$uri" -Xq -v ON_ERROR_STOP=1 -v hook="$1" -v what="$2"
}
own() { psql -XAtc "$1"; }
"#;

/// Fails at first: there is one row then.
const ASKS: &str = r#"
tell pre-create "$WORD, $GREETING, host ${PGHOST-none}"
test "$(psql "$uri" -XAtc "select count(*) from seen")" -gt 1
"#;
/// A database is made outside of a transaction only, and not by the application's role.
const MAKES: &str = r#"
\getenv other OTHER
create table alone (x bigint);
insert into alone values (txid_current());
insert into alone values (txid_current());
create table made as select current_user as who, (select count(distinct x) from alone) as transactions;
grant select on made to app;
create database :"other" owner app;
"#;
const TOGETHER: &str = "create table once (x bigint); insert into once values (txid_current()); insert into once values (txid_current())";
/// So many characters of three bytes do not fit into one variable of a process.
const BEYOND: usize = 45_000;
const NOTES: &str = "create table noted as select current_user as who, current_database() as place";
const TOLD: &str = r#"tell post-create "$(own "select who || ' in ' || place from noted")""#;
const RESULTS: &str = r#"tell post-create "$(own "select (select who || ' ' || transactions from made), (select count(distinct x) from once)")""#;
const BEFORE: &str = r#"tell pre-refresh "$(own "select to_regclass('once')")""#;
const AFTER: &str =
    "create table refreshed as select current_user as who, to_regclass('once') is null as fresh";
const LAST: &str = r#"tell pre-delete "$(own "select who || ' ' || fresh from refreshed")""#;
const GONE: &str = r#"tell post-delete "$WORD, host ${PGHOST-none}""#;

/// One session; it prints what it hears, and that the server answers it afterwards.
const LISTENS: &str = r#"
{ echo "listen vdb_platform;"; yes "select 'alive' from pg_sleep(0.1);"; } | psql "$URI" -XAtq 2>&1 | {
    read -r line; echo "$line"
    while read -r line; do
        case $line in *stopping*) echo "$line"; read -r line; echo "$line"; exit 0 ;; esac
    done
    exit 1
}
"#;
/// Hooks of the deletion that fail, and the end of what they print: they keep nothing from going.
const BROKEN: [(&str, &str); 2] = [("wrong", "nonsense"), ("broken", "no way out")];

/// What the witness was told, in this order; the second refresh is the schedule's.
const SEEN: [&str; 8] = [
    "pre-create: it's $5, hello, host none",
    "pre-create: it's $5, hello, host none",
    "post-create: app in audit",
    "post-create: vdb_admin 2|1",
    "pre-refresh: once",
    "pre-refresh: ",
    "pre-delete: app true",
    "post-delete: it's $5, host none",
];

pub(crate) async fn stages(context: &Context) -> anyhow::Result<()> {
    let ours = ByHand::begin(context, NAMESPACE).await?;
    let words = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "words", "namespace": NAMESPACE },
        "data": { "GREETING": "hello" },
    });
    let applied = ours.kubernetes.apply(&words).await?;
    anyhow::ensure!(applied.ok, "{}", applied.text());
    ours.order(WITNESS, |spec| {
        let table = "create table seen (n serial, hook text, what text)";
        spec["hooks"] = json!([hook("seen", "post-create", table, json!({}))]);
    })
    .await?;
    ours.says(WITNESS, "Verified").await?;

    ours.order(DATABASE, |spec| {
        spec["hooks"] = hooks();
        spec["sessionGrace"] = "2s".into();
    })
    .await?;
    ours.says(DATABASE, "Verified").await?;
    refreshed(&ours.kubernetes).await?;
    ours.says(DATABASE, "Verified").await?;
    scheduled(&ours.kubernetes).await?;

    let deleted = ours.kubernetes.delete_vdb(NAMESPACE, DATABASE).await?;
    anyhow::ensure!(deleted.ok, "{}", deleted.text());
    let events = ours.events(DATABASE).await?;
    for (hook, end) in BROKEN {
        let told = |event: &str| ["HookFailed", hook, end].iter().all(|w| event.contains(w));
        anyhow::ensure!(
            events.lines().any(told),
            "no event tells of {hook}: {events}"
        );
    }
    let told = "select hook || ': ' || what from seen order by n";
    let told = ours.kubernetes.sql_as(NAME, uri(WITNESS), told).await?;
    let told: Vec<&str> = told.lines().collect();
    anyhow::ensure!(told == SEEN, "the witness was told {told:#?}");

    let namespace = ["delete", "namespace", NAMESPACE, "--wait=false"];
    ours.kubernetes.ok(&namespace).await?;
    gone(&ours.kubernetes, NAME).await
}

/// Who listens is told before the server stops, and has its grace.
async fn refreshed(kubernetes: &Kubernetes<'_>) -> anyhow::Result<()> {
    let listener = kubernetes.client(NAME, uri(DATABASE), LISTENS, "").await?;
    wait::until("a session to listen", SOON, || async {
        Ok((kubernetes.log(&listener).await? == "alive").then_some(()))
    })
    .await?;
    renewal::act(kubernetes, NAME, "PostgresRefresh", "newest", json!({})).await?;
    let heard = kubernetes.ended(&listener).await?;
    let heard: Vec<&str> = heard.lines().collect();
    let told = r#"{"event":"stopping","reason":"refresh","deadline":"2"#;
    anyhow::ensure!(
        matches!(heard[..], ["alive", notified, "alive"] if notified.contains(told)),
        "the session heard {heard:#?}"
    );
    Ok(())
}

/// The order of the list is not that of the weights: each needs what a lighter one made.
fn hooks() -> Value {
    let from = json!([{ "secretRef": { "name": format!("{WITNESS}-credentials") } }, { "configMapRef": { "name": "words" } }]);
    let word = json!({ "WORD": "it's $5" });
    let tells = |name, stage, script: &str, mut more: Value| {
        more["type"] = "command".into();
        more["envFrom"] = from.clone();
        hook(name, stage, &format!("{TELL}{script}"), more)
    };
    let retried = json!({ "env": word, "backoffLimit": 2 });
    let makes =
        json!({ "weight": -5, "as": "admin", "transaction": false, "env": { "OTHER": "audit" } });
    let failing = json!({ "weight": -1, "type": "command" });
    let together = format!("{TOGETHER} -- {}", "\u{20ac}".repeat(BEYOND));
    json!([
        hook("wrong", "pre-delete", "select nonsense", json!({})),
        hook("broken", "post-delete", "echo no way out; exit 3", failing),
        tells("results", "post-create", RESULTS, json!({ "weight": 9 })),
        tells(
            "told",
            "post-create",
            TOLD,
            json!({ "weight": 8, "database": "audit" })
        ),
        hook(
            "notes",
            "post-create",
            NOTES,
            json!({ "weight": 1, "database": "audit" })
        ),
        hook("makes", "post-create", MAKES, makes),
        hook("together", "post-create", &together, json!({})),
        tells("asks", "pre-create", ASKS, retried),
        tells("before", "pre-refresh", BEFORE, json!({})),
        hook(
            "after",
            "post-refresh",
            AFTER,
            json!({ "as": "application" })
        ),
        tells("last", "pre-delete", LAST, json!({})),
        tells("gone", "post-delete", GONE, json!({ "env": word })),
    ])
}

/// SQL that is tried once, where nothing more is said.
fn hook(name: &str, stage: &str, script: &str, more: Value) -> Value {
    let mut hook =
        json!({ "name": name, "stage": stage, "type": "sql", "script": script, "backoffLimit": 0 });
    if let (Some(hook), Value::Object(more)) = (hook.as_object_mut(), more) {
        hook.extend(more);
    }
    hook
}

/// A schedule that has a time every minute fires once; then it is taken away.
async fn scheduled(kubernetes: &Kubernetes<'_>) -> anyhow::Result<()> {
    let refresh = |schedule: Value| async move {
        let patch = json!({ "spec": { "refresh": { "schedule": schedule } } }).to_string();
        let args = ["-n", NAMESPACE, "patch", "postgresvdb", DATABASE];
        let patch = [&args[..], &["--type=merge", "-p", &patch]].concat();
        kubernetes.ok(&patch).await.map(drop)
    };
    let now = || async { anyhow::Ok(kubernetes.vdb(NAME).await?["status"]["refresh"].clone()) };
    refresh(json!("* * * * *")).await?;
    wait::until("the schedule's refresh to begin", SOON, || async {
        let now = now().await?;
        anyhow::ensure!(now["to"] == 3, "{now}");
        Ok(Some(()))
    })
    .await?;
    refresh(Value::Null).await?;
    let ended = wait::until("the schedule's refresh", SOON, || async {
        let now = now().await?;
        anyhow::ensure!(now["state"] == "Succeeded" && now["to"] == 3, "{now}");
        Ok(Some(now))
    })
    .await?;
    line(format!(
        "       refreshed by its schedule from {} to {}",
        ended["startedAt"], ended["finishedAt"]
    ));
    let nobody = ["token", "action"].iter().all(|who| ended[who].is_null());
    anyhow::ensure!(nobody, "somebody else asked for it: {ended}");
    kubernetes.ready(NAME, SOON).await.map(drop)
}

fn uri(database: &str) -> Value {
    json!({ "secretKeyRef": { "name": format!("{database}-credentials"), "key": "uri" } })
}
