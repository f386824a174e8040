//! What `doctor` says of a real source: each lack with its remedy, and nothing once the remedies are done.

use std::path::Path;

use engine::doctor;
use engine::settings::{Settings, WalSettings};

use crate::support::programs::{as_nobody, initdb};
use crate::{Server, free_port, settings};

#[test]
fn what_a_source_lacks_is_said_with_the_remedy_which_does() {
    as_nobody(
        "doctor::what_a_source_lacks_is_said_with_the_remedy_which_does",
        poor_then_good,
    );
}

/// Those of the source; the second word is whether it is good.
fn said_of(settings: &Settings) -> Vec<(bool, String)> {
    let scratch = tempfile::tempdir().unwrap();
    let all = doctor::examine(settings, scratch.path()).into_iter();
    let own = all.filter(|finding| finding.what.starts_with("source largedb: "));
    own.map(|finding| (finding.ok, finding.what)).collect()
}

fn lacks(settings: &Settings, parts: &[&str]) {
    let said = said_of(settings);
    let bad: Vec<&String> = said.iter().filter(|f| !f.0).map(|f| &f.1).collect();
    assert_eq!(bad.len(), parts.len(), "{said:#?}");
    for (said, part) in bad.iter().zip(parts) {
        assert!(said.contains(part), "{said:?} lacks {part:?}");
    }
}

fn configured(server: &Server, lines: &str) {
    let always = format!("listen_addresses = '127.0.0.1'\nport = {}\n", server.port);
    let path = server.data.join("postgresql.auto.conf");
    std::fs::write(path, always + lines).unwrap();
}

fn poor_then_good(bin: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let (data, socket) = (dir.path().join("source"), dir.path().join("socket"));
    initdb(bin, &data, &[]);
    std::fs::create_dir(&socket).unwrap();
    let rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    let port = free_port();
    let server = Server {
        bin: bin.to_owned(),
        data,
        socket,
        port,
    };
    let mut settings = settings(bin, dir.path(), port, None);
    settings.sources[0].wal = Some(WalSettings {
        max_lag: "1G".to_owned(),
        keep: None,
    });
    lacks(&settings, &["Connection refused"]);

    configured(
        &server,
        "wal_level = minimal\nmax_wal_senders = 0\nmax_replication_slots = 0\n",
    );
    server.start(&[]);
    lacks(&settings, &["password authentication failed"]);
    server.query(
        "postgres",
        "create role replicator login password 's:e\\cret'",
    );
    lacks(&settings, &["database \"largedb\" does not exist"]);
    server.query("postgres", "create database largedb");
    lacks(
        &settings,
        &[
            "max_wal_senders is 0: a base backup needs 2, and the log 1 more; set 3 or more",
            "no replication slot is free",
            "max_slot_wal_keep_size is -1",
            "wal_level is minimal: set replica or logical",
            "ALTER ROLE replicator REPLICATION",
            "host replication replicator <engine's address> scram-sha-256",
        ],
    );

    server.query("postgres", "ALTER ROLE replicator REPLICATION");
    configured(
        &server,
        "wal_level = replica\nmax_wal_senders = 3\nmax_replication_slots = 1\nmax_slot_wal_keep_size = '16GB'\n",
    );
    server.stop();
    server.start(&[]);
    lacks(&settings, &["pg_hba.conf"]);
    let line = "host replication replicator 127.0.0.1/32 scram-sha-256\n";
    let path = server.data.join("pg_hba.conf");
    std::fs::write(path, format!("{rules}{line}")).unwrap();
    server.query("postgres", "select pg_reload_conf()");
    // The server takes its new rules in a moment.
    crate::timeline::until("the new rules count", || {
        said_of(&settings).iter().all(|finding| finding.0)
    });
    let said = said_of(&settings);
    let version = server.query("postgres", "show server_version");
    let version = version.split(' ').next().unwrap();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].1.contains(&format!("PostgreSQL {version}, ")));
    // It was looked at, and nothing was made.
    let slots = server.query("postgres", "select count(*) from pg_replication_slots");
    assert_eq!(slots, "0");
}
