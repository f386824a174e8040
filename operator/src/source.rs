//! Which linked source an order's reference means (`host:dataset`, a dataset's name, or its id), and whether the point
//! that it names is one of that source.

use std::collections::BTreeSet;

use dct::types::DSource;
use environment::spec::Point;

use crate::consent::{self, Asker};
use crate::reason::Reason;
use crate::rules::Refusal;
use crate::tower::{Dct, Error, Inventory};

/// Names listed in a refusal; more help nobody.
const LISTED: usize = 10;

/// The one source that is meant, or why there is none.
pub fn resolve<'a>(reference: &'a str, inventory: &'a Inventory) -> Result<&'a DSource, Refusal> {
    if let Some(found) = inventory.dsources.iter().find(|d| d.id == reference) {
        return Ok(found);
    }
    let plain: Vec<_> = named(inventory, reference).collect();
    if !plain.is_empty() {
        return one(reference, &plain, inventory);
    }
    let Some((host, dataset)) = reference.rsplit_once(':') else {
        return Err(absent(reference, inventory));
    };
    let same_name: Vec<_> = named(inventory, dataset).collect();
    let found: Vec<_> = same_name
        .iter()
        .copied()
        .filter(|d| hosts(inventory, d).contains(&host.to_lowercase()))
        .collect();
    if found.is_empty() && !same_name.is_empty() {
        let known: BTreeSet<String> = same_name.iter().flat_map(|d| hosts(inventory, d)).collect();
        let known = listed(known);
        return Err((
            Reason::SourceNotFound,
            format!("source {dataset:?} exists, but not on {host:?}; it is on {known}"),
        ));
    }
    if found.is_empty() {
        Err(absent(reference, inventory))
    } else {
        one(reference, &found, inventory)
    }
}

/// What is allowed of a source must not be had of another by naming that one's snapshot or bookmark. Whether a moment
/// can be given, only the tower knows. The answer is the namespace that has to consent, if any.
pub async fn holds(
    dct: &dyn Dct,
    asker: &Asker<'_>,
    source: &str,
    point: &Point,
) -> Result<Result<Option<String>, Refusal>, Error> {
    let refuse = |why: String| Ok(Err((Reason::PointNotFound, why)));
    if let Some(id) = &point.snapshot_id {
        let Some(snapshot) = dct.snapshot(id).await? else {
            return refuse(format!("there is no snapshot {id:?}"));
        };
        if snapshot.dataset_id.as_deref() != Some(source) {
            return refuse(format!("snapshot {id:?} is not one of source {source}"));
        }
    }
    if let Some(name) = &point.bookmark {
        let Some(bookmark) = dct.bookmark(name).await? else {
            return refuse(format!("there is no bookmark {name:?}"));
        };
        let entries = bookmark.vdbs.unwrap_or_default();
        let [entry] = entries.as_slice() else {
            return refuse(format!(
                "bookmark {name:?} is of {} virtual databases; one of exactly one is needed",
                entries.len()
            ));
        };
        if entry.root_parent_id.as_deref() != Some(source) {
            return refuse(format!(
                "bookmark {name:?} is not of a copy of source {source}"
            ));
        }
        let copy = match &entry.vdb_id {
            Some(id) => dct.vdb(id).await?,
            None => None,
        };
        return Ok(match copy {
            Some(copy) => consent::home(asker, &copy),
            None => Err((
                Reason::PointNotFound,
                format!("the virtual database of bookmark {name:?} does not exist any more"),
            )),
        });
    }
    Ok(Ok(None))
}

