//! A copy is harmless: it reaches out to nobody, and what opens the source does not open it.

use serde_json::json;

use crate::context::Context;
use crate::kubernetes::Kubernetes;

const NAME: &str = "feat-b";

pub(crate) async fn copy(context: &Context) -> anyhow::Result<()> {
    let kubernetes = Kubernetes::new(context);
    let expected = [
        ("show archive_mode", "off"),
        ("select pg_is_in_recovery()", "f"),
        ("show max_logical_replication_workers", "0"),
        (
            "select count(*) from pg_stat_activity where backend_type like 'logical replication%'",
            "0",
        ),
        ("select count(*) from pg_stat_wal_receiver", "0"),
        ("select count(*) from pg_replication_slots", "0"),
        ("select count(*) from pg_user_mappings", "0"),
        ("select count(*) from pg_subscription where subenabled", "0"),
        ("select current_user", "app"),
    ];
    for (sql, answer) in expected {
        let got = kubernetes.sql(NAME, sql).await?;
        anyhow::ensure!(got == answer, "{sql}: expected {answer:?}, got {got:?}");
    }
    for role in ["app", "reporting"] {
        let password = context.secret(&format!("source-{role}.password"))?;
        let uri = format!("postgresql://{role}:{password}@{NAME}-vdb:5432/largedb");
        let opened = kubernetes.sql_as(NAME, json!(uri), "select 1").await;
        let refused = opened
            .as_ref()
            .is_err_and(|e| format!("{e:#}").contains("authentication failed"));
        anyhow::ensure!(
            refused,
            "the source's password of {role} is not refused: {:?}",
            opened.map_err(|e| e.root_cause().to_string().replace(&password, "***"))
        );
    }
    Ok(())
}
