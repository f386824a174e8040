//! The ways in which an installation goes before its databases do: nothing of them hangs, and what stays is known.

use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;

use super::{DEFINITION, Installation, NAME};
use crate::process::{self, Finished};
use crate::scenarios::by_hand::ByHand;

const RELEASE: &str = "vdb";
const SYSTEM: &str = "vdb-system";
const FIRST: &str = "postgres-vdbs-first";
const BY_HAND: &str = "postgres-vdbs-x-left";
const LEFT: &str = "x-left";
const SOON: Duration = Duration::from_secs(120);

impl Installation<'_> {
    async fn helm(&self, args: &[&str]) -> anyhow::Result<Finished> {
        let mut helm = Command::new(self.context.get("VDB_HELM")?);
        helm.env("HOME", &self.folder).env_remove("KUBECONFIG");
        helm.args(["--kubeconfig", self.context.get("VDB_KUBECONFIG")?])
            .args(["--kube-context", &self.kube_context, "--namespace", SYSTEM])
            .args(args);
        process::run(&mut helm).await
    }

    /// A database stands in the way: nothing is taken away, both ways out are named, and so is the way back.
    pub(super) async fn refuses_to_go(&self) -> anyhow::Result<()> {
        let refused = self.helm(&["uninstall", RELEASE]).await?;
        anyhow::ensure!(!refused.ok, "it was uninstalled: {}", refused.text());
        let job = ["-n", SYSTEM, "logs", "job/vdb-uninstall-check"];
        let said = self.kubernetes.ok(&job).await?;
        let database = format!("{FIRST}/{NAME}-vdb");
        for part in [&database, "make delete-env", "vdb doctor --release"] {
            anyhow::ensure!(said.contains(part), "{part:?} is not in {said}");
        }
        // Helm 3.18 and later print what the Job said.
        let named = refused.text().contains(&database);
        anyhow::ensure!(named, "Helm names no database: {}", refused.text());
        self.kubernetes.ready(NAME, SOON).await?;

        let again = self.install_with(&["--yes"]).await?;
        let back = "helm rollback vdb 1 ";
        let told = !again.ok && again.text().contains(back);
        anyhow::ensure!(told, "{back:?} is not in {}", again.text());
        let back = self.helm(&["rollback", RELEASE, "1"]).await?;
        anyhow::ensure!(back.ok, "helm rollback: {}", back.text());
        Ok(())
    }

    /// The operator lets each database go before its definition does. The installation makes the definition again.
    pub(super) async fn definition_goes(&self) -> anyhow::Result<()> {
        self.kubernetes.ready(NAME, SOON).await?;
        let delete = ["delete", "crd", DEFINITION, "--timeout=120s"];
        self.kubernetes.ok(&delete).await?;
        let left = ByHand::of(self.context, FIRST)?.data().await?;
        anyhow::ensure!(left.is_empty(), "still there: {}", left.join(", "));
        let ledger = ["-n", SYSTEM, "configmap", "vdb-orphans"];
        anyhow::ensure!(
            !self.kubernetes.exists(&ledger).await?,
            "what was deleted was written down as left"
        );
        let again = self.install_with(&["--yes"]).await?;
        anyhow::ensure!(again.ok, "vdb install: {}", again.text());
        anyhow::ensure!(
            self.kubernetes.exists(&["crd", DEFINITION]).await?,
            "the definition is not back: {}",
            again.text()
        );
        Ok(())
    }

    /// Without an operator the definition waits for ever for what nobody lets go, until that is written down.
    pub(super) async fn operator_goes_first(&self) -> anyhow::Result<()> {
        let left = ByHand::begin(self.context, BY_HAND).await?;
        left.order(LEFT, |_| ()).await?;
        let seen = left.says(LEFT, "Verified").await?;
        let vdb = seen["status"]["vdb"]["id"].as_str();
        let vdb = vdb.context("no VDB id")?;

        let gone = self.helm(&["uninstall", RELEASE, "--no-hooks"]).await?;
        anyhow::ensure!(gone.ok, "helm uninstall --no-hooks: {}", gone.text());
        let delete = ["delete", "crd", DEFINITION, "--wait=false"];
        self.kubernetes.ok(&delete).await?;
        let pods = ["-n", SYSTEM, "wait", "pod", "--for=delete"];
        let operator = ["-l", "app.kubernetes.io/name=vdb-operator", "--timeout=60s"];
        self.kubernetes.ok(&[&pods[..], &operator].concat()).await?;
        anyhow::ensure!(
            self.kubernetes.exists(&["crd", DEFINITION]).await?,
            "the definition went before its databases"
        );
        let released = left.doctor(&["--release", "--yes"]).await?;
        anyhow::ensure!(
            released.ok && released.text().contains(vdb),
            "vdb doctor --release: {}",
            released.text()
        );
        let crd = format!("crd/{DEFINITION}");
        let wait = ["wait", &crd, "--for=delete", "--timeout=60s"];
        self.kubernetes.ok(&wait).await?;
        let ledger = ["-n", SYSTEM, "get", "configmap", "vdb-orphans"];
        let ledger = self.kubernetes.json(&ledger).await?["data"].to_string();
        anyhow::ensure!(ledger.contains(vdb), "the ledger lacks {vdb}: {ledger}");
        Ok(())
    }
}
