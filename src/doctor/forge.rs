//! The forge: whether it answers, takes the token, and keeps unreviewed changes off the base branch.

use super::Check;
use crate::env::settings::Settings;
use crate::forge::{self, Forge, Protection};
use crate::serve::{REQUIRED_CHECK, allowed};
use crate::web;

const ANSWERS: &str = "forge";
const PROTECTED: &str = "base branch protected";
const APPROVALS: &str = "approvals required";
const CHECK: &str = "check vdb/validate required";
const PUSHES: &str = "no push past review";

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let Some(settings) = &settings.forge else {
        let names = "VDB_FORGE_URL, VDB_FORGE_OWNER, VDB_FORGE_REPOSITORY and VDB_FORGE_TOKEN_FILE";
        return vec![Check::skipped(ANSWERS, names)];
    };
    match forge::connect(settings.clone()) {
        Ok(forge) => look(forge.as_ref(), &settings.branch).await,
        Err(error) => vec![failed(ANSWERS, &error)],
    }
}

async fn look(forge: &dyn Forge, branch: &str) -> Vec<Check> {
    let mut checks = match forge.base().await {
        Ok(head) => {
            let head: String = head.chars().take(8).collect();
            vec![Check::ok(ANSWERS, format!("branch {branch} is at {head}"))]
        }
        // The rest would say the same again.
        Err(error) => return vec![failed(ANSWERS, &error)],
    };
    match forge.protection().await {
        Ok(protection) => checks.extend(protected(&protection, branch)),
        Err(error) => checks.push(failed(PROTECTED, &error)),
    }
    checks
}

fn failed(name: &'static str, error: &forge::Error) -> Check {
    let remedy = match error {
        forge::Error::Unauthorized { .. } | forge::Error::Http(web::Error::Token { .. }) => {
            "put a valid token into the file that VDB_FORGE_TOKEN_FILE names"
        }
        error => error.hint(),
    };
    Check::problem(name, web::error_chain(error), remedy)
}

fn protected(protection: &Protection, branch: &str) -> Vec<Check> {
    if !protection.protected {
        let detail = format!("anybody with write access changes {branch} without review");
        let remedy = format!(
            "protect {branch}: no pushes, one approval, the check {REQUIRED_CHECK} required"
        );
        return vec![Check::problem(PROTECTED, detail, remedy)];
    }
    let approvals = match protection.required_approvals {
        0 => Check::warning(
            APPROVALS,
            "a pull request needs no approval",
            format!("require one approval on {branch}, best by code owners"),
        ),
        n => Check::ok(APPROVALS, format!("{n}")),
    };
    let pushes = if protection.pushes_allowed {
        Check::warning(
            PUSHES,
            format!("some may push to {branch} without a pull request"),
            "allow it to nobody, or only to those who may change every environment",
        )
    } else {
        Check::ok(PUSHES, "pushes are refused")
    };
    vec![
        Check::ok(PROTECTED, branch),
        approvals,
        required(protection, branch),
        pushes,
    ]
}

fn required(protection: &Protection, branch: &str) -> Check {
    let checks = &protection.required_checks;
    if allowed(checks, REQUIRED_CHECK) {
        Check::ok(CHECK, checks.join(", "))
    } else {
        let detail = if checks.is_empty() {
            "no check is required".to_owned()
        } else {
            format!("required are only {}", checks.join(", "))
        };
        Check::problem(
            CHECK,
            detail,
            format!(
                "require the check {REQUIRED_CHECK} on {branch}: what is changed by hand is merged unchecked otherwise"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome::{self, Ok, Problem, Warning};
    use super::*;

    fn outcomes(protection: &Protection) -> Vec<Outcome> {
        let checks = protected(protection, "main");
        checks.iter().map(|check| check.outcome).collect()
    }

    fn good() -> Protection {
        Protection {
            protected: true,
            required_approvals: 1,
            required_checks: vec!["ci".into(), "vdb/validate".into()],
            pushes_allowed: false,
        }
    }

    #[test]
    fn what_is_missing_of_the_protection_is_named_with_its_remedy() {
        assert_eq!(outcomes(&good()), [Ok, Ok, Ok, Ok]);
        assert_eq!(outcomes(&Protection::default()), [Problem]);
        let open = Protection {
            required_approvals: 0,
            required_checks: vec!["ci".into()],
            pushes_allowed: true,
            ..good()
        };
        assert_eq!(outcomes(&open), [Ok, Warning, Problem, Warning]);
        for check in protected(&open, "main") {
            assert_eq!(check.outcome == Ok, check.remedy.is_empty(), "{check:?}");
        }
        let pattern = Protection {
            required_checks: vec!["vdb/*".into()],
            ..good()
        };
        assert_eq!(outcomes(&pattern), [Ok, Ok, Ok, Ok]);
    }

    #[tokio::test]
    async fn a_forge_that_answers_is_asked_for_its_protection() {
        let forge = crate::serve::FakeForge::default();
        forge.push(|_| {});
        let checks = look(&forge, "main").await;
        assert_eq!(checks.len(), 5);
        assert!(checks.iter().all(|check| check.outcome == Ok), "{checks:?}");
        forge
            .fail_at
            .store(forge.calls() + 1, std::sync::atomic::Ordering::SeqCst);
        let checks = look(&forge, "main").await;
        assert_eq!((checks.len(), checks[0].outcome), (1, Problem));
        assert!(checks[0].remedy.contains("wait until"), "{checks:?}");
    }
}
