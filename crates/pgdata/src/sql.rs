//! The statements that take a copy's secrets and connections away.
//!
//! Each is one line without a line feed, because single-user mode takes every line for a statement.

/// Shared catalogs: once for the whole cluster, as a superuser. They need no server that listens.
///
/// A subscription's catalog row is changed directly: `ALTER SUBSCRIPTION` would want to connect to the publisher,
/// and cannot empty the connection string, which often holds a password.
pub fn strip_shared() -> [&'static str; 2] {
    [
        "update pg_catalog.pg_authid set rolpassword = null where rolpassword is not null",
        "update pg_catalog.pg_subscription set subenabled = false, subslotname = null, subconninfo = ''",
    ]
}

/// In every database: user mappings hold the passwords of foreign servers.
pub fn strip_database() -> &'static str {
    "do $$ declare m record; begin for m in select s.srvname, case when u.umuser = 0 then 'public' \
     else quote_ident(pg_catalog.pg_get_userbyid(u.umuser)) end as who from pg_catalog.pg_user_mapping u \
     join pg_catalog.pg_foreign_server s on s.oid = u.umserver loop \
     execute pg_catalog.format('drop user mapping for %s server %I', m.who, m.srvname); end loop; end $$"
}

/// Standard input for `postgres --single -O`.
pub fn single_user(statements: &[&str]) -> String {
    statements.iter().flat_map(|s| [*s, "\n"]).collect()
}

/// A text literal.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The name of a role, a database or a schema.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_is_one_line() {
        let script = single_user(&[strip_shared()[0], strip_shared()[1], strip_database()]);
        assert_eq!(script.lines().count(), 3);
        assert!(script.ends_with('\n'));
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }
}
