//! Where a VDB is ordered to: a host that is known, and the server's programs there.

use dct::types::{Environment, ProvisionBySnapshot, Repository, Vdb};

use super::{Refusal, typed};
use crate::linking::major;
use crate::model::Kind;
use crate::store::State;

/// What the order says of the place, into the VDB's document. Every host has the same programs: the engine's own.
pub(crate) fn place(
    state: &State,
    vdb: &mut Vdb,
    request: &ProvisionBySnapshot,
) -> Result<(), Refusal> {
    let environments: Vec<Environment> = match request.environment_id.as_deref() {
        Some(wanted) => {
            let known = state.resolve(Kind::Environment, wanted);
            let known = known.ok_or_else(|| {
                Refusal::NotFound(format!(
                    "environment_id: there is no environment {wanted:?}"
                ))
            })?;
            vec![typed(known)?]
        }
        None if request.repository_id.is_none() => return Ok(()),
        None => {
            let all = state.live(Kind::Environment);
            all.map(typed).collect::<Result<_, _>>()?
        }
    };
    let version = major(vdb.database_version.as_deref());
    let found = if let Some(wanted) = request.repository_id.as_deref() {
        Some(named(&environments, wanted)?)
    } else {
        let fits = |(_, r): &(&Environment, &Repository)| {
            version.is_some() && major(r.version.as_deref()) == version
        };
        all(&environments).find(fits)
    };
    if let Some((_, repository)) = found
        && let (Some(have), Some(need)) = (major(repository.version.as_deref()), version)
        && have != need
    {
        return Err(Refusal::Invalid(format!(
            "repository_id: {} is PostgreSQL {have}, and the data is of {need}; compatible_repositories_by_snapshot names those that fit",
            repository.id.as_deref().unwrap_or_default()
        )));
    }
    let environment = found.map_or_else(
        || environments.first(),
        |(environment, _)| Some(environment),
    );
    vdb.environment_id = environment.map(|e| e.id.clone());
    vdb.environment_name = environment.and_then(|e| e.name.clone());
    vdb.repository_id = found.and_then(|(_, repository)| repository.id.clone());
    Ok(())
}

fn all(environments: &[Environment]) -> impl Iterator<Item = (&Environment, &Repository)> {
    environments.iter().flat_map(|environment| {
        let own = environment.repositories.as_deref().unwrap_or_default();
        own.iter().map(move |repository| (environment, repository))
    })
}

/// By id, or by a name that only one has.
fn named<'a>(
    environments: &'a [Environment],
    wanted: &str,
) -> Result<(&'a Environment, &'a Repository), Refusal> {
    let mut by_id = all(environments).filter(|(_, r)| r.id.as_deref() == Some(wanted));
    let mut by_name = all(environments).filter(|(_, r)| r.name.as_deref() == Some(wanted));
    let only = by_name.next().filter(|_| by_name.next().is_none());
    by_id.next().or(only).ok_or_else(|| {
        let where_ = environments.iter().filter_map(|e| e.name.as_deref());
        let where_ = where_.collect::<Vec<_>>().join(", ");
        Refusal::NotFound(format!(
            "repository_id: there is no repository {wanted:?} in {where_}; GET /environments lists them"
        ))
    })
}
