//! The adapter over tokio-postgres; the only file that opens connections.

use std::time::Duration;

use async_trait::async_trait;
use environment::spec::CollationPolicy;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::collations::Collations;
use super::rebuild::{Rebuilds, State};
use super::{Error, Farewell, Login, Preparation, Prepared, Server, Sql, farewell, prepare};
use crate::rules::ADMIN;
use crate::scram::Password;

/// A server of the cluster answers a connection at once or is not up; waiting longer only delays the next try.
const CONNECT: Duration = Duration::from_secs(2);
/// Creating a database copies a template; everything else takes milliseconds.
const STATEMENTS: Duration = Duration::from_mins(1);

/// Nothing waits longer for a notification.
const FAREWELL: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Postgres {
    rebuilds: Rebuilds,
}

/// An open connection; its background task ends with it.
pub(super) struct Session {
    pub(super) client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Settings of the order, or of the copy's databases and roles, must not change what the platform's statements mean.
const OWN_SETTINGS: &str = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 -c search_path=pg_catalog";

pub(super) async fn connect(
    server: &Server,
    database: &str,
    user: &str,
    password: &Password,
) -> Result<Session, Error> {
    let mut config = Config::new();
    config
        .host(&server.host)
        .port(server.port)
        .dbname(database)
        .user(user)
        .password(password.reveal());
    config
        .application_name("vdb-operator")
        .connect_timeout(CONNECT);
    if user == ADMIN {
        config.options(OWN_SETTINGS);
    }
    let connecting = tokio::time::timeout(CONNECT * 2, config.connect(NoTls)).await;
    let (client, connection) = connecting
        .map_err(|_| Error::NotYet("the connection timed out".to_owned()))?
        .map_err(explain)?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "connection ended");
        }
    });
    Ok(Session { client, task })
}

/// What an error of the server or the network means for the next step.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn explain(error: tokio_postgres::Error) -> Error {
    let text = crate::error_chain(&error);
    let starting = [
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    match error.code() {
        Some(code) if starting.contains(code) => Error::NotYet(text),
        Some(code)
            if *code == SqlState::INVALID_PASSWORD
                || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            Error::Refused(text)
        }
        Some(_) => Error::Failed(text),
        // Without a code it never came to a statement: refused, reset, not resolved.
        None => Error::NotYet(text),
    }
}

/// Any database that lets the platform in: a copy may lack `postgres`.
pub(super) async fn admin(
    server: &Server,
    password: &Password,
    wanted: &str,
) -> Result<Session, Error> {
    let mut last = Error::NotYet("no database".to_owned());
    for database in ["postgres", wanted, "template1"] {
        match connect(server, database, ADMIN, password).await {
            Ok(session) => return Ok(session),
            Err(Error::Failed(why)) => last = Error::Failed(why),
            Err(other) => return Err(other),
        }
    }
    Err(last)
}

#[async_trait]
impl Sql for Postgres {
    async fn prepare(
        &self,
        server: &Server,
        password: &Password,
        order: &Preparation,
    ) -> Result<Prepared, Error> {
        let reindexes = order.collations == CollationPolicy::Reindex;
        let rebuilt = match self.rebuilds.state(server, order) {
            State::Running(differ) if reindexes => return Ok(Prepared::Reindexing(differ)),
            State::Ended(ended) if reindexes => Some(ended?),
            _ => None,
        };
        let session = admin(server, password, &order.database).await?;
        let work = prepare::run(&session, server, password, order);
        let done = tokio::time::timeout(STATEMENTS, work)
            .await
            .map_err(|_| Error::Failed("the preparation took longer than a minute".to_owned()))?;
        match (done, rebuilt) {
            (Err(Error::CollationsDiffer(found)), None) if reindexes => {
                self.rebuilds.begin(server, password, order, &found);
                Ok(Prepared::Reindexing(found))
            }
            (Err(Error::CollationsDiffer(found)), Some(_)) => Err(Error::ReindexFailed(format!(
                "after the indexes were rebuilt, {}",
                found.text()
            ))),
            (done, rebuilt) => done.map(|found| Prepared::Done(Collations { rebuilt, ..found })),
        }
    }

    async fn set_password(
        &self,
        server: &Server,
        platform: &Password,
        user: &str,
        password: &Password,
    ) -> Result<(), Error> {
        let session = admin(server, platform, "postgres").await?;
        let statement = format!(
            "ALTER ROLE {} PASSWORD {}",
            prepare::identifier(user),
            prepare::literal(&password.verifier())
        );
        let work = session.client.batch_execute(&statement);
        tokio::time::timeout(STATEMENTS, work)
            .await
            .map_err(|_| Error::Failed("the password could not be set in time".to_owned()))?
            .map_err(explain)
    }

    async fn tell(
        &self,
        server: &Server,
        admin: &Password,
        farewell: &Farewell,
    ) -> Result<(), Error> {
        tokio::time::timeout(FAREWELL, farewell::run(server, admin, farewell))
            .await
            .map_err(|_| Error::NotYet("the sessions could not be told in time".to_owned()))?
    }

    async fn check(&self, server: &Server, login: &Login) -> Result<(), Error> {
        let session = connect(server, &login.database, &login.user, &login.password).await?;
        let answer =
            tokio::time::timeout(CONNECT * 2, session.client.query_one("SELECT 1", &[])).await;
        answer
            .map_err(|_| Error::NotYet("the query timed out".to_owned()))?
            .map_err(explain)?;
        Ok(())
    }
}
