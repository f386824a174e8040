//! The pull request that changes an environment: a few edits of its values file as the base branch holds it.

use environment::capabilities::DayTwo;
use environment::change::{self, Change, Circumstances};
use environment::edit::Edit;
use environment::values::Values;
use environment::{EnvironmentName, Problems, databases, resource, yaml};
use jiff::Timestamp;
use serde_json::Value;

use super::create::already_there;
use super::retire::owner;
use super::{
    Asker, MOST_ATTEMPTS, Proposal, Standing, Wish, propose, rival, taken, taken_by, text,
};
use crate::forge::{Change as FileChange, Forge};
use crate::serve::app::App;
use crate::serve::audit;
use crate::serve::checks;
use crate::serve::error::ApiError;
use crate::serve::limits;
use crate::serve::request::{Marker, Operation, RequestId};

/// The values file on the base branch.
struct File {
    base: String,
    text: String,
    values: Value,
    owner: String,
}

/// The pull request of a change: the one that there is, or a new one.
pub(crate) async fn change(
    app: &App,
    change: &Change,
    asker: Asker<'_>,
) -> Result<Proposal, ApiError> {
    let environment = change.environment().map_err(ApiError::problem)?;
    possible(app, change.what(), &environment)?;
    let forge = app.forge.as_ref();
    let _one_at_a_time = app.proposing.lock().await;
    let mut settled = None;
    loop {
        let file = read(forge, &environment).await?;
        checks::owner(app, asker.by, &file.owner).await?;
        let wish = Wish {
            operation: operation(change),
            environment: &environment,
            content: change.content(&file.values),
            key: change.key(),
        };
        if let Some(request) = done(change, &wish, &file.values) {
            return already_there(forge, request).await;
        }
        match wish.standing(forge, settled).await? {
            Standing::Found(proposal) => return rival::first(app, proposal).await,
            Standing::MergedMeanwhile { at } => settled = Some(at),
            Standing::Free { request, digest } => {
                if let Some(pull) = taken_by(forge, &environment).await? {
                    return Err(taken(&environment, &pull, operation(change)));
                }
                let proposal = offer(app, change, file, asker, request, digest).await?;
                return rival::first(app, proposal).await;
            }
        }
    }
}

/// Who owns an environment that Git holds.
pub(crate) async fn owner_in_git(
    app: &App,
    environment: &EnvironmentName,
) -> Result<String, ApiError> {
    Ok(read(app.forge.as_ref(), environment).await?.owner)
}

/// What the operator cannot do is refused before anything is looked at.
pub(crate) fn possible(
    app: &App,
    what: DayTwo,
    environment: &EnvironmentName,
) -> Result<(), ApiError> {
    match app.capabilities.missing(what, environment.as_str()) {
        None => Ok(()),
        Some(problem) => {
            let mut error = ApiError::problem(problem);
            error.status = http::StatusCode::CONFLICT;
            Err(error)
        }
    }
}

fn operation(change: &Change) -> Operation {
    match change {
        Change::Update(_) => Operation::Update,
        Change::Refresh(_) => Operation::Refresh,
        Change::Extend(_) => Operation::Extend,
    }
}

async fn read(forge: &dyn Forge, environment: &EnvironmentName) -> Result<File, ApiError> {
    let base = forge.base().await?;
    let path = environment.values_path();
    let Some(text) = forge.read(&base, &path).await? else {
        return Err(ApiError::not_found(format!(
            "there is no environment {environment} in Git; check the name"
        )));
    };
    let values = yaml::read(&text).map_err(|why| {
        ApiError::conflict(format!(
            "{path} is not readable as YAML: {why}; mend it by a pull request"
        ))
    })?;
    let owner = owner(forge, &base, environment, &text).await?;
    Ok(File {
        base,
        text,
        values,
        owner,
    })
}

/// The request that brought what is wanted, if the base branch holds it, whatever any pull request says.
fn done(change: &Change, wish: &Wish<'_>, values: &Value) -> Option<RequestId> {
    let named = |pointer: &str| {
        values
            .pointer(pointer)
            .and_then(Value::as_str)
            .and_then(RequestId::parse)
            .filter(|request| request.environment() == *wish.environment)
    };
    let on_base = named("/request/id");
    if change.is_done(values) {
        return Some(on_base.unwrap_or_else(|| wish.request(0).0));
    }
    // A wish that no value shows has left its request's id.
    let traces = match change {
        Change::Update(_) => return None,
        Change::Refresh(_) => named("/vdb/refresh/token"),
        Change::Extend(_) => on_base,
    };
    let trace = traces?;
    (0..MOST_ATTEMPTS)
        .map(|n| wish.request(n).0)
        .find(|request| *request == trace)
}

async fn offer(
    app: &App,
    change: &Change,
    file: File,
    Asker { by, token }: Asker<'_>,
    request: RequestId,
    digest: String,
) -> Result<Proposal, ApiError> {
    let environment = request.environment();
    let under = Circumstances {
        now: Timestamp::now(),
        request: request.as_str(),
        longest_life_days: app.settings.orders.longest_life_days,
    };
    let edits = change.edits(&file.values, &under)?;
    let content = edited(app, &environment, &file, &edits, (&request, by)).await?;
    let reserves = |text: &str| {
        let values = Values::parse(&environment, text).unwrap_or_default();
        resource::demand(&databases::of(&environment, &values).0)
    };
    let asked = limits::Asked {
        owner: &file.owner,
        environment: &environment,
        before: Some(reserves(&file.text)),
        after: reserves(&content),
    };
    if let Some(refusal) = limits::check(app, &asked).await? {
        return Err(refusal.into());
    }
    let words = text::change(change, &request, by, &edits, &file.values);
    let (was, is) = (audit::State::Text(&file.text), audit::State::Text(&content));
    let noted = audit::Change::new(&environment, was, is);
    let changes = vec![FileChange::Put {
        path: environment.values_path(),
        content,
    }];
    let marker = Marker {
        request_id: request.to_string(),
        digest,
        key: change.key().map(str::to_owned),
        requested_by: by.to_owned(),
        owner: file.owner,
        ..Marker::default()
    };
    let pull = propose(app.forge.as_ref(), file.base, changes, words, marker, token).await?;
    audit::proposed(by, token.is_some(), &noted, &pull);
    Ok(Proposal {
        request,
        pull: Some(pull),
    })
}

/// The file with the edits and the id of the request that made them, checked like any values file.
async fn edited(
    app: &App,
    environment: &EnvironmentName,
    file: &File,
    edits: &[Edit],
    (request, by): (&RequestId, &str),
) -> Result<String, ApiError> {
    let text = change::edited(&file.text, edits, request.as_str(), by).map_err(|refusal| {
        ApiError::conflict(format!(
            "{}: {refusal}; {}",
            environment.values_path(),
            refusal.hint()
        ))
    })?;
    let mut problems = match Values::parse(environment, &text) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems,
    };
    let image = edits.iter().find_map(|edit| match edit {
        Edit::Set { pointer, value } if pointer == "/vdb/image" => value.as_str(),
        _ => None,
    });
    if let Some(image) = image {
        let source = |pointer: &str| file.values.pointer(pointer).and_then(Value::as_str);
        let source = source("/vdb/source/reference").or_else(|| source("/global/sourceDatabase"));
        problems.extend(checks::image(app, image, source.unwrap_or_default()).await?);
    }
    if problems.is_empty() {
        Ok(text)
    } else {
        Err(Problems(problems).into())
    }
}

#[cfg(test)]
mod tests;
