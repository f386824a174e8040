//! What of everything there is belongs to nothing any more. Pure: in doubt a thing is left alone, and that is said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dct::types::Vdb;
use environment::names::INSTANCE_LABEL;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolume;

use crate::clock::{between, parse};
use crate::consent::CLUSTER_TAG;
use crate::controller::build::{UID_LABEL, vdb_name, volume};
use crate::controller::provision::UID_TAG;
use crate::crd::PostgresVdb;

/// Everything there is, read in this order: virtual databases, volumes, ledger, resources. What is made meanwhile then
/// has its resource among those read.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    pub cluster_id: String,
    pub vdbs: Vec<Vdb>,
    pub volumes: Vec<PersistentVolume>,
    /// Uids of resources whose virtual database is to stay.
    pub kept: BTreeSet<String>,
    pub resources: Vec<PostgresVdb>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Vdb,
    Volume,
    Resource,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Vdb, Self::Volume, Self::Resource];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vdb => "vdb",
            Self::Volume => "volume",
            Self::Resource => "resource",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Delete,
    Keep(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub name: String,
    /// The virtual database's id; of a volume its own uid.
    pub id: String,
    /// Uid of the resource that it belonged to.
    pub owner: String,
    pub why: String,
    pub fate: Fate,
}

/// What resources speak of, by whatever they call it.
struct Claimed {
    uids: BTreeSet<String>,
    ids: BTreeSet<String>,
    names: BTreeSet<String>,
}

pub fn findings(estate: &Estate, now: Timestamp, older_than: Duration) -> Vec<Finding> {
    let claimed = claimed(&estate.resources);
    let old = |since: Option<Timestamp>| since.map(|at| between(at, now) >= older_than);
    let bound = bound(&estate.volumes);
    let mut found = Vec::new();
    for vdb in &estate.vdbs {
        found.extend(virtual_database(estate, vdb, &claimed, &bound, &old));
    }
    for volume in &estate.volumes {
        found.extend(persistent_volume(estate, volume, &claimed, &old));
    }
    for resource in &estate.resources {
        found.extend(lost(estate, resource, &old));
    }
    found
}

fn claimed(resources: &[PostgresVdb]) -> Claimed {
    let recorded = || {
        resources
            .iter()
            .filter_map(|r| r.status.as_ref()?.vdb.as_ref())
    };
    let intents = recorded().filter_map(|vdb| vdb.intent.as_ref());
    Claimed {
        uids: resources.iter().map(|r| r.uid().to_owned()).collect(),
        ids: recorded().filter_map(|vdb| vdb.id.clone()).collect(),
        names: resources
            .iter()
            .map(vdb_name)
            .chain(intents.map(|intent| intent.name.clone()))
            .chain(recorded().filter_map(|vdb| vdb.name.clone()))
            .collect(),
    }
}

/// Volumes that a claim holds, by the virtual database whose data they are.
fn bound(volumes: &[PersistentVolume]) -> BTreeMap<&str, &str> {
    volumes
        .iter()
        .filter(|volume| phase(volume) == Some("Bound"))
        .filter_map(|volume| Some((vdb_of(volume)?, volume.metadata.name.as_deref()?)))
        .collect()
}

type IsOld<'a> = &'a dyn Fn(Option<Timestamp>) -> Option<bool>;

fn virtual_database(
    estate: &Estate,
    vdb: &Vdb,
    claimed: &Claimed,
    bound: &BTreeMap<&str, &str>,
    old: IsOld<'_>,
) -> Option<Finding> {
    // What does not say in so many words that it is this cluster's and a resource's, is somebody else's.
    if estate.cluster_id.is_empty() || vdb.tag(CLUSTER_TAG) != Some(&estate.cluster_id) {
        return None;
    }
    let owner = vdb.tag(UID_TAG).filter(|uid| !uid.is_empty())?;
    let name = vdb.name.clone().unwrap_or_else(|| vdb.id.clone());
    let is_claimed = claimed.uids.contains(owner)
        || claimed.ids.contains(&vdb.id)
        || claimed.names.contains(&name);
    if is_claimed || estate.kept.contains(owner) {
        return None;
    }
    let age = old(vdb.creation_date.as_deref().and_then(parse));
    if age == Some(false) {
        return None;
    }
    let keep = |why: String| Fate::Keep(why);
    let fate = if age.is_none() {
        keep("Data Control Tower does not say how old it is".to_owned())
    } else if vdb.is_locked == Some(true) || vdb.is_replica == Some(true) {
        keep("it is locked, or a replica".to_owned())
    } else if vdb.enabled == Some(false) {
        keep("it is disabled, as one is that was kept on purpose".to_owned())
    } else if let Some(volume) = bound.get(vdb.id.as_str()) {
        keep(format!("volume {volume} of it is still bound to a claim"))
    } else {
        Fate::Delete
    };
    Some(Finding {
        kind: Kind::Vdb,
        name,
        id: vdb.id.clone(),
        owner: owner.to_owned(),
        why: format!("virtual database {} has no PostgresVDB", vdb.id),
        fate,
    })
}

fn persistent_volume(
    estate: &Estate,
    volume: &PersistentVolume,
    claimed: &Claimed,
    old: IsOld<'_>,
) -> Option<Finding> {
    let label = |key: &str| volume.metadata.labels.as_ref()?.get(key).cloned();
    let owner = label(UID_LABEL).filter(|uid| !uid.is_empty())?;
    if claimed.uids.contains(&owner) || volume.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let created = volume.metadata.creation_timestamp.as_ref().map(|at| at.0);
    if old(created) != Some(true) {
        return None;
    }
    let vdb = vdb_of(volume).unwrap_or_default();
    let fate = if phase(volume) == Some("Bound") {
        Fate::Keep("it is still bound to a claim".to_owned())
    } else if estate.vdbs.iter().any(|v| v.id == vdb) {
        Fate::Keep(format!("virtual database {vdb} goes first"))
    } else {
        Fate::Delete
    };
    let resource = label(INSTANCE_LABEL).unwrap_or_default();
    Some(Finding {
        kind: Kind::Volume,
        name: volume.metadata.name.clone()?,
        id: volume.metadata.uid.clone()?,
        owner,
        why: format!("PostgresVDB {resource}, whose data it was, does not exist any more"),
        fate,
    })
}

/// The resource itself says `VdbLost` when it looks; a copy that runs is not looked at again, so it is said here.
fn lost(estate: &Estate, resource: &PostgresVdb, old: IsOld<'_>) -> Option<Finding> {
    let id = resource.status.as_ref()?.vdb.as_ref()?.id.clone()?;
    let created = resource.metadata.creation_timestamp.as_ref().map(|at| at.0);
    let is_there = estate.vdbs.iter().any(|vdb| vdb.id == id);
    if is_there || resource.is_deleting() || old(created) != Some(true) {
        return None;
    }
    Some(Finding {
        kind: Kind::Resource,
        name: resource.key().to_string(),
        why: format!("its virtual database {id} does not exist any more"),
        id,
        owner: resource.uid().to_owned(),
        fate: Fate::Keep("delete it and order again: Git owns it".to_owned()),
    })
}

/// The virtual database whose data a volume is.
fn vdb_of(volume: &PersistentVolume) -> Option<&str> {
    let identity = volume
        .metadata
        .annotations
        .as_ref()?
        .get(volume::IDENTITY)?;
    identity.split_once('/').map(|(id, _)| id)
}

fn phase(volume: &PersistentVolume) -> Option<&str> {
    volume.status.as_ref()?.phase.as_deref()
}
