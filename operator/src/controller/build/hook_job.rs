//! Hooks as Jobs. The name says what ran: it hashes the hook and the data generation, so an existing Job of that name
//! is the answer, and an edited hook is another Job.

use std::time::Duration;

use environment::spec::{Hook, HookRole, HookStage, HookType};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::{Frame, Names, container_security, digest, meta, pod_security, secret, typed};
use crate::rules::ADMIN;
use crate::settings::parse_duration;

const BACKOFF_LIMIT: i32 = 3;
const WEIGHT: i32 = 5;
/// Linux starts nothing with a variable of 128 KiB, its name included; a script may have 64 Ki characters of four bytes.
const PART: usize = 120_000;
/// A deletion runs hooks whose fields nobody has checked.
const LONGEST: Duration = Duration::from_hours(8760);
pub const HOOK_ANNOTATION: &str = "postgres-vdb-platform/hook";

/// Hooks of one stage in the order in which they run.
pub fn of_stage(hooks: &[Hook], stage: HookStage) -> Vec<&Hook> {
    let mut chosen: Vec<_> = hooks.iter().filter(|h| h.stage == stage).collect();
    chosen.sort_by_key(|h| h.weight.unwrap_or(WEIGHT));
    chosen
}

pub fn name(frame: &Frame<'_>, hook: &Hook) -> String {
    let what = json!([hook, frame.generation]).to_string();
    format!("{}-{}", frame.cr.key().name, &digest(what.as_bytes())[..10])
}

pub fn hook_job(frame: &Frame<'_>, hook: &Hook) -> Job {
    let name = Names::of(frame).job(name(frame, hook));
    let mut metadata = meta(frame.cr, &name, "hook");
    metadata
        .annotations
        .get_or_insert_default()
        .insert(HOOK_ANNOTATION.to_owned(), hook.name.clone());
    let deadline = deadline(frame, hook);
    typed(json!({
        "metadata": metadata,
        "spec": {
            "backoffLimit": hook.backoff_limit.unwrap_or(BACKOFF_LIMIT),
            "activeDeadlineSeconds": deadline.as_secs(),
            "template": {
                "metadata": { "labels": super::labels(frame.cr, "hook") },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": pod_security(frame.cr.spec.ownership()),
                    "containers": [container(frame, hook)],
                    "volumes": [{ "name": "tmp", "emptyDir": { "medium": "Memory", "sizeLimit": "64Mi" } }],
                },
            },
        },
    }))
}

/// How long the hook may take.
pub fn deadline(frame: &Frame<'_>, hook: &Hook) -> Duration {
    hook.deadline
        .as_deref()
        .and_then(parse_duration)
        .unwrap_or(frame.settings.hook_deadline)
        .clamp(Duration::from_secs(1), LONGEST)
}

fn container(frame: &Frame<'_>, hook: &Hook) -> Value {
    let env_from: Vec<Value> = hook.env_from.iter().flat_map(env_from).collect();
    json!({
        "name": "hook",
        "image": frame.cr.spec.image,
        "imagePullPolicy": frame.settings.image_pull_policy.as_str(),
        "command": command(hook),
        "env": env(frame, hook),
        "envFrom": env_from,
        "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "cpu": "1", "memory": "256Mi" } },
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
    })
}

/// The script comes by environment: a hook is then one object, and no shell reads the SQL. What does not fit into one
/// variable does not fit into one argument either, so it is the shell itself that puts the parts together.
fn command(hook: &Hook) -> Value {
    let count = parts(&hook.script).len();
    let all: Vec<String> = (0..count)
        .map(|at| format!("${{{}}}", variable(at)))
        .collect();
    match hook.kind {
        HookType::Command => json!(["sh", "-c", format!("eval \"{}\"", all.concat())]),
        HookType::Sql => {
            let transaction = if hook.transaction.unwrap_or(true) {
                " --single-transaction"
            } else {
                ""
            };
            let psql = format!(
                "printf '%s\\n' \"{}\" | psql -X -q -w -v ON_ERROR_STOP=1{transaction} -f -",
                all.concat()
            );
            json!(["sh", "-c", psql])
        }
    }
}

/// The script in pieces that fit into a variable each; mostly it is one.
fn parts(script: &str) -> Vec<&str> {
    let mut rest = script;
    let mut parts = Vec::new();
    while rest.len() > PART {
        let (part, more) = rest.split_at(rest.floor_char_boundary(PART));
        parts.push(part);
        rest = more;
    }
    parts.push(rest);
    parts
}

fn variable(at: usize) -> String {
    match at {
        0 => "VDB_HOOK_SCRIPT".to_owned(),
        at => format!("VDB_HOOK_SCRIPT_{}", at + 1),
    }
}

/// The order's own variables first: of two with one name the later counts, and where to connect is not the order's to say.
fn env(frame: &Frame<'_>, hook: &Hook) -> Value {
    let mut env: Vec<Value> = hook
        .env
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": literal(value) }))
        .collect();
    let mut add =
        |name: &str, value: &str| env.push(json!({ "name": name, "value": literal(value) }));
    for (at, part) in parts(&hook.script).into_iter().enumerate() {
        add(&variable(at), part);
    }
    add("HOME", "/tmp");
    if matches!(hook.stage, HookStage::PreCreate | HookStage::PostDelete) {
        return json!(env);
    }
    let database = &frame.cr.spec.database;
    add("PGHOST", &secret::host(frame));
    add("PGPORT", &frame.cr.spec.port.to_string());
    add(
        "PGDATABASE",
        hook.database.as_deref().unwrap_or(&database.name),
    );
    add("PGCONNECT_TIMEOUT", "10");
    add("PGAPPNAME", &format!("hook {}", hook.name));
    let own = database
        .password_secret_ref
        .clone()
        .filter(|_| frame.has_own_role());
    match &own {
        Some(_) => add("PGUSER", &database.user),
        None => add("PGUSER", ADMIN),
    }
    if own.is_none() && hook.run_as != Some(HookRole::Admin) {
        // What the hook makes belongs to the application.
        add("PGOPTIONS", &format!("-c role={}", database.user));
    }
    let secret = own.unwrap_or_else(|| Names::of(frame).admin().name);
    env.push(json!({ "name": "PGPASSWORD", "valueFrom": { "secretKeyRef": { "name": secret, "key": "password" } } }));
    json!(env)
}

/// Kubernetes reads `$(NAME)` and `$$` in values; SQL's dollar quotes must survive it.
fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

fn env_from(from: &environment::spec::EnvFrom) -> Vec<Value> {
    let secret = from
        .secret_ref
        .iter()
        .map(|r| json!({ "secretRef": { "name": r.name } }));
    let config = from
        .config_map_ref
        .iter()
        .map(|r| json!({ "configMapRef": { "name": r.name } }));
    secret.chain(config).collect()
}

#[cfg(test)]
mod tests;
