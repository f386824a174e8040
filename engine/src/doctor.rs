//! `vdb-engine doctor`: what is missing on the engine's side and at each source, in words that say what to do.

use std::path::Path;

use crate::error_chain;
use crate::origin::{Facts, Origin as _, Postgres};
use crate::settings::{Settings, SourceSettings};
use crate::storage;
use crate::tls;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub ok: bool,
    pub what: String,
}

fn good(what: impl Into<String>) -> Finding {
    Finding {
        ok: true,
        what: what.into(),
    }
}

fn bad(what: impl Into<String>) -> Finding {
    Finding {
        ok: false,
        what: what.into(),
    }
}

/// Looks at everything; changes nothing. `scratch` is a private directory for password files.
pub fn examine(settings: &Settings, scratch: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let storage = storage::of(settings.storage, &settings.pool);
    let problems = storage.problems(&settings.pool);
    if problems.is_empty() {
        let pool = settings.pool.display();
        findings.push(good(format!("pool {pool}, storage {}", storage.name())));
        findings.extend(room(settings));
    }
    findings.extend(problems.into_iter().map(bad));
    findings.extend(storage.warning().map(bad));
    if storage.name() == "xfs" && !in_path("filefrag") {
        findings.push(good(
            "no storage_size is told: filefrag (package e2fsprogs) is not in PATH",
        ));
    }
    for key in &settings.api_keys {
        let name = &key.name;
        let Some(file) = &key.key_file else {
            findings.push(good(format!("api key {name}, by its hash")));
            continue;
        };
        findings.push(match std::fs::read_to_string(file) {
            Ok(text) if !text.trim().is_empty() => good(format!("api key {name}")),
            Ok(_) => bad(format!(
                "api key {name}: {} is empty: write the key into it",
                file.display()
            )),
            Err(error) => bad(format!("api key {name}: {}: {error}", file.display())),
        });
    }
    findings.push(match settings.tls.as_ref().map(tls::problem) {
        None => good("connections are not encrypted: tls is not set"),
        Some(None) => good("tls certificate and key"),
        Some(Some(problem)) => bad(problem),
    });
    let tls = settings.servers.as_ref().and_then(|s| s.tls.as_ref());
    findings.extend(tls.map(|tls| match tls::problem(tls) {
        None => good("servers.tls certificate and key"),
        Some(problem) => bad(format!("servers.tls: {problem}")),
    }));
    findings.push(hooks(settings));
    let postgres = Postgres::new(settings);
    findings.extend(servers(settings));
    findings.push(match postgres.client_major() {
        Ok(major) => good(format!("client programs of PostgreSQL {major}")),
        Err(error) => bad(format!("clientBin: {}", error_chain(&error))),
    });
    if let Err(error) = postgres.check_major() {
        findings.push(bad(format!(
            "clientBin: base backups cannot be checked, and none is made without that: {} (it comes with pg_basebackup)",
            error_chain(&error)
        )));
    }
    for source in &settings.sources {
        findings.extend(examine_source(&postgres, source, scratch));
    }
    findings
}

fn room(settings: &Settings) -> Option<Finding> {
    let (_, free) = storage::capacity(&settings.pool)?;
    let kept = settings.kept_free();
    let what = format!(
        "{} MiB free in the pool, {} MiB of them kept free",
        free >> 20,
        kept >> 20
    );
    Some(if free > kept {
        good(what)
    } else {
        bad(format!("{what}: every copy is refused; enlarge the pool"))
    })
}

