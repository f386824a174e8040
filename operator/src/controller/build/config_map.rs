//! The helper's binary, and the server's settings.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;

use super::{Frame, Helper, Names, meta, server_settings};

/// Shared by the databases of a namespace, so it names no owner that could take it from the others: it goes with the
/// namespace. Without its content: its name says what that is.
pub fn helper(frame: &Frame<'_>) -> ConfigMap {
    let mut metadata = meta(frame.cr, &Names::of(frame).helper(), "helper");
    metadata.owner_references = None;
    if let Some(labels) = &mut metadata.labels {
        labels.remove(super::UID_LABEL);
        labels.remove(environment::names::INSTANCE_LABEL);
    }
    ConfigMap {
        metadata,
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

/// The same as it is written.
pub fn filled(helper: &ConfigMap, content: &Helper) -> ConfigMap {
    let binary = ByteString(content.bytes.clone());
    ConfigMap {
        binary_data: Some([("vdb-init".to_owned(), binary)].into()),
        ..helper.clone()
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
