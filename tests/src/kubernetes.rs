//! The cluster, through kubectl with the stack's own kubeconfig.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::context::Context;
use crate::process::{self, Finished};
use crate::wait;

pub(crate) struct Kubernetes<'a> {
    context: &'a Context,
}

impl<'a> Kubernetes<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self { context }
    }

    fn kubectl(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(self.context.get("VDB_KUBECTL")?);
        command
            .env_remove("KUBECONFIG")
            .arg("--kubeconfig")
            .arg(self.context.get("VDB_KUBECONFIG")?);
        Ok(command)
    }

    pub(crate) async fn run(&self, args: &[&str]) -> anyhow::Result<Finished> {
        process::run(self.kubectl()?.args(args)).await
    }

    /// Runs and expects success; standard output.
    pub(crate) async fn ok(&self, args: &[&str]) -> anyhow::Result<String> {
        let finished = self.run(args).await?;
        anyhow::ensure!(
            finished.ok,
            "kubectl {}: {}",
            args.join(" "),
            finished.text()
        );
        Ok(finished.stdout)
    }

    pub(crate) async fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        let text = self.ok(&[args, &["-o", "json"]].concat()).await?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {}", args.join(" ")))
    }

    pub(crate) async fn apply(&self, manifest: &Value) -> anyhow::Result<Finished> {
        process::run_with_input(
            self.kubectl()?.args(["apply", "-f", "-"]),
            &manifest.to_string(),
        )
        .await
    }

    /// By server-side apply, as the operator writes; `account` is kubectl's --as.
    pub(crate) async fn apply_as(
        &self,
        account: &str,
        manifest: &Value,
    ) -> anyhow::Result<Finished> {
        process::run_with_input(
            self.kubectl()?
                .args([account, "apply", "--server-side", "-f", "-"]),
            &manifest.to_string(),
        )
        .await
    }

    pub(crate) async fn namespace(&self, name: &str, labels: &Value) -> anyhow::Result<()> {
        let manifest = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        let applied = self.apply(&manifest).await?;
        anyhow::ensure!(applied.ok, "namespace {name}: {}", applied.text());
        Ok(())
    }

    /// Whether the object exists. An error is not an answer.
    pub(crate) async fn exists(&self, args: &[&str]) -> anyhow::Result<bool> {
        let finished = self.run(&[&["get"], args].concat()).await?;
        match finished.ok {
            true => Ok(true),
            false
                if finished.stderr.contains("NotFound")
                    || finished.stderr.contains("not found") =>
            {
                Ok(false)
            }
            false => anyhow::bail!("kubectl get {}: {}", args.join(" "), finished.text()),
        }
    }

    pub(crate) async fn vdb(&self, environment: &str) -> anyhow::Result<Value> {
        self.json(&[
            "-n",
            &namespace(environment),
            "get",
            "postgresvdb",
            &format!("{environment}-vdb"),
        ])
        .await
    }

    /// Waits until the environment's database is Ready for its generation.
    pub(crate) async fn ready(
        &self,
        environment: &str,
        deadline: Duration,
    ) -> anyhow::Result<Value> {
        wait::until(&format!("{environment} ready"), deadline, || async {
            let vdb = self.vdb(environment).await?;
            let ready = condition(&vdb, "Ready").context("no Ready condition")?;
            anyhow::ensure!(
                ready["status"] == "True",
                "Ready={} {}: {}",
                ready["status"],
                ready["reason"],
                ready["message"]
            );
            anyhow::ensure!(
                ready["observedGeneration"] == vdb["metadata"]["generation"],
                "Ready is of an older generation"
            );
            Ok(Some(vdb))
        })
        .await
    }

    /// Deletes a database by hand and waits until it is gone.
    pub(crate) async fn delete_vdb(&self, namespace: &str, name: &str) -> anyhow::Result<Finished> {
        self.run(&[
            "-n",
            namespace,
            "delete",
            "postgresvdb",
            name,
            "--timeout=90s",
        ])
        .await
    }

    /// Waits until Ready carries this reason.
    pub(crate) async fn reason(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
        deadline: Duration,
    ) -> anyhow::Result<Value> {
        wait::until(&format!("{name} to say {reason}"), deadline, || async {
            let vdb = self
                .json(&["-n", namespace, "get", "postgresvdb", name])
                .await?;
            let ready = condition(&vdb, "Ready").context("no Ready condition")?;
            anyhow::ensure!(
                ready["reason"] == reason,
                "Ready={} {}: {}",
                ready["status"],
                ready["reason"],
                ready["message"]
            );
            Ok(Some(vdb))
        })
        .await
    }

    /// Runs SQL from a pod of the environment with the Secret's credentials, as the application would. Unaligned tuples.
    pub(crate) async fn sql(&self, environment: &str, sql: &str) -> anyhow::Result<String> {
        self.sql_as(environment, json!({ "secretKeyRef": { "name": format!("{environment}-vdb-credentials"), "key": "uri" } }), sql).await
    }

    /// Runs SQL from a pod; `uri` is the value source of the connection address. What the server refuses is an error.
    pub(crate) async fn sql_as(
        &self,
        environment: &str,
        uri: Value,
        sql: &str,
    ) -> anyhow::Result<String> {
        let pod = self.client(environment, uri, QUERY, sql).await?;
        self.ended(&pod).await.context(sql.to_owned())
    }

    /// Starts a pod with a shell's script that knows the connection address as `URI`.
    pub(crate) async fn client(
        &self,
        environment: &str,
        uri: Value,
        script: &str,
        sql: &str,
    ) -> anyhow::Result<Client> {
        let pod = Client {
            namespace: namespace(environment),
            name: format!("query-{}", jiff::Timestamp::now().as_millisecond()),
        };
        let uri = if uri.is_string() {
            json!({ "name": "URI", "value": uri })
        } else {
            json!({ "name": "URI", "valueFrom": uri })
        };
        let applied = self.apply(&client_pod(&pod, &uri, script, sql)).await?;
        anyhow::ensure!(applied.ok, "create {}: {}", pod.name, applied.text());
        Ok(pod)
    }

    pub(crate) async fn log(&self, pod: &Client) -> anyhow::Result<String> {
        let log = self.ok(&["-n", &pod.namespace, "logs", &pod.name]).await?;
        Ok(log.trim().to_owned())
    }

    /// Waits for a client's end and takes it away; what it printed, also where it failed.
    pub(crate) async fn ended(&self, pod: &Client) -> anyhow::Result<String> {
        let Client { namespace, name } = pod;
        let phase = wait::until(
            &format!("{name} to end"),
            Duration::from_secs(60),
            || async {
                let pod = self.json(&["-n", namespace, "get", "pod", name]).await?;
                let phase = pod["status"]["phase"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                Ok(matches!(phase.as_str(), "Succeeded" | "Failed").then_some(phase))
            },
        )
        .await;
        let log = self.log(pod).await.unwrap_or_default();
        self.run(&[
            "-n",
            namespace,
            "delete",
            "pod",
            name,
            "--wait=false",
            "--grace-period=0",
            "--force",
        ])
        .await?;
        anyhow::ensure!(phase? == "Succeeded", "{log}");
        Ok(log)
    }
}

/// A pod of `psql` that was started.
pub(crate) struct Client {
    namespace: String,
    name: String,
}

const QUERY: &str = "exec psql \"$URI\" -v ON_ERROR_STOP=1 -XAtc \"$SQL\" 2>&1";

fn client_pod(pod: &Client, uri: &Value, script: &str, sql: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": pod.name, "namespace": pod.namespace },
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "psql", "image": "postgres:16.9", "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", script],
                "env": [uri, { "name": "SQL", "value": sql }, { "name": "PGCONNECT_TIMEOUT", "value": "10" }],
                "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "cpu": "500m", "memory": "128Mi" } },
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

pub(crate) fn namespace(environment: &str) -> String {
    format!("postgres-vdbs-{environment}")
}

pub(crate) fn condition<'a>(vdb: &'a Value, kind: &str) -> Option<&'a Value> {
    vdb["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|c| c["type"] == kind)
}
