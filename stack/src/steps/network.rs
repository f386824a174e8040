//! The node's addresses: a bridge without ports, because the API server refuses to be advertised on loopback.

use std::path::Path;

use anyhow::Result;

use crate::command::{program, run};
use crate::instance::{NODE, SOURCE};
use crate::steps::Inside;

const BRIDGE: &str = "vdb0";

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    ip(&["link", "set", "lo", "up"]).await?;
    if !Path::new("/proc/sys/net/ipv4/conf").join(BRIDGE).exists() {
        ip(&["link", "add", BRIDGE, "type", "bridge"]).await?;
    }
    for address in [NODE, SOURCE] {
        ip(&[
            "address",
            "replace",
            &format!("{address}/32"),
            "dev",
            BRIDGE,
        ])
        .await?;
    }
    ip(&["link", "set", BRIDGE, "up"]).await?;
    // Service addresses are rewritten after routing, so there must be a route first. Nothing leaves the machine by it.
    ip(&["route", "replace", "default", "dev", BRIDGE, "src", NODE]).await?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    inside.progress.step("network ready");
    Ok(())
}

async fn ip(args: &[&str]) -> Result<()> {
    run(program("ip").args(args)).await
}
