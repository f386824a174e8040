//! From what was found to the page: one line for each link of the chain, in the order in which an order travels. Pure.

mod standing;

use environment::EnvironmentName;
use environment::reason::Reason;
use environment::redact::Redactor;
use environment::values::Values;
use serde_json::Value;

use self::standing::{Standing, is_remote};
use super::super::observed;
use super::state::{Asked, Database, Git, State};
use crate::doctor::{Check, Outcome};
use crate::web::one_line;

/// Without these the application cannot connect.
const KEYS: [&str; 5] = ["host", "port", "dbname", "username", "password"];
const LONGEST: usize = 400;

/// Every line, with nothing secret in it.
pub(super) fn checks(state: &State) -> Vec<Check> {
    let mut checks = vec![git(state), application(state), namespace(&state.namespace)];
    match &state.databases {
        Asked::Is(databases) => {
            checks.extend(missing(state, databases));
            checks.extend(databases.iter().flat_map(database));
        }
        other => checks.push(unknown("PostgresVDB", other)),
    }
    let redactor = Redactor::new(secrets(state));
    for check in &mut checks {
        check.name = redactor.text(&check.name).into();
        check.detail = redactor.text(&check.detail);
        check.remedy = redactor.text(&check.remedy);
    }
    checks
}

/// The first link that is broken: what comes after it mostly follows from it.
pub(super) fn first(checks: &[Check]) -> Option<&Check> {
    let problem = checks.iter().find(|c| c.outcome == Outcome::Problem);
    problem.or_else(|| checks.iter().find(|c| c.outcome == Outcome::Warning))
}

/// A password that somebody wrote into the order is one, too.
fn secrets(state: &State) -> Vec<String> {
    let mut secrets = state.secrets.clone();
    if let Asked::Is(databases) = &state.databases {
        for database in databases {
            let password = database.resource.pointer("/spec/database/password");
            secrets.extend(password.and_then(Value::as_str).map(str::to_owned));
        }
    }
    secrets
}

