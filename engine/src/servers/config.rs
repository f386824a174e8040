//! A server's complete configuration, outside its data: nothing that its source configured is used, except what queries
//! see.

use std::path::Path;

use pgdata::{Control, conf};
use serde_json::Value;

use super::postmaster::Place;
use super::tls;
use crate::jobs::Error;
use crate::model::Object;
use crate::origin::files;

/// What the engine decides; orders for these are ignored.
const OWN: [&str; 27] = [
    "listen_addresses",
    "port",
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "external_pid_file",
    "unix_socket_directories",
    "archive_mode",
    "archive_command",
    "archive_library",
    "archive_cleanup_command",
    "restore_command",
    "recovery_end_command",
    "primary_conninfo",
    "primary_slot_name",
    "max_logical_replication_workers",
    "logging_collector",
    "log_destination",
    "ssl",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_ca_file",
    "ssl_crl_file",
    "ssl_crl_dir",
    "ssl_passphrase_command",
    "password_encryption",
];
/// Over the network passwords alone, never without one, and no replication.
const RULES: &str = "host all all all scram-sha-256\n";
const ENCRYPTED_RULES: &str = "hostssl all all all scram-sha-256\n";
/// The socket lies in a directory of the engine's user alone, to whom the files belong as well.
pub(super) const FOR_OWNER: &str = "local all all trust\n";
const FOR_NOBODY: &str = "local all all scram-sha-256\n";

pub(super) fn text(
    vdb: &Object,
    place: &Place<'_>,
    listen: &str,
    port: u16,
    encrypted: bool,
) -> Result<String, Error> {
    let path = |name: &str| place.home.join(name).display().to_string();
    let found = files("read the settings of", place.data, conf::read(place.data))?;
    let visible = conf::visible(&found);
    let control = Control::read(place.data).map_err(|e| Error::Failed(crate::error_chain(&e)))?;
    let limits = control
        .limits
        .settings()
        .map(|(name, value)| (name.to_owned(), value.to_string()));
    let defaults = [
        ("shared_buffers", "32MB"),
        ("huge_pages", "try"),
        // A thin copy grows by what is written anew.
        ("wal_recycle", "off"),
        ("wal_init_zero", "off"),
        ("max_wal_size", "256MB"),
        ("min_wal_size", "32MB"),
        ("shared_preload_libraries", ""),
    ];
    let own = [
        ("data_directory", place.data.display().to_string()),
        ("hba_file", path("pg_hba.conf")),
        ("ident_file", path("pg_ident.conf")),
        ("unix_socket_directories", place.home.display().to_string()),
        ("listen_addresses", listen.to_owned()),
        ("port", port.to_string()),
        ("archive_mode", "off".to_owned()),
        ("max_logical_replication_workers", "0".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("ssl", if encrypted { "on" } else { "off" }.to_owned()),
        ("ssl_cert_file", path(tls::CERTIFICATE)),
        ("ssl_key_file", path(tls::KEY)),
        ("ssl_ca_file", String::new()),
        ("ssl_crl_file", String::new()),
        ("password_encryption", "scram-sha-256".to_owned()),
    ];
    // One that nobody else reaches is of no use once it broke down; told to stop while it begins anew, it may stay for ever.
    let apart = listen.is_empty().then_some(("restart_after_crash", "off"));
    let named = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let all = visible
        .into_iter()
        .chain(defaults.map(named))
        .chain(limits)
        .chain(ordered(&vdb.doc.value()))
        .chain(apart.map(named))
        .chain(own.map(|(name, value)| (name.to_owned(), value)));
    conf::write(all).ok_or_else(|| {
        Error::Failed("a setting has a name or a value that no server takes".to_owned())
    })
}

/// `config_params`, and the vendor's list in `appdata_source_params`.
fn ordered(doc: &Value) -> Vec<(String, String)> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(true) => Some("on".to_owned()),
        Value::Bool(false) => Some("off".to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let listed = doc["appdata_source_params"]["configSettingsStg"]
        .as_array()
        .into_iter()
        .flatten();
    let listed = listed
        .filter(|entry| entry["commentProperty"] != true)
        .filter_map(|entry| {
            Some((
                entry["propertyName"].as_str()?.to_owned(),
                scalar(&entry["value"])?,
            ))
        });
    let params = doc["config_params"].as_object().into_iter().flatten();
    let params = params.filter_map(|(name, value)| Some((name.clone(), scalar(value)?)));
    let (own, taken): (Vec<_>, Vec<_>) = listed
        .chain(params)
        .partition(|(name, _)| OWN.contains(&name.to_lowercase().as_str()));
    if !own.is_empty() {
        let names: Vec<String> = own.into_iter().map(|(name, _)| name).collect();
        tracing::warn!(
            ?names,
            "settings that the engine decides were ordered; ignored"
        );
    }
    taken
}

pub(super) fn write(home: &Path, text: &str, rules: &str) -> Result<(), Error> {
    for (name, text) in [("postgresql.conf", text), ("pg_ident.conf", "")] {
        let path = home.join(name);
        files("write", &path, std::fs::write(&path, text))?;
    }
    write_rules(home, rules)
}

/// Who may connect. A server that runs is to be told.
pub(super) fn write_rules(home: &Path, rules: &str) -> Result<(), Error> {
    let path = home.join("pg_hba.conf");
    Ok(files("write", &path, std::fs::write(&path, rules))?)
}

pub(super) fn rules(hooks: bool, encrypted: bool) -> String {
    let local = if hooks { FOR_OWNER } else { FOR_NOBODY };
    let network = if encrypted { ENCRYPTED_RULES } else { RULES };
    format!("{local}{network}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_comes_over_the_network_has_a_password_and_encryption_where_it_is_set() {
        for hooks in [false, true] {
            for encrypted in [false, true] {
                let rules = rules(hooks, encrypted);
                let (local, network) = rules.split_once('\n').unwrap();
                assert_eq!(local.contains("trust"), hooks);
                assert_eq!(network.starts_with("hostssl "), encrypted);
                assert!(network.ends_with(" scram-sha-256\n") && network.lines().count() == 1);
            }
        }
    }

    #[test]
    fn orders_set_what_is_theirs_and_not_where_the_server_listens() {
        let doc = json!({
            "config_params": {"work_mem": "8MB", "jit": false, "Port": 1, "deep": {"a": 1}},
            "appdata_source_params": {"configSettingsStg": [
                {"propertyName": "timezone", "value": "GMT", "commentProperty": false},
                {"propertyName": "jit_above_cost", "value": "1", "commentProperty": true},
                {"propertyName": "archive_command", "value": "scp"}
            ]}
        });
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            ordered(&doc),
            [
                pair("timezone", "GMT"),
                pair("work_mem", "8MB"),
                pair("jit", "off")
            ]
        );
    }
}
