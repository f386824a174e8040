//! Checks that need the outside world: who may order, whether the source exists, whether the name is free.

mod snapshot;

use environment::order::Order;
use environment::render;
use environment::{EnvironmentName, Problem, Problems};

use crate::forge::Pull;
use crate::serve::app::App;
use crate::serve::cluster::NamespaceState;
use crate::serve::error::ApiError;
use crate::serve::portal::same_entity;
use crate::serve::proposal::{Existing, existing, taken_by, too_many, unnamed};
use crate::serve::settings::allowed;
pub(crate) use snapshot::{in_words, newest};

/// The caller must be the owner or a member of the group that is.
pub(crate) async fn owner(app: &App, user: &str, owner: &str) -> Result<(), ApiError> {
    match not_owner(app, user, owner).await? {
        None => Ok(()),
        Some(problem) => {
            let mut error = ApiError::problem(problem);
            error.status = http::StatusCode::FORBIDDEN;
            Err(error)
        }
    }
}

/// Why this user may not act for this owner, if so.
pub(crate) async fn not_owner(
    app: &App,
    user: &str,
    owner: &str,
) -> Result<Option<Problem>, ApiError> {
    if same_entity(user, owner) {
        return Ok(None);
    }
    let groups = app.portal.groups(user).await?;
    if groups.iter().any(|group| same_entity(group, owner)) {
        return Ok(None);
    }
    let yours = if groups.is_empty() {
        "the catalog knows no group of yours".to_owned()
    } else {
        format!("your groups: {}", groups.join(", "))
    };
    let problem = Problem::field(
        "owner",
        "/owner",
        format!("{user} is not a member of owner {owner}"),
    );
    Ok(Some(problem.hint(format!(
        "choose one of your groups as owner; {yours}"
    ))))
}

/// What only the running systems know, without the name: the lists of what is allowed, the source, the namespace.
pub(crate) async fn live(app: &App, order: &Order) -> Result<(), ApiError> {
    let mut problems = outside_lists(app, order);
    problems.extend(source(app, order).await?);
    problems.extend(namespace(app, order).await?);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems).into())
    }
}

/// All live problems of an order, the name included. An order that is in Git already, exactly so, has none.
pub(crate) async fn all(
    app: &App,
    order: &Order,
    user: Option<&str>,
) -> Result<Vec<Problem>, ApiError> {
    let mut problems = outside_lists(app, order);
    if let Some(user) = user {
        problems.extend(not_owner(app, user, &order.owner).await?);
    }
    let environment = order.environment().map_err(ApiError::problem)?;
    let wanted = unnamed(order)?;
    let forge = app.forge.as_ref();
    let base = forge.base().await?;
    match existing(forge, &base, &environment, &wanted).await? {
        Existing::Same(_) => return Ok(problems),
        Existing::Other => {
            let problem = Problem::field(
                "name",
                "/name",
                format!("environment name {environment} is taken"),
            );
            problems.push(
                problem.hint(
                    "choose another name, or change the existing environment by a pull request",
                ),
            );
        }
        Existing::Nothing => {
            let mine = |pull: &Pull| {
                order.request_id.is_some()
                    && crate::serve::request::Marker::of(pull).key == order.request_id
            };
            match taken_by(forge, &environment).await? {
                Some(pull) if mine(&pull) => {}
                Some(pull) => problems.push(open_pull(&environment, &pull)),
                None => problems.extend(too_many(app, order).await?.map(|r| r.problem)),
            }
            problems.extend(namespace(app, order).await?);
        }
    }
    problems.extend(source(app, order).await?);
    Ok(problems)
}

fn open_pull(environment: &EnvironmentName, pull: &Pull) -> Problem {
    let message = format!(
        "environment {environment} has an open pull request: #{}",
        pull.number
    );
    Problem::field("name", "/name", message)
        .hint(format!("choose another name, or wait for {}", pull.url))
}

