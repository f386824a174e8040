//! One thing that was looked at, what was found, and what to do about it.

use std::borrow::Cow;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Ok,
    /// It works; somebody should know.
    Warning,
    /// Orders fail, or may be merged by whom they should not.
    Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: Cow<'static, str>,
    pub(crate) outcome: Outcome,
    /// What was found.
    pub(crate) detail: String,
    /// What to do; empty where nothing is to be done.
    pub(crate) remedy: String,
}

impl Check {
    pub(crate) fn ok(name: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Ok,
            detail: detail.into(),
            remedy: String::new(),
        }
    }

    pub(crate) fn warning(
        name: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            outcome: Outcome::Warning,
            remedy: remedy.into(),
            ..Self::ok(name, detail)
        }
    }

    pub(crate) fn problem(
        name: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            outcome: Outcome::Problem,
            remedy: remedy.into(),
            ..Self::ok(name, detail)
        }
    }

    /// Nobody said where it is, so nothing is known of it.
    pub(crate) fn skipped(name: &'static str, settings: &str) -> Self {
        Self::warning(name, "not looked at", format!("set {settings}"))
    }
}
