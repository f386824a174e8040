//! `vdb doctor <env>`: a healthy environment, and one whose image nobody has.

use std::time::Duration;

use serde_json::json;

use super::admission::{NAMESPACE, vdb};
use super::command_line::{NAME, make};
use crate::context::Context;
use crate::kubernetes::Kubernetes;

const LINKS: [&str; 6] = [
    "virtual database",
    "volume",
    "pod",
    "service",
    "secret",
    "query",
];

pub(crate) async fn environment(context: &Context) -> anyhow::Result<()> {
    let healthy = make(context, "doctor", &[("ENV", NAME)]).await?;
    let page = healthy.text();
    anyhow::ensure!(healthy.ok, "a healthy environment is not well: {page}");
    for link in LINKS {
        let line = format!("{NAME}-vdb {link}");
        anyhow::ensure!(page.contains(&line), "no line {line}: {page}");
    }
    anyhow::ensure!(!page.contains("problem"), "{page}");

    let kubernetes = Kubernetes::new(context);
    let name = "x-noimage";
    let missing = vdb(name, |spec| spec["image"] = json!("postgres:99"));
    let applied = kubernetes.apply(&missing).await?;
    anyhow::ensure!(applied.ok, "{}", applied.text());
    let seen = kubernetes
        .reason(
            NAMESPACE,
            name,
            "ImageUnavailable",
            Duration::from_secs(120),
        )
        .await;
    let sick = make(context, "doctor", &[("ENV", NAME)]).await?;
    let deleted = kubernetes.delete_vdb(NAMESPACE, name).await?;
    seen?;
    let page = sick.text();
    anyhow::ensure!(!sick.ok, "a missing image is no problem: {page}");
    anyhow::ensure!(
        page.contains("begin with x-noimage") && page.contains("postgres:99"),
        "the first broken link is not named: {page}"
    );
    anyhow::ensure!(deleted.ok, "{}", deleted.text());
    Ok(())
}
