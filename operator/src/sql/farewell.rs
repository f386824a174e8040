//! Sessions are told before their server is stopped: by a notification on a channel that a client may listen on.

use jiff::Timestamp;

use super::postgres::{Session, admin, connect, explain};
use super::{Error, Server};
use crate::clock::seconds;
use crate::rules::ADMIN;
use crate::scram::Password;

/// Documented: clients listen on it.
pub const CHANNEL: &str = "vdb_platform";

/// A notification is heard in its own database alone.
const DATABASES: &str = "SELECT DISTINCT datname FROM pg_stat_activity \
     WHERE backend_type = 'client backend' AND datname IS NOT NULL AND pid <> pg_backend_pid()";

/// What sessions are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// One to connect to.
    pub database: String,
    pub why: Why,
    /// The server is not stopped before.
    pub deadline: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Refresh,
    Rewind,
    Expired,
    Suspended,
}

impl Farewell {
    pub fn payload(&self) -> String {
        let reason = match self.why {
            Why::Refresh => "refresh",
            Why::Rewind => "rewind",
            Why::Expired => "expired",
            Why::Suspended => "suspended",
        };
        // Nothing in it has to be quoted.
        let deadline = seconds(self.deadline);
        format!(r#"{{"event":"stopping","reason":"{reason}","deadline":"{deadline}"}}"#)
    }
}

/// A database that cannot be told does not keep the others from it.
pub(super) async fn run(
    server: &Server,
    password: &Password,
    farewell: &Farewell,
) -> Result<(), Error> {
    let session = admin(server, password, &farewell.database).await?;
    let databases = session
        .client
        .query(DATABASES, &[])
        .await
        .map_err(explain)?;
    let payload = farewell.payload();
    let mut told = Ok(());
    for row in databases {
        let inside = connect(server, row.get(0), ADMIN, password).await;
        let done = match inside {
            Ok(inside) => notify(&inside, &payload).await,
            Err(error) => Err(error),
        };
        told = told.and(done);
    }
    told
}

async fn notify(session: &Session, payload: &str) -> Result<(), Error> {
    let statement = "SELECT pg_notify($1, $2)";
    let done = session
        .client
        .execute(statement, &[&CHANNEL, &payload])
        .await;
    done.map(drop).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_small_and_as_documented() {
        let farewell = Farewell {
            database: "orders".to_owned(),
            why: Why::Refresh,
            deadline: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        };
        assert_eq!(
            farewell.payload(),
            r#"{"event":"stopping","reason":"refresh","deadline":"2026-01-02T03:04:05Z"}"#
        );
        let page = include_str!("../../../docs/operations.md");
        assert!(page.contains(&format!("LISTEN {CHANNEL}")));
        assert!(page.contains(&farewell.payload()));
    }
}
