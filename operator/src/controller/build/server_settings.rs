//! The server's settings in three layers: defaults for a thin copy, what was ordered, what the platform owns. The
//! helper in the pod joins them with what must be taken over from the copy itself.

use std::fmt::Write as _;

use environment::PostgresVdbSpec;

use super::SERVER_PORT;

/// Where sockets and configuration live: a memory volume.
pub const RUN: &str = "/run/vdb";

/// Settings that are the platform's, and families of them. Ordered ones are reported as ignored.
const OWNED: [&str; 24] = [
    "port",
    "listen_addresses",
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "external_pid_file",
    "include",
    "include_dir",
    "include_if_exists",
    "restore_command",
    "promote_trigger_file",
    "max_logical_replication_workers",
    "password_encryption",
    "ssl",
    "logging_collector",
    "log_destination",
    "log_directory",
    "log_filename",
    "synchronous_standby_names",
    "dynamic_shared_memory_type",
    "cluster_name",
    "hot_standby",
    "bonjour",
];
const OWNED_FAMILIES: [&str; 7] = [
    "archive_",
    "primary_",
    "recovery_",
    "unix_socket_",
    "ssl_",
    "krb_",
    "bonjour_",
];

pub fn is_owned(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OWNED.contains(&name.as_str()) || OWNED_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Names in the order that have no effect.
pub fn ignored(spec: &PostgresVdbSpec) -> Vec<&str> {
    spec.postgres_config
        .iter()
        .map(|s| s.name.as_str())
        .filter(|name| is_owned(name))
        .collect()
}

pub fn defaults(spec: &PostgresVdbSpec) -> String {
    let buffers = shared_buffers(spec);
    format!(
        "shared_buffers = '{buffers}kB'\neffective_cache_size = '{}kB'\nmax_connections = '100'\nhuge_pages = 'try'\n\
         wal_recycle = 'off'\nwal_init_zero = 'off'\nmax_wal_senders = '0'\nlog_line_prefix = '%m [%p] %q%u@%d '\n",
        buffers.saturating_mul(3)
    )
}

pub fn ordered(spec: &PostgresVdbSpec) -> String {
    let mut text = String::new();
    for setting in spec.postgres_config.iter().filter(|s| !is_owned(&s.name)) {
        // The schema lets neither quotes nor backslashes nor line breaks through.
        let _ = writeln!(text, "{} = '{}'", setting.name, setting.bare());
    }
    text
}

pub fn owned(name: &str) -> String {
    format!(
        "port = '{SERVER_PORT}'\nlisten_addresses = '*'\nunix_socket_directories = '{RUN}'\n\
         archive_mode = 'off'\narchive_command = ''\nrestore_command = ''\nprimary_conninfo = ''\nprimary_slot_name = ''\n\
         max_logical_replication_workers = '0'\nsynchronous_standby_names = ''\npassword_encryption = 'scram-sha-256'\nssl = 'off'\n\
         logging_collector = 'off'\nlog_destination = 'stderr'\ndynamic_shared_memory_type = 'posix'\ncluster_name = '{name}'\n"
    )
}

/// A quarter of the memory that the pod may use, in kB; between 16 MB and 8 GB.
fn shared_buffers(spec: &PostgresVdbSpec) -> u64 {
    let memory = spec
        .resources
        .limits
        .memory
        .as_ref()
        .or(spec.resources.requests.memory.as_ref());
    let bytes = memory
        .and_then(environment::quantity::Quantity::units)
        .unwrap_or(512 << 20);
    (bytes / 4 / 1024).clamp(16 << 10, 8 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(config: &serde_json::Value) -> PostgresVdbSpec {
        serde_json::from_value(serde_json::json!({
            "source": { "type": "dct-source", "reference": "h:d" }, "database": {}, "postgresConfig": config,
            "resources": { "limits": { "memory": "512Mi" } },
        }))
        .unwrap()
    }

    #[test]
    fn settings_of_the_platform_are_ignored_and_named() {
        let spec = spec(&serde_json::json!([
            { "name": "listen_addresses", "value": "'*'" }, { "name": "archive_command", "value": "rm -rf /" },
            { "name": "work_mem", "value": "'8MB'" }, { "name": "INCLUDE", "value": "x" },
        ]));
        assert_eq!(
            ignored(&spec),
            ["listen_addresses", "archive_command", "INCLUDE"]
        );
        assert_eq!(ordered(&spec), "work_mem = '8MB'\n");
    }

    #[test]
    fn memory_follows_the_resources() {
        assert_eq!(shared_buffers(&spec(&serde_json::json!([]))), 128 << 10);
    }
}