/// A database goes back to its own data alone.
pub async fn is_own(dct: &dyn Dct, vdb: &str, point: &Point) -> Result<Result<(), Refusal>, Error> {
    let refuse = |why: String| Ok(Err((Reason::PointNotFound, why)));
    if let Some(id) = &point.snapshot_id {
        match dct.snapshot(id).await? {
            Some(found) if found.dataset_id.as_deref() == Some(vdb) => {}
            Some(_) => return refuse(format!("snapshot {id:?} is not one of this database")),
            None => return refuse(format!("there is no snapshot {id:?}")),
        }
    }
    if let Some(name) = &point.bookmark {
        let Some(found) = dct.bookmark(name).await? else {
            return refuse(format!("there is no bookmark {name:?}"));
        };
        let entries = found.vdbs.unwrap_or_default();
        if !entries.iter().any(|e| e.vdb_id.as_deref() == Some(vdb)) {
            return refuse(format!("bookmark {name:?} is not of this database"));
        }
    }
    Ok(Ok(()))
}

fn named<'a>(inventory: &'a Inventory, name: &'a str) -> impl Iterator<Item = &'a DSource> {
    inventory
        .dsources
        .iter()
        .filter(move |d| d.id == name || d.name.as_deref() == Some(name))
}

fn one<'a>(
    reference: &str,
    found: &[&'a DSource],
    inventory: &Inventory,
) -> Result<&'a DSource, Refusal> {
    match found {
        [only] => Ok(only),
        several => {
            let each: Vec<_> = several
                .iter()
                .map(|d| format!("{} on {}", d.id, listed(hosts(inventory, d))))
                .collect();
            Err((
                Reason::SourceAmbiguous,
                format!(
                    "source {reference:?} names {} sources: {}",
                    each.len(),
                    each.join("; ")
                ),
            ))
        }
    }
}

fn listed(hosts: BTreeSet<String>) -> String {
    if hosts.is_empty() {
        return "an unknown host".to_owned();
    }
    hosts.into_iter().collect::<Vec<_>>().join(", ")
}

/// Everything that may stand before the colon: where the source runs, and the engine that holds its copy.
fn hosts(inventory: &Inventory, dsource: &DSource) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    let mut add = |text: &Option<String>| {
        hosts.extend(
            text.as_deref()
                .filter(|t| !t.is_empty() && *t != "0.0.0.0")
                .map(str::to_lowercase),
        );
    };
    for source in origins(inventory, dsource) {
        add(&source.ip_address);
        add(&source.fqdn);
        add(&source.environment_name);
        if let Some(environment) = inventory
            .environments
            .iter()
            .find(|e| Some(&e.id) == source.environment_id.as_ref())
        {
            add(&environment.name);
            for host in environment.hosts.iter().flatten() {
                add(&host.hostname);
                host.nfs_addresses
                    .iter()
                    .flatten()
                    .for_each(|address| add(&Some(address.clone())));
            }
        }
    }
    add(&dsource.engine_name);
    if let Some(engine) = inventory
        .engines
        .iter()
        .find(|e| Some(&e.id) == dsource.engine_id.as_ref())
    {
        add(&engine.name);
        add(&engine.hostname);
    }
    hosts
}

/// The database that a linked source is of, and the staging server that keeps it; by name where no id is told.
fn origins<'a>(
    inventory: &'a Inventory,
    dsource: &DSource,
) -> impl Iterator<Item = &'a dct::types::Source> {
    let ids = [&dsource.source_id, &dsource.staging_source_id].map(Clone::clone);
    let known = ids.iter().any(Option::is_some);
    let name = dsource.name.clone().filter(|_| !known);
    inventory.sources.iter().filter(move |source| {
        ids.iter().flatten().any(|id| *id == source.id) || name.is_some() && source.name == name
    })
}

/// Data Control Tower may know a database that nobody has linked.
fn unlinked<'a>(reference: &str, inventory: &'a Inventory) -> Option<&'a dct::types::Source> {
    let name = reference.rsplit_once(':').map_or(reference, |(_, n)| n);
    let mut sources = inventory.sources.iter();
    sources.find(|s| s.name.as_deref() == Some(name) && s.is_dsource != Some(true))
}

