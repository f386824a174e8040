//! Questions to a server of the test's own by its socket, over a connection that stays: a program for each of them would
//! take more time than all answers together.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

const DEADLINE: Duration = Duration::from_secs(60);

/// It goes on only while it is asked something.
pub(crate) struct Connection {
    runtime: Runtime,
    client: Client,
}

impl Connection {
    /// As somebody who needs no password.
    pub(crate) fn open(
        directory: &Path,
        port: u16,
        user: &str,
        database: &str,
    ) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        let mut config = Config::new();
        config.host_path(directory).port(port);
        config.user(user).dbname(database).connect_timeout(DEADLINE);
        let (client, connection) = runtime
            .block_on(config.connect(NoTls))
            .map_err(|error| format!("{}: {}", directory.display(), said(&error)))?;
        runtime.spawn(connection);
        Ok(Self { runtime, client })
    }

    /// What `psql -At` prints. Statements sent together are one transaction.
    pub(crate) fn query(&self, sql: &str) -> Result<String, String> {
        let answer = async { tokio::time::timeout(DEADLINE, self.client.simple_query(sql)).await };
        let messages = self
            .runtime
            .block_on(answer)
            .map_err(|_| format!("no answer in {DEADLINE:?}"))?
            .map_err(|error| said(&error))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let lines = rows.map(|row| {
            let fields = (0..row.len()).map(|at| row.get(at).unwrap_or_default());
            fields.collect::<Vec<_>>().join("|")
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

fn said(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |e| format!("{} {e}", e.code().code()))
}
