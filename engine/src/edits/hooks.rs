//! Hooks of a virtual database: checked, given ids, kept in their order.

use dct::types::{ContainerizationState, Hook, Hooks, Vdb};

use crate::actions::Refusal;
use crate::hooks::program;

/// Limits of the vendor's document.
const MOST: usize = 100;
const LONGEST_NAME: usize = 256;
const SHELLS: [&str; 5] = ["bash", "shell", "expect", "ps", "psd"];

const NOT_RUN: &str =
    "hooks are kept and shown, but not run: this engine was started without --run-hooks";
const IN_A_CONTAINER: &str = "hooks are kept and shown, but not run: the server runs in a container, where this engine starts no programs";

/// What callers should know about hooks that they order.
pub(crate) fn warning(vdb: &Vdb, run: bool) -> Option<&'static str> {
    vdb.hooks.as_ref()?;
    let served = vdb.containerization_state == Some(ContainerizationState::NotContainerized);
    match (run, served) {
        (false, _) => Some(NOT_RUN),
        (true, false) => Some(IN_A_CONTAINER),
        (true, true) => None,
    }
}

/// The hooks of a new virtual database; none if there is no hook at all.
pub(crate) fn first(wanted: &Hooks, run: bool) -> Result<Option<Hooks>, Refusal> {
    changed(None, wanted, run)
}

/// A list that is absent stays, an empty one goes. `before` is what is kept already.
pub(crate) fn changed(
    before: Option<&Hooks>,
    wanted: &Hooks,
    run: bool,
) -> Result<Option<Hooks>, Refusal> {
    let mut kept = before.cloned().unwrap_or_default();
    let mut wanted = wanted.clone();
    let mut problems = Vec::new();
    for ((name, new), (_, old)) in wanted.lists().into_iter().zip(kept.lists()) {
        let Some(new) = new.take() else { continue };
        check(name, &new, run, &mut problems);
        let known = old.take().unwrap_or_default();
        let list: Vec<Hook> = new.into_iter().map(|hook| with_id(hook, &known)).collect();
        *old = Some(list).filter(|list| !list.is_empty());
    }
    if problems.is_empty() {
        Ok(Some(kept).filter(|hooks| *hooks != Hooks::default()))
    } else {
        Err(Refusal::Invalid(problems.join("; ")))
    }
}

fn check(list: &str, hooks: &[Hook], run: bool, problems: &mut Vec<String>) {
    if hooks.len() > MOST {
        problems.push(format!("{list}: at most {MOST} hooks"));
    }
    for (index, hook) in hooks.iter().enumerate() {
        let mut wrong = |what: String| problems.push(format!("{list}[{index}]: {what}"));
        let named = hook.name.as_deref();
        if named.is_some_and(|name| !(1..=LONGEST_NAME).contains(&name.chars().count())) {
            wrong(format!("name has 1 to {LONGEST_NAME} characters"));
        }
        if hook.hook_template_id.is_some() {
            wrong("hook_template_id: this engine has no hook templates; send a command".to_owned());
        } else if hook.command.as_deref().unwrap_or_default().is_empty() {
            wrong("command is missing".to_owned());
        }
        if hook.credentials_env_vars.is_some() || hook.has_credentials == Some(true) {
            wrong("credentials_env_vars: this engine keeps no credentials of hooks".to_owned());
        }
        if let Some(shell) = hook
            .shell
            .as_deref()
            .filter(|shell| !SHELLS.contains(shell))
        {
            wrong(format!("shell {shell:?} is none of {}", SHELLS.join(", ")));
        } else if run && program(hook.shell.as_deref()).is_none() {
            let shell = hook.shell.as_deref().unwrap_or_default();
            wrong(format!(
                "shell {shell:?} cannot be run by this engine; send a command for bash or shell"
            ));
        }
    }
}

/// One that is known keeps its id; others get a new one.
fn with_id(mut hook: Hook, known: &[Hook]) -> Hook {
    let same = |other: &&Hook| hook.element_id.is_some() && other.element_id == hook.element_id;
    if known.iter().find(same).is_none() {
        hook.element_id = Some(hex::encode(rand::random::<[u8; 8]>()));
    }
    hook.has_credentials = Some(false);
    hook
}