fn unknown<T>(name: impl Into<String>, asked: &Asked<T>) -> Check {
    match asked {
        Asked::Not(why) => Check::warning(name.into(), "not looked at", why.clone()),
        Asked::Failed(why) => Check::warning(
            name.into(),
            one_line(why, LONGEST),
            "check that it is reachable from here and that you may read it",
        ),
        Asked::Is(_) => Check::ok(name.into(), ""),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn git(state: &State) -> Check {
    let Asked::Is(git) = &state.git else {
        return unknown("git", &state.git);
    };
    let head: String = git.head.chars().take(8).collect();
    let place = format!("{} at {head}", git.branch);
    let Some(values) = &git.values else {
        return not_in_git(state, git, &place);
    };
    let name = match EnvironmentName::parse(&state.environment) {
        Ok(name) => name,
        Err(problem) => {
            return Check::problem("git", problem.message, problem.hint.unwrap_or_default());
        }
    };
    match Values::parse(&name, values) {
        Err(problems) => Check::problem(
            "git",
            format!("{place}: {}", one_line(&problems.to_string(), LONGEST)),
            format!("correct environments/{name}/values.yaml by a pull request"),
        ),
        Ok(values) => {
            let owner = values.owner.unwrap_or_else(|| "nobody".to_owned());
            let commit = git.last_commit.as_deref().unwrap_or("not known here");
            let detail = format!("{place}, owned by {owner}, last commit: {commit}");
            match &git.pull {
                Some(pull) => Check::warning(
                    "git",
                    format!("{detail}; open: {pull}"),
                    "what the pull request changes comes when it is merged",
                ),
                None => Check::ok("git", format!("{detail}; no open pull request")),
            }
        }
    }
}

fn not_in_git(state: &State, git: &Git, place: &str) -> Check {
    let file = format!("environments/{}/values.yaml", state.environment);
    match &git.pull {
        Some(pull) => Check::problem(
            "git",
            format!("{place} has no {file}; ordered in {pull}"),
            "have the pull request reviewed and merged",
        ),
        None => Check::problem(
            "git",
            format!("{place} has no {file}, and no pull request orders it"),
            format!("order it: vdb env create {}", state.environment),
        ),
    }
}

fn application(state: &State) -> Check {
    let name = "argo cd";
    let found = match &state.application {
        Asked::Is(Some(found)) => found,
        Asked::Is(None) => {
            return Check::problem(
                name,
                format!("there is no Application {}", state.environment),
                "the ApplicationSet makes it from Git: `vdb doctor` says whether that works",
            );
        }
        other => return unknown(name, other),
    };
    let read = observed::Application::read(found);
    let revision: String = text(found, "/status/sync/revision")
        .chars()
        .take(8)
        .collect();
    let health = text(found, "/status/health/status");
    let detail = format!("{} at {revision}, {health}", read.sync);
    if read.deleting {
        return Check::warning(name, "being deleted", "wait until it is gone");
    }
    if let Some(trouble) = read.trouble {
        return Check::problem(
            name,
            format!("{detail}: {}", one_line(&trouble, LONGEST)),
            "correct what it names; Argo CD tries again by itself",
        );
    }
    match (read.sync.as_str(), health) {
        ("Synced", "Healthy" | "Progressing" | "Suspended") => Check::ok(name, detail),
        ("Synced", _) => Check::warning(name, detail, "the database's own line says more"),
        _ => Check::warning(
            name,
            format!("{detail}, operation {}", or_none(&read.operation)),
            "Argo CD syncs by itself; if it stays so, look at the Application",
        ),
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn namespace(asked: &Asked<Option<Value>>) -> Check {
    match asked {
        Asked::Is(Some(found)) if found.pointer("/metadata/deletionTimestamp").is_some() => {
            let why = found["status"]["conditions"].as_array();
            let why = why.into_iter().flatten().find(|c| c["status"] == "True");
            let why = why.map_or("", |c| text(c, "/message"));
            Check::problem(
                "namespace",
                format!("it is being deleted {}", one_line(why, LONGEST)),
                "wait until it is gone; what keeps it is named here",
            )
        }
        Asked::Is(Some(found)) => Check::ok("namespace", text(found, "/metadata/name")),
        Asked::Is(None) => Check::problem(
            "namespace",
            "there is none",
            "Argo CD makes it: its line says why it does not",
        ),
        other => unknown("namespace", other),
    }
}

/// Databases that Git orders and the cluster does not have.
fn missing(state: &State, databases: &[Database]) -> Vec<Check> {
    let ordered = || {
        let Asked::Is(git) = &state.git else {
            return None;
        };
        let name = EnvironmentName::parse(&state.environment).ok()?;
        let values = Values::parse(&name, git.values.as_deref()?).ok()?;
        Some(environment::databases::of(&name, &values).0)
    };
    let is_there = |name: &str| {
        databases
            .iter()
            .any(|d| text(&d.resource, "/metadata/name") == name)
    };
    let missing = ordered().unwrap_or_default().into_iter();
    missing
        .map(|database| database.cr_name)
        .filter(|name| !is_there(name))
        .map(|name| {
            Check::problem(
                name,
                "there is no such PostgresVDB",
                "Argo CD makes it: its line says why it does not",
            )
        })
        .collect()
}

fn database(database: &Database) -> Vec<Check> {
    let name = text(&database.resource, "/metadata/name");
    let read = observed::Database::read(&database.resource);
    let standing = Standing::of(&read);
    let mut checks = vec![
        resource(name, &database.resource, &read, standing),
        vdb(name, database, standing),
    ];
    checks.extend(job(name, database));
    if is_remote(&read) {
        checks.extend([
            Check::ok(
                format!("{name} volume"),
                "none: the data is on a target host",
            ),
            Check::ok(
                format!("{name} pod"),
                "none: the server runs on a target host",
            ),
        ]);
    } else {
        checks.extend([volume(name, database), pod(name, database, standing)]);
    }
    checks.extend([
        service(name, database, standing),
        secret(name, database),
        query(name, database, standing),
    ]);
    checks
}

fn resource(name: &str, object: &Value, read: &observed::Database, standing: Standing) -> Check {
    let stages: Vec<String> = read
        .status
        .stages
        .iter()
        .map(|stage| match &stage.finished_at {
            Some(_) => stage.name.clone(),
            None => format!("{} (runs)", stage.name),
        })
        .collect();
    let stages = format!("stages: {}", or_none(&stages.join(", ")));
    let ready = read.status.condition("Ready");
    let reason = ready.map_or("", |c| c.reason.as_str());
    let message = ready.map_or("", |c| c.message.as_str());
    let stall = read.stalled();
    if read.is_ready() {
        let as_of = read.status.data_as_of.as_deref().unwrap_or("unknown");
        let detail = format!("Ready, data as of {as_of}, {stages}");
        let Some((stall, hinders)) = stall else {
            return Check::ok(name.to_owned(), detail);
        };
        let detail = format!("{detail}; but {}: {}", stall.reason, stall.message);
        let detail = one_line(&detail, LONGEST);
        // It answers, but with other data than was ordered, or with older data than its schedule means.
        let check = if hinders {
            Check::problem
        } else {
            Check::warning
        };
        return check(name.to_owned(), detail, look_up(&stall.reason));
    }
    let detail = one_line(
        &format!("{}, {}: {message}; {stages}", read.phase(), or_none(reason)),
        LONGEST,
    );
    if ready.is_none() {
        return Check::problem(
            name.to_owned(),
            "the operator has not looked at it",
            "check that the operator runs: vdb doctor",
        );
    }
    let finalizers = object["metadata"]["finalizers"].as_array();
    if read.deleting {
        let held = finalizers.into_iter().flatten().filter_map(Value::as_str);
        let held: Vec<&str> = held.collect();
        return Check::warning(
            name.to_owned(),
            format!("{detail}; held by {}", or_none(&held.join(", "))),
            "a deletion ends by its deadline while an operator runs; without one: vdb doctor --release",
        );
    }
    let stall = stall
        .filter(|(_, hinders)| *hinders)
        .map(|(stall, _)| stall);
    if let Some(stall) = stall.filter(|stall| stall.reason != reason) {
        let detail = format!("{detail}; {}: {}", stall.reason, stall.message);
        return Check::problem(
            name.to_owned(),
            one_line(&detail, LONGEST),
            look_up(&stall.reason),
        );
    }
    match standing {
        Standing::Serves => Check::warning(
            name.to_owned(),
            format!("{detail}; that is of an earlier order"),
            "it goes on by itself",
        ),
        Standing::Coming | Standing::Rests if stall.is_none() => {
            let remedy = match Reason::named(reason).map_or("", Reason::hint) {
                "" => "it goes on by itself",
                hint => hint,
            };
            Check::warning(name.to_owned(), detail, remedy)
        }
        _ => Check::problem(name.to_owned(), detail, look_up(or_none(reason))),
    }
}

fn look_up(reason: &str) -> String {
    format!("docs/operations.md says what to do about {reason}")
}

fn vdb(name: &str, database: &Database, standing: Standing) -> Check {
    let link = format!("{name} virtual database");
    let id = text(&database.resource, "/status/vdb/id");
    if id.is_empty() {
        return Check::warning(link, "none is ordered yet", "the database's line says why");
    }
    match &database.vdb {
        Asked::Is(Some(vdb)) => {
            let detail = format!(
                "{id}, {}, of {}",
                or_none(text(vdb, "/status")),
                or_none(text(vdb, "/parent_timeflow_timestamp"))
            );
            match vdb["enabled"].as_bool() {
                Some(false) if standing == Standing::Rests => {
                    Check::ok(link, format!("{detail}, disabled"))
                }
                Some(false) => Check::warning(
                    link,
                    format!("{detail}, disabled"),
                    "it is enabled when the pod is to start",
                ),
                _ => Check::ok(link, detail),
            }
        }
        Asked::Is(None) => Check::problem(
            link,
            format!("Data Control Tower has no {id}"),
            "it was deleted outside: retire the environment and order again",
        ),
        other => unknown(link, other),
    }
}

fn job(name: &str, database: &Database) -> Option<Check> {
    let asked = database.job.as_ref()?;
    let link = format!("{name} job");
    let id = text(&database.resource, "/status/vdb/job/id");
    Some(match asked {
        Asked::Is(Some(job)) => {
            let detail = format!("{id}: {}", text(job, "/status"));
            match text(job, "/status") {
                "FAILED" | "CANCELED" => Check::problem(
                    link,
                    format!(
                        "{detail}: {}",
                        one_line(text(job, "/error_details"), LONGEST)
                    ),
                    "read the job's error; the operator tries again after errorBackoffPeriod",
                ),
                _ => Check::ok(link, detail),
            }
        }
        Asked::Is(None) => Check::warning(
            link,
            format!("Data Control Tower does not know job {id}"),
            "the operator looks at the virtual database instead",
        ),
        other => unknown(link, other),
    })
}

fn volume(name: &str, database: &Database) -> Check {
    let link = format!("{name} volume");
    let phase = |object: &Value| text(object, "/status/phase").to_owned();
    match (&database.volume, &database.claim) {
        (Asked::Is(Some(volume)), Asked::Is(Some(claim))) => {
            let detail = format!(
                "{} {}, claim {} {}",
                text(volume, "/metadata/name"),
                phase(volume),
                text(claim, "/metadata/name"),
                phase(claim)
            );
            if phase(volume) == "Bound" && phase(claim) == "Bound" {
                Check::ok(link, detail)
            } else {
                Check::problem(
                    link,
                    detail,
                    "look at the claim's events: kubectl describe pvc",
                )
            }
        }
        (Asked::Is(None), Asked::Is(None)) => Check::warning(
            link,
            "there is none yet",
            "it is made once the virtual database is enabled",
        ),
        (Asked::Is(None), Asked::Is(Some(_))) => Check::problem(
            link,
            "the claim has no volume",
            "the operator makes it again; if not, read its log",
        ),
        (Asked::Is(Some(_)), Asked::Is(None)) => Check::warning(
            link,
            "the volume has no claim yet",
            "the operator makes it next",
        ),
        (other @ (Asked::Not(_) | Asked::Failed(_)), _)
        | (_, other @ (Asked::Not(_) | Asked::Failed(_))) => unknown(link, other),
    }
}

fn pod(name: &str, database: &Database, standing: Standing) -> Check {
    let link = format!("{name} pod");
    let found = match &database.pod {
        Asked::Is(Some(found)) => found,
        Asked::Is(None) if standing == Standing::Rests => {
            return Check::ok(link, "none: the server is stopped");
        }
        Asked::Is(None) => {
            return Check::warning(
                link,
                with_events("there is none", &database.events),
                "the operator makes it once the volume is there; a quota may refuse it",
            );
        }
        other => return unknown(link, other),
    };
    let statuses = || {
        ["initContainerStatuses", "containerStatuses"]
            .into_iter()
            .flat_map(|list| found["status"][list].as_array().into_iter().flatten())
    };
    let restarts: u64 = statuses().filter_map(|s| s["restartCount"].as_u64()).sum();
    let waiting = statuses().find_map(|status| {
        let state = status.pointer("/state/waiting")?;
        let reason = text(state, "/reason");
        let passing = ["", "PodInitializing", "ContainerCreating"].contains(&reason);
        (!passing).then(|| format!("{reason}: {}", text(state, "/message")))
    });
    let ready = found["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Ready" && c["status"] == "True");
    let phase = text(found, "/status/phase");
    let place = format!(
        "{phase} on {}, restarts: {restarts}",
        or_none(text(found, "/spec/nodeName"))
    );
    if ready && restarts == 0 {
        return Check::ok(link, place);
    }
    let mut detail = match &waiting {
        Some(waiting) => with_events(&format!("{place}, {waiting}"), &database.events),
        None => with_events(&place, &database.events),
    };
    if !database.log.trim().is_empty() {
        detail = format!("{detail}; log ends: {}", tail(&database.log));
    }
    let image = waiting.as_deref().is_some_and(|w| w.contains("Image"));
    match (ready, waiting) {
        (true, _) => Check::warning(
            link,
            detail,
            "it ended before; kubectl logs --previous says why",
        ),
        (false, Some(_)) if image => {
            Check::problem(link, detail, "use an image that the nodes can pull")
        }
        (false, Some(_)) => {
            Check::problem(link, detail, format!("read its log: kubectl logs {name}-0"))
        }
        (false, None) if phase == "Running" || phase == "Pending" => Check::warning(
            link,
            detail,
            "it is starting; if it stays so, the events say why",
        ),
        (false, None) => Check::problem(link, detail, "look at the pod: kubectl describe pod"),
    }
}

fn with_events(detail: &str, events: &[String]) -> String {
    match events.last() {
        Some(last) => one_line(&format!("{detail}; last event: {last}"), LONGEST),
        None => one_line(detail, LONGEST),
    }
}

/// The last lines are those that say why.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|l| !l.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    one_line(&last.join(" | "), LONGEST)
}

fn service(name: &str, database: &Database, standing: Standing) -> Check {
    let link = format!("{name} service");
    match (&database.service, &database.endpoints) {
        (Asked::Is(Some(_)), Asked::Is(0)) => match standing {
            Standing::Rests => Check::ok(link, "no address behind it: the server is stopped"),
            Standing::Coming => Check::warning(
                link,
                "no address behind it is ready",
                "it comes when the server answers",
            ),
            Standing::Serves | Standing::Broken => Check::problem(
                link,
                "no address behind it is ready",
                "the lines before this one say why",
            ),
        },
        (Asked::Is(Some(_)), Asked::Is(count)) => {
            Check::ok(link, format!("{count} address behind it"))
        }
        (Asked::Is(None), _) => Check::warning(
            link,
            "there is none yet",
            "the operator makes it while the engine works",
        ),
        (Asked::Is(Some(_)), other) => unknown(link, other),
        (other, _) => unknown(link, other),
    }
}

fn secret(name: &str, database: &Database) -> Check {
    let link = format!("{name} secret");
    match &database.secret {
        Asked::Is(Some(keys)) => {
            let lacks = |key: &&str| !keys.iter().any(|k| k == key);
            let missing: Vec<&str> = KEYS.into_iter().filter(lacks).collect();
            let detail = format!("keys: {}", keys.join(", "));
            if missing.is_empty() {
                Check::ok(link, detail)
            } else {
                Check::problem(
                    link,
                    format!("{detail}; missing: {}", missing.join(", ")),
                    "delete the Secret: the operator writes it anew",
                )
            }
        }
        Asked::Is(None) => Check::warning(
            link,
            "there is none yet",
            "it is published when the database is ready",
        ),
        other => unknown(link, other),
    }
}

fn query(name: &str, database: &Database, standing: Standing) -> Check {
    let link = format!("{name} query");
    match &database.query {
        Asked::Is(answer) => Check::ok(link, answer.clone()),
        Asked::Failed(_) if standing == Standing::Rests => {
            Check::ok(link, "not answered: the server is stopped")
        }
        Asked::Failed(why) if standing == Standing::Coming => Check::warning(
            link,
            one_line(why, LONGEST),
            "it is answered when the database is ready",
        ),
        Asked::Failed(why) => Check::problem(
            link,
            one_line(why, LONGEST),
            "the lines before this one say where it stops; after a changed password, delete the Secret",
        ),
        other @ Asked::Not(_) => unknown(link, other),
    }
}

#[cfg(test)]
mod tests;
