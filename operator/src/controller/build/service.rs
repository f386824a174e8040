//! The stable address of the database.

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::{COMPONENT_LABEL, Frame, Names, SERVER_PORT, meta, typed};

/// Not-ready addresses are published so that the operator reaches the server before the kubelet's next probe round;
/// `Ready` of the resource is decided by the operator's own query.
pub fn service(frame: &Frame<'_>) -> Service {
    let name = Names::of(frame).service();
    let mut service = json!({
        "metadata": meta(frame.cr, &name, "database"),
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": true,
            "selector": { environment::names::INSTANCE_LABEL: frame.cr.key().name, COMPONENT_LABEL: "database" },
            "ports": [{ "name": "postgres", "port": frame.cr.spec.port, "targetPort": SERVER_PORT, "protocol": "TCP" }],
        },
    });
    if frame.is_remote() {
        // Its endpoint is an address outside (endpoint.rs).
        service["spec"]["selector"] = json!(null);
    }
    typed(service)
}