fn examine_source(postgres: &Postgres, source: &SourceSettings, scratch: &Path) -> Vec<Finding> {
    let name = &source.name;
    let facts = match postgres.inspect(source, scratch) {
        Ok(facts) => facts,
        Err(error) => return vec![bad(format!("source {name}: {}", error_chain(&error)))],
    };
    let mut findings = vec![good(format!(
        "source {name}: PostgreSQL {}, {} MiB",
        facts.version,
        facts.bytes >> 20
    ))];
    let mut need = |fits: bool, what: String| {
        if !fits {
            findings.push(bad(format!("source {name}: {what}")));
        }
    };
    for what in lacks(source, &facts, postgres) {
        need(false, what);
    }
    need(
        facts.wal_level != "minimal",
        "wal_level is minimal: set replica or logical and restart it".to_owned(),
    );
    need(
        facts.may_replicate,
        format!(
            "role {0} lacks REPLICATION: ALTER ROLE {0} REPLICATION",
            source.user
        ),
    );
    if let Err(error) = postgres.try_replication(source, scratch) {
        need(
            false,
            format!(
                "no replication connection (a line \"host replication {} <engine's address> scram-sha-256\" in pg_hba.conf?): {}",
                source.user,
                error_chain(&error)
            ),
        );
    }
    findings
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What would become of hooks; nobody has to want it.
fn hooks(settings: &Settings) -> Finding {
    if settings.servers.is_none() {
        return good(
            "hooks are kept and never run: servers is not set, so every virtual database is for a container",
        );
    }
    let lacks: Vec<&str> = ["bash", "sh"]
        .into_iter()
        .filter(|program| !in_path(program))
        .collect();
    let lacks = match lacks.as_slice() {
        [] => String::new(),
        some => format!("; {} is not in PATH", some.join(", ")),
    };
    good(format!(
        "hooks are kept and shown, and run by vdb-engine serve --run-hooks alone, as the engine's user{lacks}"
    ))
}

/// Each folder, and whether it is of the version that the settings say.
fn servers(settings: &Settings) -> Vec<Finding> {
    let folders = settings.postgres_bin.folders();
    folders
        .map(
            |(said, folder)| match (Postgres::version_of(folder), said) {
                (Ok(found), Some(said)) if found != said => bad(format!(
                    "postgresBin: {} is named for {said} and holds PostgreSQL {found}",
                    folder.display()
                )),
                (Ok(found), _) => good(format!("server programs of PostgreSQL {found}")),
                (Err(error), _) => bad(format!("postgresBin: {}", error_chain(&error))),
            },
        )
        .collect()
}

/// What a base backup, and receiving the log, need besides.
fn lacks(source: &SourceSettings, facts: &Facts, postgres: &Postgres) -> Vec<String> {
    let mut lacks = Vec::new();
    if let Err(error) = postgres.server_of(facts.major, "it") {
        lacks.push(error_chain(&error));
    }
    if postgres
        .check_major()
        .is_ok_and(|major| major < facts.major)
    {
        lacks.push(format!(
            "pg_verifybackup of clientBin is older than PostgreSQL {0}: it must be of {0} or newer",
            facts.major
        ));
    }
    let logged = source.wal.is_some();
    let senders = if logged { 3 } else { 2 };
    if facts.max_wal_senders < senders {
        lacks.push(format!(
            "max_wal_senders is {}: a base backup needs 2, and the log 1 more; set {senders} or more and restart it",
            facts.max_wal_senders
        ));
    }
    if logged && facts.free_slots == 0 {
        lacks.push(
            "no replication slot is free, unless the engine has its own already: raise max_replication_slots and restart it, or drop one that nobody uses"
                .to_owned(),
        );
    }
    if logged && facts.slot_keeps < 0 {
        lacks.push(
            "max_slot_wal_keep_size is -1, so that an engine which is gone could fill its disk: set, for example, max_slot_wal_keep_size = '16GB' and reload it"
                .to_owned(),
        );
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::WalSettings;

    fn lacking(facts: &Facts, logged: bool) -> Vec<String> {
        let text = "{listen: '127.0.0.1:0', pool: /p, storage: copy, exportPrefix: /e, apiKeys: [], postgresBin: /nowhere, clientBin: /nowhere, \
             sources: [{name: s, host: h, database: d, user: u, passwordFile: /f}]}";
        let settings: Settings = serde_saphyr::from_str(text).unwrap();
        let mut source = settings.sources[0].clone();
        source.wal = logged.then(|| WalSettings {
            max_lag: "8G".to_owned(),
            keep: None,
        });
        let mut found = lacks(&source, facts, &Postgres::new(&settings));
        // There are no programs in this test.
        assert!(found.remove(0).contains("postgresBin"));
        found
    }

    #[test]
    fn what_a_source_lacks_is_named_with_the_remedy() {
        let poor = Facts {
            max_wal_senders: 2,
            slot_keeps: -1,
            ..Facts::default()
        };
        assert!(lacking(&poor, false).is_empty());
        let found = lacking(&poor, true);
        for (index, word) in [
            "max_wal_senders",
            "max_replication_slots",
            "max_slot_wal_keep_size",
        ]
        .iter()
        .enumerate()
        {
            assert!(found[index].contains(word), "{found:?}");
        }
        let rich = Facts {
            max_wal_senders: 10,
            free_slots: 9,
            slot_keeps: 16_384,
            ..Facts::default()
        };
        assert!(lacking(&rich, true).is_empty());
        assert_eq!(lacking(&Facts::default(), false).len(), 1);
    }
}
