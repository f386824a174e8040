//! The server: it answers while its pod and Service exist, and keeps its roles with the copy.

use async_trait::async_trait;
use environment::spec::CollationPolicy;
use operator::cluster::{Kind, Object};
use operator::scram::{self, Password};
use operator::sql::{self, Collations, Farewell, Login, Preparation, Prepared, Server, Sql};

use super::{Data, State, World};

impl State {
    /// The server runs on the data that its claim's volume names; the tower must still offer it.
    fn server(&mut self) -> Result<&mut Data, sql::Error> {
        if self.remote {
            return self.server_of_a_host();
        }
        let down = || sql::Error::NotYet("connection refused".into());
        let served = self.object(Kind::Service, "dev-vdb").is_some();
        let pod = self.object(Kind::Pod, "dev-vdb-0").filter(|_| served);
        let claim = pod
            .and_then(|pod| pod.annotation("claim"))
            .ok_or_else(down)?;
        let volume = self
            .object(
                Kind::PersistentVolume,
                &format!("{}-{claim}", self.namespace),
            )
            .cloned();
        let Some(Object::PersistentVolume(volume)) = volume else {
            return Err(down());
        };
        let path = volume
            .spec
            .as_ref()
            .and_then(|s| s.local.as_ref())
            .map(|l| l.path.clone())
            .unwrap_or_default();
        let found = self
            .vdbs
            .values_mut()
            .find(|v| v.vdb.exported_data_directory.as_deref() == Some(&path))
            .ok_or_else(down)?;
        let flow = found.vdb.current_timeflow_id.clone().unwrap();
        Ok(found.flows.get_mut(&flow).unwrap())
    }

    /// The Service leads to the addresses of its slices; nothing else in the cluster has to do with it.
    fn server_of_a_host(&mut self) -> Result<&mut Data, sql::Error> {
        let down = || sql::Error::NotYet("connection refused".into());
        let service = self.object(Kind::Service, "dev-vdb").cloned();
        let Some(Object::Service(service)) = service else {
            return Err(down());
        };
        assert!(service.spec.as_ref().unwrap().selector.is_none());
        let slices = self.objects.values().filter_map(|object| match object {
            Object::EndpointSlice(slice) => Some(slice),
            _ => None,
        });
        let addresses: Vec<(String, i32)> = slices
            .map(|slice| {
                assert_eq!(
                    slice.metadata.labels.as_ref().unwrap()["kubernetes.io/service-name"],
                    "dev-vdb"
                );
                let port = slice.ports.as_ref().unwrap()[0].port.unwrap();
                (slice.endpoints[0].addresses[0].clone(), port)
            })
            .collect();
        let leads = |vdb: &dct::types::Vdb| {
            let port = vdb.appdata_source_params.as_ref().unwrap()["postgresPort"].as_i64();
            addresses.iter().any(|(address, at)| {
                vdb.ip_address.as_ref() == Some(address) && port == Some(i64::from(*at))
            })
        };
        let found = self
            .vdbs
            .values_mut()
            .find(|v| v.visible && v.vdb.enabled == Some(true) && leads(&v.vdb))
            .ok_or_else(down)?;
        let flow = found.vdb.current_timeflow_id.clone().unwrap();
        Ok(found.flows.get_mut(&flow).unwrap())
    }

    /// It goes on beside the visits, and ends with collations that match.
    fn rebuild(&mut self, differ: Collations) -> Result<Prepared, sql::Error> {
        match self.rebuild {
            Err(why) => return Err(sql::Error::ReindexFailed(why.to_owned())),
            Ok(0) => {
                self.collations = Collations::default();
                self.rebuilt = Some("database orders: 2 indexes rebuilt".to_owned());
            }
            Ok(left) => self.rebuild = Ok(left - 1),
        }
        Ok(Prepared::Reindexing(differ))
    }

    /// On a host the platform gets in by what its hook has made; in a pod by the helper, which is not simulated.
    fn lets_in(&mut self, admin: &Password) -> Result<(), sql::Error> {
        if !self.remote {
            return Ok(());
        }
        let verifier = self.server()?.verifier.clone().unwrap_or_default();
        if scram::verifies(&verifier, admin.reveal()) {
            Ok(())
        } else {
            Err(sql::Error::Refused("vdb_admin is not let in".into()))
        }
    }
}

#[async_trait]
impl Sql for World {
    async fn prepare(
        &self,
        _: &Server,
        admin: &Password,
        order: &Preparation,
    ) -> Result<Prepared, sql::Error> {
        self.call(format_args!("prepare"), |s| {
            s.lets_in(admin)?;
            if !s.databases.contains(&order.database) && !order.create_if_missing {
                return Err(sql::Error::DatabaseNotFound {
                    wanted: order.database.clone(),
                    existing: s.databases.clone(),
                });
            }
            let differ = s.collations.clone();
            if !differ.differ.is_empty() {
                s.server()?;
                match order.collations {
                    CollationPolicy::Warn => {}
                    CollationPolicy::Refuse => return Err(sql::Error::CollationsDiffer(differ)),
                    CollationPolicy::Reindex => return s.rebuild(differ),
                }
            }
            let rebuilt = s.rebuilt.take();
            let found = s.server()?;
            found.prepared = Some(order.identity.clone());
            found.roles.insert(order.user.clone());
            Ok(Prepared::Done(Collations { rebuilt, ..differ }))
        })
    }

    async fn set_password(
        &self,
        _: &Server,
        admin: &Password,
        user: &str,
        password: &Password,
    ) -> Result<(), sql::Error> {
        self.call(format_args!("set the password"), |s| {
            s.lets_in(admin)?;
            let found = s.server()?;
            if !found.roles.contains(user) {
                return Err(sql::Error::Failed(format!("no role {user}")));
            }
            found
                .passwords
                .insert(user.to_owned(), password.reveal().to_owned());
            Ok(())
        })
    }

    async fn tell(
        &self,
        _: &Server,
        admin: &Password,
        farewell: &Farewell,
    ) -> Result<(), sql::Error> {
        self.call(format_args!("tell the sessions"), |s| {
            s.lets_in(admin)?;
            s.server()?;
            s.told.push(farewell.clone());
            Ok(())
        })
    }

    async fn check(&self, server: &Server, login: &Login) -> Result<(), sql::Error> {
        self.call(format_args!("check"), |s| {
            let host = format!("dev-vdb.{}.svc.cluster.local", s.namespace);
            assert_eq!(server.host, host);
            let found = s.server()?;
            assert!(found.prepared.is_some() || found.verifier.is_none());
            let known = found
                .passwords
                .get(&login.user)
                .is_some_and(|known| known == login.password.reveal());
            if !known {
                return Err(sql::Error::Refused("password authentication failed".into()));
            }
            s.queried = true;
            Ok(())
        })
    }
}
