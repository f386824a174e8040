//! `vdb-engine doctor`: what is missing on the engine's side and at each source, in words that say what to do.

use std::path::Path;

use crate::error_chain;
use crate::origin::{Origin as _, Postgres};
use crate::serve::storage;
use crate::settings::{Settings, SourceSettings};
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
    let problems = storage(settings.storage).problems(&settings.pool);
    if problems.is_empty() {
        findings.push(good(format!("pool {}", settings.pool.display())));
    }
    findings.extend(problems.into_iter().map(bad));
    findings.extend(storage(settings.storage).warning().map(bad));
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
    let postgres = Postgres::new(settings);
    let server = postgres.server_major();
    findings.push(match &server {
        Ok(major) => good(format!("server programs of PostgreSQL {major}")),
        Err(error) => bad(format!("postgresBin: {}", error_chain(error))),
    });
    findings.push(match postgres.client_major() {
        Ok(major) => good(format!("client programs of PostgreSQL {major}")),
        Err(error) => bad(format!("clientBin: {}", error_chain(&error))),
    });
    for source in &settings.sources {
        findings.extend(examine_source(
            &postgres,
            source,
            server.as_ref().ok().copied(),
            scratch,
        ));
    }
    findings
}

fn examine_source(
    postgres: &Postgres,
    source: &SourceSettings,
    server: Option<u32>,
    scratch: &Path,
) -> Vec<Finding> {
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
    need(
        server.is_none_or(|s| s == facts.major),
        format!(
            "its major version {} is not that of postgresBin",
            facts.major
        ),
    );
    need(
        facts.wal_level != "minimal",
        "wal_level is minimal: set replica or logical and restart it".to_owned(),
    );
    need(
        facts.max_wal_senders >= 2,
        format!(
            "max_wal_senders is {}: a base backup needs 2",
            facts.max_wal_senders
        ),
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
