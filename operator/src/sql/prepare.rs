//! What is said to a fresh copy: nothing in it may reach out any more, and the application gets its database and role.
//!
//! Every statement can be repeated. The last one marks the copy, so that a later start does not take away what the
//! application's own hooks have made.

use environment::spec::CollationPolicy;

use super::collations::{self, Collation, Collations};
use super::postgres::{Session, connect, explain};
use super::{Error, Preparation, Server};
use crate::rules::ADMIN;
use crate::scram::Password;

/// The comment on the platform's role: comments are stored in the copy, and commit with it.
const MARK: &str =
    "SELECT shobj_description(oid, 'pg_authid') FROM pg_authid WHERE rolname = 'vdb_admin'";
const DATABASES: &str = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2 ORDER BY datname";
const SUBSCRIPTIONS: &str = "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
const USER_MAPPINGS: &str = "SELECT srvname, CASE WHEN umuser = 0 THEN NULL ELSE usename END FROM pg_user_mappings WHERE umuser = 0 OR usename IS NOT NULL";
/// Those who own something in this database and are neither superusers nor the server's own roles.
const OWNERS: &str = "SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_' AND rolname <> $1 AND oid IN (\
     SELECT datdba FROM pg_database WHERE datname = current_database() UNION SELECT nspowner FROM pg_namespace \
     UNION SELECT relowner FROM pg_class UNION SELECT proowner FROM pg_proc UNION SELECT typowner FROM pg_type)";

pub(super) async fn run(
    session: &Session,
    server: &Server,
    admin: &Password,
    order: &Preparation,
) -> Result<Collations, Error> {
    let marked: Option<String> = match session.client.query_opt(MARK, &[]).await.map_err(explain)? {
        Some(row) => row.get(0),
        None => None,
    };
    let existing = databases(session).await?;
    let fresh = marked.as_deref() != Some(order.identity.as_str());
    let mut found = collations::of_databases(session).await?;
    for database in &existing {
        let inside = connect(server, database, ADMIN, admin).await?;
        if fresh {
            disarm(&inside).await?;
        }
        collations::of_objects(&inside, &mut found).await?;
    }
    found.put_first(&order.database);
    let known = role_exists(session, &order.user).await?;
    if !existing.contains(&order.database) && !order.create_if_missing {
        return Err(Error::DatabaseNotFound {
            wanted: order.database.clone(),
            existing,
        });
    }
    if !found.differ.is_empty() && order.collations != CollationPolicy::Warn {
        return Err(Error::CollationsDiffer(found));
    }
    let user = identifier(&order.user);
    if known {
        execute(
            session,
            &format!("ALTER ROLE {user} LOGIN VALID UNTIL 'infinity'"),
        )
        .await?;
    } else {
        execute(session, &format!("CREATE ROLE {user} LOGIN")).await?;
    }
    if !existing.contains(&order.database) {
        let version = as_the_template(&mut found, &order.database);
        execute(
            session,
            &format!(
                "CREATE DATABASE {} OWNER {user}{version}",
                identifier(&order.database)
            ),
        )
        .await?;
    }
    if !known {
        grant(
            &connect(server, &order.database, ADMIN, admin).await?,
            order,
        )
        .await?;
    }
    execute(
        session,
        &format!("COMMENT ON ROLE {ADMIN} IS {}", literal(&order.identity)),
    )
    .await?;
    Ok(found)
}

/// A template whose collation differs is only copied when the version is named, and then the copy differs as well.
fn as_the_template(found: &mut Collations, database: &str) -> String {
    let Some(template) = found.differ.iter().find(|c| c.database == "template1") else {
        return String::new();
    };
    let version = template.recorded.as_deref().map(literal);
    let own = Collation {
        database: database.to_owned(),
        ..template.clone()
    };
    found.differ.insert(0, own);
    version.map_or_else(String::new, |v| format!(" COLLATION_VERSION = {v}"))
}

async fn databases(session: &Session) -> Result<Vec<String>, Error> {
    Ok(session
        .client
        .query(DATABASES, &[])
        .await
        .map_err(explain)?
        .iter()
        .map(|row| row.get(0))
        .collect())
}

async fn role_exists(session: &Session, user: &str) -> Result<bool, Error> {
    Ok(session
        .client
        .query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&user])
        .await
        .map_err(explain)?
        .is_some())
}

/// Subscriptions and user mappings of one database. The helper has blanked the connections before the server listened;
/// here the objects go, without a word to the publisher (no slot name is left).
async fn disarm(session: &Session) -> Result<(), Error> {
    for row in session
        .client
        .query(SUBSCRIPTIONS, &[])
        .await
        .map_err(explain)?
    {
        let name = identifier(row.get::<_, &str>(0));
        execute(session, &format!("ALTER SUBSCRIPTION {name} DISABLE")).await?;
        execute(
            session,
            &format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
        )
        .await?;
        execute(session, &format!("DROP SUBSCRIPTION {name}")).await?;
    }
    for row in session
        .client
        .query(USER_MAPPINGS, &[])
        .await
        .map_err(explain)?
    {
        let user = row
            .get::<_, Option<&str>>(1)
            .map_or_else(|| "PUBLIC".to_owned(), identifier);
        execute(
            session,
            &format!(
                "DROP USER MAPPING IF EXISTS FOR {user} SERVER {}",
                identifier(row.get::<_, &str>(0))
            ),
        )
        .await?;
    }
    Ok(())
}

/// A role that the copy does not have reads and writes what the owners of its database can, and is no superuser.
async fn grant(session: &Session, order: &Preparation) -> Result<(), Error> {
    let user = identifier(&order.user);
    let owners = session
        .client
        .query(OWNERS, &[&order.user])
        .await
        .map_err(explain)?;
    let mut statements: Vec<String> = owners
        .iter()
        .map(|row| format!("GRANT {} TO {user}", identifier(row.get::<_, &str>(0))))
        .collect();
    // Since PostgreSQL 14.
    let predefined =
        "SELECT rolname FROM pg_roles WHERE rolname IN ('pg_read_all_data', 'pg_write_all_data')";
    for row in session
        .client
        .query(predefined, &[])
        .await
        .map_err(explain)?
    {
        statements.push(format!(
            "GRANT {} TO {user}",
            identifier(row.get::<_, &str>(0))
        ));
    }
    statements.push(format!(
        "GRANT CREATE, CONNECT, TEMPORARY ON DATABASE {} TO {user}",
        identifier(&order.database)
    ));
    if session
        .client
        .query_opt("SELECT 1 FROM pg_namespace WHERE nspname = 'public'", &[])
        .await
        .map_err(explain)?
        .is_some()
    {
        statements.push(format!("GRANT USAGE, CREATE ON SCHEMA public TO {user}"));
    }
    execute(session, &statements.join("; ")).await
}

async fn execute(session: &Session, statement: &str) -> Result<(), Error> {
    session
        .client
        .batch_execute(statement)
        .await
        .map_err(explain)
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Safe whatever `standard_conforming_strings` says: no text that is given here holds a backslash.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
    }
}
