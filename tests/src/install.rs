//! Follows docs/install.md on an instance that has Argo CD, Gitea and a source, and nothing of the platform
//! (`vdb-stack up --instance test --bare`): settings file, plan, installation, checks, first order; and the ways out.

mod removal;
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::context::Context;
use crate::kubernetes::Kubernetes;
use crate::output::line;
use crate::process::{self, Finished};

const NAME: &str = "first";
const DEFINITION: &str = "postgresvdbs.core.delphix.com";

struct Installation<'a> {
    context: &'a Context,
    kubernetes: Kubernetes<'a>,
    folder: PathBuf,
    kube_context: String,
}

pub(crate) async fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let kubernetes = Kubernetes::new(context);
    let folder = Path::new(context.get("VDB_STATE_DIR")?).join("install");
    std::fs::create_dir_all(&folder)?;
    let kube_context = kubernetes
        .ok(&["config", "get-contexts", "-o", "name"])
        .await?;
    let installation = Installation {
        context,
        kubernetes,
        folder,
        kube_context: kube_context
            .lines()
            .next()
            .context("no context")?
            .to_owned(),
    };
    let begin = Instant::now();
    installation.starts_bare().await?;
    installation.write_settings()?;
    let first = [
        ("refusals", Step::Refusals),
        ("plan", Step::Plan),
        ("install", Step::Install),
        ("install again", Step::Again),
        ("first order", Step::Order),
        ("doctor", Step::Doctor),
    ];
    installation.steps(&first).await?;
    line(format!(
        "from nothing to a first order: {:.1} s",
        begin.elapsed().as_secs_f64()
    ));
    let last = [
        ("uninstall refused", Step::RefusesToGo),
        ("definition deleted", Step::DefinitionGoes),
        ("operator gone first", Step::OperatorGoesFirst),
    ];
    installation.steps(&last).await?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy)]
enum Step {
    Refusals,
    Plan,
    Install,
    Again,
    Order,
    Doctor,
    RefusesToGo,
    DefinitionGoes,
    OperatorGoesFirst,
}

