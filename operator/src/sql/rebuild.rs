//! Rebuilds the indexes that a collation has made wrong, and then records the version that it has now.
//!
//! That may take long, so it goes on beside the visits, which ask how far it is. The version is recorded after the last
//! index of its database: where the process or the server ends before, the comparison finds the same again, and what was
//! rebuilt already is rebuilt once more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::collations::{Collations, of_databases};
use super::postgres::{Session, connect, explain};
use super::prepare::identifier;
use super::{Error, Preparation, Server};
use crate::rules::ADMIN;
use crate::scram::Password;

/// What ended and was not asked for is forgotten after so long: its resource is gone.
const KEPT: Duration = Duration::from_hours(1);
/// So many tables are named.
const NAMED: usize = 5;

/// Collations of this database that differ, and whether its own does (`$1`).
const DIFFER: &str = "SELECT oid FROM pg_collation WHERE collversion IS NOT NULL AND collversion IS DISTINCT FROM pg_collation_actual_version(oid) \
     UNION ALL SELECT 100::oid WHERE $1::bool";
/// An expression, a condition or a type of several parts may compare text that the index's own columns do not show.
const INDEXES: &str = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisvalid AND (i.indcollation::oid[] && ARRAY(SELECT oid FROM differ) \
     OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
     WHERE a.attrelid = i.indexrelid AND t.typtype IN ('c', 'r', 'm'))) AND EXISTS (SELECT FROM differ) ORDER BY 1";
const PARTITIONED: &str = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE p.partstrat = 'r' AND p.partcollation::oid[] && ARRAY(SELECT oid FROM differ) ORDER BY 1";
/// A collation of another encoding cannot be used here, nor be named.
const REFRESH: &str = "SELECT format('ALTER COLLATION %I.%I REFRESH VERSION', n.nspname, c.collname) FROM pg_collation c \
     JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.collversion IS NOT NULL AND c.collversion <> pg_collation_actual_version(c.oid) \
     AND c.collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))";

/// One server with one copy.
type Key = (String, u16, String);
type Ended = Arc<Mutex<Option<(Instant, Result<String, Error>)>>>;

struct Running {
    differ: Collations,
    ended: Ended,
}

/// All that go on or have ended since they were asked for.
#[derive(Default)]
pub(super) struct Rebuilds(Mutex<HashMap<Key, Running>>);

pub(super) enum State {
    None,
    Running(Collations),
    /// Told once.
    Ended(Result<String, Error>),
}

impl Rebuilds {
    pub(super) fn state(&self, server: &Server, order: &Preparation) -> State {
        let mut all = lock(&self.0);
        let key = key(server, order);
        let Some(running) = all.get(&key) else {
            return State::None;
        };
        let ended = lock(&running.ended).take();
        match ended {
            None => State::Running(running.differ.clone()),
            Some((_, ended)) => {
                all.remove(&key);
                State::Ended(ended)
            }
        }
    }

    pub(super) fn begin(
        &self,
        server: &Server,
        admin: &Password,
        order: &Preparation,
        differ: &Collations,
    ) {
        let ended = Ended::default();
        let running = Running {
            differ: differ.clone(),
            ended: ended.clone(),
        };
        let mut all = lock(&self.0);
        all.retain(|_, other| {
            lock(&other.ended)
                .as_ref()
                .is_none_or(|(at, _)| at.elapsed() < KEPT)
        });
        all.insert(key(server, order), running);
        let (server, admin, order) = (server.clone(), admin.clone(), order.clone());
        let differ = differ.clone();
        tokio::spawn(async move {
            let result = rebuild(&server, &admin, &order, &differ).await;
            tracing::info!(host = server.host, ?result, "indexes were rebuilt");
            *lock(&ended) = Some((Instant::now(), result));
        });
    }
}

