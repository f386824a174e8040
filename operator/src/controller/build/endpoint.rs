//! A database whose server runs on a target host of Delphix: the Service has no pod behind it, but an address. The
//! `EndpointSlice` is also the record of what the engine delivered, as a volume is for a pod.

use std::net::IpAddr;

use dct::types::{Hook, Vdb};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::volume::{DATA_AS_OF, EXPORT, IDENTITY};
use super::{Copy, Frame, Names, meta, typed};
use crate::cluster::MANAGER;
use crate::rules::ADMIN;
use crate::settings::Remote;

/// Ties a slice to its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Tells the cluster's own controllers to leave it alone.
const MANAGED_LABEL: &str = "endpointslice.kubernetes.io/managed-by";

pub fn endpoint_slice(frame: &Frame<'_>, copy: &Copy) -> EndpointSlice {
    let names = Names::of(frame);
    let mut metadata = meta(frame.cr, &names.record(), "database");
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(SERVICE_LABEL.to_owned(), names.service().name);
    labels.insert(MANAGED_LABEL.to_owned(), MANAGER.to_owned());
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(IDENTITY.to_owned(), copy.identity.clone());
    annotations.insert(EXPORT.to_owned(), copy.export.clone());
    if let Some(at) = &copy.data_as_of {
        annotations.insert(DATA_AS_OF.to_owned(), at.clone());
    }
    let (address, port) = copy.export.rsplit_once(':').unwrap_or((&copy.export, "0"));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let family = if address.contains(':') {
        "IPv6"
    } else {
        "IPv4"
    };
    typed(json!({
        "metadata": metadata,
        "addressType": family,
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        // The Service finds the port by its name.
        "ports": [{ "name": "postgres", "port": port.parse::<u16>().unwrap_or_default(), "protocol": "TCP" }],
    }))
}

/// Where the virtual database's server is, or why it is not used: a Service must not lead just anywhere.
pub fn offered(remote: &Remote, vdb: &Vdb) -> Result<Copy, String> {
    let name = vdb.name.as_deref().unwrap_or(&vdb.id);
    let told = vdb.ip_address.as_deref().unwrap_or_default();
    let address: IpAddr = told.parse().map_err(|_| {
        format!("virtual database {name} names no IP address of its host, but {told:?}")
    })?;
    if !remote.hosts.iter().any(|network| network.contains(address)) {
        let known: Vec<_> = remote.hosts.iter().map(ToString::to_string).collect();
        let known = known.join(", ");
        return Err(format!("its host {address} is in none of {known}"));
    }
    let port = vdb.appdata_source_params.as_ref().and_then(port);
    let port = port.ok_or_else(|| format!("virtual database {name} names no postgresPort"))?;
    let timeflow = vdb.current_timeflow_id.as_deref().unwrap_or("1");
    Ok(Copy {
        export: std::net::SocketAddr::new(address, port).to_string(),
        identity: format!("{}/{timeflow}", vdb.id),
        data_as_of: vdb.parent_timeflow_timestamp.clone(),
    })
}

/// A number, or as some clients write it: a text or a float.
fn port(parameters: &Value) -> Option<u16> {
    let found = &parameters["postgresPort"];
    let number = found.as_f64().or_else(|| found.as_str()?.parse().ok())?;
    (1.0..=65535.0).contains(&number).then(|| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within the range"
        )]
        let port = number as u16;
        port
    })
}

/// Makes the platform's role in new data, before anybody is let in. The target host runs it as the server's own user, who
/// needs no password; what it gets is a verifier, which nobody can log in with.
pub fn configure_clone(remote: &Remote, verifier: &str) -> Hook {
    let sql = format!(
        "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{ADMIN}') THEN CREATE ROLE {ADMIN}; END IF; END $do$;\n\
         ALTER ROLE {ADMIN} LOGIN SUPERUSER VALID UNTIL 'infinity' PASSWORD '{verifier}';"
    );
    // No statement is logged, and the shell reads nothing of it.
    let command = format!(
        "PGOPTIONS='-c log_statement=none -c log_min_duration_statement=-1 -c default_transaction_read_only=off' \\\n\
         {} -X -q -w -v ON_ERROR_STOP=1 --single-transaction -d postgres -f - <<'VDB'\n{sql}\nVDB\n",
        remote.psql
    );
    Hook {
        name: Some("platform role".to_owned()),
        command: Some(command),
        shell: Some("bash".to_owned()),
        ..Hook::default()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::network::Network;

    fn remote() -> Remote {
        Remote {
            sources: vec!["*".into()],
            hosts: ["10.0.2.0/24", "fd00::/64"]
                .iter()
                .filter_map(|n| Network::parse(n))
                .collect(),
            environment: None,
            repository: None,
            psql: "psql".into(),
        }
    }

    fn vdb(address: &str, parameters: Value) -> Vdb {
        Vdb {
            id: "v".into(),
            ip_address: Some(address.into()),
            appdata_source_params: Some(parameters),
            current_timeflow_id: Some("t".into()),
            ..Vdb::default()
        }
    }

    #[rstest]
    #[case("10.0.2.7", json!(5434), "10.0.2.7:5434")]
    #[case("10.0.2.7", json!(5434.0), "10.0.2.7:5434")]
    #[case("10.0.2.7", json!("5434"), "10.0.2.7:5434")]
    #[case("fd00::7", json!(5434), "[fd00::7]:5434")]
    fn the_address_is_the_hosts_and_the_port_the_servers(
        #[case] address: &str,
        #[case] port: Value,
        #[case] wanted: &str,
    ) {
        let found = offered(&remote(), &vdb(address, json!({ "postgresPort": port }))).unwrap();
        assert_eq!(
            (found.export.as_str(), found.identity.as_str()),
            (wanted, "v/t")
        );
    }

    #[rstest]
    #[case("10.0.3.7", json!({ "postgresPort": 5434 }), "in none of 10.0.2.0/24, fd00::/64")]
    #[case("127.0.0.1", json!({ "postgresPort": 5434 }), "in none of")]
    #[case("target.example", json!({ "postgresPort": 5434 }), "no IP address")]
    #[case("", json!({ "postgresPort": 5434 }), "no IP address")]
    #[case("10.0.2.7", json!({}), "no postgresPort")]
    #[case("10.0.2.7", json!({ "postgresPort": 70000 }), "no postgresPort")]
    fn an_address_that_is_not_a_target_hosts_is_refused(
        #[case] address: &str,
        #[case] parameters: Value,
        #[case] says: &str,
    ) {
        let why = offered(&remote(), &vdb(address, parameters)).unwrap_err();
        assert!(why.contains(says), "{why}");
    }

    #[test]
    fn the_hook_holds_a_verifier_that_no_shell_reads() {
        let password = crate::scram::Password::generate();
        let verifier = password.verifier();
        let command = configure_clone(&remote(), &verifier).command.unwrap();
        assert!(command.contains(&format!("PASSWORD '{verifier}'")));
        assert!(!command.contains(password.reveal()));
        let (before, quoted) = command.split_once("<<'VDB'").unwrap();
        assert!(!before.contains(&verifier) && quoted.ends_with("\nVDB\n"));
    }
}
