//! `vdb:list` and `vdb:status`: what people see on the portal's pages, for templates and agents.

use environment::EnvironmentName;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::serve::app::App;
use crate::serve::auth::Caller;
use crate::serve::error::ApiError;
use crate::serve::portal::same_entity;
use crate::serve::{checks, environments};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    owner: Option<String>,
}

/// Those of the caller's groups; all where asked for, or where nobody is signed in.
pub(super) async fn list(app: &App, input: &Value, caller: &Caller) -> Result<Value, ApiError> {
    let which: Which = super::read(input)?;
    let owners = match (&which.owner, &caller.user) {
        (Some(owner), _) => Some(vec![owner.clone()]),
        (None, Some(user)) if !which.all => {
            let mut owners = app.portal.groups(user).await?;
            owners.push(user.clone());
            Some(owners)
        }
        _ => None,
    };
    let views = json!(environments::list(app).await?);
    let items: Vec<Value> = views["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|view| is_owned(view, owners.as_deref()))
        .map(|view| {
            pick(
                view,
                &[
                    "name", "state", "ready", "message", "hint", "owner", "dataAsOf",
                ],
            )
        })
        .collect();
    Ok(json!({"environments": items, "count": items.len()}))
}

fn is_owned(view: &Value, owners: Option<&[String]>) -> bool {
    let Some(owners) = owners else { return true };
    view["owner"]
        .as_str()
        .is_some_and(|owner| owners.iter().any(|ours| same_entity(ours, owner)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

pub(super) async fn status(app: &App, input: &Value) -> Result<Value, ApiError> {
    let Name { name } = super::read(input)?;
    let name = EnvironmentName::parse(&name).map_err(ApiError::problem)?;
    let view = json!(environments::one(app, &name).await?);
    let mut output = pick(
        &view,
        &[
            "name", "state", "ready", "reason", "message", "hint", "owner", "source", "dataAsOf",
            "endpoint", "request",
        ],
    );
    output["timeline"] = view["stages"].clone();
    let as_of = view["dataAsOf"]
        .as_str()
        .and_then(|at| at.parse::<Timestamp>().ok());
    if let Some(as_of) = as_of {
        output["dataAge"] = json!(checks::in_words(Timestamp::now().duration_since(as_of)));
    }
    Ok(output)
}

/// The fields that there are.
fn pick(view: &Value, fields: &[&str]) -> Value {
    let found = fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), view.get(field)?.clone())));
    Value::Object(found.collect::<Map<_, _>>())
}