fn absent(reference: &str, inventory: &Inventory) -> Refusal {
    let names: BTreeSet<_> = inventory
        .dsources
        .iter()
        .map(|d| d.name.as_deref().unwrap_or(&d.id))
        .collect();
    let listed: Vec<_> = names.iter().take(LISTED).copied().collect();
    let known = match (listed.is_empty(), names.len() > LISTED) {
        (true, _) => "no source is linked".to_owned(),
        (false, false) => format!("linked are {}", listed.join(", ")),
        (false, true) => format!(
            "linked are {} and {} more",
            listed.join(", "),
            names.len() - LISTED
        ),
    };
    let there = unlinked(reference, inventory).map_or_else(String::new, |source| {
        let at = source.ip_address.as_deref().or(source.fqdn.as_deref());
        let at = at.unwrap_or("an unknown host");
        format!(" though Data Control Tower knows such a database on {at}")
    });
    (
        Reason::SourceNotFound,
        format!("source {reference:?} is not linked{there}; {known}"),
    )
}

#[cfg(test)]
mod tests {
    use dct::types::{Engine, Source};
    use rstest::rstest;

    use super::*;

    fn inventory() -> Inventory {
        let dsource = |id: &str, name: &str, source: &str| DSource {
            id: id.into(),
            name: Some(name.into()),
            source_id: Some(source.into()),
            staging_source_id: Some(format!("{source}-staging")),
            engine_id: Some("1".into()),
            ..Default::default()
        };
        let source = |id: &str, ip: &str| Source {
            id: id.into(),
            // Databases on several hosts may have one name.
            name: Some("orders".into()),
            ip_address: Some(ip.into()),
            fqdn: Some(format!("{id}.example")),
            ..Default::default()
        };
        Inventory {
            dsources: vec![
                dsource("d-1", "largedb", "s-1"),
                dsource("d-2", "orders", "s-2"),
                dsource("d-3", "orders", "s-3"),
            ],
            sources: vec![
                source("s-1", "10.0.1.54"),
                source("s-2", "10.0.1.55"),
                source("s-3", "10.0.1.56"),
                source("s-1-staging", "10.0.1.60"),
                Source {
                    name: Some("ledger".into()),
                    ..source("s-4", "10.0.1.57")
                },
            ],
            engines: vec![Engine {
                id: "1".into(),
                hostname: Some("Engine.example".into()),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[rstest]
    #[case("10.0.1.54:largedb", "d-1")]
    #[case("s-1.example:largedb", "d-1")]
    #[case("engine.example:largedb", "d-1")]
    #[case("largedb", "d-1")]
    #[case("d-2", "d-2")]
    #[case("10.0.1.56:orders", "d-3")]
    #[case("10.0.1.56:d-3", "d-3")]
    #[case("10.0.1.60:largedb", "d-1")]
    #[case("ENGINE.example:largedb", "d-1")]
    fn a_reference_finds_its_source(#[case] reference: &str, #[case] id: &str) {
        assert_eq!(resolve(reference, &inventory()).unwrap().id, id);
    }

    #[rstest]
    #[case("10.0.1.99:largedb", Reason::SourceNotFound, "10.0.1.54")]
    #[case(
        "orders",
        Reason::SourceAmbiguous,
        "2 sources: d-2 on 10.0.1.55, engine.example, s-2.example; d-3 on 10.0.1.56"
    )]
    #[case("engine.example:orders", Reason::SourceAmbiguous, "d-2 on 10.0.1.55")]
    #[case("10.0.1.55:largedb", Reason::SourceNotFound, "it is on 10.0.1.54")]
    #[case(
        "10.0.1.57:ledger",
        Reason::SourceNotFound,
        "knows such a database on 10.0.1.57; linked are"
    )]
    #[case("nothing", Reason::SourceNotFound, "linked are largedb, orders")]
    #[case("h:nothing", Reason::SourceNotFound, "linked are largedb, orders")]
    fn a_reference_that_means_nothing_says_what_exists(
        #[case] reference: &str,
        #[case] reason: Reason,
        #[case] says: &str,
    ) {
        let (found, message) = resolve(reference, &inventory()).unwrap_err();
        assert_eq!(found, reason);
        assert!(message.contains(says), "{message}");
    }
}
