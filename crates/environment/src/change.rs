//! What somebody wants of an environment that exists: another size, fresh data, a longer life.
//!
//! Each is a few edits of the values file on the base branch, made from what that file says now.

mod extend;
mod update;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capabilities::DayTwo;
use crate::edit::{self, Edit};
use crate::names::EnvironmentName;
use crate::order::{hostile_text, without_empty};
use crate::problem::{Problem, Problems};
use crate::schema;

pub use extend::Extend;
pub use update::Update;

/// Days that a database may live from an extension on, where nobody has set another bound.
pub const LONGEST_LIFE_DAYS: u32 = 90;

/// A refresh replaces the data by that of the newest snapshot of the same source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refresh {
    /// Name of the environment
    #[schemars(length(min = 1, max = 36))]
    pub name: String,
    /// Shown in the pull request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub reason: Option<String>,
    /// Idempotency key: the same key never leads to a second pull request
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), regex(pattern = r"^[A-Za-z0-9._:-]*$"))]
    pub request_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Update(Update),
    Refresh(Refresh),
    Extend(Extend),
}

/// What the edits of a change depend on beside the file.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub now: Timestamp,
    /// The id of the request that carries the change.
    pub request: &'a str,
    /// Days that a database may live from now on.
    pub longest_life_days: u32,
}

impl Change {
    /// # Errors
    /// Every problem, each with the form's field.
    pub fn update(input: &Value) -> Result<Self, Problems> {
        let (update, mut problems) = read::<Update>(input, schema::check_update);
        update::explain_fixed(input, &mut problems);
        finish(update, problems, Update::problems).map(Self::Update)
    }

    /// # Errors
    /// Every problem, each with the form's field.
    pub fn refresh(input: &Value) -> Result<Self, Problems> {
        let (refresh, problems) = read::<Refresh>(input, schema::check_refresh);
        finish(refresh, problems, |_| Vec::new()).map(Self::Refresh)
    }

    /// # Errors
    /// Every problem, each with the form's field.
    pub fn extend(input: &Value) -> Result<Self, Problems> {
        let (extend, problems) = read::<Extend>(input, schema::check_extend);
        finish(extend, problems, Extend::problems).map(Self::Extend)
    }

    pub fn what(&self) -> DayTwo {
        match self {
            Self::Update(_) => DayTwo::Update,
            Self::Refresh(_) => DayTwo::Refresh,
            Self::Extend(_) => DayTwo::Extend,
        }
    }

    /// The change in one word, as it names branches and labels.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Update(_) => "update",
            Self::Refresh(_) => "refresh",
            Self::Extend(_) => "extend",
        }
    }

    fn common(&self) -> (&str, Option<&str>, Option<&str>) {
        match self {
            Self::Update(c) => (&c.name, c.reason.as_deref(), c.request_id.as_deref()),
            Self::Refresh(c) => (&c.name, c.reason.as_deref(), c.request_id.as_deref()),
            Self::Extend(c) => (&c.name, c.reason.as_deref(), c.request_id.as_deref()),
        }
    }

    /// # Errors
    /// The change was not made by one of the readers.
    pub fn environment(&self) -> Result<EnvironmentName, Problem> {
        EnvironmentName::parse(self.common().0)
    }

    pub fn reason(&self) -> Option<&str> {
        self.common().1
    }

    /// Idempotency key.
    pub fn key(&self) -> Option<&str> {
        self.common().2
    }

    /// What is wanted, so that equal wishes are one: a wish that depends on what the file says is another one as soon
    /// as it was carried out, unless it is the same call again.
    pub fn content(&self, values: &Value) -> String {
        let since = |pointer| match self.key() {
            Some(key) => format!("key {key}"),
            None => format!("since {}", values.pointer(pointer).unwrap_or(&Value::Null)),
        };
        match self {
            Self::Update(update) => update.content(),
            Self::Refresh(_) => since("/vdb/refresh/token"),
            Self::Extend(extend) => match extend.at() {
                Some(at) => format!("until {at}"),
                None => format!("{:?} days, {}", extend.days, since("/vdb/expiresAt")),
            },
        }
    }

    /// The file says already what is wanted.
    pub fn is_done(&self, values: &Value) -> bool {
        match self {
            Self::Update(update) => update.edits(values).is_ok_and(|edits| edits.is_empty()),
            Self::Refresh(_) => false,
            Self::Extend(extend) => extend.at().is_some() && extend.at() == extend::on(values),
        }
    }

    /// The edits of the values file.
    ///
    /// # Errors
    /// The file has no such database, or the change goes beyond a bound.
    pub fn edits(&self, values: &Value, under: &Circumstances<'_>) -> Result<Vec<Edit>, Problems> {
        if values.pointer("/vdb").is_none_or(|vdb| !vdb.is_object()) {
            return Err(
                Problem::at("/vdb", "the values file has no database at vdb")
                    .hint("change its other databases by a pull request of your own")
                    .into(),
            );
        }
        match self {
            Self::Update(update) => update.edits(values).map_err(Problems::from),
            Self::Refresh(_) => Ok(vec![Edit::set("/vdb/refresh/token", under.request)]),
            Self::Extend(extend) => extend.edits(values, under).map_err(Problems::from),
        }
    }
}

/// The file with the edits and with the request that made them; what no edit names stays byte for byte.
///
/// # Errors
/// The first edit that cannot be made safely; nothing is half done.
pub fn edited(
    text: &str,
    edits: &[Edit],
    request: &str,
    by: &str,
) -> Result<String, edit::Refusal> {
    let mut all = edits.to_vec();
    all.push(Edit::set("/request/id", request));
    all.push(Edit::set("/request/by", by));
    edit::apply(text, &all)
}

/// The input as far as it can be read, and everything that is wrong with it. Empty texts of a form count as absent.
fn read<T: DeserializeOwned>(
    input: &Value,
    check: fn(&Value) -> Vec<Problem>,
) -> (Option<T>, Vec<Problem>) {
    let input = without_empty(input);
    let mut problems = check(&input);
    if let Some(name) = input.get("name").and_then(Value::as_str)
        && let Err(problem) = EnvironmentName::parse(name)
    {
        problems.retain(|p| p.pointer != "/name");
        problems.push(problem);
    }
    hostile_text(&input, &mut problems);
    (serde_json::from_value(input).ok(), problems)
}

fn finish<T>(
    read: Option<T>,
    mut problems: Vec<Problem>,
    check: impl Fn(&T) -> Vec<Problem>,
) -> Result<T, Problems> {
    problems.extend(read.iter().flat_map(check));
    match read {
        Some(read) if problems.is_empty() => Ok(read),
        None if problems.is_empty() => Err(Problem::at("", "the input is not readable").into()),
        _ => Err(Problems(problems)),
    }
}

#[cfg(test)]
mod tests;
