//! A server's complete configuration, outside its data: nothing that its source configured is used, except what queries
//! see.

use std::path::Path;

use pgdata::{Control, conf};
use serde_json::Value;

use super::postmaster::Place;
use crate::jobs::Error;
use crate::model::Object;
use crate::origin::files;
use crate::settings::ServerSettings;

/// What the engine decides; orders for these are ignored.
const OWN: [&str; 21] = [
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
    "password_encryption",
];
/// Passwords alone, never without one, and no replication.
const RULES: &str = "local all all scram-sha-256\nhost all all all scram-sha-256\n";

pub(super) fn text(
    vdb: &Object,
    place: &Place<'_>,
    settings: &ServerSettings,
    port: u16,
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
        ("listen_addresses", settings.listen.to_string()),
        ("port", port.to_string()),
        ("archive_mode", "off".to_owned()),
        ("max_logical_replication_workers", "0".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("ssl", "off".to_owned()),
        ("password_encryption", "scram-sha-256".to_owned()),
    ];
    let named = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let all = visible
        .into_iter()
        .chain(defaults.map(named))
        .chain(limits)
        .chain(ordered(&vdb.doc))
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

pub(super) fn write(home: &Path, text: &str) -> Result<(), Error> {
    for (name, text) in [
        ("postgresql.conf", text),
        ("pg_hba.conf", RULES),
        ("pg_ident.conf", ""),
    ] {
        let path = home.join(name);
        files("write", &path, std::fs::write(&path, text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
