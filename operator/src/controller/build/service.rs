//! The stable address of the database.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Frame, Names, SERVER_PORT, meta, selector};

/// Not-ready addresses are published so that the operator reaches the server before the kubelet's next probe round;
/// `Ready` of the resource is decided by the operator's own query.
pub fn service(frame: &Frame<'_>) -> Service {
    let name = Names::of(frame).service();
    let port = ServicePort {
        name: Some("postgres".to_owned()),
        port: frame.cr.spec.port.into(),
        target_port: Some(IntOrString::Int(SERVER_PORT.into())),
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    Service {
        metadata: meta(frame.cr, &name, "database"),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            publish_not_ready_addresses: Some(true),
            // On a target host its endpoint is an address outside (endpoint.rs).
            selector: (!frame.is_remote()).then(|| selector(frame.cr)),
            ports: Some(vec![port]),
            ..Default::default()
        }),
        ..Default::default()
    }
}
