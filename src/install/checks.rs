//! Each step of docs/install.md as a check: is it done, and if not, what has to be done.

mod programs;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::plan::{Action, Step};
use super::settings::{Login, Settings};
use super::tools::Tools;
use super::{look, values};
use crate::doctor::Check;
use crate::env::settings::reachable;
use crate::{forge, web};

/// Time enough to make a new token.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// What the environments repository must hold.
const CONTENT: [&str; 3] = [
    "charts/postgres-vdb/Chart.yaml",
    "backstage-templates/create/template.yaml",
    "template-location.yaml",
];

/// All checks, in the page's order. What cannot be looked at is a check that failed, not an error.
pub(super) async fn all(tools: &Tools, settings: &Settings) -> Vec<Check> {
    let mut checks = vec![forge(settings).await, token(settings)];
    match look::work(tools, settings).await {
        Ok(work) => {
            let cluster = &work.plan.cluster;
            let detail = format!(
                "{} ({}), {}",
                cluster.context, cluster.server, cluster.version
            );
            checks.push(Check::ok("cluster", detail));
            checks.extend(work.plan.steps.iter().map(step));
            checks.extend(programs::all(tools, settings).await);
        }
        Err(error) => checks.push(Check::problem(
            "cluster",
            format!("{error:#}"),
            "correct this first: nothing of the cluster was checked",
        )),
    }
    checks
}

/// A step of the plan that is still to be done was not done.
fn step(step: &Step) -> Check {
    let name = format!("{} {}", step.kind, step.name);
    let run = "run `make install CONTEXT=<context> REGISTRY=<registry>` (step 6)";
    match step.action {
        Action::Keep => Check::ok(name, "as the settings say"),
        Action::Create => Check::problem(name, "missing", run),
        Action::Change => Check::problem(name, format!("differs: {}", step.detail), run),
    }
}

/// The repository can be read with the login that the sidecar will use.
async fn forge(settings: &Settings) -> Check {
    const NAME: &str = "forge";
    let wanted = values::of(settings)["sidecar"]["settings"]["forge"].take();
    let connected = serde_json::from_value(from_here(wanted, settings))
        .map_err(|error| forge::Error::Settings(error.to_string()))
        .and_then(forge::connect);
    let at = format!(
        "{}/{}/{}",
        settings.forge.url, settings.forge.owner, settings.forge.repository
    );
    let looked = async {
        let forge = connected?;
        let base = forge.base().await?;
        let mut missing = Vec::new();
        for path in CONTENT {
            if forge.read(&base, path).await?.is_none() {
                missing.push(path);
            }
        }
        Ok::<_, forge::Error>(missing)
    };
    match looked.await {
        Ok(missing) if missing.is_empty() => {
            Check::ok(NAME, format!("{at} is read with the sidecar's login"))
        }
        Ok(missing) => Check::problem(
            NAME,
            format!(
                "{at}, branch {} lacks {}",
                settings.forge.branch,
                missing.join(", ")
            ),
            "copy these folders of the checkout into the repository (step 2)",
        ),
        Err(error) => Check::problem(NAME, web::error_chain(&error), error.hint()),
    }
}

/// The sidecar's forge settings with the files as they lie here.
fn from_here(mut wanted: Value, settings: &Settings) -> Value {
    let file = |path: &Path| Value::String(path.display().to_string());
    match &settings.forge.login {
        Login::Token(path) => wanted["tokenFile"] = file(path),
        Login::App { key_file, .. } => wanted["app"]["privateKeyFile"] = file(key_file),
    }
    if let Some(path) = &settings.forge.ca_file {
        wanted["caFile"] = file(path);
    }
    wanted["webhookSecretFile"] = Value::Null;
    wanted["url"] = Value::String(reachable(&settings.forge.url));
    wanted
}

/// Argo CD's token says itself whose it is and how long it is good.
fn token(settings: &Settings) -> Check {
    let text = std::fs::read_to_string(&settings.argocd.token_file).unwrap_or_default();
    claims(text.trim(), Timestamp::now())
}

fn claims(token: &str, now: Timestamp) -> Check {
    const NAME: &str = "argo cd token";
    let remedy = "make one: argocd proj role create-token postgres-vdb-platform sidecar --token-only (step 4)";
    let claims: Option<Value> = token
        .split('.')
        .nth(1)
        .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok())
        .and_then(|json| serde_json::from_slice(&json).ok());
    let Some(claims) = claims else {
        return Check::problem(NAME, "the file holds no token of Argo CD", remedy);
    };
    let whose = claims["sub"].as_str().unwrap_or("nobody").to_owned();
    let Some(end) = claims["exp"].as_i64() else {
        return Check::ok(NAME, format!("{whose}, without end"));
    };
    let end = Timestamp::from_second(end).unwrap_or(Timestamp::MIN);
    match end.duration_since(now) {
        left if left <= SignedDuration::ZERO => {
            Check::problem(NAME, format!("{whose}, ended at {end}"), remedy)
        }
        left if left < SOON => Check::warning(NAME, format!("{whose}, ends at {end}"), remedy),
        _ => Check::ok(NAME, format!("{whose}, until {end}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::Outcome;

    fn jwt(claims: &Value) -> String {
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn a_token_that_ended_or_ends_soon_is_said() {
        let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        let at = |seconds: i64| {
            let end = now.as_second() + seconds;
            claims(
                &jwt(&json!({"sub": "proj:postgres-vdb-platform:sidecar", "exp": end})),
                now,
            )
        };
        assert_eq!(at(-1).outcome, Outcome::Problem);
        assert_eq!(at(86_400).outcome, Outcome::Warning);
        assert_eq!(at(86_400 * 90).outcome, Outcome::Ok);
        let endless = claims(&jwt(&json!({"sub": "x"})), now);
        assert_eq!(endless.outcome, Outcome::Ok);
        assert!(at(-1).remedy.contains("create-token"));
        assert_eq!(claims("no token", now).outcome, Outcome::Problem);
    }

    #[test]
    fn a_step_that_is_left_to_do_is_a_failed_check() {
        let of = |action| {
            step(&Step {
                action,
                kind: "Secret",
                name: "vdb-system/vdb-forge".into(),
                detail: "token".into(),
            })
        };
        let checks = [of(Action::Keep), of(Action::Change)];
        assert_eq!(checks[0].outcome, Outcome::Ok);
        assert_eq!(checks[1].outcome, Outcome::Problem);
        assert_eq!(checks[1].name, "Secret vdb-system/vdb-forge");
        assert!(checks[1].detail.contains("token"));
    }
}
