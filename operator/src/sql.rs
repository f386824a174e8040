//! Port to the running server: what the operator says to it, always through the Service.

use std::time::Duration;

use async_trait::async_trait;
use environment::spec::{CollationPolicy, Database};

use crate::scram::Password;

mod collations;
mod farewell;
mod postgres;
mod prepare;
mod rebuild;
pub use collations::{Collation, Collations};
pub use farewell::{CHANNEL, Farewell, Why};
pub use postgres::Postgres;

/// Where the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

/// What a copy must have before its first hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// Names the copy: what was prepared for one is not prepared for a copy of it.
    pub identity: String,
    pub database: String,
    pub user: String,
    pub create_if_missing: bool,
    pub collations: CollationPolicy,
    /// Of the rebuild that the policy may ask for.
    pub reindex_deadline: Duration,
}

/// What a preparation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prepared {
    Done(Collations),
    /// Indexes are being rebuilt, because these differ; everything after it is still to be done.
    Reindexing(Collations),
}

/// Who proves that the database can be used.
#[derive(Clone, Debug)]
pub struct Login {
    pub database: String,
    pub user: String,
    pub password: Password,
}

impl Login {
    /// As the application that a database is ordered for.
    pub fn of(ordered: &Database, password: Password) -> Self {
        Self {
            database: ordered.name.clone(),
            user: ordered.user.clone(),
            password,
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens yet, or the server is starting up.
    #[error("the server does not answer yet: {0}")]
    NotYet(String),
    #[error("the server refused the login: {0}")]
    Refused(String),
    #[error("database {wanted:?} does not exist in the copy; it has {}", existing.join(", "))]
    DatabaseNotFound {
        wanted: String,
        existing: Vec<String>,
    },
    /// The order's policy does not go on with these.
    #[error("{}", .0.text())]
    CollationsDiffer(Collations),
    #[error("{0}")]
    ReindexFailed(String),
    #[error("{0}")]
    Failed(String),
}

#[async_trait]
pub trait Sql: Send + Sync {
    /// Takes away what could reach out, compares the collations, and makes the application's role and database. Changes
    /// nothing the second time.
    async fn prepare(
        &self,
        server: &Server,
        admin: &Password,
        order: &Preparation,
    ) -> Result<Prepared, Error>;
    /// Gives the role its password; what is sent is a verifier.
    async fn set_password(
        &self,
        server: &Server,
        admin: &Password,
        user: &str,
        password: &Password,
    ) -> Result<(), Error>;
    /// Tells the sessions that the server is going to stop.
    async fn tell(
        &self,
        server: &Server,
        admin: &Password,
        farewell: &Farewell,
    ) -> Result<(), Error>;
    /// One query as the application.
    async fn check(&self, server: &Server, login: &Login) -> Result<(), Error>;
}
