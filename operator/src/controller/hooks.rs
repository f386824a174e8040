//! Which hook is next. The Jobs are the record: one of the right name that succeeded is never run again. Pure.

use environment::spec::{Hook, HookStage};
use k8s_openapi::api::batch::v1::Job;

use super::build::{Frame, hook_job, stamped};
use super::observe::Observed;
use super::plan::{JOB_WAIT, Plan, Step};
use crate::cluster::{Name, Object, Progress};
use crate::reason::Reason;

/// The step for the first hook of a stage that has not succeeded; `None` when all have.
pub fn next(observed: &Observed, frame: &Frame<'_>, stage: HookStage) -> Option<Plan> {
    for hook in hook_job::of_stage(&frame.cr.spec.hooks, stage) {
        let name = hook_job::name(frame, hook);
        match progress(observed, &name) {
            Some(Progress::Succeeded) => {}
            None => return Some(Plan::Act(Step::Hook(Box::new(job(frame, hook))))),
            Some(Progress::Running) => {
                return Some(Plan::wait(
                    Reason::RunningHooks,
                    format!("hook {:?} is running", hook.name),
                    JOB_WAIT,
                ));
            }
            Some(Progress::Failed) => {
                return Some(Plan::Act(Step::HookFailed {
                    hook: hook.name.clone(),
                    job: name,
                }));
            }
        }
    }
    None
}

/// The same in a deletion: a hook that failed has had its chance.
pub fn next_before_end(observed: &Observed, frame: &Frame<'_>, stage: HookStage) -> Option<Plan> {
    for hook in hook_job::of_stage(&frame.cr.spec.hooks, stage) {
        match progress(observed, &hook_job::name(frame, hook)) {
            Some(Progress::Succeeded | Progress::Failed) => {}
            None => return Some(Plan::Act(Step::Hook(Box::new(job(frame, hook))))),
            Some(Progress::Running) => {
                return Some(Plan::wait(
                    Reason::Deleting,
                    format!("hook {:?} is running", hook.name),
                    JOB_WAIT,
                ));
            }
        }
    }
    None
}

/// The step for the first failed hook of a deletion of which nothing is written yet: its log goes with its Job.
pub fn untold(observed: &Observed, frame: &Frame<'_>) -> Option<Plan> {
    let told = told(observed, frame).unwrap_or_default();
    let hook = before_end(observed).into_iter().find(|hook| {
        let job = hook_job::name(frame, hook);
        let failed = progress(observed, &job) == Some(Progress::Failed);
        failed && !told.contains(&named(&job))
    })?;
    Some(Plan::Act(Step::HookFailed {
        hook: hook.name.clone(),
        job: hook_job::name(frame, hook),
    }))
}

/// What is written of the failed hooks of this deletion.
pub fn told<'a>(observed: &'a Observed, frame: &Frame<'_>) -> Option<&'a str> {
    let status = observed.cr.status.as_ref()?;
    let said = status
        .condition("HooksSucceeded")
        .filter(|c| observed.cr.is_deleting() && c.reason == Reason::HookFailed.as_str())?;
    // It may be that of an earlier hook, before the deletion.
    let mut jobs = before_end(observed)
        .into_iter()
        .map(|hook| named(&hook_job::name(frame, hook)));
    jobs.any(|job| said.message.contains(&job))
        .then_some(said.message.as_str())
}

fn before_end(observed: &Observed) -> Vec<&Hook> {
    let stages = [HookStage::PreDelete, HookStage::PostDelete];
    let hooks = &observed.cr.spec.hooks;
    let of = |stage| hook_job::of_stage(hooks, stage);
    stages.into_iter().flat_map(of).collect()
}

/// How a failure's message names the Job.
pub fn named(job: &str) -> String {
    format!("(Job {job})")
}

/// Names of a stage's hooks that have come to no end.
pub fn not_ended<'a>(observed: &'a Observed, frame: &Frame<'_>, stage: HookStage) -> Vec<&'a str> {
    let ended = |hook: &Hook| {
        matches!(
            progress(observed, &hook_job::name(frame, hook)),
            Some(Progress::Succeeded | Progress::Failed)
        )
    };
    hook_job::of_stage(&observed.cr.spec.hooks, stage)
        .into_iter()
        .filter(|hook| !ended(hook))
        .map(|hook| hook.name.as_str())
        .collect()
}

fn job(frame: &Frame<'_>, hook: &Hook) -> Job {
    match stamped(hook_job::hook_job(frame, hook)) {
        Object::Job(job) => std::sync::Arc::unwrap_or_clone(job),
        other => unreachable!("a {} is no Job", Name::of(&other)),
    }
}

/// `None`: it was not started.
fn progress(observed: &Observed, job: &str) -> Option<Progress> {
    observed
        .children
        .hook_runs
        .iter()
        .find(|run| run.job == job)
        .map(|run| run.progress)
}
