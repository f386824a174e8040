//! The server: it answers while its pod and Service exist, and keeps its roles with the copy.

use async_trait::async_trait;
use operator::cluster::{Kind, Object};
use operator::scram::Password;
use operator::sql::{self, Login, Preparation, Server, Sql};

use super::{Data, State, World};

impl State {
    /// The server runs on the data that its claim's volume names; the tower must still offer it.
    fn server(&mut self) -> Result<&mut Data, sql::Error> {
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
}

#[async_trait]
impl Sql for World {
    async fn prepare(
        &self,
        _: &Server,
        _: &Password,
        order: &Preparation,
    ) -> Result<(), sql::Error> {
        self.call(format_args!("prepare"), |s| {
            if !s.databases.contains(&order.database) && !order.create_if_missing {
                return Err(sql::Error::DatabaseNotFound {
                    wanted: order.database.clone(),
                    existing: s.databases.clone(),
                });
            }
            let found = s.server()?;
            found.prepared = Some(order.identity.clone());
            found.roles.insert(order.user.clone());
            Ok(())
        })
    }

    async fn set_password(
        &self,
        _: &Server,
        _: &Password,
        user: &str,
        password: &Password,
    ) -> Result<(), sql::Error> {
        self.call(format_args!("set the password"), |s| {
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

    async fn check(&self, server: &Server, login: &Login) -> Result<(), sql::Error> {
        self.call(format_args!("check"), |s| {
            let host = format!("dev-vdb.{}.svc.cluster.local", s.namespace);
            assert_eq!(server.host, host);
            let found = s.server()?;
            assert!(found.prepared.is_some());
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
