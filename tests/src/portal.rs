//! The portal as its guest uses it: by API for speed, by browser for proof.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::context::Context;
use crate::process;
use crate::wait;

pub(crate) struct Portal<'a> {
    context: &'a Context,
    url: String,
    token: String,
}

impl<'a> Portal<'a> {
    /// Signs in as the guest.
    pub(crate) async fn sign_in(context: &'a Context) -> anyhow::Result<Self> {
        let url = context
            .get("VDB_PORTAL_URL")?
            .trim_end_matches('/')
            .to_owned();
        let answer: Value = context
            .http
            .post(format!("{url}/api/auth/guest/refresh"))
            .header("X-Requested-With", "XMLHttpRequest")
            .send()
            .await
            .context("sign in to the portal")?
            .json()
            .await?;
        let token = answer["backstageIdentity"]["token"]
            .as_str()
            .context("the portal gave the guest no token")?
            .to_owned();
        Ok(Self {
            context,
            url,
            token,
        })
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let mut request = self.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.context
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = self.call(Method::GET, path, None).await?;
        anyhow::ensure!(status == 200, "GET {path}: {status} {body}");
        Ok(body)
    }

    /// Runs a template to its end: the task and everything that it logged.
    pub(crate) async fn task(&self, template: &str, values: Value) -> anyhow::Result<Task> {
        let body =
            json!({ "templateRef": format!("template:default/{template}"), "values": values });
        // Right after a start the catalog may not hold the template yet.
        let id = wait::until(
            "the portal to take the order",
            Duration::from_secs(60),
            || async {
                let (status, answer) = self
                    .call(Method::POST, "/api/scaffolder/v2/tasks", Some(body.clone()))
                    .await?;
                anyhow::ensure!(status == 201, "{status} {answer}");
                Ok(Some(
                    answer["id"].as_str().context("no task id")?.to_owned(),
                ))
            },
        )
        .await?;
        wait::until("the task to end", Duration::from_secs(180), || async {
            let task = self.get(&format!("/api/scaffolder/v2/tasks/{id}")).await?;
            let status = task["status"].as_str().unwrap_or_default().to_owned();
            if matches!(status.as_str(), "open" | "processing") {
                return Ok(None);
            }
            let events = self
                .get(&format!("/api/scaffolder/v2/tasks/{id}/events"))
                .await?;
            Ok(Some(Task {
                completed: status == "completed",
                events,
            }))
        })
        .await
    }

    /// Waits for a notification to the guest whose title or text names the environment and this word.
    pub(crate) async fn notified(&self, environment: &str, word: &str) -> anyhow::Result<()> {
        wait::until(
            &format!("a notification that {environment} is {word}"),
            Duration::from_secs(60),
            || async {
                let all = self
                    .get("/api/notifications/notifications?limit=100")
                    .await?;
                let found = all["notifications"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|n| {
                        let text =
                            format!("{} {}", n["payload"]["title"], n["payload"]["description"])
                                .to_lowercase();
                        n["payload"]["scope"] == format!("vdb:{environment}") && text.contains(word)
                    });
                Ok(found.then_some(()))
            },
        )
        .await
    }
}

/// A finished task of the scaffolder.
pub(crate) struct Task {
    pub(crate) completed: bool,
    pub(crate) events: Value,
}

impl Task {
    /// The address of the pull request among the task's outputs.
    pub(crate) fn pull_request(&self) -> anyhow::Result<String> {
        let links = self
            .events
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e["body"]["output"]["links"].as_array())
            .flatten();
        links
            .filter_map(|l| l["url"].as_str())
            .find(|url| url.contains("/pulls/"))
            .map(ToOwned::to_owned)
            .with_context(|| format!("the task names no pull request: {}", self.log()))
    }

    pub(crate) fn log(&self) -> String {
        let lines = self
            .events
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e["body"]["message"].as_str());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// What the form holds for a plain order.
pub(crate) fn order(name: &str) -> Value {
    json!({
        "name": name, "owner": "group:default/team-orders", "source": "10.0.1.54:largedb",
        "database": "largedb", "user": "app", "image": "postgres:16.9", "cpu": "1", "memory": "256Mi",
    })
}

/// Runs a browser script of the portal; its one line of JSON.
pub(crate) async fn browser(
    context: &Context,
    script: &str,
    input: &Value,
) -> anyhow::Result<Value> {
    let portal = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backstage/e2e");
    let path = format!(
        "{}:{}",
        context.get("VDB_NODE")?,
        std::env::var("PATH").unwrap_or_default()
    );
    let finished = process::run(
        Command::new("node")
            .current_dir(&portal)
            .env("PATH", path)
            .env("BACKSTAGE_BASE_URL", context.get("VDB_PORTAL_URL")?)
            .env(
                "E2E_SCREENSHOTS",
                Path::new(context.get("VDB_STATE_DIR")?).join("screenshots"),
            )
            .arg(script)
            .arg(input.to_string()),
    )
    .await?;
    anyhow::ensure!(finished.ok, "{script}: {}", finished.text());
    let last = finished.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("{script} printed {last}"))
}
