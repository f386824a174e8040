//! Databases that somebody writes by hand into a namespace of their own, without an environment around them, and what must
//! be true of them whatever happened meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use super::admission;
use crate::context::Context;
use crate::kubernetes::{Kubernetes, condition};
use crate::node::Node;
use crate::process::{self, Finished};
use crate::wait;

const KIND: &str = "postgresvdb";
/// The page for people is the closed list.
const PAGE: &str = include_str!("../../../docs/operations.md");

pub(crate) struct ByHand<'a> {
    pub(crate) context: &'a Context,
    pub(crate) kubernetes: Kubernetes<'a>,
    pub(crate) namespace: &'static str,
    pub(crate) node: Node,
    /// What lay in the pool before.
    copies: BTreeSet<String>,
}

impl<'a> ByHand<'a> {
    /// The namespace, with the operator's role bound in it, as the chart of an environment does.
    pub(crate) async fn begin(
        context: &'a Context,
        namespace: &'static str,
    ) -> anyhow::Result<Self> {
        let kubernetes = Kubernetes::new(context);
        let labels = json!({ "app.kubernetes.io/part-of": "postgres-vdb-platform" });
        kubernetes.namespace(namespace, &labels).await?;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": "postgres-vdb-operator", "namespace": namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "postgres-vdb-platform-environment" },
            "subjects": [{ "kind": "ServiceAccount", "name": "vdb-operator", "namespace": "vdb-system" }],
        });
        let applied = kubernetes.apply(&binding).await?;
        anyhow::ensure!(applied.ok, "{}", applied.text());
        Self::of(context, namespace)
    }

    /// A namespace that is there already.
    pub(crate) fn of(context: &'a Context, namespace: &'static str) -> anyhow::Result<Self> {
        let node = Node::of(context)?;
        Ok(Self {
            context,
            kubernetes: Kubernetes::new(context),
            namespace,
            copies: node.copies()?,
            node,
        })
    }

    /// Writes a database down; tried again while nobody listens.
    pub(crate) async fn order(
        &self,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> anyhow::Result<()> {
        let mut manifest = admission::vdb(name, change);
        manifest["metadata"]["namespace"] = self.namespace.into();
        manifest["spec"]["errorBackoffPeriod"] = "5s".into();
        wait::until(
            &format!("{name} to be written"),
            Duration::from_secs(60),
            || async {
                let applied = self.kubernetes.apply(&manifest).await?;
                anyhow::ensure!(applied.ok, "{}", applied.text());
                Ok(Some(()))
            },
        )
        .await
    }

    pub(crate) async fn says(&self, name: &str, reason: &str) -> anyhow::Result<Value> {
        let deadline = Duration::from_secs(120);
        self.kubernetes
            .reason(self.namespace, name, reason, deadline)
            .await
    }

    /// Waits until Ready is False for this reason, and its message has these words and the hint that people are promised.
    pub(crate) async fn explains(
        &self,
        name: &str,
        reason: &str,
        words: &[&str],
    ) -> anyhow::Result<()> {
        let hint = hint(reason)?;
        let what = format!("{name} to say {reason}, {words:?} and its hint");
        wait::until(&what, Duration::from_secs(120), || async {
            let get = ["-n", self.namespace, "get", KIND, name];
            let seen = self.kubernetes.json(&get).await?;
            let ready = condition(&seen, "Ready").context("no Ready condition")?;
            let message = ready["message"].as_str().unwrap_or_default();
            let says = ready["reason"] == reason && ready["status"] == "False";
            let explained = words.iter().all(|word| message.contains(word));
            anyhow::ensure!(
                says && explained && message.contains(&hint),
                "Ready={} {}: {message}",
                ready["status"],
                ready["reason"]
            );
            Ok(Some(()))
        })
        .await
    }

    /// What the events about a database say.
    pub(crate) async fn events(&self, name: &str) -> anyhow::Result<String> {
        let about = format!("--field-selector=involvedObject.name={name}");
        let found = self
            .items(&["-n", self.namespace, "events", &about])
            .await?;
        let told = |event: &Value| format!("{}: {}", event["reason"], event["message"]);
        Ok(found.iter().map(told).collect::<Vec<_>>().join("\n"))
    }

    /// The namespace's resources, by `kubectl get -o json`.
    async fn items(&self, args: &[&str]) -> anyhow::Result<Vec<Value>> {
        let found = self.kubernetes.json(&[&["get"], args].concat()).await?;
        Ok(found["items"].as_array().cloned().unwrap_or_default())
    }

    async fn resources(&self) -> anyhow::Result<Vec<Value>> {
        self.items(&["-n", self.namespace, KIND]).await
    }

    /// Every virtual database of the engine.
    async fn engines(&self) -> anyhow::Result<Vec<Value>> {
        let asked = self
            .context
            .engine(Method::POST, "/vdbs/search?limit=1000")?;
        let found: Value = asked
            .json(&json!({}))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(found["items"].as_array().cloned().unwrap_or_default())
    }

    /// Names and owners' uids of the virtual databases that the engine has for this namespace.
    pub(crate) async fn virtual_databases(&self) -> anyhow::Result<Vec<(String, String)>> {
        let ours = |vdb: &Value| {
            let name = vdb["name"].as_str()?.to_owned();
            let tags = vdb["tags"].as_array()?;
            let owner = tags.iter().find(|tag| tag["key"] == "cr-uid")?["value"].as_str()?;
            name.starts_with(self.namespace)
                .then(|| (name.clone(), owner.to_owned()))
        };
        Ok(self.engines().await?.iter().filter_map(ours).collect())
    }

    /// Folders in the engine's pool that came since the beginning and are no virtual database's: others have theirs.
    async fn folders(&self) -> anyhow::Result<Vec<String>> {
        let copies = self.node.copies()?;
        let engines = self.engines().await?;
        let ids: Vec<_> = engines
            .iter()
            .filter_map(|vdb| vdb["id"].as_str())
            .collect();
        // A number follows where the data was exchanged.
        let known = |copy: &String| {
            let rest = ids.iter().filter_map(|id| copy.strip_prefix(*id));
            rest.into_iter()
                .any(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let since = copies.difference(&self.copies);
        Ok(since.filter(|copy| !known(copy)).cloned().collect())
    }

    /// Waits until every database is Ready, or says in a reason of the closed list why not, and until each has one virtual
    /// database, and no more.
    pub(crate) async fn one_each(&self, deadline: Duration) -> anyhow::Result<()> {
        wait::until("one virtual database each", deadline, || async {
            let mut owners = Vec::new();
            for resource in self.resources().await? {
                let name = resource["metadata"]["name"].as_str().unwrap_or_default();
                let ready = condition(&resource, "Ready").context("no Ready condition")?;
                anyhow::ensure!(
                    ready["status"] == "True",
                    "{name}: {} {}",
                    ready["reason"],
                    ready["message"]
                );
                owners.push(
                    resource["metadata"]["uid"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
            let mut found: Vec<_> = self.virtual_databases().await?;
            found.sort();
            let mut tagged: Vec<_> = found.iter().map(|(_, owner)| owner.clone()).collect();
            tagged.sort();
            owners.sort();
            anyhow::ensure!(
                owners == tagged,
                "{} resources, virtual databases {found:?}",
                owners.len()
            );
            Ok(Some(()))
        })
        .await
    }

    /// `vdb doctor` against the stack, as people run it.
    pub(crate) async fn doctor(&self, more: &[&str]) -> anyhow::Result<Finished> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut vdb = Command::new(root.join("target/debug/vdb"));
        vdb.arg("doctor").args(more);
        vdb.env_remove("KUBECONFIG")
            .env("VDB_KUBECONFIG", self.context.get("VDB_KUBECONFIG")?);
        process::run(&mut vdb).await
    }

    /// Deletes a virtual database in the engine by hand and waits until it is gone.
    pub(crate) async fn remove(&self, vdb: &str) -> anyhow::Result<()> {
        let delete = self
            .context
            .engine(Method::POST, &format!("/vdbs/{vdb}/delete"))?;
        let deleted = delete.json(&json!({})).send().await?;
        deleted.error_for_status()?;
        self.absent(vdb).await
    }

    pub(crate) async fn absent(&self, vdb: &str) -> anyhow::Result<()> {
        let deadline = Duration::from_secs(60);
        wait::until(&format!("{vdb} to go"), deadline, || async {
            let asked = self.context.engine(Method::GET, &format!("/vdbs/{vdb}"))?;
            Ok((asked.send().await?.status() == 404).then_some(()))
        })
        .await
    }

    /// Deletes what is there and the namespace; then nothing of it is left anywhere.
    pub(crate) async fn end(&self) -> anyhow::Result<()> {
        self.kubernetes
            .ok(&["delete", "namespace", self.namespace, "--wait=false"])
            .await?;
        self.nothing_left(Duration::from_secs(180)).await
    }

    /// The virtual databases and volumes of this namespace.
    pub(crate) async fn data(&self) -> anyhow::Result<Vec<String>> {
        let found = self.virtual_databases().await?.into_iter();
        let mut data: Vec<_> = found
            .map(|(name, _)| format!("virtual database {name}"))
            .collect();
        let bound = |volume: &Value| volume["spec"]["claimRef"]["namespace"] == self.namespace;
        let volumes = self.items(&["persistentvolumes"]).await?;
        let volumes = volumes.iter().filter(|volume| bound(volume));
        data.extend(volumes.map(|volume| format!("volume {}", volume["metadata"]["name"])));
        Ok(data)
    }

    pub(crate) async fn nothing_left(&self, deadline: Duration) -> anyhow::Result<()> {
        wait::until("nothing to be left", deadline, || async {
            let mut left = self.data().await?;
            if self
                .kubernetes
                .exists(&["namespace", self.namespace])
                .await?
            {
                left.push("the namespace".to_owned());
            }
            let folders = self.folders().await?;
            left.extend(
                folders
                    .iter()
                    .map(|copy| format!("folder {copy} in the pool")),
            );
            anyhow::ensure!(left.is_empty(), "{}", left.join(", "));
            Ok(Some(()))
        })
        .await
    }
}

/// The hint that the page for people promises with a reason.
fn hint(reason: &str) -> anyhow::Result<String> {
    let row = PAGE
        .lines()
        .find(|line| line.starts_with(&format!("| `{reason}` |")))
        .with_context(|| format!("docs/operations.md does not know {reason}"))?;
    let hint = row.split(" | ").nth(2).unwrap_or_default();
    Ok(hint.trim_end_matches(" |").replace("nothing", ""))
}
