//! The volume that is the copy, and the claim on it: bound to each other by name, of equal size, never recycled.

use std::collections::BTreeMap;

use dct::types::Vdb;
use k8s_openapi::api::core::v1::{
    LocalVolumeSource, NFSVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeSpec, VolumeNodeAffinity, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Copy, Frame, Names, meta};
use crate::settings::{Export, ExportKind};

/// Shown only: a thin copy takes what it changes.
const SIZE: &str = "10Gi";
const ONE_NODE: &str = "ReadWriteOnce";
pub const IDENTITY: &str = "postgres-vdb-platform/identity";
pub const DATA_AS_OF: &str = "postgres-vdb-platform/data-as-of";
pub const EXPORT: &str = "postgres-vdb-platform/export";

fn size(frame: &Frame<'_>) -> BTreeMap<String, Quantity> {
    let ordered = frame.cr.spec.storage_size.as_ref();
    let size = ordered.map_or_else(|| SIZE.to_owned(), ToString::to_string);
    [("storage".to_owned(), Quantity(size))].into()
}

/// Cluster-wide, so no namespaced object can own it: the finalizer removes it. It is also the record of what the
/// engine delivered.
pub fn persistent_volume(frame: &Frame<'_>, copy: &Copy) -> PersistentVolume {
    let names = Names::of(frame);
    let mut metadata = meta(frame.cr, &names.volume(), "database");
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(IDENTITY.to_owned(), copy.identity.clone());
    annotations.insert(EXPORT.to_owned(), copy.export.clone());
    if let Some(at) = &copy.data_as_of {
        annotations.insert(DATA_AS_OF.to_owned(), at.clone());
    }
    let claim = names.claim();
    let mut spec = PersistentVolumeSpec {
        capacity: Some(size(frame)),
        access_modes: Some(vec![ONE_NODE.to_owned()]),
        persistent_volume_reclaim_policy: Some("Retain".to_owned()),
        storage_class_name: Some(String::new()),
        volume_mode: Some("Filesystem".to_owned()),
        claim_ref: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("PersistentVolumeClaim".to_owned()),
            namespace: Some(claim.namespace),
            name: Some(claim.name),
            ..Default::default()
        }),
        ..Default::default()
    };
    medium(&mut spec, &frame.settings.export, &copy.export);
    PersistentVolume {
        metadata,
        spec: Some(spec),
        ..Default::default()
    }
}

fn medium(spec: &mut PersistentVolumeSpec, export: &Export, path: &str) {
    let path = path.to_owned();
    match export.kind {
        ExportKind::Local => {
            let node = NodeSelectorRequirement {
                key: "kubernetes.io/hostname".to_owned(),
                operator: "In".to_owned(),
                values: Some(export.node.iter().cloned().collect()),
            };
            let term = NodeSelectorTerm {
                match_expressions: Some(vec![node]),
                ..Default::default()
            };
            spec.local = Some(LocalVolumeSource {
                path,
                ..Default::default()
            });
            spec.node_affinity = Some(VolumeNodeAffinity {
                required: Some(NodeSelector {
                    node_selector_terms: vec![term],
                }),
            });
        }
        ExportKind::Nfs => {
            spec.nfs = Some(NFSVolumeSource {
                server: export.server.clone().unwrap_or_default(),
                path,
                ..Default::default()
            });
            // A soft mount would turn a slow engine into a damaged database.
            let options = ["hard", "noatime"].map(str::to_owned);
            spec.mount_options = Some([options.as_slice(), &export.mount_options].concat());
        }
    }
}

pub fn persistent_volume_claim(frame: &Frame<'_>) -> PersistentVolumeClaim {
    let names = Names::of(frame);
    PersistentVolumeClaim {
        metadata: meta(frame.cr, &names.claim(), "database"),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![ONE_NODE.to_owned()]),
            storage_class_name: Some(String::new()),
            volume_name: Some(names.volume().name),
            resources: Some(VolumeResourceRequirements {
                requests: Some(size(frame)),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The copy that a virtual database offers, or why it is not mounted.
pub fn offered(export: &Export, vdb: &Vdb) -> Result<Copy, String> {
    let directory = vdb.exported_data_directory.as_deref().unwrap_or_default();
    let export = checked_export(export, directory)?;
    let timeflow = vdb.current_timeflow_id.as_deref().unwrap_or("1");
    Ok(Copy {
        export,
        identity: format!("{}/{timeflow}", vdb.id),
        data_as_of: vdb.parent_timeflow_timestamp.clone(),
    })
}

/// The exported directory as an absolute path below the configured prefix; anything else could be any directory of
/// the node.
pub fn checked_export(export: &Export, directory: &str) -> Result<String, String> {
    let prefix = export.prefix.trim_end_matches('/');
    let path = format!("/{}", directory.trim_matches('/'));
    let plain = path.split('/').skip(1).all(|part| {
        !part.is_empty() && part != "." && part != ".." && !part.chars().any(char::is_control)
    });
    if plain
        && path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('/'))
    {
        Ok(path)
    } else {
        Err(format!(
            "the engine exported {directory:?}, which is not below {prefix}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_engine_that_exports_by_nfs_is_mounted_hard() {
        let mut spec = PersistentVolumeSpec::default();
        let export = Export {
            kind: ExportKind::Nfs,
            prefix: "/domain0".into(),
            node: None,
            server: Some("10.0.1.20".into()),
            mount_options: vec!["vers=4.1".into()],
        };
        let path = "domain0/group-1/vdb-7/datafile";
        let path = checked_export(&export, path).unwrap();
        medium(&mut spec, &export, &path);
        assert_eq!(
            serde_json::to_value(spec).unwrap(),
            json!({
                "nfs": { "server": "10.0.1.20", "path": "/domain0/group-1/vdb-7/datafile" },
                "mountOptions": ["hard", "noatime", "vers=4.1"],
            })
        );
    }

    #[test]
    fn only_directories_below_the_prefix_are_mounted() {
        let export = Export {
            kind: ExportKind::Local,
            prefix: "/pool/vdbs/".into(),
            node: None,
            server: None,
            mount_options: Vec::new(),
        };
        assert_eq!(
            checked_export(&export, "/pool/vdbs/v-1/").as_deref(),
            Ok("/pool/vdbs/v-1")
        );
        assert_eq!(
            checked_export(&export, "pool/vdbs/v-1").as_deref(),
            Ok("/pool/vdbs/v-1")
        );
        for outside in [
            "/etc",
            "/pool/vdbs",
            "/pool/vdbs/../../etc",
            "/pool/vdbsx/1",
            "",
            "/pool/vdbs//x",
            "/pool/vdbs/./x",
        ] {
            assert!(checked_export(&export, outside).is_err(), "{outside}");
        }
    }
}
