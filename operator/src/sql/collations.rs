//! Whether text sorts in this server as it did where the data was written. Another library, or another version of it,
//! may sort otherwise, and then every index of text is wrong without a word.

use super::Error;
use super::postgres::{Session, explain};

/// So many are named; the others are counted.
const NAMED: usize = 3;
/// Longest version that is shown: it is whatever stands in the copy.
const LONGEST: usize = 40;

/// Before this version nobody records what a database's own collation was made with.
const RECORDS_DATABASES: i32 = 150_000;

/// Of all databases that let somebody in: their own collation.
const OF_DATABASES: &str = "SELECT datname, 'default ' || coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', datcollate), \
     datcollversion, pg_database_collation_actual_version(oid) FROM pg_database d \
     WHERE datallowconn AND datconnlimit <> -2 AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid) \
     ORDER BY datistemplate, datname";
/// Of the present database: the collations that something in it uses. The hundreds that only stand in the catalog break
/// nothing.
const OF_OBJECTS: &str = "SELECT current_database(), collname, collversion, pg_collation_actual_version(oid) FROM pg_collation \
     WHERE collversion IS NOT NULL AND collversion IS DISTINCT FROM pg_collation_actual_version(oid) AND oid IN (\
     SELECT refobjid FROM pg_depend WHERE refclassid = 'pg_collation'::regclass \
     UNION SELECT attcollation FROM pg_attribute UNION SELECT unnest(indcollation) FROM pg_index) ORDER BY collname";

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collations {
    pub differ: Vec<Collation>,
    /// Nobody has recorded with what they were made.
    pub unrecorded: Vec<Collation>,
    /// What was rebuilt just now, so that nothing differs any more.
    pub rebuilt: Option<String>,
}

/// One that is recorded otherwise than the server's library says, or not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collation {
    pub database: String,
    pub name: String,
    pub recorded: Option<String>,
    pub actual: Option<String>,
}

impl Collations {
    /// Names those that differ, or else those that nobody recorded; empty where there are none.
    pub fn text(&self) -> String {
        let all = if self.differ.is_empty() {
            &self.unrecorded
        } else {
            &self.differ
        };
        let mut text: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
        if all.len() > NAMED {
            text.push(format!("and {} more", all.len() - NAMED));
        }
        text.join("; ")
    }

    /// The ordered database is named first.
    pub(super) fn put_first(&mut self, database: &str) {
        self.differ.sort_by_key(|c| c.database != database);
        self.unrecorded.sort_by_key(|c| c.database != database);
    }

    fn add(&mut self, rows: &[tokio_postgres::Row]) {
        for row in rows {
            let found = Collation {
                database: row.get(0),
                name: row.get(1),
                recorded: row.get(2),
                actual: row.get(3),
            };
            match found.recorded {
                Some(_) => self.differ.push(found),
                None => self.unrecorded.push(found),
            }
        }
    }
}

impl std::fmt::Display for Collation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = |version: &Option<String>| match version {
            Some(version) => version.chars().take(LONGEST).collect(),
            None => "none".to_owned(),
        };
        let (recorded, actual) = (version(&self.recorded), version(&self.actual));
        write!(
            f,
            "database {} has recorded version {recorded} of collation {}, the server has {actual}",
            self.database, self.name
        )
    }
}

/// The databases' own, asked in any of them.
pub(super) async fn of_databases(session: &Session) -> Result<Collations, Error> {
    let mut found = Collations::default();
    let client = &session.client;
    let version = "SELECT current_setting('server_version_num')::int";
    let version: i32 = client
        .query_one(version, &[])
        .await
        .map_err(explain)?
        .get(0);
    if version >= RECORDS_DATABASES {
        found.add(&client.query(OF_DATABASES, &[]).await.map_err(explain)?);
        return Ok(found);
    }
    let unrecorded = "SELECT datname, 'default ' || datcollate, NULL::text, NULL::text FROM pg_database \
         WHERE datallowconn AND datconnlimit <> -2 AND datcollate NOT IN ('C', 'POSIX') ORDER BY datistemplate, datname";
    found.add(&client.query(unrecorded, &[]).await.map_err(explain)?);
    Ok(found)
}

/// Those that are used in the database of the session.
pub(super) async fn of_objects(session: &Session, found: &mut Collations) -> Result<(), Error> {
    let rows = session.client.query(OF_OBJECTS, &[]).await;
    found.add(&rows.map_err(explain)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collation(database: &str, recorded: Option<&str>) -> Collation {
        Collation {
            database: database.to_owned(),
            name: "default en_US.utf8".to_owned(),
            recorded: recorded.map(str::to_owned),
            actual: Some("2.36".to_owned()),
        }
    }

    #[test]
    fn the_ordered_database_is_named_first_and_few_are_named_at_all() {
        let mut found = Collations {
            differ: ["a", "b", "c", "d", "orders"]
                .map(|name| collation(name, Some("2.31")))
                .into(),
            unrecorded: vec![collation("old", None)],
            rebuilt: None,
        };
        found.put_first("orders");
        assert_eq!(
            found.text(),
            "database orders has recorded version 2.31 of collation default en_US.utf8, the server has 2.36; \
             database a has recorded version 2.31 of collation default en_US.utf8, the server has 2.36; \
             database b has recorded version 2.31 of collation default en_US.utf8, the server has 2.36; and 2 more"
        );
        found.differ.clear();
        assert_eq!(
            found.text(),
            "database old has recorded version none of collation default en_US.utf8, the server has 2.36"
        );
        assert_eq!(Collations::default().text(), "");
    }

    #[test]
    fn a_version_of_any_length_is_shown_short() {
        let long = collation("a", Some(&"x".repeat(5_000)));
        assert!(long.to_string().len() < 200);
    }
}