fn key(server: &Server, order: &Preparation) -> Key {
    (server.host.clone(), server.port, order.identity.clone())
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The deadline holds here and in the server, which would otherwise go on with its statement.
async fn rebuild(
    server: &Server,
    admin: &Password,
    order: &Preparation,
    differ: &Collations,
) -> Result<String, Error> {
    if let Some(without) = differ.differ.iter().find(|c| c.actual.is_none()) {
        return Err(Error::ReindexFailed(format!(
            "{without}: its library names no version, so nothing could tell that the indexes were rebuilt"
        )));
    }
    let mut names: Vec<&str> = Vec::new();
    for collation in &differ.differ {
        if !names.contains(&collation.database.as_str()) {
            names.push(&collation.database);
        }
    }
    let end = Instant::now() + order.reindex_deadline;
    let mut told = Vec::new();
    for name in names {
        let work = Work {
            name,
            end,
            deadline: order.reindex_deadline,
        };
        let left = end.saturating_duration_since(Instant::now());
        let done = tokio::time::timeout(left, work.database(server, admin)).await;
        told.push(done.map_err(|_| work.late())??);
    }
    Ok(told.join("; "))
}

struct Work<'a> {
    name: &'a str,
    end: Instant,
    deadline: Duration,
}

impl Work<'_> {
    async fn database(&self, server: &Server, admin: &Password) -> Result<String, Error> {
        let session = connect(server, self.name, ADMIN, admin).await;
        let session = session.map_err(|error| self.failed("connect", &error.to_string()))?;
        let own = of_databases(&session).await;
        let own = own.map_err(|error| self.failed("compare", &error.to_string()))?;
        let own = own.differ.iter().any(|c| c.database == self.name);
        let indexes = self.names(&session, INDEXES, own).await?;
        let mut partitioned = self.names(&session, PARTITIONED, own).await?;
        for index in &indexes {
            let left = self.end.saturating_duration_since(Instant::now());
            // Rounded up: where the server gives up first, it is late here as well, and told as such.
            let limit = format!("SET statement_timeout = {}", left.as_millis() + 1);
            self.execute(&session, "limit", &limit).await?;
            let what = format!("index {index}");
            let statement = format!("REINDEX INDEX {index}");
            self.execute(&session, &what, &statement).await?;
        }
        let versions = self.rows(session.client.query(REFRESH, &[]).await)?;
        self.execute(&session, "record", &versions.join("; "))
            .await?;
        if own {
            let name = identifier(self.name);
            let refresh = format!("ALTER DATABASE {name} REFRESH COLLATION VERSION");
            self.execute(&session, "record", &refresh).await?;
        }
        let mut told = format!("database {}: {} indexes rebuilt", self.name, indexes.len());
        if !partitioned.is_empty() {
            partitioned.truncate(NAMED);
            told +=
                ", but the rows of tables that are partitioned by ranges of text were not moved: ";
            told += &partitioned.join(", ");
        }
        Ok(told)
    }

    async fn names(&self, session: &Session, query: &str, own: bool) -> Result<Vec<String>, Error> {
        let query = format!("WITH differ AS ({DIFFER}) {query}");
        self.rows(session.client.query(&query, &[&own]).await)
    }

    fn rows(
        &self,
        found: Result<Vec<tokio_postgres::Row>, tokio_postgres::Error>,
    ) -> Result<Vec<String>, Error> {
        let rows = found.map_err(|error| self.failed("compare", &explain(error).to_string()))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Of what the server says only the message: a detail may show what is in the data.
    async fn execute(&self, session: &Session, what: &str, statement: &str) -> Result<(), Error> {
        let Err(error) = session.client.batch_execute(statement).await else {
            return Ok(());
        };
        match error.as_db_error() {
            Some(_) if Instant::now() >= self.end => Err(self.late()),
            Some(said) => Err(self.failed(what, said.message())),
            None => Err(self.failed(what, &error.to_string())),
        }
    }

    fn failed(&self, what: &str, why: &str) -> Error {
        Error::ReindexFailed(format!("database {}, {what}: {why}", self.name))
    }

    fn late(&self) -> Error {
        Error::ReindexFailed(format!(
            "database {}: its indexes were not rebuilt within {:?} (reindexDeadline of the operator's settings)",
            self.name, self.deadline
        ))
    }
}
