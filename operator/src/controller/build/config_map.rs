//! The helper's binary, and the server's settings.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;

use super::{Frame, Names, meta, server_settings};

/// Shared by the databases of a namespace, so it names no owner that could take it from the others: it goes with the
/// namespace.
pub fn helper(frame: &Frame<'_>) -> ConfigMap {
    let mut metadata = meta(frame.cr, &Names::of(frame).helper(), "helper");
    metadata.owner_references = None;
    if let Some(labels) = &mut metadata.labels {
        labels.remove(super::UID_LABEL);
        labels.remove(environment::names::INSTANCE_LABEL);
    }
    let binary = ByteString(frame.helper.bytes.clone());
    ConfigMap {
        metadata,
        binary_data: Some([("vdb-init".to_owned(), binary)].into()),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

pub fn config(frame: &Frame<'_>) -> ConfigMap {
    let name = Names::of(frame).config();
    let files = [
        ("defaults.conf", server_settings::defaults(&frame.cr.spec)),
        ("ordered.conf", server_settings::ordered(&frame.cr.spec)),
        ("owned.conf", server_settings::owned(&frame.cr.key().name)),
    ];
    ConfigMap {
        metadata: meta(frame.cr, &name, "database"),
        data: Some(files.map(|(file, text)| (file.to_owned(), text)).into()),
        ..ConfigMap::default()
    }
}