fn outside_lists(app: &App, order: &Order) -> Vec<Problem> {
    let orders = &app.settings.orders;
    let image = order.image.as_deref().unwrap_or(render::DEFAULT_IMAGE);
    [
        not_allowed("image", image, &orders.allowed_images),
        not_allowed("source", &order.source, &orders.allowed_sources),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn not_allowed(field: &str, value: &str, patterns: &[String]) -> Option<Problem> {
    (!allowed(patterns, value)).then(|| {
        let message = format!(
            "{field} {} is not allowed here (NotAllowed)",
            environment::names::quoted(value)
        );
        Problem::field(field, format!("/{field}"), message)
            .hint(format!("allowed: {}", patterns.join(", ")))
    })
}

/// What is wrong with another image for a database of this source. A source that is gone refuses no update.
pub(crate) async fn image(app: &App, image: &str, source: &str) -> Result<Vec<Problem>, ApiError> {
    let version = match app.sources.find(source).await? {
        Ok(dataset) => dataset.version,
        Err(_) => None,
    };
    let problems = [
        not_allowed("image", image, &app.settings.orders.allowed_images),
        other_major(version.as_deref(), image),
    ];
    Ok(problems.into_iter().flatten().collect())
}

async fn source(app: &App, order: &Order) -> Result<Vec<Problem>, ApiError> {
    let dataset = match app.sources.find(&order.source).await? {
        Ok(dataset) => dataset,
        Err(there) => {
            let message = format!(
                "source {} does not exist",
                environment::names::quoted(&order.source)
            );
            let hint = if there.is_empty() {
                "no source is linked yet: the first link may still run; try again in a minute, or ask the platform team".to_owned()
            } else {
                format!("there are: {}", there.join(", "))
            };
            return Ok(vec![
                Problem::field("source", "/source", message).hint(hint),
            ]);
        }
    };
    let image = order.image.as_deref().unwrap_or(render::DEFAULT_IMAGE);
    let version = dataset.version.as_deref();
    let mut problems: Vec<_> = other_major(version, image).into_iter().collect();
    problems.extend(snapshot::too_old(app, order, &dataset).await?);
    Ok(problems)
}

/// A server of another major version cannot read the copy's files. Images whose tag names no version are left to the operator.
fn other_major(version: Option<&str>, image: &str) -> Option<Problem> {
    let major = |text: &str| text.split(['.', '-']).next()?.parse::<u32>().ok();
    // "16.9", "PostgreSQL 16.9 on x86_64": the first word that begins with a digit.
    let source = version?
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .and_then(major)?;
    let tag = image
        .rsplit_once(':')
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.contains('/'))
        .and_then(major)?;
    (source != tag).then(|| {
        let message = format!(
            "image {} is PostgreSQL {tag}, the source is PostgreSQL {source}",
            environment::names::quoted(image)
        );
        Problem::field("image", "/image", message)
            .hint(format!("choose an image of PostgreSQL {source}"))
    })
}

async fn namespace(app: &App, order: &Order) -> Result<Option<Problem>, ApiError> {
    let environment = order.environment().map_err(ApiError::problem)?;
    let Some(state) = app.cluster.namespace(&environment).await? else {
        return Ok(None);
    };
    let (what, hint) = match state {
        NamespaceState::Terminating => {
            ("is still being removed", "wait a moment and run this again")
        }
        NamespaceState::Active => (
            "exists in the cluster but not in Git",
            "wait until its removal has ended, or choose another name",
        ),
    };
    let message = format!(
        "environment name {environment} is taken: namespace {} {what}",
        environment.namespace()
    );
    Ok(Some(Problem::field("name", "/name", message).hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_image_and_source_must_agree() {
        assert!(other_major(Some("16.9"), "postgres:16.2").is_none());
        assert!(other_major(Some("PostgreSQL 16.9 on x86_64"), "postgres:17-bookworm").is_some());
        assert!(
            other_major(Some("16.9"), "localhost:5000/postgres").is_none(),
            "a port is no version"
        );
        assert!(other_major(Some("16.9"), "postgres:latest").is_none());
        assert!(other_major(None, "postgres:17").is_none());
    }
}
