//! Sources and their hosts as callers see them, whether they are linked or not.

use dct::types::{Environment, Host, Repository, Source};

use super::object;
use crate::actions::typed;
use crate::document;
use crate::engine::Engine;
use crate::model::{ENGINE_ID, Kind, TOOLKIT_ID};
use crate::settings::SourceSettings;
use crate::store::{self, Draft};

/// Programs of a major version for a host: the engine's own, which make copies for all hosts alike.
fn repository(environment: u64, major: u32) -> Repository {
    Repository {
        id: Some(format!(
            "{ENGINE_ID}-APPDATA_REPOSITORY-{environment}{major:03}"
        )),
        name: Some(format!("PostgreSQL {major}")),
        database_type: Some(TOOLKIT_ID.to_owned()),
        version: Some(major.to_string()),
        allow_provisioning: Some(true),
        is_staging: Some(false),
        toolkit_id: Some(TOOLKIT_ID.to_owned()),
    }
}

/// `16.9` is 16.
pub(crate) fn major(version: Option<&str>) -> Option<u32> {
    version?.split('.').next()?.parse().ok()
}

impl Engine {
    /// Every declared source is known to callers from the start, linked or not.
    pub(crate) fn register_sources(&self) -> Result<(), store::Error> {
        for source in &self.settings.sources {
            self.store.change(|draft| {
                if draft.state.named(Kind::Source, "", &source.name).is_none() {
                    let environment = self.environment(draft, &source.host);
                    let number = draft.number();
                    let doc = self.source_doc(number, source, &environment);
                    draft.put(object(
                        number,
                        Kind::Source,
                        &source.name,
                        None,
                        document(&doc),
                    ));
                }
                Ok::<(), store::Error>(())
            })?;
        }
        self.register_programs()
    }

    /// Every host with the server's programs that the settings name now, whenever it was first declared.
    fn register_programs(&self) -> Result<(), store::Error> {
        let mut versions = self.settings.postgres_bin.versions();
        versions.sort_unstable();
        versions.dedup();
        self.store.change(|draft| {
            for object in draft.state.live(Kind::Environment) {
                let kept: Environment = typed(object)?;
                let mut doc = kept.clone();
                let repository = |major: &u32| repository(object.number, *major);
                let all: Vec<Repository> = versions.iter().map(repository).collect();
                doc.repositories = Some(all).filter(|all| !all.is_empty());
                for host in doc.hosts.iter_mut().flatten() {
                    host.id = Some(format!("{ENGINE_ID}-UNIX_HOST-{}", object.number));
                }
                if doc != kept {
                    draft.rewrite(object, document(&doc));
                }
            }
            Ok(())
        })
    }

    /// The environment of a host, made when its first source is.
    fn environment(&self, draft: &mut Draft<'_>, host: &str) -> String {
        if let Some(known) = draft.state.named(Kind::Environment, "", host) {
            return known.id.clone();
        }
        let number = draft.number();
        let id = Kind::Environment.id(number);
        let host_doc = Host {
            hostname: Some(host.to_owned()),
            available: Some(true),
            ..Host::default()
        };
        let doc = Environment {
            id: id.clone(),
            name: Some(host.to_owned()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            enabled: Some(true),
            os_type: Some("UNIX".to_owned()),
            hosts: Some(vec![host_doc]),
            ..Environment::default()
        };
        draft.put(object(
            number,
            Kind::Environment,
            host,
            None,
            document(&doc),
        ));
        id
    }

    fn source_doc(&self, number: u64, source: &SourceSettings, environment: &str) -> Source {
        let address = source.host.parse::<std::net::IpAddr>().is_ok();
        Source {
            id: Kind::Source.id(number),
            name: Some(source.name.clone()),
            database_type: Some(TOOLKIT_ID.to_owned()),
            environment_id: Some(environment.to_owned()),
            environment_name: Some(source.host.clone()),
            ip_address: address.then(|| source.host.clone()),
            fqdn: (!address).then(|| source.host.clone()),
            jdbc_connection_string: Some(format!(
                "jdbc:postgresql://{}:{}/{}",
                source.host, source.port, source.database
            )),
            is_dsource: Some(false),
            toolkit_id: Some(TOOLKIT_ID.to_owned()),
            engine_id: Some(ENGINE_ID.to_owned()),
            engine_name: Some(self.settings.engine_name.clone()),
            ..Source::default()
        }
    }
}
