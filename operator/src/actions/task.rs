//! `PostgresTask`: SQL or a command in a Job beside the database; what it printed is kept, without passwords.

use environment::actions::{ActionStatus, TaskSpec};
use environment::spec::{Hook, HookStage, HookType};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::reason::Reason;
use super::{Action, Step};
use crate::cluster::{self, HookRun, Kind, Name, Object, Progress};
use crate::controller::Context;
use crate::controller::build::{COMPONENT_LABEL, hook_job};
use crate::controller::job_log;
use crate::crd::PostgresVdb;

/// The end of the output that a status holds.
const OUTPUT: usize = 4096;
/// What the server and psql begin an error with.
const ERRORS: [&str; 4] = ["ERROR:", "FATAL:", "PANIC:", "psql: error:"];

pub(super) async fn step(
    ctx: &Context,
    action: &Action,
    spec: &TaskSpec,
    vdb: &PostgresVdb,
) -> Result<Step, cluster::Error> {
    let key = action.key();
    let name = format!("{}-{}", shortened(&key.name), action.short_uid());
    let found = ctx
        .cluster
        .object(&Name::new(Kind::Job, &key.namespace, &name))
        .await?;
    let running = ActionStatus {
        job: Some(name.clone()),
        message: format!("Job {name} is running"),
        ..action.status.clone()
    };
    let Some(Object::Job(found)) = found else {
        if action.status.job.is_some() {
            let why = format!("its Job {name} was deleted before it ended");
            return Ok(Step::Failed(Reason::JobDeleted, why));
        }
        let job = job(ctx, action, spec, vdb, &name);
        ctx.may_act()?;
        ctx.cluster.apply(&Object::from(job)).await?;
        return Ok(Step::Runs(Box::new(running)));
    };
    let HookRun {
        progress, ended, ..
    } = HookRun::of(&found);
    if progress == Progress::Running {
        return Ok(Step::Runs(Box::new(running)));
    }
    let output = tail(&job_log::shown(ctx, vdb, &name).await?);
    let with = |message: String, output: String| ActionStatus {
        output: Some(output),
        message,
        ..running
    };
    Ok(if progress == Progress::Succeeded {
        Step::Succeeded(Box::new(with(String::new(), output)))
    } else {
        let why = [ended.unwrap_or_default(), crate::one_line(cause(&output))];
        let why: Vec<String> = why.into_iter().filter(|part| !part.is_empty()).collect();
        let message = match why.join(": ") {
            why if why.is_empty() => format!("Job {name} failed and printed nothing"),
            why => format!("Job {name} failed: {why}"),
        };
        Step::Ended(Reason::TaskFailed, Box::new(with(message, output)))
    })
}

/// The line that says why: the last of an error, or the last of all. psql prints the place of an error in the statement
/// after it, in a line of its own that ends above a mark.
fn cause(output: &str) -> &str {
    let lines: Vec<&str> = output.lines().filter(|l| !l.trim().is_empty()).collect();
    let is_error = |line: &&&str| ERRORS.iter().any(|word| line.contains(word));
    let marked = lines.last().is_some_and(|last| last.trim() == "^");
    let last = lines.iter().rev().nth(if marked { 2 } else { 0 });
    lines
        .iter()
        .rfind(is_error)
        .or(last)
        .copied()
        .unwrap_or_default()
}

/// The names of a task's pods end in a suffix of Kubernetes, and have to stay labels.
fn shortened(name: &str) -> &str {
    let end = name.char_indices().nth(45).map_or(name.len(), |(at, _)| at);
    name[..end].trim_end_matches('-')
}

/// A hook's Job under another name, tried once, that goes with its action.
fn job(ctx: &Context, action: &Action, spec: &TaskSpec, vdb: &PostgresVdb, name: &str) -> Job {
    let (kind, script) = match (&spec.sql, &spec.command) {
        (Some(sql), _) => (HookType::Sql, sql.clone()),
        (None, command) => (HookType::Command, command.clone().unwrap_or_default()),
    };
    let hook = Hook {
        name: "task".to_owned(),
        stage: HookStage::PostCreate,
        kind,
        script,
        database: None,
        run_as: spec.run_as,
        weight: None,
        backoff_limit: Some(0),
        deadline: spec.deadline.clone(),
        transaction: None,
        env: std::collections::BTreeMap::new(),
        env_from: Vec::new(),
    };
    let mut job = hook_job::hook_job(&ctx.frame(vdb), &hook);
    job.metadata.name = Some(name.to_owned());
    job.metadata.owner_references = Some(vec![OwnerReference {
        api_version: format!(
            "{}/{}",
            environment::actions::GROUP,
            environment::actions::VERSION
        ),
        kind: action.kind.as_str().to_owned(),
        name: action.key().name,
        uid: action.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    let template = job.spec.as_mut().and_then(|s| s.template.metadata.as_mut());
    for metadata in [Some(&mut job.metadata), template].into_iter().flatten() {
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(COMPONENT_LABEL.to_owned(), "task".to_owned());
    }
    job
}

fn tail(text: &str) -> String {
    let clean: String = text
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect();
    let clean = clean.trim();
    let from = clean
        .char_indices()
        .rev()
        .take_while(|(at, _)| clean.len() - at <= OUTPUT)
        .last()
        .map_or(0, |(at, _)| at);
    clean[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    // As psql prints them.
    #[case(
        " 1\npsql:<stdin>:2: ERROR:  relation \"x\" does not exist\nLINE 1: select y from x\n                      ^",
        "psql:<stdin>:2: ERROR:  relation \"x\" does not exist"
    )]
    #[case(
        "psql:<stdin>:1: ERROR:  duplicate key value violates unique constraint \"t_pkey\"\nDETAIL:  Key (id)=(1) already exists.",
        "psql:<stdin>:1: ERROR:  duplicate key value violates unique constraint \"t_pkey\""
    )]
    #[case(
        "psql: error: connection to server at \"h\" (10.0.0.1), port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
        "psql: error: connection to server at \"h\" (10.0.0.1), port 5432 failed: Connection refused"
    )]
    // In the language of the copy.
    #[case(
        "psql:<stdin>:1: FEHLER:  Relation »x« existiert nicht\nZEILE 1: select y from x\n                       ^",
        "psql:<stdin>:1: FEHLER:  Relation »x« existiert nicht"
    )]
    #[case("one\ntwo\n\n", "two")]
    #[case("^", "")]
    #[case("", "")]
    fn the_cause_of_a_failure_is_its_error_and_not_the_mark_below_it(
        #[case] output: &str,
        #[case] wanted: &str,
    ) {
        assert_eq!(cause(output), wanted);
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let long = format!("{}é\u{1b}[31m end\n", "x".repeat(OUTPUT * 2));
        let kept = tail(&long);
        assert!(
            kept.len() <= OUTPUT && kept.ends_with("é[31m end"),
            "{kept}"
        );
        assert_eq!(tail("short\n"), "short");
        assert_eq!(shortened(&"a".repeat(60)).len(), 45);
    }
}
