//! The server: it answers while its pod and Service exist, and keeps its roles with the copy.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use async_trait::async_trait;
use operator::cluster::{Kind, Object};
use operator::scram::{Password, verifies};
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
                &format!("postgres-vdbs-dev-{claim}"),
            )
            .cloned();
        let Some(Object::PersistentVolume(volume)) = volume else {
            return Err(down());
        };
        let path = volume
            .spec
            .and_then(|s| s.local)
            .map(|l| l.path)
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

/// Deriving a key takes longer than everything else in a world together, and worlds are copies of few.
fn opens(verifier: &str, password: &str) -> bool {
    type Known = Mutex<HashMap<(String, String), bool>>;
    static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);
    let pair = (verifier.to_owned(), password.to_owned());
    let known = KNOWN.lock().unwrap().get(&pair).copied();
    known.unwrap_or_else(|| {
        let answer = verifies(verifier, password);
        KNOWN.lock().unwrap().insert(pair, answer);
        answer
    })
}

#[async_trait]
impl Sql for World {
    async fn prepare(
        &self,
        _: &Server,
        _: &Password,
        order: &Preparation,
    ) -> Result<(), sql::Error> {
        self.call("prepare".into(), |s| {
            if !s.databases.contains(&order.database) && !order.create_if_missing {
                return Err(sql::Error::DatabaseNotFound {
                    wanted: order.database.clone(),
                    existing: s.databases.clone(),
                });
            }
            s.server()?.prepared = Some(order.identity.clone());
            Ok(())
        })
    }

    async fn set_password(
        &self,
        _: &Server,
        _: &Password,
        user: &str,
        verifier: &str,
    ) -> Result<(), sql::Error> {
        self.call("set the password".into(), |s| {
            s.server()?
                .passwords
                .insert(user.to_owned(), verifier.to_owned());
            Ok(())
        })
    }

    async fn check(&self, server: &Server, login: &Login) -> Result<(), sql::Error> {
        assert_eq!(server.host, "dev-vdb.postgres-vdbs-dev.svc.cluster.local");
        self.call("check".into(), |s| {
            let found = s.server()?;
            assert!(found.prepared.is_some());
            let known = found
                .passwords
                .get(&login.user)
                .is_some_and(|v| opens(v, login.password.reveal()));
            if !known {
                return Err(sql::Error::Refused("password authentication failed".into()));
            }
            s.queried = true;
            Ok(())
        })
    }
}