impl Installation<'_> {
    async fn steps(&self, steps: &[(&str, Step)]) -> anyhow::Result<()> {
        for (name, step) in steps {
            let start = Instant::now();
            let done = self.step(*step).await;
            done.with_context(|| format!("step {name}"))?;
            line(format!(
                "ok   {name:<19} {:>6.1} s",
                start.elapsed().as_secs_f64()
            ));
        }
        Ok(())
    }

    async fn step(&self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Refusals => self.refusals().await,
            Step::Plan => self.plan().await,
            Step::Install => self.install().await,
            Step::Again => self.again().await,
            Step::Order => self.order().await,
            Step::Doctor => self.doctor().await,
            Step::RefusesToGo => self.refuses_to_go().await,
            Step::DefinitionGoes => self.definition_goes().await,
            Step::OperatorGoesFirst => self.operator_goes_first().await,
        }
    }

    async fn starts_bare(&self) -> anyhow::Result<()> {
        for (what, args) in [
            ("the definition", &["crd", DEFINITION][..]),
            ("the namespace", &["namespace", "vdb-system"]),
            (
                "the ApplicationSet",
                &["-n", "argocd", "applicationset", "postgres-vdb-platform"],
            ),
        ] {
            anyhow::ensure!(
                !self.kubernetes.exists(args).await?,
                "{what} is there already: start a bare instance (vdb-stack up --instance test --bare)"
            );
        }
        Ok(())
    }

    fn vdb(&self, command: &[&str]) -> anyhow::Result<Command> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut vdb = Command::new(root.join("target/debug/vdb"));
        vdb.current_dir(root).args(command);
        for key in ["VDB_KUBECTL", "VDB_HELM", "VDB_KUBECONFIG"] {
            vdb.env(key, self.context.get(key)?);
        }
        vdb.env("HOME", &self.folder).env_remove("KUBECONFIG");
        Ok(vdb)
    }

    async fn install_with(&self, more: &[&str]) -> anyhow::Result<Finished> {
        let file = self.file().display().to_string();
        let context = format!("--kube-context={}", self.kube_context);
        let command = [&["install", "--settings", &file, &context], more].concat();
        process::run(&mut self.vdb(&command)?).await
    }

    /// Without a cluster's name, with another operator's definition, without a yes: nothing is changed.
    async fn refusals(&self) -> anyhow::Result<()> {
        let file = self.file().display().to_string();
        let nameless =
            process::run(&mut self.vdb(&["install", "--settings", &file, "--yes"])?).await?;
        anyhow::ensure!(
            !nameless.ok && nameless.stderr.contains("name the cluster"),
            "no cluster was named: {}",
            nameless.text()
        );
        let asked = self.install_with(&[]).await?;
        anyhow::ensure!(
            !asked.ok && asked.stderr.contains("nothing was changed"),
            "no answer is no: {}",
            asked.text()
        );
        let foreign = self.kubernetes.apply(&foreign_definition()).await?;
        anyhow::ensure!(foreign.ok, "a foreign definition: {}", foreign.text());
        let refused = self.install_with(&["--yes"]).await?;
        self.kubernetes.ok(&["delete", "crd", DEFINITION]).await?;
        anyhow::ensure!(
            !refused.ok && refused.stderr.contains("another operator's"),
            "a foreign definition was not refused: {}",
            refused.text()
        );
        self.starts_bare().await
    }

    async fn plan(&self) -> anyhow::Result<()> {
        let planned = self.install_with(&["--dry-run", "--output=json"]).await?;
        anyhow::ensure!(planned.ok, "--dry-run: {}", planned.text());
        let plan: Value = serde_json::from_str(&planned.stdout)?;
        anyhow::ensure!(
            plan["cluster"]["context"] == self.kube_context.as_str(),
            "another cluster: {}",
            plan["cluster"]
        );
        for secret in [
            "gitea-vdb-bot.token",
            "argocd-bot.token",
            "source-vdb_replicator.password",
        ] {
            anyhow::ensure!(
                !planned.stdout.contains(&self.context.secret(secret)?),
                "the plan shows {secret}"
            );
        }
        self.starts_bare().await
    }

    async fn install(&self) -> anyhow::Result<()> {
        let installed = self.install_with(&["--yes"]).await?;
        anyhow::ensure!(installed.ok, "vdb install: {}", installed.text());
        for name in ["vdb-engine", "vdb-operator", "vdb-sidecar"] {
            anyhow::ensure!(
                installed.stderr.contains(&format!("{name} is ready")),
                "{name}: {}",
                installed.text()
            );
        }
        Ok(())
    }

    async fn again(&self) -> anyhow::Result<()> {
        let planned = self.install_with(&["--yes", "--output=json"]).await?;
        anyhow::ensure!(planned.ok, "vdb install twice: {}", planned.text());
        let plan: Value = serde_json::from_str(&planned.stdout)?;
        let steps = plan["steps"].as_array().context("no steps")?;
        let changed: Vec<&Value> = steps
            .iter()
            .filter(|step| step["action"] != "keep")
            .collect();
        anyhow::ensure!(changed.is_empty(), "the second run changes {changed:?}");
        Ok(())
    }

    async fn order(&self) -> anyhow::Result<()> {
        let mut vdb = self.vdb(&["env", "create", NAME])?;
        for key in [
            "VDB_REPO",
            "VDB_BRANCH",
            "VDB_FORGE_URL",
            "VDB_FORGE_OWNER",
            "VDB_FORGE_REPOSITORY",
            "VDB_FORGE_TOKEN_FILE",
            "VDB_ARGOCD_REPO_URL",
            "VDB_ARGOCD_WEBHOOKS",
            "VDB_ARGOCD_WEBHOOK_SECRET_FILE",
        ] {
            vdb.env(key, self.context.get(key)?);
        }
        let created = process::run(&mut vdb).await?;
        anyhow::ensure!(created.ok, "vdb env create: {}", created.text());
        self.kubernetes.ready(NAME, Duration::from_secs(10)).await?;
        let rows = self
            .kubernetes
            .sql(NAME, "select count(*) > 100000 from orders")
            .await?;
        anyhow::ensure!(rows == "t", "the copy holds the source's rows: {rows}");
        Ok(())
    }

    /// Nothing is a problem; the portal is not part of this, so a warning may be.
    async fn doctor(&self) -> anyhow::Result<()> {
        let file = self.file().display().to_string();
        let context = format!("--kube-context={}", self.kube_context);
        let command = [
            "doctor",
            "--install",
            "--settings",
            &file,
            &context,
            "--output=json",
        ];
        let said = process::run(&mut self.vdb(&command)?).await?;
        anyhow::ensure!(said.ok, "vdb doctor --install: {}", said.text());
        let said: Value = serde_json::from_str(&said.stdout)?;
        let checks = said["checks"].as_array().context("no checks")?;
        for name in [
            "forge",
            "cluster",
            "vdb-operator",
            "vdb-sidecar",
            "vdb-engine",
            "webhook",
            "first order",
        ] {
            let check = checks.iter().find(|check| check["name"] == name);
            let check = check.with_context(|| format!("no check {name}"))?;
            anyhow::ensure!(check["outcome"] == "ok", "{name}: {check}");
        }
        Ok(())
    }
}

/// The smallest definition of that name which is not the platform's.
fn foreign_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": DEFINITION},
        "spec": {
            "group": "core.delphix.com", "scope": "Namespaced",
            "names": {"plural": "postgresvdbs", "singular": "postgresvdb", "kind": "PostgresVDB"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}
