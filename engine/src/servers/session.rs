//! Statements for a server that lets in nobody but the engine, by a connection of the engine's own: another program takes
//! longer to begin than they take.

use std::path::Path;
use std::time::Duration;

use tokio_postgres::{Config, NoTls};

use crate::jobs::Error;
use crate::origin::psql::OPTIONS;
use crate::origin::superuser::Superuser;

const CONNECT: Duration = Duration::from_secs(10);
/// Each of them waits a minute at most for a lock.
const DEADLINE: Duration = Duration::from_mins(5);
/// Nothing of the copy's own runs, and nothing waits for ever.
const ALONE: &str =
    "-c lock_timeout=1min -c session_preload_libraries= -c local_preload_libraries=";
/// No statement is written down anywhere, whatever was ordered for the server. What is not loaded is not asked.
pub(super) const SECRETLY: [&str; 8] = [
    "log_statement=none",
    "log_min_duration_statement=-1",
    "log_min_duration_sample=-1",
    "log_transaction_sample_rate=0",
    "log_min_error_statement=panic",
    "pg_stat_statements.track=none",
    "auto_explain.log_min_duration=-1",
    "pgaudit.log=none",
];

/// Who is asked for it, and how.
pub(super) struct Session(Config);

impl Session {
    /// By the socket in a server's home.
    pub(super) fn new(home: &Path, port: u16, major: u32, superuser: &Superuser) -> Self {
        // Versions before have no triggers that a login fires.
        let triggers = if major < 17 {
            ""
        } else {
            " -c event_triggers=off"
        };
        let mut config = Config::new();
        config
            .host_path(home)
            .port(port)
            .user(&superuser.role)
            .dbname(&superuser.database)
            .options(format!(
                "{OPTIONS} {ALONE} -c {}{triggers}",
                SECRETLY.join(" -c ")
            ))
            .application_name("vdb-engine")
            .connect_timeout(CONNECT);
        Self(config)
    }

    /// All of the statements, or none. They are not repeated in what the server complains of.
    pub(super) fn run(&self, statements: &str) -> Result<(), Error> {
        // Whoever calls may be a thread that must not wait.
        std::thread::scope(|scope| {
            let ran = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| Error::Failed(error.to_string()))?;
                let asked = async { tokio::time::timeout(DEADLINE, self.ask(statements)).await };
                match runtime.block_on(asked) {
                    Ok(answer) => answer.map_err(|error| Error::Failed(said(&error))),
                    Err(_) => Err(Error::Failed(format!(
                        "the server did not answer within {} s",
                        DEADLINE.as_secs()
                    ))),
                }
            });
            ran.join()
                .unwrap_or_else(|_| Err(Error::Failed("the driver panicked".to_owned())))
        })
    }

    async fn ask(&self, statements: &str) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = self.0.connect(NoTls).await?;
        let driven = tokio::spawn(connection);
        let answer = client.batch_execute(statements).await;
        drop(client);
        // It says goodbye; how that ends changes nothing.
        let _ = driven.await;
        answer
    }
}

fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{}: {}", error.severity(), error.message()),
        None => crate::error_chain(error),
    }
}
