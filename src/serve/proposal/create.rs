//! The pull request that creates an environment.

use environment::order::Order;
use environment::render::{self, Files};
use environment::values::{Request, Values};
use environment::{EnvironmentName, Problem, databases, resource, yaml};
use serde_json::Value;

use super::{Asker, Proposal, Standing, Wish, outlook, propose, rival, taken, taken_by, text};
use crate::forge::{Change, Forge};
use crate::serve::app::App;
use crate::serve::audit;
use crate::serve::checks;
use crate::serve::error::ApiError;
use crate::serve::limits;
use crate::serve::request::{Marker, Operation, RequestId};

/// What the base branch holds in the place of an order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Nothing,
    /// Exactly this order, brought by this request if a request brought it.
    Same(Option<RequestId>),
    Other,
}

/// The pull request of an order: the one that there is, or a new one.
pub(crate) async fn create(
    app: &App,
    order: &Order,
    asker: Asker<'_>,
) -> Result<Proposal, ApiError> {
    let environment = order.environment().map_err(ApiError::problem)?;
    let wanted = unnamed(order)?;
    let wish = wish(order, &environment, &wanted);
    let forge = app.forge.as_ref();
    let _one_at_a_time = app.proposing.lock().await;
    let mut settled = None;
    loop {
        let base = forge.base().await?;
        match existing(forge, &base, &environment, &wanted).await? {
            Existing::Other => return Err(name_taken(&environment)),
            Existing::Same(request) => {
                return already_there(forge, request.unwrap_or_else(|| wish.request(0).0)).await;
            }
            Existing::Nothing => {}
        }
        match wish.standing(forge, settled).await? {
            Standing::Found(proposal) => return rival::first(app, proposal).await,
            Standing::MergedMeanwhile { at } => settled = Some(at),
            Standing::Free { request, digest } => {
                if let Some(pull) = taken_by(forge, &environment).await? {
                    return Err(taken(&environment, &pull, Operation::Create));
                }
                if let Some(refusal) = too_many(app, order).await? {
                    return Err(refusal.into());
                }
                checks::live(app, order).await?;
                let proposal = offer(app, order, asker, base, request, digest).await?;
                return rival::first(app, proposal).await;
            }
        }
    }
}

/// Why the order is one too many for its owner, if so.
pub(crate) async fn too_many(
    app: &App,
    order: &Order,
) -> Result<Option<limits::Refusal>, ApiError> {
    let environment = order.environment().map_err(ApiError::problem)?;
    let spec = order.spec_json();
    let asked = limits::Asked {
        owner: &order.owner,
        environment: &environment,
        before: None,
        after: resource::demand_of(std::iter::once(&spec)),
    };
    limits::check(app, &asked).await
}

async fn offer(
    app: &App,
    order: &Order,
    Asker { by, token }: Asker<'_>,
    base: String,
    request: RequestId,
    digest: String,
) -> Result<Proposal, ApiError> {
    let files = render::files(
        order,
        &Request {
            id: Some(request.to_string()),
            by: Some(by.to_owned()),
        },
    )?;
    let environment = request.environment();
    let after = Values::parse(&environment, &files.values)?;
    let demand = resource::demand(&databases::of(&environment, &after).0);
    let words = text::creation(&text::Creation {
        order,
        request: &request,
        by,
        values: &files.values,
        resources: &resource::difference(&environment, None, Some(&after))
            .map_err(|why| Problem::at("", format!("the resources cannot be written: {why}")))
            .map_err(ApiError::problem)?,
        outlook: &outlook::look(app, order, &demand).await,
    });
    let change = audit::Change::new(
        &environment,
        audit::State::Absent,
        audit::State::Text(&files.values),
    );
    let changes = vec![
        Change::Put {
            path: environment.values_path(),
            content: files.values,
        },
        Change::Put {
            path: environment.catalog_path(),
            content: files.catalog_info,
        },
    ];
    let marker = Marker {
        request_id: request.to_string(),
        digest,
        key: order.request_id.clone(),
        requested_by: by.to_owned(),
        owner: order.owner.clone(),
        ..Marker::default()
    };
    let pull = propose(app.forge.as_ref(), base, changes, words, marker, token).await?;
    audit::proposed(by, token.is_some(), &change, &pull);
    Ok(Proposal {
        request,
        pull: Some(pull),
    })
}

pub(super) async fn already_there(
    forge: &dyn Forge,
    request: RequestId,
) -> Result<Proposal, ApiError> {
    let pull = forge.find(&request.branch()).await?;
    Ok(Proposal { request, pull })
}

/// What is wanted, without the name of the request that wants it: the name is derived from it.
pub(crate) fn unnamed(order: &Order) -> Result<Files, ApiError> {
    Ok(render::files(
        order,
        &Request {
            id: Some(String::new()),
            by: Some(String::new()),
        },
    )?)
}

/// The files as the order's first request would write them.
pub(crate) fn preview(order: &Order, by: Option<&str>) -> Result<Files, ApiError> {
    let environment = order.environment().map_err(ApiError::problem)?;
    let (request, _) = wish(order, &environment, &unnamed(order)?).request(0);
    Ok(render::files(
        order,
        &Request {
            id: Some(request.to_string()),
            by: Some(by.unwrap_or_default().to_owned()),
        },
    )?)
}

fn wish<'a>(order: &'a Order, environment: &'a EnvironmentName, wanted: &Files) -> Wish<'a> {
    let content = format!("{}\n{}", wanted.values, wanted.catalog_info);
    Wish {
        operation: Operation::Create,
        environment,
        content,
        key: order.request_id.as_deref(),
    }
}

/// Compares with the base branch, whatever any pull request says.
pub(crate) async fn existing(
    forge: &dyn Forge,
    base: &str,
    environment: &EnvironmentName,
    wanted: &Files,
) -> Result<Existing, ApiError> {
    let Some(there) = forge.read(base, &environment.values_path()).await? else {
        let files = forge.list(base, &environment.directory()).await?;
        return Ok(if files.is_empty() {
            Existing::Nothing
        } else {
            Existing::Other
        });
    };
    let without_request = |text: &str| -> Option<Value> {
        let mut values: Value = yaml::read(text).ok()?;
        values.as_object_mut()?.shift_remove("request");
        Some(values)
    };
    if without_request(&there).is_none()
        || without_request(&there) != without_request(&wanted.values)
    {
        return Ok(Existing::Other);
    }
    let request = Values::parse(environment, &there)
        .ok()
        .and_then(|values| values.request?.id);
    Ok(Existing::Same(request.and_then(|id| RequestId::parse(&id))))
}

pub(crate) fn name_taken(environment: &EnvironmentName) -> ApiError {
    let problem = Problem::field(
        "name",
        "/name",
        format!("environment name {environment} is taken"),
    );
    let mut error = ApiError::problem(
        problem.hint("choose another name, or change the existing environment by a pull request"),
    );
    error.status = http::StatusCode::CONFLICT;
    error
}
