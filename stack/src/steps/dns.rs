//! CoreDNS, which also knows the names of the programs on the node.

use anyhow::Result;

use crate::command::run;
use crate::images;
use crate::instance::{DNS, NODE};
use crate::steps::Inside;

const COREDNS: &str = include_str!("../../manifests/coredns.yaml");

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let manifest = COREDNS
        .replace("@NODE@", NODE)
        .replace("@DNS@", DNS)
        .replace("@IMAGE@", images::COREDNS);
    inside.apply(&manifest).await?;
    let args = [
        "--namespace=kube-system",
        "rollout",
        "status",
        "deployment/coredns",
        "--timeout=90s",
    ];
    run(&mut inside.kubectl(&args)).await?;
    inside.progress.step("cluster DNS ready");
    Ok(())
}
