//! What the operator says to a server, said to a real one: every version of PostgreSQL that the machine has.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "../../engine/tests/support/programs.rs"]
#[expect(dead_code, reason = "the engine's tests use more of it")]
mod programs;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use environment::spec::CollationPolicy;
use futures::StreamExt as _;
use operator::scram::Password;
use operator::sql::{
    CHANNEL, Collations, Error, Farewell, Login, Postgres, Preparation, Prepared, Server, Sql, Why,
};
use programs::{as_nobody, cache, initdb};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls, Notification};

/// The given one, and the other that `.ci/real-engine` has fetched.
fn versions(bin: &Path) -> Vec<PathBuf> {
    let other = cache().map(|cache| cache.join("postgres-17.5.0/bin"));
    let other = other.filter(|other| other.join("postgres").exists() && other != bin);
    [bin.to_owned()].into_iter().chain(other).collect()
}

struct Running {
    bin: PathBuf,
    dir: PathBuf,
    server: Server,
}

impl Running {
    /// A copy as the operator finds it: `boss` is the source's, `vdb_admin` the platform's, text sorts by ICU.
    async fn start(bin: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let name = format!("vdb-operator-{}-{port}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        let data = dir.join("data");
        let icu = ["--locale-provider=icu", "--icu-locale=en"];
        initdb(bin, &data, &icu);
        std::fs::write(
            data.join("pg_hba.conf"),
            "host all all 127.0.0.1/32 trust\n",
        )
        .unwrap();
        let started = Command::new(bin.join("pg_ctl"))
            .args(["start", "-s", "-w", "-D"])
            .arg(&data)
            .arg("-o")
            .arg(format!(
                "-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories= -c fsync=off"
            ))
            .arg("-l")
            .arg(dir.join("log"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success());
        let server = Server {
            host: "127.0.0.1".to_owned(),
            port,
        };
        let running = Self {
            bin: bin.to_owned(),
            dir,
            server,
        };
        let boss = running.session("postgres").await;
        let made = "CREATE ROLE vdb_admin SUPERUSER LOGIN";
        boss.batch_execute(made).await.unwrap();
        boss.batch_execute("CREATE DATABASE orders").await.unwrap();
        running
    }

    async fn session(&self, database: &str) -> Client {
        let Server { host, port } = &self.server;
        let place = format!("host={host} port={port} user=boss dbname={database}");
        let (client, connection) = tokio_postgres::connect(&place, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn number(&self, database: &str, query: &str) -> i64 {
        let session = self.session(database).await;
        session.query_one(query, &[]).await.unwrap().get(0)
    }

    async fn prepare(&self, port: &Postgres, order: &Preparation) -> Result<Prepared, Error> {
        port.prepare(&self.server, &Password::new("x"), order).await
    }

    /// Asks as the operator does, until the rebuild is over.
    async fn reindexed(&self, port: &Postgres, order: &Preparation) -> Result<Collations, Error> {
        for _ in 0..3_000 {
            match self.prepare(port, order).await? {
                Prepared::Done(found) => return Ok(found),
                Prepared::Reindexing(differ) => assert!(!differ.differ.is_empty()),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the rebuild comes to no end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stop = ["stop", "-s", "-w", "-m", "immediate", "-D"];
        let data = self.dir.join("data");
        Command::new(self.bin.join("pg_ctl"))
            .args(stop)
            .arg(data)
            .status()
            .unwrap();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn order(collations: CollationPolicy) -> Preparation {
    Preparation {
        identity: "tf-1".to_owned(),
        database: "orders".to_owned(),
        user: "app".to_owned(),
        create_if_missing: false,
        collations,
        reindex_deadline: Duration::from_mins(1),
    }
}

/// What is heard in a database, from now on.
async fn listen(running: &Running, database: &str) -> (Client, UnboundedReceiver<Notification>) {
    let Server { host, port } = &running.server;
    let place = format!("host={host} port={port} user=boss dbname={database}");
    let (client, mut connection) = tokio_postgres::connect(&place, NoTls).await.unwrap();
    let (sender, heard) = unbounded_channel();
    let mut messages = futures::stream::poll_fn(move |cx| connection.poll_message(cx));
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                sender.send(notification).unwrap();
            }
        }
    });
    let statement = format!("LISTEN {CHANNEL}");
    client.batch_execute(&statement).await.unwrap();
    (client, heard)
}

async fn sessions(running: &Running) {
    let (_orders, mut in_orders) = listen(running, "orders").await;
    let (_postgres, mut in_postgres) = listen(running, "postgres").await;
    let farewell = Farewell {
        database: "orders".to_owned(),
        why: Why::Rewind,
        deadline: "2026-01-02T03:04:05Z".parse().unwrap(),
    };
    let port = Postgres::default();
    let admin = Password::new("x");
    port.tell(&running.server, &admin, &farewell).await.unwrap();
    for heard in [&mut in_orders, &mut in_postgres] {
        let wait = tokio::time::timeout(Duration::from_secs(30), heard.recv());
        let notification = wait.await.unwrap().unwrap();
        assert_eq!(notification.channel(), "vdb_platform");
        let payload: serde_json::Value = serde_json::from_str(notification.payload()).unwrap();
        let wanted = serde_json::json!({ "event": "stopping", "reason": "rewind", "deadline": "2026-01-02T03:04:05Z" });
        assert_eq!(payload, wanted);
        assert!(heard.try_recv().is_err(), "it is told once");
    }
}

#[test]
fn sessions_of_every_database_hear_that_the_server_stops() {
    as_nobody(
        "sessions_of_every_database_hear_that_the_server_stops",
        |bin| {
            each(&sessions, bin);
        },
    );
}

fn each(test: &impl AsyncFn(&Running), bin: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for bin in versions(bin) {
        runtime.block_on(async { test(&Running::start(&bin).await).await });
    }
}

/// Indexes that a collation can make wrong, beside those that it cannot.
const TABLES: &str = "CREATE TABLE customers (id bigint PRIMARY KEY, name text UNIQUE, town text COLLATE \"de-x-icu\", code text COLLATE \"C\");\
     CREATE INDEX towns ON customers (town); CREATE INDEX codes ON customers (code); CREATE INDEX lowered ON customers (lower(name));\
     CREATE INDEX early ON customers (id) WHERE name < 'm'; CREATE SCHEMA \"odd Name\";\
     CREATE TABLE \"odd Name\".\"T\" (\"x y\" text); CREATE INDEX \"I \"\"1\" ON \"odd Name\".\"T\" (\"x y\");\
     CREATE TABLE areas (name text) PARTITION BY RANGE (name); CREATE TABLE areas_a PARTITION OF areas FOR VALUES FROM ('a') TO ('m');\
     CREATE INDEX area_names ON areas (name); INSERT INTO customers SELECT n, 'n' || n, 't' || n, 'c' || n FROM generate_series(1, 500) n";
/// As if another image had made the data.
const OLD: &str = "UPDATE pg_collation SET collversion = '0.0' WHERE collversion IS NOT NULL;\
     UPDATE pg_database SET datcollversion = '0.0' WHERE datcollversion IS NOT NULL";
const STALE: &str =
    "SELECT count(*) FROM pg_collation WHERE collversion <> pg_collation_actual_version(oid)";
const STALE_DATABASES: &str = "SELECT count(*) FROM pg_database WHERE datallowconn AND datcollversion <> pg_database_collation_actual_version(oid)";

async fn files(running: &Running) -> Vec<(String, u32)> {
    let session = running.session("orders").await;
    let query =
        "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'i' AND oid >= 16384 ORDER BY 1";
    let rows = session.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn changed(before: &[(String, u32)], after: &[(String, u32)]) -> Vec<String> {
    let both = before.iter().zip(after);
    let other = both.filter(|(before, after)| before != after);
    other.map(|(before, _)| before.0.clone()).collect()
}

async fn collations(running: &Running) {
    let session = running.session("orders").await;
    session.batch_execute(TABLES).await.unwrap();
    let port = Postgres::default();
    let found = running
        .prepare(&port, &order(CollationPolicy::Refuse))
        .await;
    assert_eq!(found.unwrap(), Prepared::Done(Collations::default()));

    session.batch_execute(OLD).await.unwrap();
    let found = running.prepare(&port, &order(CollationPolicy::Warn)).await;
    let Ok(Prepared::Done(found)) = found else {
        panic!("{found:?}");
    };
    let places: Vec<_> = found
        .differ
        .iter()
        .map(|c| (c.database.as_str(), c.name.as_str(), c.recorded.as_deref()))
        .collect();
    // The hundreds of collations that nothing uses are not named.
    let old = Some("0.0");
    let wanted = [
        ("orders", "default en", old),
        ("orders", "de-x-icu", old),
        ("postgres", "default en", old),
        ("template1", "default en", old),
    ];
    assert_eq!(places, wanted);
    assert!(found.differ.iter().all(|c| c.actual.is_some()));

    let refused = running
        .prepare(&port, &order(CollationPolicy::Refuse))
        .await;
    assert!(matches!(refused, Err(Error::CollationsDiffer(_))));
    // Neither policy has changed a thing.
    assert!(running.number("orders", STALE).await > 100);

    let before = files(running).await;
    let found = running
        .reindexed(&port, &order(CollationPolicy::Reindex))
        .await;
    let found = found.unwrap();
    assert!(found.differ.is_empty() && found.unrecorded.is_empty());
    let told = found.rebuilt.unwrap();
    assert!(
        told.contains("database orders: 6 indexes rebuilt"),
        "{told}"
    );
    assert!(told.contains("not moved: public.areas"), "{told}");
    let rebuilt = changed(&before, &files(running).await);
    let wanted = [
        "I \"1",
        "areas_a_name_idx",
        "customers_name_key",
        "early",
        "lowered",
        "towns",
    ];
    assert_eq!(rebuilt, wanted);
    assert_eq!(running.number("orders", STALE).await, 0);
    assert_eq!(running.number("orders", STALE_DATABASES).await, 0);

    // Once: another process finds nothing to do.
    let before = files(running).await;
    let again = Postgres::default();
    let found = running
        .prepare(&again, &order(CollationPolicy::Reindex))
        .await;
    assert_eq!(found.unwrap(), Prepared::Done(Collations::default()));
    assert_eq!(changed(&before, &files(running).await), [""; 0]);
}

#[test]
fn collations_are_compared_and_their_indexes_rebuilt_once() {
    as_nobody(
        "collations_are_compared_and_their_indexes_rebuilt_once",
        |bin| each(&collations, bin),
    );
}

/// A rebuild that cannot go on, one that is cut off, and one that would never be over.
async fn trouble(running: &Running) {
    let session = running.session("orders").await;
    session.batch_execute(TABLES).await.unwrap();
    session.batch_execute(OLD).await.unwrap();
    // Somebody holds the table for longer than the deadline.
    let holder = running.session("orders").await;
    let hold = "BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE";
    holder.batch_execute(hold).await.unwrap();
    let short = Preparation {
        reindex_deadline: Duration::from_millis(300),
        ..order(CollationPolicy::Reindex)
    };
    let port = Postgres::default();
    let late = running.reindexed(&port, &short).await.unwrap_err();
    assert!(
        late.to_string().contains("300ms (reindexDeadline"),
        "{late}"
    );
    assert!(running.number("orders", STALE_DATABASES).await > 0);
    // The server has given up as well, and the next try has the whole time.
    holder.batch_execute("ROLLBACK").await.unwrap();
    drop(port);
    let port = Postgres::default();
    let found = running
        .reindexed(&port, &order(CollationPolicy::Reindex))
        .await;
    assert!(found.unwrap().rebuilt.is_some());

    // A unique index that cannot be built again: what is in the rows stands in no message.
    let broken =
        "UPDATE pg_index SET indisunique = false WHERE indexrelid = 'customers_name_key'::regclass";
    session.batch_execute(broken).await.unwrap();
    let session = running.session("orders").await;
    let double = "INSERT INTO customers VALUES (0, 'n1')";
    session.batch_execute(double).await.unwrap();
    let unique =
        "UPDATE pg_index SET indisunique = true WHERE indexrelid = 'customers_name_key'::regclass";
    session.batch_execute(unique).await.unwrap();
    session.batch_execute(OLD).await.unwrap();
    let failed = running
        .reindexed(&port, &order(CollationPolicy::Reindex))
        .await;
    let failed = failed.unwrap_err().to_string();
    assert!(
        failed.contains("index public.customers_name_key: could not create unique index"),
        "{failed}"
    );
    assert!(!failed.contains("n1"), "{failed}");

    // A library that names no version: nothing could be recorded.
    let none = "UPDATE pg_database SET datcollversion = '2.31', datlocprovider = 'c' WHERE datname = 'postgres'";
    session.batch_execute(none).await.unwrap();
    let failed = running
        .reindexed(&port, &order(CollationPolicy::Reindex))
        .await;
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("names no version"), "{failed}");
}

#[test]
fn a_rebuild_ends_at_its_deadline_and_begins_anew() {
    as_nobody("a_rebuild_ends_at_its_deadline_and_begins_anew", |bin| {
        each(&trouble, bin);
    });
}

/// A database is only made of a template that differs if that is said, and then it differs as well.
async fn created(running: &Running) {
    let session = running.session("orders").await;
    session.batch_execute(OLD).await.unwrap();
    let port = Postgres::default();
    let wanted = Preparation {
        database: "shop".to_owned(),
        create_if_missing: true,
        ..order(CollationPolicy::Warn)
    };
    let found = running.prepare(&port, &wanted).await;
    let Ok(Prepared::Done(found)) = found else {
        panic!("{found:?}");
    };
    assert_eq!(found.differ[0].database, "shop");
    let again = running.prepare(&port, &wanted).await;
    assert_eq!(again.unwrap(), Prepared::Done(found));
    let login = Login {
        database: "shop".to_owned(),
        user: "app".to_owned(),
        password: Password::new("x"),
    };
    port.check(&running.server, &login).await.unwrap();
}

#[test]
fn a_missing_database_is_made_though_its_template_differs() {
    as_nobody(
        "a_missing_database_is_made_though_its_template_differs",
        |bin| {
            each(&created, bin);
        },
    );
}
