//! The pull request that removes an environment.

use environment::{EnvironmentName, Problem, Values, yaml};
use jiff::Timestamp;
use serde_json::Value;

use super::{Asker, Proposal, Standing, Wish, propose, rival, taken, taken_by, text};
use crate::forge::{Change, Forge, Pull, PullState};
use crate::serve::app::App;
use crate::serve::audit;
use crate::serve::background::expiry::end_in_git;
use crate::serve::checks;
use crate::serve::error::ApiError;
use crate::serve::request::{Marker, Operation, RequestId};
use crate::serve::review::UNPROTECT;

/// Deeper than any environment's directory.
const MOST_FILES: usize = 200;

pub(crate) struct Retirement<'a> {
    pub(crate) environment: &'a EnvironmentName,
    pub(crate) reason: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) asker: Asker<'a>,
    /// The platform asks, because the environment's life ended then; not if Git has another end by now.
    pub(crate) expired: Option<Timestamp>,
}

/// The pull request that retires an environment: the one that there is, or a new one.
pub(crate) async fn retire(app: &App, wanted: &Retirement<'_>) -> Result<Proposal, ApiError> {
    let forge = app.forge.as_ref();
    let environment = wanted.environment;
    let Asker { by, token } = wanted.asker;
    let _one_at_a_time = app.proposing.lock().await;
    let mut settled = None;
    loop {
        let base = forge.base().await?;
        let files = files(forge, &base, &environment.directory()).await?;
        if files.is_empty() {
            return already_gone(forge, environment).await;
        }
        let values = forge
            .read(&base, &environment.values_path())
            .await?
            .unwrap_or_default();
        let owner = owner(forge, &base, environment, &values).await?;
        match wanted.expired {
            None => checks::owner(app, by, &owner).await?,
            Some(end) if end_in_git(environment, &values) != Some(end) => {
                return Err(ApiError::conflict(format!(
                    "environment {environment} has another expiresAt in Git"
                )));
            }
            Some(_) => {}
        }
        if Values::is_protected(&values) {
            return Err(protected(environment));
        }
        let content = format!("{}\n{values}", files.join("\n"));
        let wish = Wish {
            operation: Operation::Retire,
            environment,
            content,
            key: wanted.key,
        };
        match wish.standing(forge, settled).await? {
            Standing::Found(proposal) => return rival::first(app, proposal).await,
            Standing::MergedMeanwhile { at } => settled = Some(at),
            Standing::Free { request, digest } => {
                if let Some(pull) = taken_by(forge, environment).await? {
                    return Err(taken(environment, &pull, Operation::Retire));
                }
                let words =
                    text::retirement(environment.as_str(), &request, by, wanted.reason, &files);
                let changes = files
                    .into_iter()
                    .map(|path| Change::Delete { path })
                    .collect();
                let marker = Marker {
                    request_id: request.to_string(),
                    digest,
                    key: wanted.key.map(str::to_owned),
                    requested_by: by.to_owned(),
                    owner,
                    ..Marker::default()
                };
                let pull = propose(forge, base, changes, words, marker, token).await?;
                let was = Some(values.as_str()).filter(|values| !values.is_empty());
                let change = audit::Change::new(environment, was.into(), None.into());
                audit::proposed(by, token.is_some(), &change, &pull);
                let proposal = Proposal {
                    request,
                    pull: Some(pull),
                };
                return rival::first(app, proposal).await;
            }
        }
    }
}

/// What the check on the pull request would refuse is not proposed.
fn protected(environment: &EnvironmentName) -> ApiError {
    let message = format!("environment {environment} is protected");
    let problem = Problem::field("name", "/name", message);
    let mut error = ApiError::problem(problem.hint(UNPROTECT));
    error.status = http::StatusCode::CONFLICT;
    error
}

/// Done before: the answer to a repeated call, or to somebody who was slower.
async fn already_gone(
    forge: &dyn Forge,
    environment: &EnvironmentName,
) -> Result<Proposal, ApiError> {
    let retired = |pull: &Pull| {
        let request = RequestId::of_branch(&pull.branch)?;
        let ours = pull.state == PullState::Merged
            && request.operation() == Operation::Retire
            && request.environment() == *environment;
        ours.then_some(request)
    };
    let recent = forge.recent_pulls().await?;
    let latest = recent
        .iter()
        .filter_map(|pull| Some((retired(pull)?, pull)))
        .max_by_key(|(_, pull)| pull.number);
    match latest {
        Some((request, pull)) => Ok(Proposal {
            request,
            pull: Some(pull.clone()),
        }),
        None => Err(ApiError::not_found(format!(
            "there is no environment {environment}; check the name"
        ))),
    }
}

/// All files below a directory.
async fn files(forge: &dyn Forge, base: &str, directory: &str) -> Result<Vec<String>, ApiError> {
    let mut directories = vec![directory.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in forge.list(base, &directory).await? {
            if entry.is_directory {
                directories.push(entry.path);
            } else {
                files.push(entry.path);
            }
        }
        if files.len() > MOST_FILES {
            return Err(ApiError::conflict(format!(
                "{directory} has more than {MOST_FILES} files; remove it by hand"
            )));
        }
    }
    files.sort();
    Ok(files)
}

/// Who owns the environment on the base branch. A values file that cannot be read leaves it to the catalog file.
pub(super) async fn owner(
    forge: &dyn Forge,
    base: &str,
    environment: &EnvironmentName,
    values: &str,
) -> Result<String, ApiError> {
    if let Some(owner) = Values::parse(environment, values)
        .ok()
        .and_then(|values| values.owner)
    {
        return Ok(owner);
    }
    let catalog = forge
        .read(base, &environment.catalog_path())
        .await?
        .unwrap_or_default();
    let entity: Value = yaml::read(&catalog).unwrap_or_default();
    entity
        .pointer("/spec/owner")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| {
            ApiError::not_allowed(format!(
                "environment {environment} has no owner in Git; ask the platform team to change or retire it"
            ))
        })
}
